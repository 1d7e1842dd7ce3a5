/**
 * At most so many log lines a window, and a count of the rest.
 *
 * For lines that a stranger can cause: the core already limits them per address, but a flood from
 * forged addresses has thousands of those.
 */

/** Milliseconds a window lasts. */
export const WINDOW_MS = 60_000;

/** Counts lines in fixed windows. */
export class RateLimit {
  readonly #linesPerWindow: number;
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #taken = 0;
  #refused = 0;

  constructor(linesPerWindow: number) {
    this.#linesPerWindow = linesPerWindow;
  }

  /** Whether a line may be printed at `nowMs`; `suppressed` counts those refused in the window before. */
  take(nowMs: number): { readonly isAllowed: boolean; readonly suppressed: number } {
    let suppressed = 0;
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      suppressed = this.#refused;
      this.#windowStartMs = nowMs;
      this.#taken = 0;
      this.#refused = 0;
    }
    this.#taken += 1;
    const isAllowed = this.#taken <= this.#linesPerWindow;
    if (!isAllowed) this.#refused += 1;
    return { isAllowed, suppressed };
  }
}
