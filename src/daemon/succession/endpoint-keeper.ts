/**
 * Keeps the peers' last endpoints while the tunnel runs, so that a run which is killed leaves them to the next as well.
 *
 * Without it an end that knows no endpoint by configuration is silent after a crash until the other end has missed it,
 * which takes 15 s. One that comes up or moves has all of them written a few seconds later, with whatever else
 * changes meanwhile: a hub whose sites all come back at once writes once.
 */
import type { TunnelEvent } from "../../core/options.ts";
import { SECOND_MS } from "../../core/time.ts";
import type { Log } from "../../log.ts";
import { messageOf } from "../failure.ts";
import type { ObservedEngine, Observer, ReadyTunnel } from "../observers.ts";
import type { StartTimer } from "../repeats.ts";
import { endpointsToKeep, formatEndpoints, type LastEndpoints } from "./last-endpoints.ts";

/** Milliseconds from a change until it is written, and so at least from one write to the next. */
export const KEEP_AFTER_MS = 5 * SECOND_MS;

export interface KeeperSetting {
  readonly lastEndpoints: Pick<LastEndpoints, "write">;
  readonly startTimer: StartTimer;
  readonly log: Pick<Log, "debug">;
}

/** Keeps those of one tunnel; the stop writes them itself. */
export class EndpointKeeper implements Observer {
  readonly #setting: KeeperSetting;
  #engine: ObservedEngine | undefined;
  #isChanged = false;
  #isClosed = false;
  #cancel: (() => void) | undefined;
  /** What was written last. */
  #kept: string | undefined;

  constructor(setting: KeeperSetting) {
    this.#setting = setting;
  }

  ready({ engine }: ReadyTunnel): void {
    this.#engine = engine;
    this.#keepSoon();
  }

  event(event: TunnelEvent): void {
    // A rekey changes nothing, and is too frequent on a hub to look each time.
    const isNews =
      event.kind === "endpoint" ||
      event.kind === "lost" ||
      (event.kind === "session" && event.isNew);
    if (!isNews) return;
    this.#isChanged = true;
    this.#keepSoon();
  }

  stopping(): undefined {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #keepSoon(): void {
    const engine = this.#engine;
    if (!this.#isChanged || this.#isClosed || engine === undefined) return;
    this.#cancel ??= this.#setting.startTimer(KEEP_AFTER_MS, () => {
      this.#isChanged = false;
      this.#keep(engine)
        .catch((error: unknown) => {
          // A hint for the next run: without it that one waits longer, no more.
          this.#setting.log.debug(`the peers' endpoints are not kept: ${messageOf(error)}`);
        })
        .finally(() => {
          this.#cancel = undefined;
          this.#keepSoon();
        });
    });
  }

  async #keep(engine: ObservedEngine): Promise<void> {
    const { snapshot } = await engine.snapshot();
    const endpoints = endpointsToKeep(snapshot);
    const text = formatEndpoints(endpoints);
    if (this.#isClosed || text === this.#kept) return;
    await this.#setting.lastEndpoints.write(endpoints);
    this.#kept = text;
  }
}
