/**
 * What scenarios share: the `ip` command, addresses as row words, and packets made by hand.
 *
 * Only for code that runs inside a namespace of its own (isolated.ts). Sources: RFC 791, RFC 768,
 * RFC 792, RFC 1071.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import {
  type MessageBatch,
  messageBatch,
  type PacketBatch,
  packetBatch,
} from "../../src/core/batch.ts";
import { MESSAGE, MESSAGE_FIELDS, PACKET, PACKET_FIELDS } from "../../src/core/rows.ts";

/** Runs `ip` with words split at spaces; throws with its message. */
export function ip(words: string): string {
  return execFileSync("ip", words.split(" "), { encoding: "utf8", stdio: "pipe" });
}

/** Brings a TUN up with an IPv4 address and without the kernel's own IPv6 chatter. */
export function bringUp(device: string, address: string): void {
  writeFileSync(`/proc/sys/net/ipv6/conf/${device}/disable_ipv6`, "1");
  ip(`address add ${address} dev ${device}`);
  ip(`link set ${device} up`);
}

/** Waits for the kernel, in real milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** 16 bytes of an address; IPv4 mapped. IPv6 only as `prefix::last`, in hexadecimal groups. */
export function address(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  if (isIPv4(text)) {
    bytes.set([0xff, 0xff], 10);
    bytes.set(text.split(".").map(Number), 12);
    return bytes;
  }
  const [head = "", tail = ""] = text.split("::");
  const last = groupsOf(tail);
  writeGroups(bytes, 0, groupsOf(head));
  writeGroups(bytes, 16 - 2 * last.length, last);
  return bytes;
}

function groupsOf(part: string): number[] {
  return part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
}

function writeGroups(bytes: Uint8Array, at: number, groups: readonly number[]): void {
  const view = new DataView(bytes.buffer);
  for (const [index, group] of groups.entries()) view.setUint16(at + 2 * index, group);
}

/** The four words of an address as they lie in rows. */
function words(text: string): Int32Array {
  return new Int32Array(address(text).buffer);
}

/** The address in a row as text: dotted IPv4, or 32 hexadecimal digits. */
export function textOf(rows: Int32Array, base: number, field: number): string {
  const bytes = Buffer.from(rows.slice(base + field, base + field + 4).buffer);
  const isMapped = bytes.subarray(0, 12).toString("hex") === "00000000000000000000ffff";
  return isMapped ? bytes.subarray(12).join(".") : bytes.toString("hex");
}

/** What one datagram to send says. */
export interface Outgoing {
  readonly bytes: Uint8Array;
  readonly to: string;
  readonly port: number;
  readonly from?: string;
  readonly device?: number;
  readonly scope?: number;
  readonly tos?: number;
  readonly segment?: number;
  readonly flags?: number;
  readonly hops?: number;
}

/** A message batch that holds `list`, one after another. */
export function outgoing(list: readonly Outgoing[]): MessageBatch {
  const arena = new Uint8Array(list.reduce((sum, { bytes }) => sum + bytes.length, 0));
  const batch = messageBatch(arena, list.length);
  let offset = 0;
  for (const one of list) {
    const row = batch.rows.subarray(batch.count * MESSAGE_FIELDS);
    arena.set(one.bytes, offset);
    row[MESSAGE.OFFSET] = offset;
    row[MESSAGE.LENGTH] = one.bytes.length;
    row[MESSAGE.SEGMENT] = one.segment ?? 0;
    row[MESSAGE.STATUS] = 12345;
    row.set(words(one.to), MESSAGE.REMOTE);
    row[MESSAGE.PORT] = one.port;
    row[MESSAGE.SCOPE] = one.scope ?? 0;
    if (one.from !== undefined) row.set(words(one.from), MESSAGE.LOCAL);
    row[MESSAGE.DEVICE] = one.device ?? 0;
    row[MESSAGE.TOS] = one.tos ?? 0;
    row[MESSAGE.FLAGS] = one.flags ?? 0;
    row[MESSAGE.HOPS] = one.hops ?? 0;
    offset += one.bytes.length;
    batch.count++;
  }
  return batch;
}

/** A packet batch that holds `packets`, one a row, flags zero. */
export function packetsToWrite(packets: readonly Uint8Array[]): PacketBatch {
  const batch = packetBatch(Buffer.concat(packets), packets.length);
  let offset = 0;
  for (const packet of packets) {
    const base = batch.count * PACKET_FIELDS;
    batch.rows[base + PACKET.OFFSET] = offset;
    batch.rows[base + PACKET.LENGTH] = packet.length;
    batch.rows[base + PACKET.STATUS] = 12345;
    offset += packet.length;
    batch.count++;
  }
  return batch;
}

/** Copies of the first `count` packets of a batch; none for a negative count. */
export function packetsIn(batch: PacketBatch, count: number): Buffer[] {
  return Array.from({ length: Math.max(count, 0) }, (_, row) => {
    const base = row * PACKET_FIELDS;
    const offset = batch.rows[base + PACKET.OFFSET] ?? 0;
    const length = batch.rows[base + PACKET.LENGTH] ?? 0;
    return Buffer.from(batch.arena.subarray(offset, offset + length));
  });
}

/** One field of every row in use. */
export function column(rows: Int32Array, fields: number, field: number, count: number): number[] {
  return Array.from({ length: count }, (_, row) => rows[row * fields + field] ?? Number.NaN);
}

/** `length` bytes that differ from place to place. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + seed * 31) & 0xff);
}

/** An IPv4 packet; the header checksum is right. */
export function ipv4(
  protocol: number,
  source: string,
  destination: string,
  body: Uint8Array,
): Buffer {
  const packet = Buffer.alloc(20 + body.length);
  packet.writeUInt8(0x45, 0);
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt8(64, 8);
  packet.writeUInt8(protocol, 9);
  packet.set(source.split(".").map(Number), 12);
  packet.set(destination.split(".").map(Number), 16);
  packet.writeUInt16BE(checksum(packet.subarray(0, 20)), 10);
  packet.set(body, 20);
  return packet;
}

/** A UDP datagram without checksum. */
export function udp(sourcePort: number, port: number, payload: Uint8Array): Buffer {
  const datagram = Buffer.alloc(8 + payload.length);
  datagram.writeUInt16BE(sourcePort, 0);
  datagram.writeUInt16BE(port, 2);
  datagram.writeUInt16BE(datagram.length, 4);
  datagram.set(payload, 8);
  return datagram;
}

/** An ICMP message of type and code, with `rest` behind its checksum. */
export function icmp(type: number, code: number, rest: Uint8Array): Buffer {
  const message = Buffer.alloc(4 + rest.length);
  message.writeUInt8(type, 0);
  message.writeUInt8(code, 1);
  message.set(rest, 4);
  message.writeUInt16BE(checksum(message), 2);
  return message;
}

/** The Internet checksum, RFC 1071. */
export function checksum(bytes: Uint8Array): number {
  return ~onesSum(bytes) & 0xffff;
}

/** The folded one's complement sum before it is inverted. */
export function onesSum(bytes: Uint8Array): number {
  let sum = 0;
  bytes.forEach((byte, index) => {
    sum += index % 2 === 0 ? byte << 8 : byte;
  });
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}
