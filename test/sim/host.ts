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
import { MESSAGE, MESSAGE_FIELDS } from "../../src/core/rows.ts";
import { after, type Instant } from "../../src/core/time.ts";
import type { Tunnel } from "../../src/core/tunnel.ts";
import { ipBytes, ipText, type SocketAddress } from "../helpers/address.ts";
import type { Datagram } from "./eve.ts";
import {
  fillMessages,
  fillPackets,
  packetsWritten,
  type SocketMessage,
  type TunPacket,
  withRuns,
} from "./kernel.ts";
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
  /** Whether its socket gives runs of datagrams. */
  readonly hasRuns?: boolean;
  /** Origin of the boot-time clock, milliseconds. */
  readonly bootMs: number;
}

/** An inner packet that came out of a tunnel. */
export interface Delivery {
  readonly at: Instant;
  readonly bytes: Uint8Array;
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
  /** Calls of `handlePackets`, messages and runs received, and datagrams of the longest message sent. */
  readonly batches = { packets: 0, messages: 0, runs: 0, longestSent: 0 };
  /** Called for each turn's deliveries instead of keeping them, for long runs. */
  onDelivered: ((delivery: Delivery) => void) | undefined;
  readonly #ground: HostGround;
  readonly #boot: (host: Host) => TunnelLike;
  readonly #bootMs: number;
  #tunnel: TunnelLike | undefined;
  readonly #hasRuns: boolean;
  #inbox: SocketMessage[] = [];
  #tunQueue: TunPacket[] = [];
  #isTouched = false;

  constructor(ground: HostGround, options: HostOptions) {
    this.#ground = ground;
    this.#boot = options.boot;
    this.#bootMs = options.bootMs;
    this.#hasRuns = options.hasRuns ?? false;
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

  /** A run arrives as one message of the socket, whether or not its datagrams would become one. */
  receiveRun(from: SocketAddress, segment: number, bytes: Uint8Array, tos = 0): void {
    if (this.isUp) this.#inbox.push({ from, to: this.address, bytes: bytes.slice(), segment, tos });
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
      const { packets, packetRoom } = tunnel.buffers;
      this.#tunQueue.splice(0, fillPackets(packets, packetRoom, this.#tunQueue));
      this.#sendPackets(tunnel, now);
      this.#transmitAll(tunnel, now);
    }
    this.#drainEvents(tunnel);
  }

  snapshot(): TunnelSnapshot {
    return this.tunnel.snapshot(this.now);
  }

  #sendPackets(tunnel: TunnelLike, now: Instant): void {
    let rounds = 0;
    do {
      if (rounds++ > LOOP_BOUND) throw new Error(`${this.name}: handlePackets never ends`);
      tunnel.handlePackets(now);
      this.batches.packets += 1;
      this.#transmit(tunnel, tunnel.buffers.outgoing);
      this.#deliver(tunnel.buffers.replies, this.icmp);
    } while (tunnel.buffers.packets.count > 0);
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
    if (this.#hasRuns) this.#inbox = withRuns(this.#inbox);
    const taken = this.#inbox.splice(0, datagrams.capacity);
    this.batches.messages += taken.length;
    this.batches.runs += taken.filter(({ segment }) => segment !== undefined).length;
    fillMessages(datagrams, datagramStride, taken);
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
    const hops = field(rows, base + MESSAGE.HOPS);
    const tos = field(rows, base + MESSAGE.TOS);
    this.batches.longestSent = Math.max(this.batches.longestSent, (end - start) / segment);
    for (let at = start; at < end; at += segment) {
      const bytes = arena.slice(at, Math.min(at + segment, end));
      this.counts.sent += 1;
      const datagram = { at: this.#ground.now, by: this.name, from, to, bytes, hops, tos };
      this.#ground.transmit(this, datagram);
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
    for (const bytes of packetsWritten(batch)) {
      const delivery = { at: this.#ground.now, bytes };
      if (this.onDelivered !== undefined && into === this.delivered) this.onDelivered(delivery);
      else into.push(delivery);
    }
  }
}

function describeEvent(event: TunnelEvent): string {
  return JSON.stringify(event, (_, value: unknown) =>
    value instanceof Uint8Array ? ipText(value) : value,
  );
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
