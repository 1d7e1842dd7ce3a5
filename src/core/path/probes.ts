/**
 * Own probes whose answer is awaited, and the round-trip time that the answers tell.
 *
 * An answer names its probe by id and size (frames 0x04, 0x05); the session's key vouches for it. Times are
 * those of the turns that sent and received, so a turn's length is in them. A turn's time is later than its first
 * batch of datagrams, so no answer in that one seems quicker than it was.
 */
import { type Endpoint, isSameRemote } from "../address.ts";
import { PROBES_AWAITED } from "../constants.ts";
import type { Instant } from "../time.ts";

/** One probe on its way. */
export interface Probe {
  readonly id: number;
  /** UDP payload, bytes. */
  readonly bytes: number;
  readonly to: Endpoint;
  readonly sentAt: Instant;
  /** What an operator knows it by; undefined: it is of the core's own. */
  readonly tag?: number | undefined;
}

/** The probes of one peer. BOUNDED: PROBES_AWAITED. */
export class Probes {
  #awaited: Probe[] = [];
  #nextId = 0;

  /** Notes a probe that is about to leave; its id. */
  add(bytes: number, to: Endpoint, now: Instant, tag?: number): number {
    const id = this.#nextId;
    this.#nextId = (id + 1) & 0xffff;
    this.#awaited.push({ id, bytes, to, sentAt: now, tag });
    if (this.#awaited.length > PROBES_AWAITED) this.#awaited.shift();
    return id;
  }

  /** Takes `count` ids for probes that are kept elsewhere; the first of them, the others count on modulo 2^16. */
  reserve(count: number): number {
    const first = this.#nextId;
    this.#nextId = (first + count) & 0xffff;
    return first;
  }

  /** Whether an answer from `to` is awaited. */
  isAsked(to: Endpoint): boolean {
    return this.#awaited.some((probe) => isSameRemote(probe.to, to));
  }

  /** The probe that an answer belongs to; it is answered once. */
  take(id: number, bytes: number): Probe | undefined {
    const found = this.#awaited.find((probe) => probe.id === id && probe.bytes === bytes);
    if (found !== undefined) this.#awaited = this.#awaited.filter((probe) => probe !== found);
    return found;
  }
}

/** Smoothed round-trip time and its variation, milliseconds (RFC 6298 §2). */
export class RoundTrip {
  /** undefined: nothing was measured yet. */
  smoothed: number | undefined;
  variation = 0;

  add(ms: number): void {
    if (this.smoothed === undefined) {
      this.smoothed = ms;
      this.variation = ms / 2;
      return;
    }
    this.variation += (Math.abs(this.smoothed - ms) - this.variation) / 4;
    this.smoothed += (ms - this.smoothed) / 8;
  }
}
