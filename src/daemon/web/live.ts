/**
 * The live stream of the status page: server-sent events (WHATWG HTML §9.2), one a second while somebody listens.
 *
 * Nothing is read while nobody does. How many listen, and what one does not read, is the answerer's to bound. What is
 * told is taken once for all of them, and the next wait begins when it has come, so that a busy engine is
 * not asked twice.
 */
import { SECOND_MS } from "../../core/time.ts";
import type { Sink } from "../control/control-answer.ts";
import type { StartTimer } from "../repeats.ts";

/** Milliseconds between two events. */
export const LIVE_MS = SECOND_MS;

/** Tells its listeners what `read` gives. */
export class Live {
  readonly #read: () => Promise<object>;
  readonly #startTimer: StartTimer;
  readonly #failed: (error: unknown) => void;
  readonly #sinks = new Set<Sink>();
  #isRunning = false;
  #isClosed = false;
  #cancel: () => void = () => undefined;

  /** `failed` hears why there is nothing to tell; the listeners wait for the next second. */
  constructor(
    read: () => Promise<object>,
    startTimer: StartTimer,
    failed: (error: unknown) => void,
  ) {
    this.#read = read;
    this.#startTimer = startTimer;
    this.#failed = failed;
  }

  /** Tells the sink something at once if it is the first, within a second else. */
  listen(sink: Sink): void {
    this.#sinks.add(sink);
    sink.closed(() => this.#sinks.delete(sink));
    if (!this.#isRunning) this.#tell();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
    for (const sink of this.#sinks) sink.end();
  }

  #tell(): void {
    this.#isRunning = this.#sinks.size > 0;
    if (!this.#isRunning) return;
    this.#read()
      .then((told) => this.#send(`data: ${JSON.stringify(told)}\n\n`), this.#failed)
      .finally(() => {
        if (!this.#isClosed) this.#cancel = this.#startTimer(LIVE_MS, () => this.#tell());
      });
  }

  #send(event: string): void {
    for (const sink of this.#sinks) sink.write(event);
  }
}
