/**
 * One direction of a path: what it does to each datagram that enters.
 *
 * Loss is independent (`loss`) and in bursts (a two-state chain after Gilbert and Elliott, 1963/1963:
 * `burstStart` enters the bad state, `burstEnd` leaves it, and in it all is lost). Delay is fixed plus
 * uniform jitter; jitter larger than the gap between datagrams reorders them, `reorder` holds single
 * ones back on purpose. It holds no datagrams: it answers when copies arrive.
 */
import type { Random } from "../helpers/random.ts";

/** What a path does; times in milliseconds, the others are probabilities from 0 to 1. */
export interface LinkOptions {
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly loss: number;
  readonly burstStart: number;
  readonly burstEnd: number;
  readonly duplicate: number;
  readonly reorder: number;
  /** How long a reordered datagram is held back. */
  readonly reorderMs: number;
  /** Largest IP packet with outer headers, bytes; larger ones vanish. */
  readonly mtu: number;
  /** Of IP packets; infinite: each takes no time. */
  readonly bitsPerSecond: number;
  /** What would wait longer for those before it is lost. */
  readonly queueMs: number;
}

/** 10 ms, no faults. */
export const PERFECT_LINK: LinkOptions = {
  delayMs: 10,
  jitterMs: 0,
  loss: 0,
  burstStart: 0,
  burstEnd: 0.3,
  duplicate: 0,
  reorder: 0,
  reorderMs: 0,
  mtu: 65_575,
  bitsPerSecond: Number.POSITIVE_INFINITY,
  queueMs: 100,
};

/** A seeded path in one direction. */
export class Link {
  readonly #random: Random;
  #isBursting = false;
  /** When the last datagram that entered has left. */
  #freeAt = 0;
  options: LinkOptions;
  /** What became of the datagrams that entered. */
  readonly counts = { entered: 0, lost: 0, tooLarge: 0, duplicated: 0 };

  constructor(random: Random, options: Partial<LinkOptions> = {}) {
    this.#random = random;
    this.options = { ...PERFECT_LINK, ...options };
  }

  /** Delays in milliseconds from `nowMs` after which copies of a datagram of `payloadBytes` arrive: none, one or two. */
  delays(payloadBytes: number, isIpv6: boolean, nowMs: number): number[] {
    this.counts.entered += 1;
    const bytes = payloadBytes + (isIpv6 ? 48 : 28);
    if (bytes > this.options.mtu) {
      this.counts.tooLarge += 1;
      return [];
    }
    const waitMs = this.#isLost() ? undefined : this.#waitMs(bytes, nowMs);
    if (waitMs === undefined) {
      this.counts.lost += 1;
      return [];
    }
    if (!this.#random.chance(this.options.duplicate)) return [waitMs + this.#delay()];
    this.counts.duplicated += 1;
    return [waitMs + this.#delay(), waitMs + this.#delay()];
  }

  /** How long it takes to leave behind those before it; undefined: the queue is full. */
  #waitMs(bytes: number, nowMs: number): number | undefined {
    const { bitsPerSecond, queueMs } = this.options;
    const startMs = Math.max(this.#freeAt, nowMs);
    if (startMs - nowMs > queueMs) return undefined;
    this.#freeAt = startMs + (bytes * 8_000) / bitsPerSecond;
    return this.#freeAt - nowMs;
  }

  #isLost(): boolean {
    const { loss, burstStart, burstEnd } = this.options;
    this.#isBursting = this.#isBursting
      ? !this.#random.chance(burstEnd)
      : this.#random.chance(burstStart);
    return this.#isBursting || this.#random.chance(loss);
  }

  #delay(): number {
    const { delayMs, jitterMs, reorder, reorderMs } = this.options;
    const jitter = jitterMs === 0 ? 0 : this.#random.between(0, jitterMs);
    return delayMs + jitter + (this.#random.chance(reorder) ? reorderMs : 0);
  }
}
