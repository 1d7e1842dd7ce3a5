/**
 * Scenarios of the TUN functions, run in a namespace of their own (tun.test.ts asserts on the facts).
 *
 * Each has its own device and its own 10.x.0.0/24 network behind it.
 */
import { messageBatch, packetBatch } from "../../src/core/batch.ts";
import { MESSAGE, PACKET, PACKET_FIELDS, PACKET_NEEDS_CHECKSUM } from "../../src/core/rows.ts";
import {
  address,
  bringUp,
  checksum,
  column,
  icmp,
  ip,
  ipv4,
  onesSum,
  outgoing,
  packetsToWrite,
  pattern,
  textOf,
  udp,
} from "./namespace.ts";
import { testNative } from "./native.ts";
import { nameOrZero } from "./sockets.ts";

const native = testNative();
const ANY = new Uint8Array(16);
const STRIDE = 256;
/** TUN_F_CSUM of linux/if_tun.h. */
const TUN_F_CSUM = 1;

/** Names: as asked for, by the kernel, and what is refused. */
export async function names() {
  const out = new Uint8Array(16);
  const fd = native.tunOpen("names0", 0, out);
  const given = text(out);
  const busy = native.errnoName(native.tunOpen("names0", 0, out));
  const automatic = native.tunOpen("", 0, out);
  const facts = {
    isOpen: fd >= 0,
    given,
    busy,
    automatic: text(out),
    longest: native.tunOpen("fifteen-bytes-x", 0, out) >= 0,
    tooLong: native.errnoName(native.tunOpen("sixteen-bytes-xy", 0, out)),
    nulInside: native.errnoName(native.tunOpen("nul\0inside", 0, out)),
    slash: native.errnoName(native.tunOpen("a/b", 0, out)),
    notTun: native.errnoName(native.tunOpen("lo", 0, out)),
    shortOut: native.errnoName(native.tunOpen("names1", 0, new Uint8Array(15))),
  };
  native.close(fd);
  native.close(automatic);
  return facts;
}

/** A closed device is gone; a closed descriptor is an error, not a crash. */
export async function closed() {
  const fd = open("closed0");
  const first = native.close(fd);
  const batch = packetBatch(new Uint8Array(STRIDE), 1);
  return {
    first,
    second: native.errnoName(native.close(fd)),
    read: native.errnoName(native.tunRead(fd, batch.arena, STRIDE, batch.rows, 1)),
    write: status(fd, [ipv4(17, "10.1.0.2", "10.1.0.1", udp(1, 2, pattern(4)))]),
    devices: ip("-brief link show").includes("closed0"),
  };
}

/** Reads in order, one behind another, no more rows than asked for, then EAGAIN. */
export async function reads() {
  const fd = open("reads0");
  bringUp("reads0", "10.2.0.1/24");
  const batch = packetBatch(new Uint8Array(8 * STRIDE), 8);
  const read = (capacity: number) => native.tunRead(fd, batch.arena, STRIDE, batch.rows, capacity);
  const empty = native.errnoName(read(8));
  send("10.2.0.2", [pattern(10, 1), pattern(20, 2), pattern(30, 3)]);
  const first = read(2);
  const offsets = column(batch.rows, PACKET_FIELDS, PACKET.OFFSET, 2);
  const lengths = column(batch.rows, PACKET_FIELDS, PACKET.LENGTH, 2);
  const bodies = offsets.map((offset, row) =>
    Buffer.from(batch.arena.subarray(offset + 28, offset + (lengths[row] ?? 0))).toString("hex"),
  );
  const second = read(8);
  const last = batch.rows[PACKET.LENGTH];
  const drained = native.errnoName(read(8));
  native.close(fd);
  return { empty, first, offsets, lengths, bodies, second, last, drained };
}

