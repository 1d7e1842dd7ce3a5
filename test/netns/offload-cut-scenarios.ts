/**
 * The kernel as a judge of cutting and joining: super-packets forwarded from one TUN to another.
 *
 *   in0  (written with vnet header)  --->  kernel forwards  --->  out0  (offloads off: read as single packets)
 *
 * What goes out of out0 the kernel cut in software, with finished checksums and one hop less. Runs in a
 * network namespace of its own (isolated.ts); offload-cut.test.ts asserts on the facts. The traps: other
 * packets of the kernel's own (IPv6 router solicitations) come out too, and a TCP checksum of 0 and of
 * 0xffff are the same one's complement number, of which each side may write either.
 */
import { writeFileSync } from "node:fs";
import fc from "fast-check";
import { type PacketBatch, packetBatch } from "../../src/core/batch.ts";
import {
  GSO,
  PACKET,
  PACKET_FIELDS,
  PACKET_NEEDS_CHECKSUM,
  SEAL,
  SEAL_FIELDS,
} from "../../src/core/rows.ts";
import { joinRows, packetsOf, streams } from "../core/join-streams.ts";
import { cutAgain, readDelivered } from "../helpers/gso-twin.ts";
import { orderOf, withAllowedId } from "../helpers/gso-twin-order.ts";
import {
  type BuiltPacket,
  buildPacket,
  concat,
  optionsExtension,
  type PacketSpec,
  PLAIN_SPEC,
  sealIpv4Header,
  TCP_FLAG,
} from "../helpers/packet-builder.ts";
import { internetChecksum } from "../helpers/packets.ts";
import { Random } from "../helpers/random.ts";
import { ip } from "../native/namespace.ts";
import { testNative } from "../native/native.ts";

const native = testNative();
const SEEDS = Number(process.env["IPTUN_SEED"] ?? 1);
const SUPER_PACKETS = 500;
const STREAMS = 60;
const MAX_PACKET = 65_536;
const OVERHEAD = 32;
/** Differences that are shown; more would say nothing new. */
const SHOWN = 3;

interface Judge {
  readonly input: number;
  readonly output: number;
}

/** A super-packet as a kernel with offloads would hand it to us. */
interface Whole extends BuiltPacket {
  readonly gsoType: number;
  readonly gsoSize: number;
}

/** Random super-packets: what the addon seals, opened again, is what the kernel cuts. */
export async function cutting() {
  const judge = openJudge("c");
  native.keyLoad(0, new Random(SEEDS).bytes(48));
  const facts = { compared: 0, segments: 0, kinds: {} as Record<string, number> };
  const differences: unknown[] = [];
  for (let index = 0; index < SUPER_PACKETS; index++) {
    const random = new Random(SEEDS * 10_000 + index);
    const [spec, gsoSize] = randomSpec(random);
    const kernel = forward(judge, whole(spec, gsoSize));
    const own = whole({ ...spec, hopLimit: spec.hopLimit - 1 }, gsoSize);
    const ours = sealedAndOpened(own).map((packet) => completed(packet, own));
    facts.compared += 1;
    facts.segments += ours.length;
    for (const kind of kindsOf(spec)) facts.kinds[kind] = (facts.kinds[kind] ?? 0) + 1;
    const difference = compare(kernel, ours);
    if (difference !== undefined) differences.push({ index, gsoSize, difference, ...shown(spec) });
  }
  return { ...facts, different: differences.length, examples: differences.slice(0, SHOWN) };
}

/** Random streams, joined and written: what the kernel cuts of them is what was joined. */
export async function joining() {
  const judge = openJudge("j");
  const facts = { packets: 0, joined: 0, refused: 0 };
  const differences: unknown[] = [];
  for (const stream of fc.sample(streams, { numRuns: STREAMS, seed: SEEDS })) {
    const packets = packetsOf(stream);
    const batch = joinRows(packets);
    const delivered = readDelivered(batch.arena, batch.rows, batch.count);
    const order = orderOf(packets, delivered);
    const cut = delivered.flatMap((packet) => {
      const single = cutAgain(packet);
      return single.map((_, place) => ({ first: single[0] ?? packet.bytes, place }));
    });
    const expected = cut.map(({ first, place }, index) => {
      const arrived = packets[order[index] ?? -1];
      if (arrived === undefined) throw new Error("a packet that was never put in");
      return forwarded(withAllowedId(arrived.bytes, first, place), arrived.isPartial);
    });
    const written = native.tunWrite(judge.input, batch.arena, batch.rows, batch.count);
    const difference = compare(readAll(judge.output), expected);
    facts.packets += packets.length;
    facts.joined += packets.length - delivered.length;
    facts.refused += delivered.length - written;
    if (difference !== undefined) differences.push({ seed: stream.seed, difference });
  }
  return { ...facts, different: differences.length, examples: differences.slice(0, SHOWN) };
}

