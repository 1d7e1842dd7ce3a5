/**
 * Two tunnels whose batches share memory: what the left one seals lies where the right one receives.
 *
 * So nothing is copied between them, and a run of a million packets allocates only what the tunnels do.
 */
import type { TunnelBuffers } from "../../src/core/buffers.ts";
import { at, MESSAGE, MESSAGE_FIELDS, OPEN_FIELDS } from "../../src/core/rows.ts";
import { connect, type End, MTU, makeEnd, type VirtualClock, writeRow } from "./core-ends.ts";
import { type InnerPacket, type Ipv4, layPackets } from "./core-packets.ts";
import type { Product } from "./core-product.ts";
import type { Rig } from "./core-rig.ts";
import { noTurn, turnInbound, turnOutbound } from "./core-turns.ts";

/** Inner address of the left end. */
export const LEFT: Ipv4 = [10, 77, 0, 1];
/** Inner address of the right end. */
export const RIGHT: Ipv4 = [10, 77, 0, 2];
/** Datagrams of a received run at most. */
const RUN_DATAGRAMS = 128;

/** Two ends with a session, and a batch of packets from left to right. */
export class PairRig implements Rig {
  readonly title: string;
  readonly packets: number;
  readonly superPackets: number;
  readonly #clock: VirtualClock;
  readonly #left: End;
  readonly #right: End;
  readonly #rows: number;
  /** The packets' bytes as they were laid: cutting overwrites them. */
  readonly #bytes: Uint8Array;
  readonly #opens = new Int32Array(RUN_DATAGRAMS * OPEN_FIELDS);

  constructor(
    product: Product,
    clock: VirtualClock,
    title: string,
    batch: readonly InnerPacket[],
    hasOffloads: boolean,
  ) {
    this.title = title;
    this.#clock = clock;
    const { left, right } = makePair(product, clock, hasOffloads);
    this.#left = left;
    this.#right = right;
    const { buffers } = left.tunnel;
    layPackets(buffers.packets, batch);
    this.#rows = batch.length;
    this.#bytes = buffers.packets.arena.slice();
    buffers.packets.count = 0;
    this.packets = batch.reduce((sum, { segments }) => sum + segments, 0);
    this.superPackets = batch.filter(({ segments }) => segments > 1).length;
    this.check();
  }

  outbound(isReal: boolean, batches: number): number {
    let milliseconds = 0;
    for (let batch = 0; batch < batches; batch++) milliseconds += this.#send(isReal);
    return milliseconds;
  }

  inbound(isReal: boolean, batches: number): number {
    let milliseconds = 0;
    this.#right.aead.isReal = isReal;
    for (let batch = 0; batch < batches; batch++) {
      this.#send(true);
      const messages = this.#hand();
      if (!isReal) this.#openAll();
      milliseconds += turnInbound(this.#right.tunnel, this.#clock, messages);
    }
    return milliseconds;
  }

  /** What the two above do besides: their cost to the heap. */
  nothing(batches: number): number {
    let milliseconds = 0;
    for (let batch = 0; batch < batches; batch++) {
      this.#left.tunnel.buffers.packets.arena.set(this.#bytes);
      milliseconds += noTurn(this.#clock);
      this.#hand();
      milliseconds += noTurn(this.#clock);
    }
    return milliseconds;
  }

  /** Throws unless a batch arrives whole. */
  check(): void {
    for (const isReal of [true, false]) {
      const before = this.#arrived();
      this.inbound(isReal, 1);
      const arrived = this.#arrived() - before;
      if (arrived !== this.packets) throw new Error(`${arrived} of ${this.packets} arrive`);
    }
  }

  #send(isReal: boolean): number {
    const { tunnel, aead } = this.#left;
    tunnel.buffers.packets.arena.set(this.#bytes);
    aead.isReal = isReal;
    return turnOutbound(tunnel, this.#clock, this.#rows);
  }

  #arrived(): number {
    const { peers } = this.#right.tunnel.snapshot(this.#clock.now);
    return peers[0]?.counters.inboundPackets ?? 0;
  }

  #hand(): number {
    const { rows, count } = this.#left.tunnel.buffers.outgoing;
    return handOver(rows, count, this.#left, this.#right);
  }

  #openAll(): void {
    const { datagrams } = this.#right.tunnel.buffers;
    const slot = this.#left.aead.lastSealSlot;
    for (let message = 0; message < datagrams.count; message++) {
      this.#right.aead.openInPlace(datagrams, message, slot, this.#opens);
    }
  }
}

/** Two ends with a session; what the left one seals lies in the arena that the right one receives into. */
export function makePair(
  product: Product,
  clock: VirtualClock,
  hasOffloads: boolean,
): { readonly left: End; readonly right: End } {
  const offloads = { joinTcp: hasOffloads, joinUdp: hasOffloads, runs: hasOffloads };
  const size = { mtu: MTU, superPackets: hasOffloads, gro: hasOffloads };
  const buffers = product.tunnelBuffers(size);
  const left = makeEnd(product, clock, { index: 1, offloads, buffers });
  const right = makeEnd(product, clock, {
    index: 2,
    offloads,
    buffers: receivingFrom(product, product.tunnelBuffers(size), buffers.outgoing.arena),
  });
  connect(product, clock, right, left, { hub: RIGHT, spoke: LEFT, name: "left" });
  return { left, right };
}

/** Makes rows of `right` for `count` messages that `left` has sealed; returns their number. */
export function handOver(sealed: Int32Array, count: number, left: End, right: End): number {
  const { datagrams } = right.tunnel.buffers;
  datagrams.count = 0;
  for (let base = 0; base < count * MESSAGE_FIELDS; base += MESSAGE_FIELDS) {
    const offset = at(sealed, base + MESSAGE.OFFSET);
    const length = at(sealed, base + MESSAGE.LENGTH);
    const segment = at(sealed, base + MESSAGE.SEGMENT);
    writeRow(datagrams, offset, length, segment, left, right);
  }
  return count;
}

function receivingFrom(product: Product, own: TunnelBuffers, arena: Uint8Array): TunnelBuffers {
  return {
    ...own,
    datagrams: product.messageBatch(arena, own.datagrams.capacity),
    delivered: product.packetBatch(arena, own.delivered.capacity),
  };
}
