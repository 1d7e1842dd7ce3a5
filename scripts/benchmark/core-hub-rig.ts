/**
 * One tunnel with many peers, and packets that go to and come from all of them in a pseudo-random order, each
 * for itself or some to one peer in a row, as a window of TCP comes.
 *
 * Every peer has a tunnel, a key, a session and a prefix of its own. Offloads are off: with one peer all
 * packets would join into runs, with a thousand none would, and the comparison would be of that. The
 * spokes share their batches. The trap: a thousand spokes at work empty the caches that a hub on its own
 * machine keeps, so what they send is sealed beforehand, and some batches pass before any is timed.
 */
import type { PacketBatch } from "../../src/core/batch.ts";
import { at, MESSAGE, OPEN_FIELDS, PACKET, PACKET_FIELDS } from "../../src/core/rows.ts";
import { connect, deliver, type End, MTU, makeEnd, type VirtualClock } from "./core-ends.ts";
import { type InnerPacket, type Ipv4, layPackets, udpPacket } from "./core-packets.ts";
import type { Product } from "./core-product.ts";
import type { Rig } from "./core-rig.ts";
import { turnInbound, turnOutbound } from "./core-turns.ts";

const HUB: Ipv4 = [10, 77, 0, 1];
const BATCH = 128;
const NO_OFFLOADS = { joinTcp: false, joinUdp: false, runs: false };
/** Batches before the first that is timed: enough to come by nearly every peer. */
const WARM_UP = 24;
/** Any number but 0. */
const SEED = 0x2545f491;
/** Bytes of an IPv4 header that another destination changes: checksum and address (RFC 791 §3.1). */
const READDRESSED = Int32Array.of(10, 11, 16, 17, 18, 19);

interface Spoke {
  readonly end: End;
  /** From the hub to here, and back. */
  readonly toSpoke: InnerPacket;
  readonly toHub: InnerPacket;
}

/** A hub with `peers` spokes, all of them up. */
export class HubRig implements Rig {
  readonly title: string;
  readonly packets = BATCH;
  readonly superPackets = 0;
  readonly #clock: VirtualClock;
  readonly #hub: End;
  readonly #spokes: readonly Spoke[];
  /** What `READDRESSED` names, of each spoke: close together, so as not to take the hub's cache. */
  readonly #destinations: Uint8Array;
  readonly #opens = new Int32Array(OPEN_FIELDS);
  readonly #inRow: number;
  #random = SEED;
  #taken = 0;

