/**
 * Two tunnels with the product's own cryptography and nothing between them: what one sends is kept until it is offered.
 *
 * For campaigns of many millions of datagrams, a batch at a time. Time stands still, so nothing expires.
 */
import type { MessageBatch } from "../../../src/core/batch.ts";
import { type TunnelBuffers, tunnelBuffers } from "../../../src/core/buffers.ts";
import type { Aead, HandshakeCrypto, KeySlot } from "../../../src/core/crypto.ts";
import { DEFAULT_LIMITS } from "../../../src/core/options.ts";
import {
  MESSAGE,
  MESSAGE_FIELDS,
  PACKET,
  PACKET_FIELDS,
  SEAL,
  SEAL_FIELDS,
} from "../../../src/core/rows.ts";
import type { Instant } from "../../../src/core/time.ts";
import { Tunnel } from "../../../src/core/tunnel.ts";
import { DATA_OVERHEAD } from "../../../src/core/wire.ts";
import { nativeAead } from "../../../src/crypto/aead.ts";
import { loadSodium } from "../../../src/crypto/sodium.ts";
import { endpoint, innerBytes, ipBytes, prefix } from "../../helpers/address.ts";
import { concat } from "../../helpers/packet-builder.ts";
import { testNative } from "../../native/native.ts";

export const ROWS = 128;
/** Counters of forged datagrams: far from those that the side uses itself. BOUNDED: 2^31 of them. */
const FORGED_FROM = 2 ** 20;
const PORT = 1194;
const NOW = 1_000_000 as Instant;
export const MTU = 1420;
const IPS = { left: "192.0.2.1", right: "198.51.100.1" } as const;
/** Whose packets each side takes: the other's. */
export const NETWORKS = {
  left: ["10.1.0.0/16", "fd00:1::/64", "0.0.0.0/0"],
  right: ["10.2.0.0/16", "fd00:2::/64"],
} as const;

/** One for all tunnels: their keys share the thread's slots. */
const AEAD = nativeAead(testNative());

export type Side = "left" | "right";

/** A batch cipher that remembers which session sealed last. */
export interface Holder extends Aead {
  /** DATA datagrams of these plaintexts, in the session that sealed last. */
  forge(plaintexts: readonly Uint8Array[]): readonly Uint8Array[];
}

export interface RealSide {
  readonly side: Side;
  readonly tunnel: Tunnel;
  readonly holder: Holder;
}

export class RealPair {
  readonly left: RealSide;
  readonly right: RealSide;

  private constructor(crypto: HandshakeCrypto) {
    this.left = newSide("left", crypto);
    this.right = newSide("right", crypto);
  }

  static async start(): Promise<RealPair> {
    return new RealPair(await loadSodium());
  }

  /** Exchanges everything until both sides are silent, or `until` says that a datagram is to be kept: returned. */
  settle(until: (datagram: Uint8Array) => boolean = () => false): Uint8Array | undefined {
    for (let isBusy = true; isBusy; ) {
      isBusy = false;
      for (const [from, to] of [
        [this.left, this.right],
        [this.right, this.left],
      ] as const) {
        for (const datagram of sentBy(from)) {
          if (until(datagram)) return datagram;
          isBusy = true;
          offer(to, [datagram]);
        }
      }
    }
    return undefined;
  }
}

/** All that a side has to send. */
export function sentBy({ tunnel }: RealSide): Uint8Array[] {
  const datagrams: Uint8Array[] = [];
  while (tunnel.pollTransmit(NOW) > 0) datagrams.push(...datagramsOf(tunnel.buffers.outgoing));
  return datagrams;
}

function datagramsOf({ arena, rows, count }: MessageBatch): Uint8Array[] {
  const datagrams: Uint8Array[] = [];
  for (let base = 0; base < count * MESSAGE_FIELDS; base += MESSAGE_FIELDS) {
    const start = rows[base + MESSAGE.OFFSET] ?? 0;
    const length = rows[base + MESSAGE.LENGTH] ?? 0;
    const segment = rows[base + MESSAGE.SEGMENT] || length;
    for (let at = start; at < start + length; at += segment) {
      datagrams.push(arena.slice(at, Math.min(at + segment, start + length)));
    }
  }
  return datagrams;
}

/** Hands datagrams to a side as one batch, each a message, from the other's address. */
export function offer(to: RealSide, datagrams: readonly Uint8Array[]): void {
  const { buffers } = to.tunnel;
  datagrams.forEach((bytes, index) => {
    const offset = index * buffers.datagramStride;
    const length = Math.min(bytes.length, buffers.datagramStride);
    buffers.datagrams.arena.set(bytes.subarray(0, length), offset);
    describe(to, index, offset, length, 0, bytes.length > length);
  });
  handle(to, datagrams.length);
}

/** Hands one run of datagrams to a side: one message with a segment size. */
export function offerRun(to: RealSide, run: Uint8Array, segment: number): void {
  to.tunnel.buffers.datagrams.arena.set(run);
  describe(to, 0, 0, run.length, segment, false);
  handle(to, 1);
}

