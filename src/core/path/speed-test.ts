/**
 * A speed test: probes as long as the path carries, as fast as they are answered, for some seconds.
 *
 * First the round-trip time while nothing else is sent, then load, then the last answers. The window of those on their
 * way is speed-window.ts; what is sealed and sent, speed-send.ts. A probe is lost when one that was sent a
 * good deal later is answered (as in RACK, RFC 8985), and answered after all when its answer comes late.
 *
 * The trap: ids are 16 bits and come round within a second; so many are never on their way at a time.
 * BOUNDED: one entry an id, SPEED_MOST_WINDOW of them on their way, SPEED_MOST_SECONDS.
 */
import {
  SPEED_BATCH,
  SPEED_IDLE_MS,
  SPEED_IDLE_PROBES,
  SPEED_LAST_MS,
  SPEED_RETRY_MS,
  SPEED_ROUND_MS,
} from "../constants.ts";
import type { SpeedSnapshot } from "../options.ts";
import type { Peer } from "../peers/peer.ts";
import { after, type Instant, NEVER, SECOND_MS } from "../time.ts";
import { SpeedWindow } from "./speed-window.ts";

const IDS = 0x1_0000;
/** What is known of an id. */
const AWAITED = 1;
const LOST = 2;
/** Least time by which the order of datagrams may be mixed up on the way, milliseconds. */
const LEAST_REORDER_MS = 2;
/** Wait for one of the first probes before the next, milliseconds. */
const IDLE_WAIT_MS = 200;

export interface SpeedSizes {
  /** UDP payload, with outer headers, and of an inner packet in it. */
  readonly datagramBytes: number;
  readonly outerBytes: number;
  readonly innerBytes: number;
}

/** The one test of a tunnel. */
export class SpeedTest {
  readonly peer: Peer;
  readonly sizes: SpeedSizes;
  readonly #window = new SpeedWindow();
  readonly #loadMs: number;
  #phase: SpeedSnapshot["phase"] = "idle";
  /** Begin of the phase at hand. */
  #since: Instant;
  #quota = 0;
  /** By id: when it was sent, and what is known of it. */
  #sentAt = new Float64Array(IDS);
  #known = new Uint8Array(IDS);
  /** The oldest id that may be awaited, and the next one. */
  #head = 0;
  #next = 0;
  #awaited = 0;
  #lastSentAt: Instant;
  /** When something was last answered, and when the latest of those answered was sent. */
  #progressAt: Instant;
  #newestAnswered = Number.NEGATIVE_INFINITY;
  #blockedUntil: Instant;
  readonly #counts = { sent: 0, answered: 0, lost: 0 };
  readonly #round = { since: 0, answered: 0, lost: 0, leastMs: Number.POSITIVE_INFINITY };
  readonly #idle = { count: 0, sumMs: 0 };
  readonly #measured = { since: 0, until: 0, answered: 0, sumMs: 0, mostMs: 0 };
  #loadedMs = 0;

  constructor(peer: Peer, sizes: SpeedSizes, seconds: number, now: Instant) {
    this.peer = peer;
    this.sizes = sizes;
    this.#loadMs = seconds * SECOND_MS;
    this.#since = now;
    this.#lastSentAt = after(now, -IDLE_WAIT_MS);
    this.#progressAt = now;
    this.#blockedUntil = now;
  }

  get isOver(): boolean {
    return this.#phase === "over";
  }

