/**
 * Pacing: what is sent to a peer with a configured rate waits here and not in the modem, whose queue is long
 * and one for all (rule 21).
 *
 * Off unless a rate is configured. Then packets are queued by flow before they are sealed, so that counters are
 * given in the order of leaving, and a super-packet is split first. A bucket of bytes says when the
 * next one leaves; the last may overdraw it. Control frames and handshakes are few and do not wait.
 */
import type { PacketBatch } from "../batch.ts";
import {
  FLOW_TURN_BYTES,
  PACE_BURST_MS,
  PACE_PART_MS,
  PACED_BYTES_TOTAL,
  PACED_LEAST_BYTES,
  PACED_MOST_BYTES,
  PACED_MS,
  PACED_PACKET_BYTES,
  PACED_PACKETS,
} from "../constants.ts";
import { ECN, takeOuterEcn } from "../ecn.ts";
import type { UpperLayer } from "../inner-packet.ts";
import type { PacingSnapshot } from "../options.ts";
import { splitPacket } from "../outbound/split.ts";
import type { Cut } from "../outbound/super-packet.ts";
import { at, PACKET, PACKET_FIELDS } from "../rows.ts";
import { after, type Instant, SECOND_MS } from "../time.ts";
import { DATA_OVERHEAD } from "../wire.ts";
import { FairQueue, type QueuedPacket } from "./fair-queue.ts";
import { flowHash } from "./flow-hash.ts";

/** Bytes that are paced for all peers together. */
export interface PacedTotal {
  bytes: number;
}

/** The largest packet of the usual path, with what goes around it. */
const USUAL_WIRE_BYTES = 1_514;

/** The queue and the bucket of one peer. BOUNDED: 250 ms of its rate, at most 16 MiB and 10,240 packets. */
export class Pacer {
  #bitsPerSecond = 0;
  #bytesPerMs = 0;
  #burst = Number.POSITIVE_INFINITY;
  #most = 0;
  readonly #queue: FairQueue;
  readonly #total: PacedTotal;
  readonly #seed: number;
  /** Bytes that may leave; below zero: overdrawn. */
  #tokens: number;
  #filledAt: Instant;
  #dropped = 0;
  #taken = 0;
  #marked = 0;