/** Two TUN devices with routes for every address of the tests through the second. */
function openJudge(name: string): Judge {
  const [input, output] = ["in", "out"].map((role) => {
    const device = `${name}${role}0`;
    const fd = native.tunOpen(device, 0, new Uint8Array(16));
    if (fd < 0) throw new Error(`tunOpen ${device}: ${native.errnoName(fd)}`);
    ip(`link set ${device} mtu 65535 txqueuelen 5000 up`);
    return fd;
  });
  if (input === undefined || output === undefined) throw new Error("no devices");
  for (const family of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]) {
    writeFileSync(`/proc/sys/net/${family}`, "1");
  }
  ip(`route replace 10.0.0.0/24 dev ${name}out0`);
  ip(`-6 route replace fd00::/64 dev ${name}out0`);
  return { input, output };
}

/** Writes a super-packet into the kernel and reads what it forwards. */
function forward(judge: Judge, packet: Whole): readonly Uint8Array[] {
  const batch = packetBatch(packet.bytes, 1);
  batch.rows.set([0, packet.bytes.length, PACKET_NEEDS_CHECKSUM, packet.gsoType, packet.gsoSize]);
  batch.rows[PACKET.HEADER_LENGTH] = packet.headerLength;
  batch.rows[PACKET.CHECKSUM_START] = packet.checksumStart;
  batch.rows[PACKET.CHECKSUM_OFFSET] = packet.checksumOffset;
  native.tunWrite(judge.input, batch.arena, batch.rows, 1);
  const status = batch.rows[PACKET.STATUS] ?? 0;
  if (status !== 0) throw new Error(`the kernel refuses it: ${native.errnoName(status)}`);
  return readAll(judge.output);
}

const reading: PacketBatch = packetBatch(new Uint8Array(1 << 22), 1024);

/** What waits in a device, without the kernel's own ICMPv6. */
function readAll(fd: number): readonly Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (;;) {
    const { arena, rows, capacity } = reading;
    const count = native.tunRead(fd, arena, MAX_PACKET, rows, capacity);
    for (let row = 0; row < count; row++) {
      const base = row * PACKET_FIELDS;
      const offset = rows[base + PACKET.OFFSET] ?? 0;
      if (rows[base + PACKET.FLAGS] !== 0 || rows[base + PACKET.GSO_TYPE] !== 0) {
        throw new Error("out0 has an offload");
      }
      packets.push(arena.slice(offset, offset + (rows[base + PACKET.LENGTH] ?? 0)));
    }
    if (count < 0) return packets.filter((packet) => !isOwnChatter(packet));
  }
}

/** From a link-local or the unspecified address: router solicitations, multicast reports. */
function isOwnChatter(packet: Uint8Array): boolean {
  return (packet[0] ?? 0) >> 4 === 6 && packet[8] !== 0xfd;
}

/** Seals the super-packet into datagrams and opens each. */
function sealedAndOpened(packet: Whole): readonly Uint8Array[] {
  const payload = packet.bytes.length - packet.headerLength;
  const segments = Math.ceil(payload / packet.gsoSize);
  const total = payload + segments * (packet.headerLength + OVERHEAD);
  const datagrams = new Uint8Array(total);
  const rows = sealRow(packet, segments);
  native.seal(packet.bytes.slice(), datagrams, rows, 1);
  if (rows[SEAL.STATUS] !== 0 || rows[SEAL.OUT_LENGTH] !== total) {
    throw new Error(`seal: ${native.errnoName(rows[SEAL.STATUS] ?? 0)}`);
  }
  const full = packet.headerLength + packet.gsoSize + OVERHEAD;
  return Array.from({ length: segments }, (_, index) => {
    const datagram = datagrams.slice(index * full, (index + 1) * full);
    const row = Int32Array.of(0, datagram.length, 0, 0, 0, 0, 0, 0);
    if (native.open(datagram, row, 1) !== 1) throw new Error("what was sealed does not open");
    const text = datagram.subarray(16, datagram.length - 16);
    if (((text[0] ?? 0) & 0x80) === 0) throw new Error("no mark of a partial checksum");
    text[0] = (text[0] ?? 0) & 0x7f;
    return text;
  });
}

