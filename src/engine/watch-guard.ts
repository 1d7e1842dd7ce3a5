/**
 * Keeps a descriptor that reports readiness and then brings nothing from turning the loop into a spin.
 *
 * uv_poll is level-triggered: a state that reading does not clear would call again at once, for ever.
 * After some fruitless calls in a row the watch is paused and tried again after 100 ms, doubling to 1 s;
 * one row read makes it prompt again. The trap: libuv stops a watch by itself where poll reports an
 * error (uv__poll_io), so such a one must be resumed even where reading works.
 */
import { after, type Instant, NEVER } from "../core/time.ts";
import type { Watch } from "./ports.ts";

/** Fruitless calls in a row that are accepted: pending socket errors are read one by one. */
export const FRUITLESS_CALLS = 16;
export const FIRST_PAUSE_MS = 100;
export const LONGEST_PAUSE_MS = 1_000;

/** Pauses and resumes one watch; the engine's timer drives it. */
export class WatchGuard {
  readonly #watch: Watch;
  #fruitless = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #resumeAt: Instant = NEVER;

  constructor(watch: Watch) {
    this.#watch = watch;
  }

  /** When a paused watch is to be tried again; NEVER: it is not paused. */
  get resumeAt(): Instant {
    return this.#resumeAt;
  }

  /** The watch called and `rows` were read. */
  served(rows: number, now: Instant): void {
    if (rows > 0) {
      this.#fruitless = 0;
      this.#pauseMs = FIRST_PAUSE_MS;
      return;
    }
    this.#fruitless += 1;
    if (this.#fruitless > FRUITLESS_CALLS) this.pause(now);
  }

  /** Pauses at once; each pause is twice as long as the last until something is read. */
  pause(now: Instant): void {
    if (this.#resumeAt !== NEVER) return;
    this.#watch.pause();
    this.#resumeAt = after(now, this.#pauseMs);
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
  }

  /** Resumes the watch when its time has come. */
  handleTimeout(now: Instant): void {
    if (now < this.#resumeAt) return;
    this.#resumeAt = NEVER;
    this.#watch.resume();
  }

  /** Stops the watch until `release`, whatever it does by itself. */
  hold(): void {
    this.#resumeAt = NEVER;
    this.#watch.pause();
  }

  release(): void {
    this.#watch.resume();
  }

  /** Ends the watch; no further call comes. */
  close(): void {
    this.#watch.close();
  }
}