function describe(
  { side, tunnel }: RealSide,
  row: number,
  offset: number,
  length: number,
  segment: number,
  isTruncated: boolean,
): void {
  const { rows } = tunnel.buffers.datagrams;
  const base = row * MESSAGE_FIELDS;
  rows.fill(0, base, base + MESSAGE_FIELDS);
  rows[base + MESSAGE.OFFSET] = offset;
  rows[base + MESSAGE.LENGTH] = length;
  rows[base + MESSAGE.SEGMENT] = segment;
  rows[base + MESSAGE.STATUS] = isTruncated ? 1 : 0;
  rows[base + MESSAGE.PORT] = PORT;
  const [from, to] = side === "left" ? [IPS.right, IPS.left] : [IPS.left, IPS.right];
  writeAddress(rows, base + MESSAGE.REMOTE, from);
  writeAddress(rows, base + MESSAGE.LOCAL, to);
}

function handle({ tunnel }: RealSide, count: number): void {
  tunnel.buffers.datagrams.count = count;
  tunnel.handleDatagrams(NOW);
}

/** Hands packets to a side's device as one batch. Returns how many datagrams it made. */
export function fromDevice({ tunnel }: RealSide, packets: readonly Uint8Array[]): number {
  const { buffers } = tunnel;
  let offset = 0;
  packets.forEach((bytes, index) => {
    const base = index * PACKET_FIELDS;
    buffers.packets.arena.set(bytes, offset);
    buffers.packets.rows.fill(0, base, base + PACKET_FIELDS);
    buffers.packets.rows[base + PACKET.OFFSET] = offset;
    buffers.packets.rows[base + PACKET.LENGTH] = bytes.length;
    offset += bytes.length;
  });
  buffers.packets.count = packets.length;
  let sealed = 0;
  do {
    tunnel.handlePackets(NOW);
    sealed += datagramsOf(buffers.outgoing).length;
  } while (buffers.packets.count > 0);
  return sealed;
}

/** What a side says of itself. */
export function snapshotOf({ tunnel }: RealSide) {
  return tunnel.snapshot(NOW);
}

function newSide(side: Side, crypto: HandshakeCrypto): RealSide {
  const holder = newHolder(AEAD);
  const other = side === "left" ? "right" : "left";
  const tunnel = new Tunnel(
    {
      nodeId: crypto.random(16),
      mtu: MTU,
      listenPort: PORT,
      ownAddresses: [ipBytes(IPS[side]).slice()],
      innerAddresses: [innerBytes(side === "left" ? "10.1.0.1" : "10.2.0.1")],
      limits: DEFAULT_LIMITS,
      offloads: { joinTcp: false, joinUdp: false, runs: true },
    },
    { crypto, aead: holder },
    roomyBuffers(),
    NOW,
  );
  tunnel.setWallClock(1e15);
  tunnel.addPeer(
    {
      name: other,
      keys: [Uint8Array.from({ length: 32 }, (_, index) => index + 1)],
      // Only the left side begins.
      endpoints: side === "left" ? [endpoint(IPS.right, PORT)] : [],
      hasConfiguredEndpoint: side === "left",
      allowedIps: NETWORKS[other].map(prefix),
      keepaliveSeconds: 0,
      roaming: "validated",
    },
    NOW,
  );
  return { side, tunnel, holder };
}

/** Slots of 64 KiB, so that a run fits, and room for as many packets as a batch has datagrams. */
function roomyBuffers(): TunnelBuffers {
  return tunnelBuffers({ mtu: MTU, superPackets: false, gro: true, rows: ROWS });
}

function newHolder(aead: Aead): Holder {
  const last = new Int32Array(SEAL_FIELDS);
  let counter = FORGED_FROM;
  return {
    load: (material) => aead.load(material),
    wipe: (slot: KeySlot) => aead.wipe(slot),
    open: (datagrams, rows, count) => aead.open(datagrams, rows, count),
    seal: (packets, datagrams, rows, count) => {
      aead.seal(packets, datagrams, rows, count);
      if (count > 0) last.set(rows.subarray((count - 1) * SEAL_FIELDS, count * SEAL_FIELDS));
    },
    forge: (plaintexts) => {
      const packets = concat(...plaintexts);
      const out = new Uint8Array(packets.length + plaintexts.length * DATA_OVERHEAD);
      const rows = new Int32Array(plaintexts.length * SEAL_FIELDS);
      const datagrams: Uint8Array[] = [];
      let at = 0;
      plaintexts.forEach(({ length }, index) => {
        const base = index * SEAL_FIELDS;
        const end = at + index * DATA_OVERHEAD;
        rows.set(last, base);
        rows[base + SEAL.IN_OFFSET] = at;
        rows[base + SEAL.IN_LENGTH] = length;
        rows[base + SEAL.OUT_OFFSET] = end;
        rows[base + SEAL.COUNTER_LOW] = counter;
        rows[base + SEAL.COUNTER_HIGH] = 0;
        rows[base + SEAL.SEGMENTS] = 1;
        rows[base + SEAL.FLAGS] = 0;
        datagrams.push(out.subarray(end, end + length + DATA_OVERHEAD));
        at += length;
        counter += 1;
      });
      aead.seal(packets, out, rows, plaintexts.length);
      return datagrams;
    },
  };
}

function writeAddress(rows: Int32Array, index: number, ip: string): void {
  new Uint8Array(rows.buffer, rows.byteOffset + index * 4, 16).set(ipBytes(ip));
}