function sealRow(packet: Whole, segments: number): Int32Array {
  const rows = new Int32Array(SEAL_FIELDS);
  const isAlone = segments === 1;
  rows[SEAL.IN_LENGTH] = packet.bytes.length;
  rows[SEAL.SEGMENTS] = segments;
  rows[SEAL.FLAGS] = PACKET_NEEDS_CHECKSUM;
  rows[SEAL.GSO_TYPE] = isAlone ? GSO.NONE : packet.gsoType;
  rows[SEAL.GSO_SIZE] = packet.gsoSize;
  rows[SEAL.HEADER_LENGTH] = packet.headerLength;
  rows[SEAL.CHECKSUM_START] = packet.checksumStart;
  rows[SEAL.CHECKSUM_OFFSET] = packet.checksumOffset;
  return rows;
}

function whole(spec: PacketSpec, gsoSize: number): Whole {
  const tcpType = spec.source.includes(":") ? GSO.TCP6 : GSO.TCP4;
  const ecn = (spec.flags & TCP_FLAG.CWR) === 0 ? 0 : GSO.ECN;
  const gsoType = spec.protocol === "tcp" ? tcpType | ecn : GSO.UDP;
  return { ...buildPacket(spec), gsoType, gsoSize };
}

/** A packet as the kernel forwards it: one hop less, its checksum finished. */
function forwarded(packet: Uint8Array, isPartial: boolean): Uint8Array {
  const copy = packet.slice();
  const isIpv4 = (copy[0] ?? 0) >> 4 === 4;
  const hops = isIpv4 ? 8 : 7;
  copy[hops] = (copy[hops] ?? 0) - 1;
  if (isIpv4) sealIpv4Header(copy);
  if (!isPartial) return copy;
  const checksumStart = isIpv4 ? ((copy[0] ?? 0) & 0x0f) * 4 : ipv6TransportAt(copy);
  const isUdp = (isIpv4 ? copy[9] : lastHeader(copy)) === 17;
  return completed(copy, { checksumStart, checksumOffset: isUdp ? 6 : 16 });
}

/** Of streams only destination options, of 8 bytes. */
function ipv6TransportAt(packet: Uint8Array): number {
  return packet[6] === 60 ? 48 : 40;
}

function lastHeader(packet: Uint8Array): number {
  return (packet[6] === 60 ? packet[40] : packet[6]) ?? 0;
}

/** With the checksum that the partial one is the beginning of. */
function completed(
  packet: Uint8Array,
  { checksumStart, checksumOffset }: Pick<BuiltPacket, "checksumStart" | "checksumOffset">,
): Uint8Array {
  const done = packet.slice();
  const sum = internetChecksum(done.subarray(checksumStart));
  const field = checksumStart + checksumOffset;
  const stored = sum === 0 ? 0xffff : sum;
  done.set([stored >> 8, stored & 0xff], field);
  return done;
}

/** What differs first between what the kernel made and what we did; undefined: nothing. */
function compare(kernel: readonly Uint8Array[], ours: readonly Uint8Array[]): string | undefined {
  for (let index = 0; index < Math.max(kernel.length, ours.length); index++) {
    const expected = kernel[index] ?? new Uint8Array();
    const packet = ours[index] ?? new Uint8Array();
    const [a, b] = [expected, packet].map((bytes) => Buffer.from(withOneZero(bytes)));
    if (a === undefined || b === undefined || a.equals(b)) continue;
    const at = a.findIndex((byte, place) => byte !== b[place]);
    return `packet ${index} of ${ours.length}, byte ${at}: kernel ${a.subarray(0, 100).toString("hex")}, ours ${b.subarray(0, 100).toString("hex")}`;
  }
  return undefined;
}

/** A TCP checksum of 0 written as 0xffff. */
function withOneZero(packet: Uint8Array): Uint8Array {
  const isIpv4 = (packet[0] ?? 0) >> 4 === 4;
  if ((isIpv4 ? packet[9] : packet[6]) !== 6) return packet;
  const field = (isIpv4 ? ((packet[0] ?? 0) & 0x0f) * 4 : 40) + 16;
  if (packet[field] !== 0 || packet[field + 1] !== 0) return packet;
  const changed = packet.slice();
  changed.set([0xff, 0xff], field);
  return changed;
}

