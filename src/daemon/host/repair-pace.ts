/**
 * How often something that others take away is put back: three times at once, then after a pause, until it was whole.
 *
 * The trap: what is not tried at a look has to be looked at again when the pause is over. No news come of a change that
 * was made before, and the next look without news is far away.
 */
import { SECOND_MS } from "../../core/time.ts";
import type { StartTimer } from "../repeats.ts";

/** Milliseconds between two tries to put back what does not stay. */
export const REPAIR_PAUSE_MS = 10 * SECOND_MS;

/** Tries in a row that need no pause: changes often come in pairs. */
const QUICK_TRIES = 3;

/** What a pace needs. */
export interface PaceSetting {
  readonly nowMs: () => number;
  readonly startTimer: StartTimer;
  /** Looks, and tries if something is missing still. */
  readonly again: () => void;
}

/** The pace of one repair. */
export class RepairPace {
  readonly #setting: PaceSetting;
  #lastTryMs = Number.NEGATIVE_INFINITY;
  #quickTries = QUICK_TRIES;
  #cancel: (() => void) | undefined;
  #isClosed = false;

  constructor(setting: PaceSetting) {
    this.#setting = setting;
  }

  /** Nothing is missing. */
  whole(): void {
    this.#quickTries = QUICK_TRIES;
  }

  /** Whether to try at this moment, which counts as tried; if not, `again` is called when the pause is over. */
  mayTry(): boolean {
    const now = this.#setting.nowMs();
    if (this.#quickTries === 0 && now - this.#lastTryMs < REPAIR_PAUSE_MS) {
      this.#tryAfter(this.#lastTryMs + REPAIR_PAUSE_MS - now);
      return false;
    }
    this.#quickTries = Math.max(0, this.#quickTries - 1);
    this.#lastTryMs = now;
    return true;
  }

  /** The last try did not help, and may have changed nothing that would be news. */
  failed(): void {
    this.#tryAfter(REPAIR_PAUSE_MS);
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #tryAfter(delayMs: number): void {
    if (this.#isClosed) return;
    this.#cancel ??= this.#setting.startTimer(delayMs, () => {
      this.#cancel = undefined;
      this.#setting.again();
    });
  }
}
