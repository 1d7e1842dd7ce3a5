/** Timers and a clock that a test drives by hand. */

export interface ManualTimer {
  readonly delayMs: number;
  readonly fire: () => void;
}

/** Timers in the form the daemon takes them. */
export class ManualTimers {
  nowMs = 0;
  readonly #waiting = new Set<ManualTimer>();

  /** Takes the place of `startTimer`. */
  readonly start = (delayMs: number, action: () => void): (() => void) => {
    const timer: ManualTimer = { delayMs, fire: action };
    this.#waiting.add(timer);
    return () => this.#waiting.delete(timer);
  };

  /** Delays of the timers that wait, in the order they were started. */
  delays(): readonly number[] {
    return [...this.#waiting].map((timer) => timer.delayMs);
  }

  /** Fires the waiting timers of this delay, moves the clock by it, and lets promises settle. */
  async fire(delayMs: number): Promise<void> {
    const due = [...this.#waiting].filter((timer) => timer.delayMs === delayMs);
    if (due.length === 0)
      throw new Error(`no timer of ${delayMs} ms waits: ${this.delays().join()}`);
    this.nowMs += delayMs;
    for (const timer of due) {
      this.#waiting.delete(timer);
      timer.fire();
    }
    await settle();
  }
}

/** Lets everything that is ready run, callbacks of the event loop included. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
