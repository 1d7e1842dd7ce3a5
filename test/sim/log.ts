/**
 * The log of a simulation: lines with virtual time, kept in memory and printed only when a test fails.
 */
import type { Instant } from "../../src/core/time.ts";

/** Lines kept. BOUNDED: the oldest half goes when twice as many have come. */
const LINES_KEPT = 2_000;

/** Lines of one run. */
export class SimLog {
  #lines: { readonly at: Instant; readonly line: () => string }[] = [];
  #dropped = 0;

  /** Adds a line under the virtual time `at`, milliseconds; it is put into words only when printed. */
  add(at: Instant, line: () => string): void {
    this.#lines.push({ at, line });
    if (this.#lines.length < 2 * LINES_KEPT) return;
    this.#dropped += this.#lines.length - LINES_KEPT;
    this.#lines = this.#lines.slice(-LINES_KEPT);
  }

  /** The last `count` lines, with a note of what is missing. */
  tail(count: number): string {
    const shown = this.#lines.slice(-count);
    const missing = this.#dropped + this.#lines.length - shown.length;
    const text = shown.map(({ at, line }) => `${(at / 1000).toFixed(4).padStart(12)}  ${line()}`);
    return [missing > 0 ? `(${missing} earlier lines)` : "", ...text].join("\n");
  }
}
