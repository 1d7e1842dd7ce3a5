/**
 * Super-packets cut by the kernel's own software segmentation, run in a namespace of their own
 * (cut-kernel.test.ts asserts on the facts).
 *
 * A super-packet is written to one TUN device and forwarded out of another that has no offload, so that
 * what is read there are the kernel's own segments, with finished checksums and one hop less. The plain
 * twin's packets get the same two changes. The trap: only options and extension headers that a router
 * passes on unread can be used here.
 */
import { writeFileSync } from "node:fs";
import { packetBatch } from "../../src/core/batch.ts";
import { PACKET, PACKET_NEEDS_CHECKSUM } from "../../src/core/rows.ts";
import { cutSuperPacket } from "../helpers/cut-twin.ts";
import { internetChecksum } from "../helpers/packets.ts";
import { Random } from "../helpers/random.ts";
import { type SuperPacket, type SuperPacketParts, superPacket } from "../helpers/super-packets.ts";
import { ip, packetsIn, packetsToWrite, pause } from "./namespace.ts";
import { testNative } from "./native.ts";

const native = testNative();
/** TUN_F_CSUM, TSO4, TSO6, TSO_ECN, USO4, USO6 of linux/if_tun.h. */
const EVERY_OFFLOAD = 0x6f;
const ROOM = 2048;
const MOST_SEGMENTS = 64;
const V4 = { source: "10.30.0.2", destination: "10.31.0.2" } as const;
const V6 = { source: "fd30::2", destination: "fd31::2" } as const;
/** An experimental IPv4 option (RFC 4727) and padding. */
const IP_OPTIONS = Uint8Array.of(0x9e, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0);
/** NOP, NOP, timestamps (RFC 7323). */
const TCP_OPTIONS = Uint8Array.of(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8);
/** PadN of 4 bytes of padding (RFC 8200 §4.2). */
const PADDING = Uint8Array.of(1, 4, 0, 0, 0, 0);
/** A routing header of an experimental type whose segments are all left behind. */
const ROUTING = Uint8Array.of(253, 0, 0, 0, 0, 0);
/** Source port 1000 and destination port 2000, as every super-packet has. */
const PORTS = Buffer.from([1000 >> 8, 1000 & 0xff, 2000 >> 8, 2000 & 0xff]);

writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
writeFileSync("/proc/sys/net/ipv6/conf/all/forwarding", "1");
const inside = open("in0", EVERY_OFFLOAD, "10.30.0.1/24", "fd30::1/64");
const outside = open("out0", 0, "10.31.0.1/24", "fd31::1/64");
await pause(50);
readAll();

/** Each kind of packet with each part that it may have. */
export async function kinds() {
  const v6Extensions = [[0, PADDING] as const, [43, ROUTING] as const, [60, PADDING] as const];
  return {
    tcp4: difference({ isTcp: true, tcpFlags: 0x10 }),
    tcp4Flags: difference({ isTcp: true, tcpFlags: 0x99, id: 0xfffe, sequence: 0xfffffff0 }),
    tcp4Options: difference({ isTcp: true, ipOptions: IP_OPTIONS, tcpOptions: TCP_OPTIONS }),
    tcp4Tiny: difference({ isTcp: true, gsoSize: 8, payload: pattern(100), tcpFlags: 0x19 }),
    tcp6: difference({ ...V6, isTcp: true, tcpFlags: 0x99, tcpOptions: TCP_OPTIONS }),
    tcp6Extensions: difference({ ...V6, isTcp: true, extensions: v6Extensions }),
    udp4: difference({ isTcp: false, id: 0xffff }),
    udp4Options: difference({ isTcp: false, ipOptions: IP_OPTIONS }),
    udp6: difference({ ...V6, isTcp: false }),
    udp6Extensions: difference({ ...V6, isTcp: false, extensions: v6Extensions }),
    whole: difference({ isTcp: true, gsoSize: 1448, payload: pattern(60_000) }),
  };
}

/** Random sizes, flags and numbers; the seeds that differed. */
export async function anything() {
  const different: string[] = [];
  for (let seed = 1; seed <= 150; seed++) {
    const found = difference(randomParts(new Random(seed)));
    if (found !== "none") different.push(`seed ${seed}: ${found}`);
  }
  return different;
}