/** Any TCP or UDP super-packet of 2 to 64 segments, and its segment size. */
function randomSpec(random: Random): readonly [PacketSpec, number] {
  const isIpv6 = random.chance(0.5);
  const isTcp = random.chance(0.6);
  const gsoSize = pick(random, [
    1,
    2,
    7,
    100,
    536,
    1000 + random.below(449),
    random.below(9000) + 1,
  ]);
  const most = Math.min(64, Math.floor(65_000 / gsoSize));
  const payload = gsoSize + 1 + random.below(gsoSize * (most - 1));
  const spec: PacketSpec = {
    ...PLAIN_SPEC,
    ...(isIpv6 ? { source: "fd00::1", destination: "fd00::2" } : {}),
    protocol: isTcp ? "tcp" : "udp",
    sourcePort: random.below(65_536),
    destinationPort: random.below(65_536),
    trafficClass: random.below(256),
    hopLimit: 2 + random.below(254),
    id: pick(random, [0, 0xfff0 + random.below(16), random.below(65_536)]),
    isDontFragment: random.chance(0.5),
    ipOptions: isIpv6 ? new Uint8Array() : ipOptions(random),
    flowLabel: random.below(2 ** 20),
    extensions: isIpv6 ? extensions(random) : [],
    sequence: pick(random, [random.uint32(), 0xffff_ff00]),
    acknowledgment: random.uint32(),
    flags: isTcp ? tcpFlags(random) : 0,
    window: random.below(65_536),
    urgent: random.below(65_536),
    tcpOptions: random.bytes(4 * pick(random, [0, 3, random.below(11)])),
    payload: random.bytes(Math.min(payload, 64_000)),
  };
  return [spec, gsoSize];
}

/** ACK with any of the others; one packet in four has none. */
function tcpFlags(random: Random): number {
  return TCP_FLAG.ACK | (random.chance(0.25) ? 0 : random.below(0x200));
}

/** No options, no-operations, or an experimental one (RFC 4727 §3.1) of any length. */
function ipOptions(random: Random): Uint8Array {
  const length = 4 * (1 + random.below(10));
  if (random.chance(0.5)) return new Uint8Array();
  if (random.chance(0.5)) return new Uint8Array(length).fill(1);
  return concat(Uint8Array.of(0x9e, length), random.bytes(length - 2));
}

/** Extension headers in the order of RFC 8200 §4.1; the routing header (RFC 3692's type 253) is done. */
function extensions(random: Random) {
  const routing = { protocol: 43, body: Uint8Array.of(253, 0, 0, 0, 0, 0) };
  return [
    ...(random.chance(0.25) ? [optionsExtension(0, 1 + random.below(4))] : []),
    ...(random.chance(0.25) ? [optionsExtension(60)] : []),
    ...(random.chance(0.25) ? [routing] : []),
    ...(random.chance(0.25) ? [optionsExtension(60, 1 + random.below(4))] : []),
  ];
}

function pick<T>(random: Random, list: readonly T[]): T {
  const value = list[random.below(list.length)];
  if (value === undefined) throw new Error("an empty list");
  return value;
}

/** What a super-packet has that is worth counting. */
function kindsOf(spec: PacketSpec): readonly string[] {
  const { FIN, PSH, CWR } = TCP_FLAG;
  return [
    `${spec.protocol} ${spec.source.includes(":") ? 6 : 4}`,
    ...(spec.ipOptions.length > 0 ? ["IPv4 options"] : []),
    ...(spec.extensions.length > 0 ? [`extensions of ${spec.protocol}`] : []),
    ...(spec.protocol === "tcp" && spec.tcpOptions.length > 0 ? ["TCP options"] : []),
    ...((spec.flags & FIN) !== 0 ? ["FIN"] : []),
    ...((spec.flags & PSH) !== 0 ? ["PSH"] : []),
    ...((spec.flags & CWR) !== 0 ? ["CWR"] : []),
  ];
}

/** A description without its bytes. */
function shown(spec: PacketSpec) {
  return { ...spec, payload: spec.payload.length, tcpOptions: spec.tcpOptions.length };
}