/** A packet longer than the room for one is cut and says so; what lies round the packets stays. */
export async function cut() {
  const fd = open("cut0");
  bringUp("cut0", "10.3.0.1/24");
  const memory = new Uint8Array(4 * 64).fill(0xee);
  const rows = new Int32Array(4 * PACKET_FIELDS);
  const read = (bytes: number) => {
    const payloads = [pattern(36, 1), pattern(37, 2), pattern(37, 3)];
    send("10.3.0.2", payloads);
    const arena = memory.subarray(0, bytes);
    const count = native.tunRead(fd, arena, 64, rows, 3);
    const bodies = [0, 1, 2].map((n) => memory.subarray(n * 64 + 28, n * 64 + 64));
    return {
      count,
      lengths: column(rows, PACKET_FIELDS, PACKET.LENGTH, 3),
      status: column(rows, PACKET_FIELDS, PACKET.STATUS, 3).map(nameOrZero),
      isKept: bodies.map((body, n) => Buffer.compare(body, payloads[n]?.subarray(0, 36) ?? body)),
    };
  };
  const inTightArena = read(3 * 64);
  const isUntouched = memory.subarray(3 * 64).every((byte) => byte === 0xee);
  const inWideArena = read(4 * 64);
  const isUntouchedButOne = memory.subarray(3 * 64 + 1).every((byte) => byte === 0xee);
  const facts = { inTightArena, isUntouched, inWideArena, isUntouchedButOne };
  native.close(fd);
  return facts;
}

/** Packets of any length start at multiples of 64, and reading ends where the room does. */
export async function packing() {
  const fd = open("packing0");
  bringUp("packing0", "10.12.0.1/24");
  const payloads = [1, 36, 37, 100, 101, 36, 36].map((length, n) => pattern(length, n));
  send("10.12.0.2", payloads);
  const arena = new Uint8Array(576 + 129).fill(0xee);
  const rows = new Int32Array(8 * PACKET_FIELDS);
  const count = native.tunRead(fd, arena, 129, rows, 8);
  const offsets = column(rows, PACKET_FIELDS, PACKET.OFFSET, count);
  const lengths = column(rows, PACKET_FIELDS, PACKET.LENGTH, count);
  const isWhole = offsets.map((offset, row) => {
    const body = arena.subarray(offset + 28, offset + (lengths[row] ?? 0));
    return Buffer.compare(body, payloads[row] ?? body) === 0;
  });
  const rest = native.tunRead(fd, arena, 129, rows, 8);
  const facts = { count, offsets, lengths, isWhole, rest };
  native.close(fd);
  return facts;
}

/** Arguments that do not fit together never reach the kernel. */
export async function badArguments() {
  const fd = open("bad0");
  const arena = new Uint8Array(1000);
  const rows = new Int32Array(4 * PACKET_FIELDS);
  const read = (room: number, capacity: number, into = arena) =>
    native.errnoName(native.tunRead(fd, into, room, rows, capacity));
  const facts = {
    roomPastArena: read(1001, 1),
    rowsPastArray: read(100, 5),
    noRoom: read(0, 1),
    negativeRoom: read(-1, 1),
    hugeRoom: read(0x7fffffff, 1),
    emptyArena: read(1, 1, new Uint8Array(0)),
    negativeCapacity: read(100, -1),
    hugeCapacity: read(100, 0x7fffffff),
    noCapacity: native.tunRead(fd, arena, 100, rows, 0),
    writeRows: native.errnoName(native.tunWrite(fd, arena, rows, 5)),
    writeNegative: native.errnoName(native.tunWrite(fd, arena, rows, -1)),
    writeNothing: native.tunWrite(fd, arena, rows, 0),
    types: [
      messageOf(() => native.tunRead(fd, rows as never, 1, rows, 1)),
      messageOf(() => native.tunRead(fd, arena, 1, arena as never, 1)),
      messageOf(() => native.tunRead("1" as never, arena, 1, rows, 1)),
      messageOf(() => (native.tunRead as unknown as () => number)()),
      messageOf(() => native.tunOpen(1 as never, 0, arena)),
    ],
  };
  native.close(fd);
  return facts;
}

/** An unfinished checksum is finished by the kernel's stack, both ways. */
export async function partialChecksums() {
  const fd = open("sums0", TUN_F_CSUM);
  bringUp("sums0", "10.6.0.1/24");
  const info = new Int32Array(4);
  const socket = native.udpOpen(address("10.6.0.1"), 0, 0, "", 0, info);
  const datagram = udp(5555, info[0] ?? 0, pattern(21));
  const packet = ipv4(17, "10.6.0.2", "10.6.0.1", datagram);
  const pseudo = Buffer.concat([packet.subarray(12, 20), Buffer.from([0, 17, 0, datagram.length])]);
  packet.writeUInt16BE(onesSum(pseudo), 26);
  const batch = packetsToWrite([packet]);
  batch.rows[PACKET.FLAGS] = PACKET_NEEDS_CHECKSUM;
  batch.rows[PACKET.CHECKSUM_START] = 20;
  batch.rows[PACKET.CHECKSUM_OFFSET] = 6;
  const written = native.tunWrite(fd, batch.arena, batch.rows, 1);
  const received = messageBatch(new Uint8Array(STRIDE), 1);
  const arrived = native.udpReceive(socket, received.arena, STRIDE, received.rows, 1, STRIDE);
  send("10.6.0.2", [pattern(9)]);
  const read = packetBatch(new Uint8Array(STRIDE), 1);
  native.tunRead(fd, read.arena, STRIDE, read.rows, 1);
  const facts = {
    written,
    arrived,
    length: received.rows[MESSAGE.LENGTH],
    from: textOf(received.rows, 0, MESSAGE.REMOTE),
    readFlags: read.rows[PACKET.FLAGS],
    readStart: read.rows[PACKET.CHECKSUM_START],
    readOffset: read.rows[PACKET.CHECKSUM_OFFSET],
  };
  native.close(socket);
  native.close(fd);
  return facts;
}

