/**
 * How often something that others take away is put back: at once while that helps, else after a pause.
 */
import { REPAIR_PAUSE_MS } from "./device-watch.ts";

/** Tries in a row that need no pause: changes often come in pairs. */
const QUICK_TRIES = 3;

/** The pace of one repair. */
export class RepairPace {
  readonly #nowMs: () => number;
  #lastTryMs = Number.NEGATIVE_INFINITY;
  #quickTries = QUICK_TRIES;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Nothing is missing. */
  whole(): void {
    this.#quickTries = QUICK_TRIES;
  }

  /** Whether to try at this moment, which counts as tried. */
  mayTry(): boolean {
    const now = this.#nowMs();
    if (this.#quickTries === 0 && now - this.#lastTryMs < REPAIR_PAUSE_MS) return false;
    this.#quickTries = Math.max(0, this.#quickTries - 1);
    this.#lastTryMs = now;
    return true;
  }
}
