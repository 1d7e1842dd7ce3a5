/**
 * How much of a test is run: IPTUN_FULL=1 gives every count and time in full, IPTUN_TORTURE the rows of the fault plan.
 *
 * scripts/torture sets the second one: "full" runs each row as the plan has it, "short" each row with less. Without it a
 * row runs only as far as the other tests may wait for it.
 */

const { IPTUN_FULL, IPTUN_TORTURE } = process.env;

/** Whether every count and time is to be the full one. */
export const IS_FULL = IPTUN_FULL === "1";

/** Whether scripts/torture asks, and how long it may take; undefined in the other tests. */
export const TORTURE =
  IPTUN_TORTURE === "full" || IPTUN_TORTURE === "short" ? IPTUN_TORTURE : undefined;

/** What is run of something, by who asks. */
export interface Amounts<T> {
  /** By the tests of every day. */
  readonly quick: T;
  /** By `scripts/torture --short`. */
  readonly short: T;
  /** By scripts/torture. */
  readonly full: T;
}

/** The amount for this run. */
export function amount<T>(amounts: Amounts<T>): T {
  return amounts[TORTURE ?? "quick"];
}