  /** When `beginTurn` has something to do. */
  get wakeAt(): Instant {
    if (this.#phase === "over") return NEVER;
    if (this.#phase === "last") return after(this.#since, SPEED_LAST_MS);
    if (this.#phase === "idle") {
      if (this.#awaited === 0) return this.#blockedUntil;
      return Math.min(this.#nextIdleAt(), after(this.#since, SPEED_IDLE_MS)) as Instant;
    }
    const isOpen = this.#window.size > this.#awaited;
    const next = isOpen ? this.#blockedUntil : this.#silentAt();
    return Math.min(next, after(this.#since, this.#loadMs)) as Instant;
  }

  /** A turn begins: another share of probes may be sent, and what is due is done. */
  beginTurn(now: Instant): void {
    this.#quota = SPEED_BATCH;
    if (this.#phase === "idle") this.#endIdle(now);
    if (this.#phase === "load") {
      if (now >= this.#silentAt() && this.#awaited > 0) this.#loseAll(now);
      if (now >= after(this.#since, this.#loadMs)) this.#endLoad(now);
    }
    if (this.#phase === "last" && (this.#awaited === 0 || now >= this.wakeAt)) this.stop(now);
  }

  /** How many probes may be sent at this moment. */
  room(now: Instant): number {
    if (now < this.#blockedUntil) return 0;
    if (this.#phase === "idle") {
      const isDue = this.#awaited === 0 || now >= this.#nextIdleAt();
      return isDue ? Math.min(this.#quota, 1) : 0;
    }
    if (this.#phase !== "load") return 0;
    this.#noteLost();
    this.#endRound(now);
    return Math.max(Math.min(this.#quota, this.#window.size - this.#awaited), 0);
  }

  /** Probes with these ids were sent. */
  sent(first: number, count: number, now: Instant): void {
    if (this.#awaited === 0) {
      this.#head = first;
      this.#progressAt = now;
    }
    for (let at = 0; at < count; at++) {
      const id = (first + at) & (IDS - 1);
      this.#sentAt[id] = now;
      this.#known[id] = AWAITED;
    }
    this.#next = (first + count) & (IDS - 1);
    this.#awaited += count;
    this.#quota -= count;
    this.#lastSentAt = now;
    if (this.#phase === "load") this.#counts.sent += count;
    // One quota of a phase of single probes is spent at once, or a loop of answers within a turn would never end.
    else this.#quota = 0;
  }

  /** It cannot be sent: no session, or no counters left. */
  block(now: Instant): void {
    this.#blockedUntil = after(now, SPEED_RETRY_MS);
  }

  /** An answer of this peer came; whether it was to a probe of this test. */
  answered(peer: Peer, id: number, bytes: number, now: Instant): boolean {
    const known = this.#known[id] ?? 0;
    if (peer !== this.peer || bytes !== this.sizes.datagramBytes || known === 0) return false;
    const sentAt = this.#sentAt[id] ?? now;
    this.#known[id] = 0;
    this.#progressAt = now;
    this.#newestAnswered = Math.max(this.#newestAnswered, sentAt);
    if (known === AWAITED) this.#awaited -= 1;
    const ms = now - sentAt;
    this.#window.leastMs = Math.min(this.#window.leastMs, ms);
    if (this.#phase === "idle") {
      this.#idle.count += 1;
      this.#idle.sumMs += ms;
    } else if (sentAt >= this.#loadSince()) {
      this.#count(ms, known === LOST);
    }
    return true;
  }

  /** Ends it now; what it found stays, the room for ids goes. */
  stop(now: Instant): void {
    if (this.#phase === "load") this.#endLoad(now);
    this.#counts.lost += this.#phase === "last" ? this.#awaited : 0;
    this.#awaited = 0;
    this.#phase = "over";
    this.#sentAt = new Float64Array(0);
    this.#known = new Uint8Array(0);
  }

  snapshot(now: Instant): SpeedSnapshot {
    const { since, until, answered, sumMs, mostMs } = this.#measured;
    const isLoad = this.#phase === "load";
    return {
      peer: this.peer.name,
      phase: this.#phase,
      loadMs: isLoad ? now - this.#since : this.#loadedMs,
      ...this.sizes,
      ...this.#counts,
      measuredAnswered: answered,
      measuredMs: (isLoad ? now : until) - since,
      idleRoundTripMs: this.#idle.count === 0 ? null : this.#idle.sumMs / this.#idle.count,
      loadedRoundTripMs: answered === 0 ? null : sumMs / answered,
      mostRoundTripMs: answered === 0 ? null : mostMs,
    };
  }

  /** When the next of the first probes is sent though the one before was not answered. */
  #nextIdleAt(): Instant {
    return after(this.#lastSentAt, IDLE_WAIT_MS);
  }

  /** Probes of the time before are in no count. */
  #loadSince(): number {
    return this.#phase === "load" ? this.#since : this.#since - this.#loadedMs;
  }

  /** When all that is on its way counts as lost. */
  #silentAt(): Instant {
    return after(this.#progressAt, SPEED_LAST_MS);
  }

  #endIdle(now: Instant): void {
    const isLate = now >= after(this.#since, SPEED_IDLE_MS);
    if (this.#idle.count < SPEED_IDLE_PROBES && !isLate) return;
    if (this.#idle.count === 0) {
      this.stop(now);
      return;
    }
    this.#phase = "load";
    this.#since = now;
    this.#awaited = 0;
    this.#known.fill(0);
    this.#round.since = now;
    this.#measured.since = now;
  }

  #endLoad(now: Instant): void {
    this.#loadedMs = now - this.#since;
    this.#measured.until = now;
    this.#since = now;
    this.#phase = "last";
  }

  /** One under load was answered. */
  #count(ms: number, wasLost: boolean): void {
    this.#counts.answered += 1;
    if (wasLost) this.#counts.lost -= 1;
    this.#round.answered += 1;
    this.#round.leastMs = Math.min(this.#round.leastMs, ms);
    if (this.#phase !== "load") return;
    this.#measured.answered += 1;
    this.#measured.sumMs += ms;
    this.#measured.mostMs = Math.max(this.#measured.mostMs, ms);
  }

  /** Those that were sent a good deal before one that was answered. */
  #noteLost(): void {
    const reorderMs = Math.max(this.#window.leastMs / 4, LEAST_REORDER_MS);
    const limit = this.#newestAnswered - reorderMs;
    for (; this.#head !== this.#next; this.#head = (this.#head + 1) & (IDS - 1)) {
      if (this.#known[this.#head] !== AWAITED) continue;
      if ((this.#sentAt[this.#head] ?? 0) >= limit) return;
      this.#lose(this.#head);
    }
  }

  #loseAll(now: Instant): void {
    for (; this.#head !== this.#next; this.#head = (this.#head + 1) & (IDS - 1)) {
      if (this.#known[this.#head] === AWAITED) this.#lose(this.#head);
    }
    this.#progressAt = now;
    this.#window.collapse();
  }

  #lose(id: number): void {
    this.#known[id] = LOST;
    this.#awaited -= 1;
    this.#counts.lost += 1;
    this.#round.lost += 1;
  }

  /** A round is over when something that was sent in it was answered. */
  #endRound(now: Instant): void {
    const round = this.#round;
    const ms = now - round.since;
    if (this.#newestAnswered < round.since || ms < SPEED_ROUND_MS) return;
    const wasStarting = this.#window.isStarting;
    const { answered, lost, leastMs } = round;
    this.#window.endRound({ answered, lost, ms, leastMs });
    Object.assign(round, { since: now, answered: 0, lost: 0, leastMs: Number.POSITIVE_INFINITY });
    if (wasStarting && !this.#window.isStarting) {
      Object.assign(this.#measured, { since: now, answered: 0, sumMs: 0, mostMs: 0 });
    }
  }
}
