/**
 * A token bucket as one number, for budgets of handshakes and opens.
 *
 * Let p(t) be the tokens that have flowed in by time t, counted from the clock's origin. The bucket
 * holds p(now) - spent. `spent` only grows by whole tokens, or jumps to p(now) - burst where the
 * bucket would overflow, so no rounding adds up however often and finely it is asked.
 *
 * The trap: should time run backwards, p falls and the bucket is merely stricter; it never gives extra.
 */
import { type Instant, SECOND_MS } from "./time.ts";

/** Allows `burst` at once and `ratePerSecond` in the long run. */
export class TokenBucket {
  readonly #ratePerSecond: number;
  readonly #burst: number;
  #spent: number;

  /** Starts full. */
  constructor(ratePerSecond: number, burst: number, now: Instant) {
    this.#ratePerSecond = ratePerSecond;
    this.#burst = burst;
    this.#spent = inflow(ratePerSecond, now) - burst;
  }

  /** Takes a token if there is one. */
  take(now: Instant): boolean {
    const spent = spentAt(this.#spent, this.#ratePerSecond, this.#burst, now);
    const isTaken = hasToken(spent, this.#ratePerSecond, now);
    this.#spent = isTaken ? spent + 1 : spent;
    return isTaken;
  }

  /** Gives a token back that was taken before it was known whether it had to be. */
  refund(): void {
    this.#spent -= 1;
  }
}

/** Tokens that have flowed in since the clock's origin. */
export function inflow(ratePerSecond: number, now: Instant): number {
  return (now * ratePerSecond) / SECOND_MS;
}

/** `spent`, raised where the bucket overflowed since. */
export function spentAt(spent: number, ratePerSecond: number, burst: number, now: Instant): number {
  return Math.max(spent, inflow(ratePerSecond, now) - burst);
}

/** Whether one whole token is there. */
export function hasToken(spent: number, ratePerSecond: number, now: Instant): boolean {
  return spent + 1 <= inflow(ratePerSecond, now);
}
