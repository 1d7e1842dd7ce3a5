/**
 * What a kernel with offloads does on the host's side of the tunnel: datagrams of one source become a run
 * (UDP_GRO), packets lie one behind another in the TUN's arena, joined packets are cut again.
 *
 * Runs are made as Linux makes them (udp_gro_receive_segment, since 6.9): equal sizes and TOS of one source, a
 * shorter one is the last, at most 64 and what an IP length can tell. What comes out of the tunnel is read by the twins of
 * test/helpers, which refuse rows that a kernel would refuse. The trap: an IPv4 UDP checksum that comes out
 * as zero is written as 0xffff (RFC 768).
 */
import type { MessageBatch, PacketBatch } from "../../src/core/batch.ts";
import {
  MESSAGE,
  MESSAGE_FIELDS,
  MESSAGE_TRUNCATED,
  PACKET,
  PACKET_FIELDS,
  PACKET_NEEDS_CHECKSUM,
} from "../../src/core/rows.ts";
import { ipBytes, type SocketAddress } from "../helpers/address.ts";
import { cutAgain, type Delivered, readDelivered } from "../helpers/gso-twin.ts";
import { concat } from "../helpers/packet-builder.ts";
import { internetChecksum } from "../helpers/packets.ts";

/** A packet that the host's kernel hands to the TUN. */
export interface TunPacket {
  readonly bytes: Uint8Array;
  /** PACKET_NEEDS_CHECKSUM with where the sum starts and lies; absent: a finished packet. */
  readonly checksum?: { readonly start: number; readonly offset: number };
  /** A super-packet: one of `GSO`, and payload bytes of each segment. */
  readonly gso?: { readonly type: number; readonly size: number };
}

/** What one message row of the socket holds: a datagram, or a run of them. */
export interface SocketMessage {
  readonly from: SocketAddress;
  readonly to: SocketAddress;
  readonly bytes: Uint8Array;
  /** Bytes of each datagram of a run but the last; absent: one datagram. */
  readonly segment?: number;
  /** TOS or traffic class of all; 0 if absent. */
  readonly tos?: number;
}

const RUN_DATAGRAMS = 64;
const RUN_BYTES = 65_507;
const PACKET_ALIGN = 64;

/** Joins neighbours of the queue into runs; messages that are runs already stay as they are. */
export function withRuns(queue: readonly SocketMessage[]): SocketMessage[] {
  const messages: SocketMessage[] = [];
  let run: SocketMessage[] = [];
  for (const message of queue) {
    if (!goesOn(run, message)) {
      messages.push(...asMessage(run));
      run = [];
    }
    run.push(message);
  }
  return [...messages, ...asMessage(run)];
}

function goesOn(run: readonly SocketMessage[], next: SocketMessage): boolean {
  const [first, last] = [run[0], run.at(-1)];
  if (first === undefined || last === undefined) return true;
  if (first.segment !== undefined || next.segment !== undefined) return false;
  const bytes = run.reduce((sum, message) => sum + message.bytes.length, next.bytes.length);
  return (
    isSamePath(first, next) &&
    last.bytes.length === first.bytes.length &&
    next.bytes.length > 0 &&
    next.bytes.length <= first.bytes.length &&
    run.length < RUN_DATAGRAMS &&
    bytes <= RUN_BYTES
  );
}

function isSamePath(a: SocketMessage, b: SocketMessage): boolean {
  const isSame = (one: SocketAddress, other: SocketAddress) =>
    one.ip === other.ip && one.port === other.port;
  return isSame(a.from, b.from) && isSame(a.to, b.to) && (a.tos ?? 0) === (b.tos ?? 0);
}

function asMessage(run: readonly SocketMessage[]): readonly SocketMessage[] {
  const [first] = run;
  if (first === undefined || run.length === 1) return run;
  const bytes = concat(...run.map((message) => message.bytes));
  return [{ ...first, bytes, segment: first.bytes.length }];
}

