/**
 * A few tunnels on one virtual network, made anew for each input in a fraction of a millisecond.
 *
 *     pair (.1)  site1 (.11)  site2 (.12)   --->   hub 198.51.100.1, with a pair peer and a group
 *
 * Less than test/sim and faster: no loss, no delay, buffers that are used again. Everything sent is recorded, and
 * goes on at once. It checks what holds for every call of the core: rows lie inside their arenas, queues empty
 * in a bounded number of rounds, deadlines move on.
 */
import { type TunnelBuffers, tunnelBuffers } from "../../../src/core/buffers.ts";
import type { HandshakeCrypto } from "../../../src/core/crypto.ts";
import { DEFAULT_LIMITS, type PeerKind, type PeerOptions } from "../../../src/core/options.ts";
import { MESSAGE, MESSAGE_FIELDS, PACKET, PACKET_FIELDS } from "../../../src/core/rows.ts";
import { after, type Instant } from "../../../src/core/time.ts";
import { Tunnel } from "../../../src/core/tunnel.ts";
import { endpoint, innerBytes, ipBytes, ipText, prefix } from "../../helpers/address.ts";
import { readDelivered } from "../../helpers/gso-twin.ts";
import { Random } from "../../helpers/random.ts";
import { fastCrypto } from "./fast-crypto.ts";
import { KeyHolder } from "./holder.ts";

export const PORT = 1194;
export const NETWORKS = {
  pair: ["10.1.0.0/16", "fd00:1::/64", "0.0.0.0/0"],
  hub: ["10.2.0.0/16", "fd00:2::/64"],
  group: ["10.77.0.0/16", "fd77::/32"],
} as const;
const MTU = 1420;
const ROWS = 4;
/** Rounds of a loop that must end by itself. */
const ROUNDS = 2_000;
/** Datagrams kept for the input to use again. */
const RECORDED = 64;

/** A datagram that was sent. */
export interface Sent {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly bytes: Uint8Array;
}

/** One tunnel. */
export interface Station {
  readonly name: string;
  readonly ip: string;
  readonly tunnel: Tunnel;
  readonly aead: KeyHolder;
  readonly crypto: HandshakeCrypto;
  /** Packets that came out. */
  delivered: number;
}

interface StationSpec {
  readonly name: string;
  readonly ip: string;
  readonly kind: PeerKind;
  readonly keys: readonly Uint8Array[];
}

const PAIR_KEY = Uint8Array.from({ length: 32 }, (_, index) => index + 1);
const GROUP_KEY = Uint8Array.from({ length: 32 }, (_, index) => index + 101);
export const KEYS = { pair: PAIR_KEY, group: GROUP_KEY } as const;
export const HUB_IP = "198.51.100.1";

const OTHERS: readonly StationSpec[] = [
  { name: "pair", ip: "192.0.2.1", kind: "pair", keys: [PAIR_KEY] },
  { name: "site1", ip: "192.0.2.11", kind: "hub", keys: [GROUP_KEY] },
  { name: "site2", ip: "192.0.2.12", kind: "hub", keys: [GROUP_KEY] },
];

/** Buffers of stations that are gone, by name. */
const spareBuffers = new Map<string, TunnelBuffers>();

export class Net {
  readonly stations: Station[] = [];
  /** The last datagrams sent, oldest first. */
  readonly recorded: Sent[] = [];
  /** All that were ever sent, as text. */
  readonly genuine = new Set<string>();
  /** Looks at each packet that comes out of a station. */
  onDelivered: (to: Station, packet: Uint8Array) => void = () => {};
  /** False: what is sent is recorded and lost. */
  isConnected = true;
  now = 1_000 as Instant;
  #sent: Sent[] = [];
  readonly #random = new Random(7);

  /** A hub and those of the other stations that are named. */
  constructor(others: readonly string[]) {
    this.#addHub();
    for (const spec of OTHERS) if (others.includes(spec.name)) this.#addOther(spec);
    for (const station of this.stations) this.#turn(station);
    this.settle();
  }

  station(index: number): Station {
    const station = this.stations[index % this.stations.length];
    if (station === undefined) throw new Error("no station");
    return station;
  }