/** Without offloads what is read has complete checksums and no flags. */
export async function noOffloads() {
  const fd = open("plain0");
  bringUp("plain0", "10.7.0.1/24");
  send("10.7.0.2", [pattern(9)]);
  const batch = packetBatch(new Uint8Array(STRIDE), 1);
  native.tunRead(fd, batch.arena, STRIDE, batch.rows, 1);
  const packet = batch.arena.subarray(0, batch.rows[PACKET.LENGTH]);
  const pseudo = [...packet.subarray(12, 20), 0, 17, 0, packet.length - 20];
  native.close(fd);
  return {
    flags: batch.rows[PACKET.FLAGS],
    residue: checksum(Uint8Array.from([...pseudo, ...packet.subarray(20), 0])),
  };
}

/** Link down: writes fail with EIO, reads are empty; up again, everything works. */
export async function linkDown() {
  const fd = open("down0");
  const request = ipv4(1, "10.8.0.2", "10.8.0.1", icmp(8, 0, pattern(8)));
  const batch = packetBatch(new Uint8Array(STRIDE), 1);
  const read = () => native.tunRead(fd, batch.arena, STRIDE, batch.rows, 1);
  const beforeUp = status(fd, [request]);
  bringUp("down0", "10.8.0.1/24");
  const whileUp = status(fd, [request]);
  const reply = read();
  ip("link set down0 down");
  const whileDown = status(fd, [request, request]);
  const readDown = native.errnoName(read());
  ip("link set down0 up");
  const again = status(fd, [request]);
  native.close(fd);
  return { beforeUp, whileUp, reply, whileDown, readDown, again };
}

/** Deleted: every call says EBADFD, again and again. */
export async function deleted() {
  const fd = open("deleted0");
  bringUp("deleted0", "10.9.0.1/24");
  ip("link delete deleted0");
  const batch = packetBatch(new Uint8Array(STRIDE), 1);
  const read = () => native.errnoName(native.tunRead(fd, batch.arena, STRIDE, batch.rows, 1));
  const write = () => status(fd, [ipv4(1, "10.9.0.2", "10.9.0.1", icmp(8, 0, pattern(8)))]);
  const facts = { read: [read(), read()], write: [...write(), ...write()] };
  native.close(fd);
  return facts;
}

function open(name: string, offloads = 0): number {
  const fd = native.tunOpen(name, offloads, new Uint8Array(16));
  if (fd < 0) throw new Error(`tunOpen ${name}: ${native.errnoName(fd)}`);
  return fd;
}

/** Writes packets and names each STATUS. */
function status(fd: number, packets: readonly Uint8Array[]): string[] {
  const batch = packetsToWrite(packets);
  native.tunWrite(fd, batch.arena, batch.rows, batch.count);
  return column(batch.rows, PACKET_FIELDS, PACKET.STATUS, batch.count).map(nameOrZero);
}

/** Sends datagrams from a socket of this host to an address behind the device. */
function send(to: string, payloads: readonly Uint8Array[]): void {
  const socket = native.udpOpen(ANY, 0, 0, "", 0, new Int32Array(4));
  const batch = outgoing(payloads.map((bytes) => ({ bytes, to, port: 9 })));
  const sent = native.udpSend(socket, batch.arena, batch.rows, batch.count);
  native.close(socket);
  if (sent !== payloads.length) throw new Error(`sent ${sent} of ${payloads.length}`);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString();
}

function messageOf(call: () => unknown): string {
  try {
    return `returned ${call()}`;
  } catch (error) {
    return error instanceof TypeError ? error.message : String(error);
  }
}
