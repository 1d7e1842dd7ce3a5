/**
 * A simulated host: a tunnel, its buffers, its addresses, and the order in which an engine drives it.
 *
 * It does what the engine does with sockets and a TUN, with arrays instead: one `turn` follows the order
 * that core/tunnel.ts prescribes. Its boot-time clock has an origin of its own, so that an instant of one
 * host never fits another by chance. A datagram that must leave from an address which the host no longer
 * has goes out from one of the kernel's choice, as io/udp.ts sends it again, and is counted as relocated.
 */

import type { MessageBatch, PacketBatch } from "../../src/core/batch.ts";
import type { TunnelEvent, TunnelSnapshot } from "../../src/core/options.ts";
import {
  MESSAGE,
  MESSAGE_FIELDS,
  MESSAGE_TRUNCATED,
  PACKET,
  PACKET_FIELDS,
  PACKET_MORE,
  PACKET_NEEDS_CHECKSUM,
} from "../../src/core/rows.ts";
import { after, type Instant } from "../../src/core/time.ts";
import type { Tunnel } from "../../src/core/tunnel.ts";
import { ipBytes, ipText, type SocketAddress } from "../helpers/address.ts";
import { internetChecksum } from "../helpers/packets.ts";
import type { Datagram } from "./eve.ts";
import type { Nat } from "./nat.ts";

/** The public members of a tunnel; the harness's own tests put a fake here. */
export type TunnelLike = Pick<Tunnel, keyof Tunnel>;

/** What a host needs of the world. */
export interface HostGround {
  readonly now: Instant;
  /** Microseconds since 1970 on a right wall clock. */
  readonly wallMicros: number;
  transmit(host: Host, datagram: Datagram): void;
  /** The line is only made if the log is printed. */
  log(line: () => string): void;
}

export interface HostOptions {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly port: number;
  /** Makes a tunnel with its peers; called at each start. */
  readonly boot: (host: Host) => TunnelLike;
  readonly nat?: Nat;
  /** Origin of the boot-time clock, milliseconds. */
  readonly bootMs: number;
}

/** An inner packet that came out of a tunnel. */
export interface Delivery {
  readonly at: Instant;
  readonly bytes: Uint8Array;
}

/** A packet that the host's kernel hands to the TUN. */
export interface TunPacket {
  readonly bytes: Uint8Array;
  /** PACKET_NEEDS_CHECKSUM with where the sum starts and lies; absent: a finished packet. */
  readonly checksum?: { readonly start: number; readonly offset: number };
}

/** The third word of ::ffff:a.b.c.d, bytes 00 00 ff ff. */
const MAPPED = new Int32Array(Uint8Array.of(0, 0, 0xff, 0xff).buffer)[0];

/** Rounds of one polling loop before it counts as endless. */
const LOOP_BOUND = 2_000;

/** One end of a tunnel in a simulated world. */
export class Host {
  readonly name: string;
  readonly port: number;
  readonly nat: Nat | undefined;
  addresses: readonly string[];
  /** Microseconds by which the wall clock is wrong. */
  wallOffsetMicros = 0;
  /** A frozen host (SIGSTOP, suspend) does nothing, and datagrams wait. */
  isFrozen = false;
  readonly delivered: Delivery[] = [];
  /** ICMP errors for the local sender. */
  readonly icmp: Delivery[] = [];
  readonly events: { readonly at: Instant; readonly event: TunnelEvent }[] = [];
  /** Datagrams sent, sent from another address than the tunnel asked for, and refused by the kernel; turns taken. */
  readonly counts = { sent: 0, relocated: 0, refused: 0, turns: 0 };
  /** Called for each turn's deliveries instead of keeping them, for long runs. */
  onDelivered: ((delivery: Delivery) => void) | undefined;
  readonly #ground: HostGround;
  readonly #boot: (host: Host) => TunnelLike;
  readonly #bootMs: number;
  #tunnel: TunnelLike | undefined;
  #inbox: Datagram[] = [];
  #tunQueue: TunPacket[] = [];
  #isTouched = false;