function randomParts(random: Random): Partial<SuperPacketParts> & { readonly isTcp: boolean } {
  const gsoSize = 8 + random.below(random.chance(0.3) ? 60 : 1300);
  const segments = 2 + random.below(Math.min(MOST_SEGMENTS - 2, Math.floor(60_000 / gsoSize)));
  return {
    ...(random.chance(0.5) ? V4 : V6),
    isTcp: random.chance(0.6),
    gsoSize,
    payload: random.bytes(gsoSize * (segments - 1) + 1 + random.below(gsoSize)),
    tcpFlags: random.below(256) & ~0x06,
    tcpOptions: random.chance(0.5) ? TCP_OPTIONS : new Uint8Array(0),
    sequence: random.uint32(),
    id: random.below(0x10000),
  };
}

/** How the kernel's packets differ from the twin's; "none" where they are the same. */
function difference(parts: Partial<SuperPacketParts> & { readonly isTcp: boolean }): string {
  const whole = superPacket({ ...V4, gsoSize: 1000, payload: pattern(3210), ...parts });
  const status = write(whole);
  if (status !== 0) return `not written: ${native.errnoName(status)}`;
  const actual = readAll();
  const expected = cutSuperPacket(whole.bytes, whole).map((one) => forwarded(one, whole));
  if (actual.length !== expected.length)
    return `${actual.length} packets, not ${expected.length}: ${actual[0]?.toString("hex", 0, 80)}`;
  const index = expected.findIndex((one, at) => Buffer.compare(one, actual[at] ?? one) !== 0);
  if (index < 0) return "none";
  const hex = (bytes: Uint8Array | undefined) =>
    Buffer.from(bytes ?? []).toString("hex", 0, whole.headerLength);
  return `packet ${index}: kernel ${hex(actual[index])}, twin ${hex(expected[index])}`;
}

function write(whole: SuperPacket): number {
  const batch = packetsToWrite([whole.bytes]);
  batch.rows[PACKET.FLAGS] = PACKET_NEEDS_CHECKSUM;
  batch.rows[PACKET.GSO_TYPE] = whole.gsoType;
  batch.rows[PACKET.GSO_SIZE] = whole.gsoSize;
  batch.rows[PACKET.HEADER_LENGTH] = whole.headerLength;
  batch.rows[PACKET.CHECKSUM_START] = whole.checksumStart;
  batch.rows[PACKET.CHECKSUM_OFFSET] = whole.checksumOffset;
  native.tunWrite(inside, batch.arena, batch.rows, 1);
  return batch.rows[PACKET.STATUS] ?? 0;
}

/** The TCP and UDP packets that wait behind the second device. */
function readAll(): Buffer[] {
  const batch = packetBatch(new Uint8Array(2 * MOST_SEGMENTS * ROOM), 2 * MOST_SEGMENTS);
  const count = native.tunRead(outside, batch.arena, ROOM, batch.rows, batch.capacity);
  return packetsIn(batch, count).filter((packet) => packet.includes(PORTS));
}

/** A hop less, and the checksum finished. */
function forwarded(packet: Uint8Array, whole: SuperPacket): Uint8Array {
  const view = new DataView(packet.buffer);
  const isV6 = view.getUint8(0) >> 4 === 6;
  const hops = isV6 ? 7 : 8;
  view.setUint8(hops, view.getUint8(hops) - 1);
  if (!isV6) {
    view.setUint16(10, 0);
    view.setUint16(10, internetChecksum(packet.subarray(0, whole.checksumStart)));
  }
  const sum = internetChecksum(packet.subarray(whole.checksumStart));
  const isUdp = whole.headerLength - whole.checksumStart === 8;
  const field = whole.checksumStart + whole.checksumOffset;
  view.setUint16(field, sum === 0 && isUdp ? 0xffff : sum);
  return packet;
}

function open(name: string, offloads: number, v4: string, v6: string): number {
  const fd = native.tunOpen(name, offloads, new Uint8Array(16));
  if (fd < 0) throw new Error(`tunOpen ${name}: ${native.errnoName(fd)}`);
  writeFileSync(`/proc/sys/net/ipv6/conf/${name}/addr_gen_mode`, "1");
  ip(`address add ${v4} dev ${name}`);
  ip(`-6 address add ${v6} dev ${name} nodad`);
  ip(`link set ${name} up`);
  return fd;
}

function pattern(length: number): Uint8Array {
  return new Random(length).bytes(length);
}