/** Fills the batch with messages as the socket gives them; what is longer than a slot is truncated. */
export function fillMessages(
  batch: MessageBatch,
  stride: number,
  messages: readonly SocketMessage[],
): void {
  const { rows, arena } = batch;
  messages.forEach((message, index) => {
    const offset = index * stride;
    const length = Math.min(message.bytes.length, stride);
    arena.set(message.bytes.subarray(0, length), offset);
    const base = index * MESSAGE_FIELDS;
    rows.fill(0, base, base + MESSAGE_FIELDS);
    rows[base + MESSAGE.OFFSET] = offset;
    rows[base + MESSAGE.LENGTH] = length;
    rows[base + MESSAGE.SEGMENT] = message.segment ?? 0;
    rows[base + MESSAGE.STATUS] = message.bytes.length > length ? MESSAGE_TRUNCATED : 0;
    rows[base + MESSAGE.PORT] = message.from.port;
    rows[base + MESSAGE.DEVICE] = 2;
    rows[base + MESSAGE.TOS] = message.tos ?? 0;
    writeAddress(rows, base + MESSAGE.REMOTE, message.from.ip);
    writeAddress(rows, base + MESSAGE.LOCAL, message.to.ip);
  });
  batch.count = messages.length;
}

/** Fills the batch as the TUN is read, one packet behind another; returns how many packets of the queue it took. */
export function fillPackets(batch: PacketBatch, room: number, queue: readonly TunPacket[]): number {
  const { arena, rows } = batch;
  let offset = 0;
  batch.count = 0;
  for (const { bytes, checksum, gso } of queue) {
    if (batch.count === batch.capacity || arena.length - offset < room) break;
    if (bytes.length > room) throw new Error(`a TUN of this MTU reads no ${bytes.length} bytes`);
    const base = batch.count * PACKET_FIELDS;
    arena.set(bytes, offset);
    rows.fill(0, base, base + PACKET_FIELDS);
    rows[base + PACKET.OFFSET] = offset;
    rows[base + PACKET.LENGTH] = bytes.length;
    rows[base + PACKET.FLAGS] = checksum === undefined ? 0 : PACKET_NEEDS_CHECKSUM;
    rows[base + PACKET.CHECKSUM_START] = checksum?.start ?? 0;
    rows[base + PACKET.CHECKSUM_OFFSET] = checksum?.offset ?? 0;
    rows[base + PACKET.GSO_TYPE] = gso?.type ?? 0;
    rows[base + PACKET.GSO_SIZE] = gso?.size ?? 0;
    // A hint that may be anything; nobody may rely on it.
    rows[base + PACKET.HEADER_LENGTH] = gso === undefined ? 0 : 77;
    offset += Math.ceil(bytes.length / PACKET_ALIGN) * PACKET_ALIGN;
    batch.count += 1;
  }
  return batch.count;
}

/** The packets that the kernel makes of what the tunnel writes, cut and with their checksums finished. */
export function packetsWritten({ arena, rows, count }: PacketBatch): Uint8Array[] {
  return readDelivered(arena, rows, count).flatMap((packet) =>
    cutAgain(packet).map((bytes) => finished(bytes, packet)),
  );
}

/** What a kernel does with a packet that came with VIRTIO_NET_HDR_F_NEEDS_CSUM. */
function finished(bytes: Uint8Array, packet: Delivered): Uint8Array {
  if (!packet.needsChecksum) return bytes;
  const { checksumStart, checksumOffset } = packet;
  const sum = internetChecksum(bytes.subarray(checksumStart));
  const isUdp = checksumOffset === 6;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint16(checksumStart + checksumOffset, isUdp && sum === 0 ? 0xffff : sum);
  return bytes;
}

function writeAddress(rows: Int32Array, index: number, ip: string): void {
  new Uint8Array(rows.buffer, rows.byteOffset + index * 4, 16).set(ipBytes(ip));
}