  /**
   * Hands one UDP message to a station; `segment` 0: one datagram. Its ECN field is that of its last byte, the
   * end of a tag. Returns what it sent in answer.
   */
  offer(to: Station, from: string, port: number, bytes: Uint8Array, segment = 0): readonly Sent[] {
    const { datagrams, datagramStride } = to.tunnel.buffers;
    const length = Math.min(bytes.length, datagramStride);
    const { rows } = datagrams;
    rows.fill(0, 0, MESSAGE_FIELDS);
    datagrams.arena.set(bytes.subarray(0, length));
    rows[MESSAGE.LENGTH] = length;
    rows[MESSAGE.SEGMENT] = segment;
    rows[MESSAGE.STATUS] = bytes.length > length ? 1 : 0;
    rows[MESSAGE.PORT] = port;
    rows[MESSAGE.DEVICE] = 2;
    rows[MESSAGE.TOS] = (bytes.at(-1) ?? 0) & 3;
    writeAddress(rows, MESSAGE.REMOTE, from);
    writeAddress(rows, MESSAGE.LOCAL, to.ip);
    datagrams.count = 1;
    const mark = this.#sent.length;
    to.tunnel.handleDatagrams(this.now);
    this.#takeDelivered(to);
    this.#drain(to);
    return this.#sent.slice(mark);
  }

  /** Hands one packet to a station's device; `meta` are the fields FLAGS to CHECKSUM_OFFSET. */
  fromDevice(station: Station, bytes: Uint8Array, meta: readonly number[] = []): void {
    const { packets, packetRoom } = station.tunnel.buffers;
    const length = Math.min(bytes.length, packetRoom);
    packets.rows.fill(0, 0, PACKET_FIELDS);
    packets.arena.set(bytes.subarray(0, length));
    packets.rows[PACKET.LENGTH] = length;
    packets.rows.set(meta, PACKET.FLAGS);
    packets.count = 1;
    this.#sendPackets(station);
    this.#drain(station);
  }

  /** Calls the tunnel's own functions and sends what comes of it. */
  act(station: Station, action: (tunnel: Tunnel, now: Instant) => void): void {
    action(station.tunnel, this.now);
    this.#drain(station);
  }

  /** Lets time pass and timers run. */
  advance(ms: number): void {
    const end = after(this.now, ms);
    for (let round = 0; ; round += 1) {
      if (round > ROUNDS) throw new Error("deadlines never end");
      const next = Math.min(...this.stations.map(({ tunnel }) => tunnel.nextTimeout()));
      if (next > end) break;
      if (next > this.now) this.now = next as Instant;
      for (const station of this.stations) this.#turn(station);
      this.settle();
    }
    this.now = end;
  }

  /** Delivers what was sent, and what is sent for that, until nothing is on its way. */
  settle(): void {
    for (let round = 0; this.#sent.length > 0; round += 1) {
      if (round > ROUNDS) throw new Error("stations answer each other without end");
      const [next, ...rest] = this.#sent;
      this.#sent = rest;
      if (next === undefined || !this.isConnected) continue;
      const to = this.stations.find(({ ip }) => ip === next.to);
      if (to === undefined || next.port !== PORT) continue;
      this.offer(to, next.from, PORT, next.bytes);
    }
  }

