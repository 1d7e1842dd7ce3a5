/**
 * CoDel: which packet of a queue pays for its length (RFC 8289).
 *
 * A queue that empties within an interval is only a burst. One in which every packet has waited longer than the
 * target for a whole interval stands: a packet pays, and the next one the sooner the longer that lasts
 * (§5.4 to §5.6). What paying means, a drop or a mark, is the caller's.
 */
import { CODEL_INTERVAL_MS, CODEL_TARGET_MS } from "../constants.ts";
import { after, type Instant } from "../time.ts";

/** Intervals after which an episode of paying is a new one (§5.6). */
const SAME_EPISODE_INTERVALS = 16;

/** The controller of one queue. */
export class Codel {
  #targetMs: number;
  /** When a queue that is over its target now is one that stands; undefined: it is not over it. */
  #standsFrom: Instant | undefined;
  #isPaying = false;
  #nextAt: Instant | undefined;
  #count = 0;
  /** `#count` at the start of the episode before. */
  #lastCount = 0;

  /** `leastTargetMs`: what one packet takes on the wire, which no queue can be shorter than. */
  constructor(leastTargetMs: number) {
    this.#targetMs = Math.max(CODEL_TARGET_MS, leastTargetMs);
  }

  /** One packet takes another time on the wire from now on. */
  setLeastTarget(leastTargetMs: number): void {
    this.#targetMs = Math.max(CODEL_TARGET_MS, leastTargetMs);
  }

  /** Whether the packet at the head, which waited for `waitedMs`, pays; `isLast`: next to nothing is behind it. */
  mustPay(waitedMs: number, isLast: boolean, now: Instant): boolean {
    if (!this.#stands(waitedMs, isLast, now)) {
      this.#isPaying = false;
      return false;
    }
    if (!this.#isPaying) {
      this.#startPaying(now);
      return true;
    }
    if (this.#nextAt === undefined || now < this.#nextAt) return false;
    this.#count += 1;
    this.#nextAt = this.#following(this.#nextAt);
    return true;
  }

  #stands(waitedMs: number, isLast: boolean, now: Instant): boolean {
    if (waitedMs < this.#targetMs || isLast) {
      this.#standsFrom = undefined;
      return false;
    }
    this.#standsFrom ??= after(now, CODEL_INTERVAL_MS);
    return now >= this.#standsFrom;
  }

  /** An episode soon after another goes on at the rate that it needed. */
  #startPaying(now: Instant): void {
    const since = now - (this.#nextAt ?? Number.NEGATIVE_INFINITY);
    const more = this.#count - this.#lastCount;
    const isSame = since < SAME_EPISODE_INTERVALS * CODEL_INTERVAL_MS;
    this.#isPaying = true;
    this.#count = isSame && more > 1 ? more : 1;
    this.#lastCount = this.#count;
    this.#nextAt = this.#following(now);
  }

  #following(at: Instant): Instant {
    return after(at, CODEL_INTERVAL_MS / Math.sqrt(this.#count));
  }
}
