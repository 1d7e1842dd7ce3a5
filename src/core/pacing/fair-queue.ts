/**
 * A queue in which no flow waits for another's bulk (RFC 8290 in spirit).
 *
 * Flows take turns by bytes (deficit round robin, §4.1.3), one that has just begun before those that stand, so a
 * sparse one (a ping, a key press, a SYN) passes at once. In each flow's queue CoDel keeps the wait short. Two
 * flows share a queue where their hashes do. Where all is full, the longest queue loses its head.
 *
 * Not here: how fast it is emptied (pacing.ts).
 */

import { FLOW_QUEUES, OVERFLOW_PACKETS } from "../constants.ts";
import type { Instant } from "../time.ts";
import { Codel } from "./codel.ts";

/** A packet that waits, or a super-packet. */
export interface QueuedPacket {
  readonly bytes: Uint8Array;
  /** Its row; OFFSET is meaningless. */
  readonly row: Int32Array;
  /** What it takes on the wire, outer headers included. */
  readonly wireBytes: number;
  readonly queuedAt: Instant;
}

/** What became of packets that paid for the length of their queue. */
export interface QueueEvents {
  /** Marks a packet in place of a drop; false: it cannot be marked. */
  readonly mark: (packet: QueuedPacket) => boolean;
  readonly dropped: (packet: QueuedPacket) => void;
}

interface Flow {
  readonly id: number;
  readonly packets: QueuedPacket[];
  readonly codel: Codel;
  bytes: number;
  deficit: number;
}

/** The queues of one peer. BOUNDED: by whoever pushes, with `dropLongest`; FLOW_QUEUES flows. */
export class FairQueue {
  readonly #events: QueueEvents;
  readonly #quantum: number;
  /** What a packet of the largest size takes, milliseconds. */
  #packetMs: number;
  readonly #flows = new Map<number, Flow>();
  #fresh: Flow[] = [];
  #standing: Flow[] = [];
  /** Packets, and bytes of them on the wire. */
  count = 0;
  bytes = 0;

  /** `quantum`: bytes of a flow's turn. */
  constructor(quantum: number, packetMs: number, events: QueueEvents) {
    this.#quantum = quantum;
    this.#packetMs = packetMs;
    this.#events = events;
  }

  /** Appends to the flow with this hash. */
  push(packet: QueuedPacket, hash: number): void {
    const flow = this.#flowOf(hash % FLOW_QUEUES);
    flow.packets.push(packet);
    flow.bytes += packet.wireBytes;
    this.count += 1;
    this.bytes += packet.wireBytes;
  }

  /** The packet whose turn it is; undefined: none waits. */
  shift(now: Instant): QueuedPacket | undefined {
    for (;;) {
      const isFresh = this.#fresh.length > 0;
      const flow = isFresh ? this.#fresh[0] : this.#standing[0];
      if (flow === undefined) return undefined;
      if (flow.deficit <= 0) {
        flow.deficit += this.#quantum;
        this.#rotate(isFresh, flow);
        continue;
      }
      const packet = this.#take(flow, now);
      if (packet !== undefined) {
        flow.deficit -= packet.wireBytes;
        return packet;
      }
      // A fresh one stands for a round, or it would be fresh again at once and starve the others (§4.2).
      if (isFresh) this.#rotate(isFresh, flow);
      else this.#forget(flow);
    }
  }

  /**
   * Drops from the heads of the longest queue and those half as long: up to half of each, but not many at once
   * (§4.1.2 takes one queue; a flood of flows of one packet each would then cost a search for every packet).
   */
  dropLongest(): void {
    let longest = 0;
    for (const { bytes } of this.#flows.values()) longest = Math.max(longest, bytes);
    let left = OVERFLOW_PACKETS;
    for (const flow of this.#flows.values()) {
      if (flow.bytes * 2 < longest || left === 0) continue;
      const count = Math.min(Math.ceil(flow.packets.length / 2), left);
      for (let dropped = 0; dropped < count; dropped++) this.#drop(flow);
      left -= count;
    }
  }

  /** What a packet of the largest size takes from now on, milliseconds. */
  setPacketMs(packetMs: number): void {
    this.#packetMs = packetMs;
    for (const { codel } of this.#flows.values()) codel.setLeastTarget(packetMs);
  }

  /** Forgets all that waits; returns how many packets. */
  clear(): number {
    const { count } = this;
    this.#flows.clear();
    this.#fresh = [];
    this.#standing = [];
    this.count = 0;
    this.bytes = 0;
    return count;
  }

  #flowOf(id: number): Flow {
    const known = this.#flows.get(id);
    if (known !== undefined) return known;
    const codel = new Codel(this.#packetMs);
    const flow: Flow = { id, packets: [], codel, bytes: 0, deficit: this.#quantum };
    this.#flows.set(id, flow);
    this.#fresh.push(flow);
    return flow;
  }

  #rotate(isFresh: boolean, flow: Flow): void {
    if (isFresh) this.#fresh.shift();
    else this.#standing.shift();
    this.#standing.push(flow);
  }

  #forget(flow: Flow): void {
    this.#standing.shift();
    this.#flows.delete(flow.id);
  }

  /** The first packet that need not be dropped. */
  #take(flow: Flow, now: Instant): QueuedPacket | undefined {
    for (;;) {
      const [packet] = flow.packets;
      if (packet === undefined) return undefined;
      const isLast = flow.packets.length === 1;
      const isPaying = flow.codel.mustPay(now - packet.queuedAt, isLast, now);
      if (!isPaying || this.#events.mark(packet)) return this.#unlink(flow);
      this.#drop(flow);
    }
  }

  #drop(flow: Flow): void {
    const packet = this.#unlink(flow);
    if (packet !== undefined) this.#events.dropped(packet);
  }

  #unlink(flow: Flow): QueuedPacket | undefined {
    const packet = flow.packets.shift();
    if (packet === undefined) return undefined;
    flow.bytes -= packet.wireBytes;
    this.count -= 1;
    this.bytes -= packet.wireBytes;
    return packet;
  }
}
