/**
 * Drops as log lines: at most one a reason and interval, with the count since the last.
 *
 * The packet path only counts; this compares two readings of the counters. Nothing is printed for a
 * reason whose counter stood still, so a quiet tunnel has a quiet log.
 */
import { DROP_REASONS, type DropCounters, type DropReason } from "../../core/drop-reason.ts";

/** Milliseconds between two summaries. */
export const DROP_SUMMARY_MS = 10_000;

/** One reason's drops since the last summary. */
export interface DropLine {
  readonly reason: DropReason;
  readonly count: number;
  readonly level: "info" | "debug";
  readonly message: string;
}

/**
 * Part of a healthy tunnel, so no news to an operator: a genuine peer comes back with the answer to a
 * challenge, and every kernel sends multicast (router solicitations, group reports) into every device.
 */
export const USUAL_DROPS: ReadonlySet<string> = new Set<DropReason>(["challenged", "multicast"]);

/** Remembers the last reading. */
export class DropSummary {
  readonly #last: Partial<DropCounters> = {};

  /** The reasons whose counters grew since the last call, in the table's order. */
  lines(drops: Readonly<DropCounters>): readonly DropLine[] {
    const lines: DropLine[] = [];
    for (const reason of Object.keys(DROP_REASONS) as DropReason[]) {
      const count = drops[reason] - (this.#last[reason] ?? 0);
      this.#last[reason] = drops[reason];
      if (count === 0) continue;
      const level = USUAL_DROPS.has(reason) ? "debug" : "info";
      lines.push({ reason, count, level, message: message(reason, count) });
    }
    return lines;
  }
}

function message(reason: DropReason, count: number): string {
  const what = count === 1 ? "1 packet" : `${count} packets`;
  return `dropped ${what} (${reason}): ${DROP_REASONS[reason]}`;
}