  constructor(ground: HostGround, options: HostOptions) {
    this.#ground = ground;
    this.#boot = options.boot;
    this.#bootMs = options.bootMs;
    this.name = options.name;
    this.port = options.port;
    this.nat = options.nat;
    this.addresses = options.addresses;
    this.start();
  }

  /** The boot-time clock of this host. */
  get now(): Instant {
    return after(this.#ground.now, this.#bootMs);
  }

  /** This host's wall clock, microseconds since 1970. */
  get wallMicros(): number {
    return this.#ground.wallMicros + this.wallOffsetMicros;
  }

  get isUp(): boolean {
    return this.#tunnel !== undefined;
  }

  /** The running tunnel. */
  get tunnel(): TunnelLike {
    if (this.#tunnel === undefined) throw new Error(`${this.name} is down`);
    return this.#tunnel;
  }

  /** Where peers reach this host when no NAT is in front. */
  get address(): SocketAddress {
    return { ip: this.addresses[0] ?? "", port: this.port };
  }

  start(): void {
    this.#inbox = [];
    this.#tunQueue = [];
    this.#tunnel = this.#boot(this);
    this.#isTouched = true;
    this.#ground.log(() => `${this.name} starts`);
  }

  /** Ends without a word, as kill -9 does. */
  stop(): void {
    this.#tunnel = undefined;
    this.#ground.log(() => `${this.name} stops`);
  }

  restart(): void {
    this.stop();
    this.start();
  }

  /** Does something to the tunnel (rekey, close, setEndpoints) and has the host take a turn. */
  act(action: (tunnel: TunnelLike, now: Instant) => void): void {
    action(this.tunnel, this.now);
    this.#isTouched = true;
  }

  /** Gives the host other addresses, as DHCP or a new network does. */
  move(addresses: readonly string[]): void {
    this.addresses = addresses;
    this.#ground.log(() => `${this.name} moves to ${addresses.join(", ")}`);
    this.act((tunnel) => tunnel.setOwnAddresses(addresses.map((ip) => ipBytes(ip).slice())));
  }

  /** Hands packets to the TUN. */
  send(...packets: readonly Uint8Array[]): void {
    for (const bytes of packets) this.sendRow({ bytes });
  }

  /** Hands a packet with offload fields to the TUN. */
  sendRow(packet: TunPacket): void {
    if (this.isUp) this.#tunQueue.push(packet);
  }

  /** A datagram arrives at the socket; a host that is down loses it. */
  receive(datagram: Datagram): void {
    if (this.isUp) this.#inbox.push(datagram);
  }

  /** Whether a turn would have something to do. */
  get isDue(): boolean {
    if (this.#tunnel === undefined || this.isFrozen) return false;
    if (this.#isTouched || this.#inbox.length > 0 || this.#tunQueue.length > 0) return true;
    return (this.#tunnel.pollTimeout()?.at ?? Number.POSITIVE_INFINITY) <= this.now;
  }

  /** The next deadline on the world's clock. */
  get deadline(): { readonly at: Instant; readonly reason: string } | undefined {
    if (this.#tunnel === undefined || this.isFrozen) return undefined;
    const deadline = this.#tunnel.pollTimeout();
    return deadline && { at: after(deadline.at, -this.#bootMs), reason: deadline.reason };
  }

  /** One turn of the engine's loop. */
  turn(): void {
    const { tunnel, now } = this;
    this.#isTouched = false;
    this.counts.turns += 1;
    tunnel.setWallClock(this.wallMicros);
    tunnel.handleTimeout(now);
    this.#transmitAll(tunnel, now);
    while (this.#inbox.length > 0) {
      this.#fillDatagrams(tunnel);
      tunnel.handleDatagrams(now);
      this.#deliver(tunnel.buffers.delivered, this.delivered);
      this.#transmitAll(tunnel, now);
    }
    while (this.#tunQueue.length > 0) {
      this.#fillPackets(tunnel);
      tunnel.handlePackets(now);
      this.#transmit(tunnel, tunnel.buffers.outgoing);
      this.#deliver(tunnel.buffers.replies, this.icmp);
      this.#transmitAll(tunnel, now);
    }
    this.#drainEvents(tunnel);
  }

  snapshot(): TunnelSnapshot {
    return this.tunnel.snapshot(this.now);
  }

  #transmitAll(tunnel: TunnelLike, now: Instant): void {
    for (let round = 0; tunnel.pollTransmit(now) > 0; round += 1) {
      if (round > LOOP_BOUND) throw new Error(`${this.name}: pollTransmit never ends`);
      this.#transmit(tunnel, tunnel.buffers.outgoing);
    }
  }

  #drainEvents(tunnel: TunnelLike): void {
    for (let event = tunnel.pollEvent(); event !== undefined; event = tunnel.pollEvent()) {
      this.events.push({ at: this.#ground.now, event });
      this.#ground.log(() => `${this.name} event ${describeEvent(event)}`);
    }
  }

  #fillDatagrams(tunnel: TunnelLike): void {
    const { datagrams, datagramStride } = tunnel.buffers;
    const taken = this.#inbox.splice(0, datagrams.capacity);
    taken.forEach((datagram, index) => {
      const offset = index * datagramStride;
      const length = Math.min(datagram.bytes.length, datagramStride);
      datagrams.arena.set(datagram.bytes.subarray(0, length), offset);
      const base = index * MESSAGE_FIELDS;
      const { rows } = datagrams;
      rows.fill(0, base, base + MESSAGE_FIELDS);
      rows[base + MESSAGE.OFFSET] = offset;
      rows[base + MESSAGE.LENGTH] = length;
      rows[base + MESSAGE.STATUS] = datagram.bytes.length > length ? MESSAGE_TRUNCATED : 0;
      rows[base + MESSAGE.PORT] = datagram.from.port;
      rows[base + MESSAGE.DEVICE] = 2;
      writeAddress(rows, base + MESSAGE.REMOTE, datagram.from.ip);
      writeAddress(rows, base + MESSAGE.LOCAL, datagram.to.ip);
    });
    datagrams.count = taken.length;
  }

  #fillPackets(tunnel: TunnelLike): void {
    const { packets, packetStride } = tunnel.buffers;
    const taken = this.#tunQueue.splice(0, packets.capacity);
    taken.forEach(({ bytes, checksum }, index) => {
      if (bytes.length > packetStride)
        throw new Error(`a TUN of this MTU reads no ${bytes.length} bytes`);
      const base = index * PACKET_FIELDS;
      packets.arena.set(bytes, index * packetStride);
      packets.rows.fill(0, base, base + PACKET_FIELDS);
      packets.rows[base + PACKET.OFFSET] = index * packetStride;
      packets.rows[base + PACKET.LENGTH] = bytes.length;
      packets.rows[base + PACKET.FLAGS] = checksum === undefined ? 0 : PACKET_NEEDS_CHECKSUM;
      packets.rows[base + PACKET.CHECKSUM_START] = checksum?.start ?? 0;
      packets.rows[base + PACKET.CHECKSUM_OFFSET] = checksum?.offset ?? 0;
    });
    packets.count = taken.length;
  }

  #transmit(tunnel: TunnelLike, outgoing: MessageBatch): void {
    let refused = 0;
    for (let row = 0; row < outgoing.count; row += 1) {
      const base = row * MESSAGE_FIELDS;
      const from = this.#sourceFor(outgoing.rows, base);
      if (from === undefined) refused += 1;
      else this.#sendRun(outgoing, base, from);
    }
    if (refused > 0) {
      this.counts.refused += refused;
      this.#ground.log(() => `${this.name} kernel refuses ${refused} datagrams`);
      tunnel.countDrop("udp_send", refused);
    }
  }

  #sendRun(outgoing: MessageBatch, base: number, from: SocketAddress): void {
    const { rows, arena } = outgoing;
    const start = field(rows, base + MESSAGE.OFFSET);
    const end = start + field(rows, base + MESSAGE.LENGTH);
    const segment = field(rows, base + MESSAGE.SEGMENT) || end - start;
    const to = {
      ip: readAddress(rows, base + MESSAGE.REMOTE),
      port: field(rows, base + MESSAGE.PORT),
    };
    for (let at = start; at < end; at += segment) {
      const bytes = arena.slice(at, Math.min(at + segment, end));
      this.counts.sent += 1;
      this.#ground.transmit(this, { at: this.#ground.now, by: this.name, from, to, bytes });
    }
  }

  /** The source address as the kernel picks it, or undefined where it has none of that family. */
  #sourceFor(rows: Int32Array, base: number): SocketAddress | undefined {
    const asked = readAddress(rows, base + MESSAGE.LOCAL);
    const isV6 = readAddress(rows, base + MESSAGE.REMOTE).includes(":");
    if (this.addresses.includes(asked)) return { ip: asked, port: this.port };
    if (asked !== "::") this.counts.relocated += 1;
    const ip = this.addresses.find((own) => own.includes(":") === isV6);
    return ip === undefined ? undefined : { ip, port: this.port };
  }

  #deliver(batch: PacketBatch, into: Delivery[]): void {
    let parts: Uint8Array[] = [];
    for (let row = 0; row < batch.count; row += 1) {
      const base = row * PACKET_FIELDS;
      const start = field(batch.rows, base + PACKET.OFFSET);
      parts.push(batch.arena.slice(start, start + field(batch.rows, base + PACKET.LENGTH)));
      const flags = field(batch.rows, base + PACKET.FLAGS);
      if ((flags & PACKET_MORE) !== 0) continue;
      const bytes = parts.length === 1 ? (parts[0] ?? new Uint8Array(0)) : Buffer.concat(parts);
      parts = [];
      if ((flags & PACKET_NEEDS_CHECKSUM) !== 0) completeChecksum(bytes, batch.rows, base);
      const delivery = { at: this.#ground.now, bytes };
      if (this.onDelivered !== undefined && into === this.delivered) this.onDelivered(delivery);
      else into.push(delivery);
    }
  }
}

/** What a kernel does with a packet that came with VIRTIO_NET_HDR_F_NEEDS_CSUM. */
function completeChecksum(bytes: Uint8Array, rows: Int32Array, base: number): void {
  const start = field(rows, base + PACKET.CHECKSUM_START);
  const at = start + field(rows, base + PACKET.CHECKSUM_OFFSET);
  const sum = internetChecksum(bytes.subarray(start));
  new DataView(bytes.buffer, bytes.byteOffset).setUint16(at, sum);
}

function describeEvent(event: TunnelEvent): string {
  return JSON.stringify(event, (_, value: unknown) =>
    value instanceof Uint8Array ? ipText(value) : value,
  );
}

function writeAddress(rows: Int32Array, index: number, ip: string): void {
  new Uint8Array(rows.buffer, rows.byteOffset + index * 4, 16).set(ipBytes(ip));
}

/** Texts of IPv4 addresses by their last word, because every datagram asks. */
const ipv4Texts = new Map<number, string>();

function readAddress(rows: Int32Array, index: number): string {
  const bytes = new Uint8Array(rows.buffer, rows.byteOffset + index * 4, 16);
  if (rows[index] !== 0 || rows[index + 1] !== 0 || rows[index + 2] !== MAPPED)
    return ipText(bytes);
  const word = field(rows, index + 3);
  const known = ipv4Texts.get(word) ?? ipText(bytes);
  ipv4Texts.set(word, known);
  return known;
}

function field(rows: Int32Array, index: number): number {
  return rows[index] ?? 0;
}