  /** Packets of `bytes` bytes, `inRow` of them to or from one peer before the next. */
  constructor(product: Product, clock: VirtualClock, peers: number, bytes: number, inRow = 1) {
    const each = inRow === 1 ? "" : `, ${inRow} in a row`;
    this.title = peers === 1 ? "1 peer" : `${peers} peers${each}`;
    this.#inRow = inRow;
    this.#clock = clock;
    const size = { mtu: MTU, superPackets: false, gro: false };
    const own = { index: 0, offloads: NO_OFFLOADS, buffers: product.tunnelBuffers(size) };
    this.#hub = makeEnd(product, clock, own);
    const buffers = product.tunnelBuffers({ ...size, rows: 1 });
    this.#spokes = Array.from({ length: peers }, (_, peer) => {
      const index = peer + 1;
      const end = makeEnd(product, clock, { index, offloads: NO_OFFLOADS, buffers });
      const inner: Ipv4 = [10, 80, index >> 8, index & 0xff];
      const names = { hub: HUB, spoke: inner, name: `peer ${index}` };
      connect(product, clock, this.#hub, end, names);
      return { end, toSpoke: udpPacket(bytes, HUB, inner), toHub: udpPacket(bytes, inner, HUB) };
    });
    this.#destinations = Uint8Array.from(
      this.#spokes.flatMap(({ toSpoke }) =>
        Array.from(READDRESSED, (at) => toSpoke.bytes[at] ?? 0),
      ),
    );
    layPackets(own.buffers.packets, Array(BATCH).fill(this.#next().toSpoke));
    own.buffers.packets.count = 0;
    this.check();
  }

  outbound(isReal: boolean, batches: number): number {
    const { tunnel, aead } = this.#hub;
    aead.isReal = isReal;
    let milliseconds = 0;
    for (let batch = -WARM_UP; batch < batches; batch++) {
      this.#readdress(tunnel.buffers.packets);
      const took = turnOutbound(tunnel, this.#clock, BATCH);
      if (batch >= 0) milliseconds += took;
    }
    return milliseconds;
  }

  inbound(isReal: boolean, batches: number): number {
    const { tunnel, aead } = this.#hub;
    const length = (WARM_UP + batches) * BATCH;
    const sealed = Array.from({ length }, () => this.#sealAtSpoke(isReal));
    aead.isReal = isReal;
    let milliseconds = 0;
    for (let batch = 0; batch < WARM_UP + batches; batch++) {
      tunnel.buffers.datagrams.count = 0;
      for (const { end, bytes } of sealed.slice(batch * BATCH, (batch + 1) * BATCH)) {
        deliver(bytes, end, this.#hub);
      }
      const took = turnInbound(tunnel, this.#clock, BATCH);
      if (batch >= WARM_UP) milliseconds += took;
    }
    return milliseconds;
  }

  /** Throws unless batches arrive whole, in both directions. */
  check(): void {
    for (const isReal of [true, false]) {
      const before = this.#counted();
      this.outbound(isReal, 1);
      this.inbound(isReal, 1);
      const after = this.#counted();
      const all = (WARM_UP + 1) * BATCH;
      if (after.inbound - before.inbound !== all || after.outbound - before.outbound !== all) {
        throw new Error(`a batch with ${this.title} does not come through`);
      }
    }
  }

  /** Gives each packet of the batch another destination, and the IP checksum that goes with it. */
  #readdress({ arena, rows }: PacketBatch): void {
    for (let packet = 0; packet < BATCH; packet++) {
      const offset = at(rows, packet * PACKET_FIELDS + PACKET.OFFSET);
      const from = this.#nextIndex() * READDRESSED.length;
      for (let field = 0; field < READDRESSED.length; field++) {
        arena[offset + at(READDRESSED, field)] = this.#destinations[from + field] ?? 0;
      }
    }
  }

  /** A packet from a spoke to the hub, sealed, or with `isReal` false opened again. */
  #sealAtSpoke(isReal: boolean): { readonly end: End; readonly bytes: Uint8Array } {
    const { end, toHub } = this.#next();
    const { packets, outgoing } = end.tunnel.buffers;
    layPackets(packets, [toHub]);
    end.tunnel.handlePackets(this.#clock.now);
    if (!isReal) end.aead.openInPlace(outgoing, 0, end.aead.lastSealSlot, this.#opens);
    return { end, bytes: outgoing.arena.slice(0, at(outgoing.rows, MESSAGE.LENGTH)) };
  }

  #counted(): { readonly inbound: number; readonly outbound: number } {
    const { peers } = this.#hub.tunnel.snapshot(this.#clock.now);
    return {
      inbound: peers.reduce((sum, { counters }) => sum + counters.inboundPackets, 0),
      outbound: peers.reduce((sum, { counters }) => sum + counters.outboundPackets, 0),
    };
  }

  #next(): Spoke {
    const spoke = this.#spokes[this.#nextIndex()];
    if (spoke === undefined) throw new Error("a hub without spokes");
    return spoke;
  }

  /** The next packet's spoke in the pseudo-random order (xorshift32, Marsaglia 2003). */
  #nextIndex(): number {
    if (this.#taken % this.#inRow === 0) {
      let value = this.#random;
      value ^= value << 13;
      value ^= value >>> 17;
      value ^= value << 5;
      this.#random = value;
    }
    this.#taken += 1;
    return (this.#random >>> 0) % this.#spokes.length;
  }
}
