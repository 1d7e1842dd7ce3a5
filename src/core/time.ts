/**
 * Time as the core sees it: an argument, never a call.
 *
 * An `Instant` is milliseconds (fractions allowed) on CLOCK_BOOTTIME, which counts suspend, so that a
 * key's age keeps growing while the host sleeps. Its origin means nothing; only differences do. The
 * brand keeps a wall-clock reading from compiling where an `Instant` belongs. `io/clock.ts` makes them.
 */

declare const instantBrand: unique symbol;

/** A point on the boot-time clock, in milliseconds. */
export type Instant = number & { readonly [instantBrand]: true };

/** No deadline: later than every other instant. */
export const NEVER = Number.POSITIVE_INFINITY as Instant;

/** The instant `ms` milliseconds after `from`; negative values go back. */
export function after(from: Instant, ms: number): Instant {
  return (from + ms) as Instant;
}

export const SECOND_MS = 1_000;
