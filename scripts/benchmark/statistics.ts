/**
 * What becomes of several samples of one figure: the median, and how far they spread.
 *
 * No mean and no deviation: with three to ten rounds on a shared machine one outlier would decide both.
 */
import { median } from "../netns/traffic.ts";

/** Median and extremes of one figure over all rounds. */
export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Sums up samples; there must be one at least. */
export function summarize(samples: readonly number[]): Summary {
  if (samples.length === 0) throw new Error("no samples to sum up");
  return {
    median: median(samples),
    least: Math.min(...samples),
    most: Math.max(...samples),
  };
}

/** `value` with three significant digits, and no exponent: "12.3", "0.0564", "1234". */
export function figure(value: number): string {
  const shown = Number(value.toPrecision(3));
  const magnitude = shown === 0 ? 0 : Math.floor(Math.log10(Math.abs(shown)));
  return value.toFixed(Math.min(4, Math.max(0, 2 - magnitude)));
}

/** `value` rounded to four significant digits, for files. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
