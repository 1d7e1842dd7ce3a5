/**
 * Work that is done again and again until the tunnel stops, and what else ends then.
 *
 * The trap: the next wait begins when the work has ended, so that slow work never overlaps itself.
 */

/** Calls `action` once, after so many milliseconds, unless the returned function is called before. */
export type StartTimer = (delayMs: number, action: () => void) => () => void;

export class Repeats {
  readonly #startTimer: StartTimer;
  readonly #failed: (error: unknown) => void;
  readonly #cancels = new Set<() => void>();
  #isClosed = false;

  /** `failed` hears of work that threw; it goes on nevertheless. */
  constructor(startTimer: StartTimer, failed: (error: unknown) => void) {
    this.#startTimer = startTimer;
    this.#failed = failed;
  }

  /** Runs `work` again and again, `periodMs` after it has finished. */
  every(periodMs: number, work: () => Promise<void>): void {
    if (this.#isClosed) return;
    const cancel = this.#startTimer(periodMs, () => {
      this.#cancels.delete(cancel);
      work()
        .catch(this.#failed)
        .finally(() => this.every(periodMs, work));
    });
    this.#cancels.add(cancel);
  }

  /** Has `cancel` called at the end. */
  also(cancel: () => void): void {
    this.#cancels.add(cancel);
  }

  close(): void {
    this.#isClosed = true;
    for (const cancel of this.#cancels) cancel();
  }
}