  #addHub(): void {
    const pair = peer("pair", "pair", KEYS.pair, [], NETWORKS.pair);
    const group = peer("branch", "group", KEYS.group, [], NETWORKS.group);
    this.#add("hub", HUB_IP, [pair, group]);
  }

  #addOther({ name, ip, kind, keys }: StationSpec): void {
    const [key = PAIR_KEY] = keys;
    const networks = kind === "pair" ? NETWORKS.hub : NETWORKS.group;
    this.#add(name, ip, [peer("hub", kind, key, [HUB_IP], networks)]);
  }

  #add(name: string, ip: string, peers: readonly PeerOptions[]): void {
    const crypto = fastCrypto(this.#random.fork());
    const aead = new KeyHolder();
    const isHub = name === "hub";
    const inner = isHub ? "10.77.0.250" : name === "pair" ? "10.1.0.1" : `10.77.0.${name.slice(4)}`;
    const tunnel = new Tunnel(
      {
        nodeId: crypto.random(16),
        mtu: MTU,
        listenPort: PORT,
        ownAddresses: [ipBytes(ip).slice()],
        innerAddresses: [innerBytes(inner)],
        limits: { ...DEFAULT_LIMITS, sources: 8 },
        offloads: { joinTcp: isHub, joinUdp: isHub, runs: true },
      },
      { crypto, aead },
      buffersOf(name),
      this.now,
    );
    tunnel.setWallClock(1e15 + this.now * 1000);
    for (const options of peers) tunnel.addPeer(options, this.now);
    this.stations.push({ name, ip, tunnel, aead, crypto, delivered: 0 });
  }

  /** One turn of the engine's loop without anything that arrived. */
  #turn(station: Station): void {
    const { tunnel } = station;
    tunnel.setWallClock(1e15 + this.now * 1000);
    tunnel.handleTimeout(this.now);
    this.#drain(station);
    for (let round = 0; tunnel.nextTimeout() <= this.now; round += 1) {
      if (round > ROUNDS) throw new Error(`${station.name}: a deadline stays due`);
      tunnel.handleTimeout(this.now);
      this.#drain(station);
    }
  }

  #drain(station: Station): void {
    const { tunnel } = station;
    for (let round = 0; tunnel.pollTransmit(this.now) > 0; round += 1) {
      if (round > ROUNDS) throw new Error(`${station.name}: pollTransmit never ends`);
      this.#transmit(station);
    }
    while (tunnel.pollEvent() !== undefined);
  }

  #sendPackets(station: Station): void {
    const { tunnel } = station;
    let round = 0;
    do {
      if (round > ROUNDS) throw new Error(`${station.name}: handlePackets never ends`);
      round += 1;
      tunnel.handlePackets(this.now);
      this.#transmit(station);
      const { replies } = tunnel.buffers;
      readDelivered(replies.arena, replies.rows, replies.count);
    } while (tunnel.buffers.packets.count > 0);
  }

  /** Takes what lies in `outgoing`. */
  #transmit(station: Station): void {
    const { rows, arena, count } = station.tunnel.buffers.outgoing;
    for (let base = 0; base < count * MESSAGE_FIELDS; base += MESSAGE_FIELDS) {
      const start = rows[base + MESSAGE.OFFSET] ?? 0;
      const length = rows[base + MESSAGE.LENGTH] ?? 0;
      const segment = rows[base + MESSAGE.SEGMENT] || length;
      const end = start + length;
      if (start < 0 || length < 32 || segment < 32 || end > arena.length) {
        throw new Error(`outgoing row names bytes ${start} to ${end}, segment ${segment}`);
      }
      const to = readAddress(rows, base + MESSAGE.REMOTE);
      const port = rows[base + MESSAGE.PORT] ?? 0;
      if (port < 1 || port > 65_535) throw new Error(`outgoing row for port ${port}`);
      for (let at = start; at < end; at += segment) {
        this.#record({
          from: station.ip,
          to,
          port,
          bytes: arena.slice(at, Math.min(at + segment, end)),
        });
      }
    }
  }

  #record(sent: Sent): void {
    this.#sent.push(sent);
    this.genuine.add(textOf(sent.bytes));
    this.recorded.push(sent);
    if (this.recorded.length > RECORDED) this.recorded.shift();
  }

  /** Counts the packets delivered; the twin throws on rows that a kernel would refuse. */
  #takeDelivered(station: Station): void {
    const { arena, rows, count } = station.tunnel.buffers.delivered;
    if (count === 0) return;
    for (const { bytes } of readDelivered(arena, rows, count)) {
      station.delivered += 1;
      this.onDelivered(station, bytes);
    }
  }
}

/** What a station says of itself, before or after a datagram. */
export interface Look {
  /** The sum of all drop counters. */
  readonly drops: number;
  /** Packets accepted from all peers. */
  readonly inbound: number;
  /** What a refused datagram must leave alone; the same as test/sim/observe.ts compares. */
  readonly digest: () => string;
  readonly delivered: number;
}

/** Asks a station. */
export function look({ tunnel, aead, delivered }: Station, net: Net): Look {
  const { peers, sessions, handshakeComputations, drops } = tunnel.snapshot(net.now);
  return {
    drops: Object.values(drops).reduce((sum, count) => sum + count, 0),
    inbound: peers.reduce((sum, { counters }) => sum + counters.inboundPackets, 0),
    digest: () => JSON.stringify([peers, sessions, handshakeComputations, aead.loadedKeys]),
    delivered,
  };
}

/** A key for sets of datagrams. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

function peer(
  name: string,
  kind: PeerKind,
  key: Uint8Array,
  endpoints: readonly string[],
  networks: readonly string[],
): PeerOptions {
  return {
    name,
    kind,
    keys: [key.slice()],
    endpoints: endpoints.map((ip) => endpoint(ip, PORT)),
    hasConfiguredEndpoint: endpoints.length > 0,
    allowedIps: networks.map(prefix),
    keepaliveSeconds: 0,
    roaming: "validated",
  };
}

function buffersOf(name: string): TunnelBuffers {
  const made =
    spareBuffers.get(name) ??
    tunnelBuffers({ mtu: MTU, superPackets: true, gro: true, rows: ROWS });
  spareBuffers.set(name, made);
  for (const batch of [made.datagrams, made.packets, made.outgoing, made.delivered, made.replies]) {
    batch.count = 0;
  }
  return made;
}

function writeAddress(rows: Int32Array, index: number, ip: string): void {
  new Uint8Array(rows.buffer, rows.byteOffset + index * 4, 16).set(ipBytes(ip));
}

function readAddress(rows: Int32Array, index: number): string {
  return ipText(new Uint8Array(rows.buffer, rows.byteOffset + index * 4, 16));
}