  /** `seed`: 32 bits that nobody outside knows, so that nobody makes flows share a queue. */
  constructor(bitsPerSecond: number, total: PacedTotal, seed: number, now: Instant) {
    this.#total = total;
    this.#seed = seed;
    this.#tokens = Number.POSITIVE_INFINITY;
    this.#filledAt = now;
    this.#queue = new FairQueue(FLOW_TURN_BYTES, 0, {
      mark: (packet) => this.#mark(packet),
      dropped: (packet) => this.#drop(packet),
    });
    this.setRate(bitsPerSecond, now);
  }

  /** Another rate for what waits and what comes; a bucket that was full is full. */
  setRate(bitsPerSecond: number, now: Instant): void {
    this.#fill(now);
    const bytesPerMs = bitsPerSecond / 8 / SECOND_MS;
    this.#bitsPerSecond = bitsPerSecond;
    this.#bytesPerMs = bytesPerMs;
    this.#burst = Math.max(PACE_BURST_MS * bytesPerMs, 2 * USUAL_WIRE_BYTES);
    this.#most = Math.min(Math.max(PACED_MS * bytesPerMs, PACED_LEAST_BYTES), PACED_MOST_BYTES);
    this.#tokens = Math.min(this.#tokens, this.#burst);
    this.#queue.setPacketMs(USUAL_WIRE_BYTES / bytesPerMs);
    this.#dropExcess();
  }

  /** There is no rate any more: everything may leave at once. */
  release(): void {
    this.#burst = Number.POSITIVE_INFINITY;
    this.#tokens = Number.POSITIVE_INFINITY;
    this.#queue.setPacketMs(Number.POSITIVE_INFINITY);
  }

  get isEmpty(): boolean {
    return this.#queue.count === 0;
  }

  /**
   * Queues the packet of row `base`, which is cut as `cut` and `upper` say (super-packet.ts); `outerBytes` go around
   * each datagram, besides its own overhead.
   */
  push(
    arena: Uint8Array,
    rows: Int32Array,
    base: number,
    cut: Readonly<Cut>,
    upper: UpperLayer,
    outerBytes: number,
    now: Instant,
  ): void {
    const offset = at(rows, base + PACKET.OFFSET);
    const bytes = arena.slice(offset, offset + at(rows, base + PACKET.LENGTH));
    const row = rows.slice(base, base + PACKET_FIELDS);
    const hash = flowHash(bytes, this.#seed);
    const around = DATA_OVERHEAD + outerBytes;
    const each = this.#segmentsOfPart(cut.largest + around);
    const parts =
      cut.segments > each
        ? splitPacket(bytes, row, cut.headerLength, upper, each)
        : [{ bytes, row, segments: cut.segments }];
    for (const part of parts) {
      const wireBytes = part.bytes.length + part.segments * around;
      const repeated = (part.segments - 1) * cut.headerLength;
      this.#queue.push(
        { bytes: part.bytes, row: part.row, wireBytes: wireBytes + repeated, queuedAt: now },
        hash,
      );
      this.#account(1, wireBytes + repeated);
    }
    this.#dropExcess();
  }

  /** When the next packet may leave; `now` or earlier: at once. */
  nextAt(now: Instant): Instant {
    this.#fill(now);
    if (this.#tokens > 0) return now;
    // A whole token more, so that rounding brings no turn in which nothing leaves.
    return after(now, (1 - this.#tokens) / this.#bytesPerMs);
  }

  /** Moves the packets that may leave into `batch` (from row 0 on), as many as fit; sets its count. */
  drainInto(batch: PacketBatch, room: number, now: Instant): void {
    let offset = 0;
    batch.count = 0;
    this.#fill(now);
    while (
      this.#tokens > 0 &&
      batch.count < batch.capacity &&
      offset + room <= batch.arena.length
    ) {
      const packet = this.#shift(now);
      if (packet === undefined) return;
      const base = batch.count * PACKET_FIELDS;
      batch.arena.set(packet.bytes, offset);
      batch.rows.set(packet.row, base);
      batch.rows[base + PACKET.OFFSET] = offset;
      offset += packet.bytes.length;
      batch.count += 1;
    }
  }

  /** Forgets all that waits; returns how many packets. */
  clear(): number {
    this.#account(-this.#queue.count, -this.#queue.bytes);
    return this.#queue.clear();
  }

  /** Packets dropped since this was asked before. */
  takeDropped(): number {
    const fresh = this.#dropped - this.#taken;
    this.#taken = this.#dropped;
    return fresh;
  }

  snapshot(): PacingSnapshot {
    return {
      bitsPerSecond: this.#bitsPerSecond,
      packets: this.#queue.count,
      bytes: this.#queue.bytes,
      dropped: this.#dropped,
      marked: this.#marked,
    };
  }

  #shift(now: Instant): QueuedPacket | undefined {
    const packet = this.#queue.shift(now);
    if (packet === undefined) return undefined;
    this.#account(-1, -packet.wireBytes);
    this.#tokens -= packet.wireBytes;
    return packet;
  }

  /** As many segments as the link carries in a millisecond, and one at least. */
  #segmentsOfPart(wireBytes: number): number {
    return Math.max(Math.floor((PACE_PART_MS * this.#bytesPerMs) / wireBytes), 1);
  }

  #dropExcess(): void {
    while (
      this.#queue.bytes > this.#most ||
      this.#queue.count > PACED_PACKETS ||
      (this.#total.bytes > PACED_BYTES_TOTAL && this.#queue.count > 0)
    ) {
      this.#queue.dropLongest();
    }
  }

  #fill(now: Instant): void {
    const more = (now - this.#filledAt) * this.#bytesPerMs;
    this.#filledAt = now;
    this.#tokens = Math.min(this.#tokens + more, this.#burst);
  }

  /** Marks a packet of a flow that knows ECN (RFC 8289 §1, RFC 3168 §5). */
  #mark({ bytes }: QueuedPacket): boolean {
    if (!takeOuterEcn(bytes, 0, bytes.length, bytes.length, 1, ECN.CE)) return false;
    this.#marked += 1;
    return true;
  }

  #drop({ wireBytes }: QueuedPacket): void {
    this.#account(-1, -wireBytes);
    this.#dropped += 1;
  }

  /** Small packets take more memory by what keeps them than by themselves. */
  #account(packets: number, wireBytes: number): void {
    this.#total.bytes += wireBytes + packets * PACED_PACKET_BYTES;
  }
}
