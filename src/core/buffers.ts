/**
 * The batches a tunnel works on: how many rows, how many bytes, and why.
 *
 * A turn moves about a quarter of a mebibyte a batch: enough for 128 packets of usual size or four
 * super-packets of 64 KiB, and little enough to stay in a core's second-level cache from the read to the
 * send. The trap: arenas are address space until they are touched; a slot of 64 KiB that holds 1,400 bytes
 * costs one page.
 */

import { type MessageBatch, messageBatch, type PacketBatch, packetBatch } from "./batch.ts";
import { JOINED_BYTES } from "./constants.ts";
import { REPLY_BYTES } from "./outbound/send.ts";
import { DATA_OVERHEAD } from "./wire.ts";

/** Rows of each batch of datagrams and packets. */
export const BATCH_ROWS = 128;
/** Bytes of packets that a batch holds at least, where they are super-packets. */
const BATCH_BYTES = 256 * 1024;
/** Datagrams of a received run at most (UDP_MAX_SEGMENTS of Linux 6.8; 64 before). */
const RUN_DATAGRAMS = 128;
/** Bytes of a super-packet, and of a received run of datagrams (UDP_GRO), at most. */
const SUPER_BYTES = 65_536;
/** ICMP errors made in one batch at most. */
const REPLY_ROWS = 16;
/** Messages in one batch to send: a super-packet cut small takes many. */
const OUTGOING_ROWS = 512;
/** How much longer sealed segments may be than the super-packets they come from: MSS 48 and up, RFC 9293's 536 with ease. */
const SEALED_RATIO = 3;
/** Bytes by which a datagram slot is longer than the longest valid datagram, so that a longer one shows as truncated. */
const SLOT_SLACK = 64;
/** Packets and slots start on their own cache line. */
const ALIGN = 64;

export interface TunnelBuffers {
  /** In: datagrams received; row i lies at i * `datagramStride`. Opened in place. */
  readonly datagrams: MessageBatch;
  readonly datagramStride: number;
  /** In: packets read from the TUN, of up to `packetRoom` bytes, one behind another. */
  readonly packets: PacketBatch;
  readonly packetRoom: number;
  /** Out: datagrams to send. */
  readonly outgoing: MessageBatch;
  /** Out: packets to write to the TUN, lying in the datagrams' arena. */
  readonly delivered: PacketBatch;
  /** Out: ICMP errors to write to the TUN, in an arena of their own. */
  readonly replies: PacketBatch;
}

export interface BufferOptions {
  /** Largest inner packet, bytes. */
  readonly mtu: number;
  /** The TUN may give super-packets. */
  readonly superPackets: boolean;
  /** The socket may give runs of datagrams. */
  readonly gro: boolean;
  readonly rows?: number;
}

/** Buffers for what device and socket may give. */
export function tunnelBuffers({
  mtu,
  superPackets,
  gro,
  rows = BATCH_ROWS,
}: BufferOptions): TunnelBuffers {
  const packetRoom = aligned(superPackets ? Math.max(SUPER_BYTES, mtu) : mtu);
  const packetBytes = Math.max(rows * aligned(mtu), superPackets ? BATCH_BYTES : 0);
  const datagramBytes = aligned(mtu + DATA_OVERHEAD + SLOT_SLACK);
  // Not a power of two, so that slots do not all fall into the same lines of a cache.
  const datagramStride = gro ? Math.max(SUPER_BYTES + ALIGN, datagramBytes) : datagramBytes;
  const datagrams = messageBatch(new Uint8Array(rows * datagramStride + JOINED_BYTES), rows);
  return {
    datagrams,
    datagramStride,
    packets: packetBatch(new Uint8Array(Math.max(packetBytes, packetRoom)), rows),
    packetRoom,
    outgoing: superPackets
      ? messageBatch(new Uint8Array(packetBytes * SEALED_RATIO), OUTGOING_ROWS)
      : messageBatch(new Uint8Array(rows * (mtu + DATA_OVERHEAD)), rows),
    delivered: packetBatch(datagrams.arena, gro ? rows * RUN_DATAGRAMS : rows),
    replies: packetBatch(new Uint8Array(REPLY_ROWS * REPLY_BYTES), REPLY_ROWS),
  };
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGN) * ALIGN;
}
