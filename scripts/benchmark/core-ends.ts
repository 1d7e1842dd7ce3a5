/**
 * Tunnels in memory: ends with a session between them, and a virtual clock that all of them share.
 *
 * What goes from one to the other is copied by hand, as sockets would carry it. Sessions last: the clock
 * moves by a fraction of a millisecond a batch, so that a whole run stays below the age at which keys
 * are renewed. Outer addresses are those of RFC 2544.
 */
import type { MessageBatch } from "../../src/core/batch.ts";
import type { TunnelBuffers } from "../../src/core/buffers.ts";
import type { OffloadOptions, PlainEndpoint } from "../../src/core/options.ts";
import { at, MESSAGE, MESSAGE_FIELDS } from "../../src/core/rows.ts";
import type { Instant } from "../../src/core/time.ts";
import type { Tunnel } from "../../src/core/tunnel.ts";
import { SwitchedAead } from "./core-aead.ts";
import type { Ipv4 } from "./core-packets.ts";
import type { Product } from "./core-product.ts";

/** MTU of every tunnel here. */
export const MTU = 1420;
const PORT = 1194;
/** How much later each batch comes; so little that no timer of a session is met in a whole run. */
const BATCH_MS = 0.02;
/** Between two handshakes, so that no limit of them is met. */
const HANDSHAKE_MS = 10;
const MOST_STEPS = 20;

/** The time of all ends. */
export class VirtualClock {
  now = 1e6 as Instant;

  /** Microseconds since 1970 on a wall clock that agrees. */
  get wallMicros(): number {
    return 1.7e15 + this.now * 1000;
  }

  /** Lets the time of one batch pass. */
  tick(ms = BATCH_MS): void {
    this.now = (this.now + ms) as Instant;
  }
}

/** One tunnel and what it is reached by. */
export interface End {
  readonly tunnel: Tunnel;
  readonly aead: SwitchedAead;
  readonly address: Uint8Array;
}

/** What an end is made of. */
export interface EndOptions {
  /** Number of the end; makes its outer address. */
  readonly index: number;
  readonly offloads: OffloadOptions;
  readonly buffers: TunnelBuffers;
}

/** Makes an end without peers. */
export function makeEnd(product: Product, clock: VirtualClock, options: EndOptions): End {
  const { Tunnel, crypto, limits } = product;
  const aead = new SwitchedAead(product.aead);
  const address = outerAddress(options.index);
  const tunnel = new Tunnel(
    {
      nodeId: crypto.random(16),
      mtu: MTU,
      listenPort: PORT,
      ownAddresses: [address],
      limits,
      offloads: options.offloads,
    },
    { crypto, aead },
    options.buffers,
    clock.now,
  );
  tunnel.setWallClock(clock.wallMicros);
  return { tunnel, aead, address };
}

/** Gives both ends a key of their own and runs the handshake that `spoke` starts, to a session on both. */
export function connect(
  product: Product,
  clock: VirtualClock,
  hub: End,
  spoke: End,
  inner: { readonly hub: Ipv4; readonly spoke: Ipv4; readonly name: string },
): void {
  const key = product.crypto.random(32);
  clock.tick(HANDSHAKE_MS);
  // A turn of its own: each has a share of work for handshakes.
  hub.tunnel.handleTimeout(clock.now);
  for (const { tunnel } of [hub, spoke]) tunnel.setWallClock(clock.wallMicros);
  const common = { keys: [key], keepaliveSeconds: 0, roaming: "validated" } as const;
  hub.tunnel.addPeer(
    { ...common, name: inner.name, allowedIps: [host(inner.spoke)], ...unknownEndpoint() },
    clock.now,
  );
  const endpoints = [{ address: hub.address, port: PORT, scope: 0 }];
  spoke.tunnel.addPeer(
    {
      ...common,
      name: "hub",
      allowedIps: [host(inner.hub)],
      endpoints,
      hasConfiguredEndpoint: true,
    },
    clock.now,
  );
  for (let step = 0; step < MOST_STEPS; step++) {
    const isQuiet = !exchange(spoke, hub, clock) && !exchange(hub, spoke, clock);
    if (isQuiet) break;
  }
  if (!isUp(hub, inner.name, clock) || !isUp(spoke, "hub", clock)) {
    throw new Error(`no session with ${inner.name}`);
  }
}

/** Carries what `from` has to say; false: nothing. */
function exchange(from: End, to: End, clock: VirtualClock): boolean {
  let hasSpoken = false;
  while (from.tunnel.pollTransmit(clock.now) > 0) {
    hasSpoken = true;
    const { outgoing } = from.tunnel.buffers;
    for (let message = 0; message < outgoing.count; message++) {
      const base = message * MESSAGE_FIELDS;
      const offset = at(outgoing.rows, base + MESSAGE.OFFSET);
      const length = at(outgoing.rows, base + MESSAGE.LENGTH);
      to.tunnel.buffers.datagrams.count = 0;
      deliver(outgoing.arena.slice(offset, offset + length), from, to);
      to.tunnel.handleDatagrams(clock.now);
    }
  }
  return hasSpoken;
}

/** Copies one datagram into the next slot of `to`, as if it had come from `from`. */
export function deliver(bytes: Uint8Array, from: End, to: End): void {
  const { datagrams, datagramStride } = to.tunnel.buffers;
  const slot = datagrams.count * datagramStride;
  datagrams.arena.set(bytes, slot);
  writeRow(datagrams, slot, bytes.length, 0, from, to);
}

/** Adds a received message that lies at `offset` of the arena already. */
export function writeRow(
  datagrams: MessageBatch,
  offset: number,
  length: number,
  segment: number,
  from: End,
  to: End,
): void {
  const { rows } = datagrams;
  const base = datagrams.count * MESSAGE_FIELDS;
  rows[base + MESSAGE.OFFSET] = offset;
  rows[base + MESSAGE.LENGTH] = length;
  rows[base + MESSAGE.SEGMENT] = segment;
  rows[base + MESSAGE.STATUS] = 0;
  writeAddress(rows, base + MESSAGE.REMOTE, from.address);
  rows[base + MESSAGE.PORT] = PORT;
  rows[base + MESSAGE.SCOPE] = 0;
  writeAddress(rows, base + MESSAGE.LOCAL, to.address);
  rows[base + MESSAGE.DEVICE] = 1;
  datagrams.count += 1;
}

function writeAddress(rows: Int32Array, index: number, address: Uint8Array): void {
  for (let word = 0; word < 4; word++) {
    const byte = word * 4;
    // Words in memory order: the machines that this runs on are little-endian.
    rows[index + word] =
      (address[byte] ?? 0) |
      ((address[byte + 1] ?? 0) << 8) |
      ((address[byte + 2] ?? 0) << 16) |
      ((address[byte + 3] ?? 0) << 24);
  }
}

function isUp({ tunnel }: End, name: string, clock: VirtualClock): boolean {
  const peer = tunnel.snapshot(clock.now).peers.find((one) => one.name === name);
  return peer?.state === "up";
}

function unknownEndpoint(): {
  readonly endpoints: readonly PlainEndpoint[];
  readonly hasConfiguredEndpoint: boolean;
} {
  return { endpoints: [], hasConfiguredEndpoint: false };
}

function host(address: Ipv4) {
  return { family: 4, bytes: Uint8Array.from(address), length: 32 } as const;
}

/** 198.18.0.0/15 of RFC 2544, IPv4-mapped. */
function outerAddress(index: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set([0xff, 0xff, 198, 18, index >> 8, index & 0xff], 10);
  return bytes;
}
