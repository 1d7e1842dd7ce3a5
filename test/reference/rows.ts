/**
 * Batches as the stations fill and read them: datagrams one by one or as runs, packets of 36 bytes.
 */
import {
  type MessageBatch,
  messageBatch,
  type PacketBatch,
  packetBatch,
} from "../../src/core/batch.ts";
import type { TunnelBuffers } from "../../src/core/buffers.ts";
import { MESSAGE, MESSAGE_FIELDS, PACKET, PACKET_FIELDS } from "../../src/core/rows.ts";
import { sealIpv4Header } from "../helpers/packet-builder.ts";
import { type Address, addressOf, type Ip, ipBytes4, ipOf, portOf } from "./model/address.ts";
import type { Packet } from "./model/records.ts";
import type { Arrival } from "./model/state.ts";

/** A datagram that left a tunnel. */
export interface Output {
  readonly type: number;
  readonly to: Address;
  readonly local: Ip;
  readonly bytes: Uint8Array;
  readonly tos: number;
  readonly receiverIndex: number;
  readonly counter: number;
}

/** Rows of a batch, bytes of a datagram's place, datagrams of a run, and datagrams of a batch. */
const ROWS = 16;
const STRIDE = 2_048;
const RUN_DATAGRAMS = 8;
const BATCH_DATAGRAMS = 64;
/** Bytes of a packet's place; no packet here is longer. */
const PACKET_ROOM = 64;
/** The third word of ::ffff:a.b.c.d. */
const MAPPED = new Int32Array(Uint8Array.of(0, 0, 0xff, 0xff).buffer)[0] ?? 0;
const IPV4_HEADER = 20;
const UDP_HEADER = 8;

/** Buffers small enough to be made for every start. */
export function smallBuffers(): TunnelBuffers {
  const datagrams = messageBatch(new Uint8Array(ROWS * STRIDE), ROWS);
  return {
    datagrams,
    datagramStride: STRIDE,
    packets: packetBatch(new Uint8Array(ROWS * PACKET_ROOM), ROWS),
    packetRoom: PACKET_ROOM,
    outgoing: messageBatch(new Uint8Array(ROWS * STRIDE), ROWS),
    delivered: packetBatch(datagrams.arena, BATCH_DATAGRAMS),
    replies: packetBatch(new Uint8Array(ROWS * 1_280), ROWS),
  };
}

/** Makes used buffers fit for another tunnel. */
export function emptied(buffers: TunnelBuffers): TunnelBuffers {
  const { datagrams, packets, outgoing, delivered, replies } = buffers;
  for (const batch of [datagrams, packets, outgoing, delivered, replies]) batch.count = 0;
  return buffers;
}

/** Moves arrivals from the queue into the batch, neighbours that a kernel would join as runs; returns them. */
export function fillDatagrams({ datagrams }: TunnelBuffers, queue: Arrival[]): Arrival[] {
  const batch: Arrival[] = [];
  datagrams.count = 0;
  while (
    queue.length > 0 &&
    datagrams.count < ROWS &&
    batch.length + RUN_DATAGRAMS <= BATCH_DATAGRAMS
  ) {
    const length = runLength(queue);
    const run = queue.splice(0, length);
    fillMessage(datagrams, run);
    batch.push(...run);
  }
  return batch;
}

/** Datagrams at the head of the queue with one source, destination, TOS and size; the last may be shorter. */
function runLength(queue: readonly Arrival[]): number {
  const [first] = queue;
  if (first === undefined) return 0;
  let length = 1;
  for (const next of queue.slice(1, RUN_DATAGRAMS)) {
    const isSame = next.from === first.from && next.local === first.local;
    if (
      !isSame ||
      next.tos !== first.tos ||
      next.bytes.length > first.bytes.length ||
      next.bytes.length === 0
    )
      break;
    length += 1;
    if (next.bytes.length < first.bytes.length) break;
  }
  return first.bytes.length * length > STRIDE ? 1 : length;
}

function fillMessage(batch: MessageBatch, run: readonly Arrival[]): void {
  const { rows, arena } = batch;
  const [first] = run;
  if (first === undefined) return;
  const offset = batch.count * STRIDE;
  let end = offset;
  for (const { bytes } of run) {
    arena.set(bytes, end);
    end += bytes.length;
  }
  const base = batch.count * MESSAGE_FIELDS;
  rows.fill(0, base, base + MESSAGE_FIELDS);
  rows[base + MESSAGE.OFFSET] = offset;
  rows[base + MESSAGE.LENGTH] = end - offset;
  rows[base + MESSAGE.SEGMENT] = run.length > 1 ? first.bytes.length : 0;
  rows[base + MESSAGE.REMOTE + 2] = MAPPED;
  rows[base + MESSAGE.REMOTE + 3] = ipOf(first.from);
  rows[base + MESSAGE.PORT] = portOf(first.from);
  rows[base + MESSAGE.LOCAL + 2] = MAPPED;
  rows[base + MESSAGE.LOCAL + 3] = first.local;
  rows[base + MESSAGE.TOS] = first.tos;
  batch.count += 1;
}

/** Moves packets from the queue into the batch; returns them. */
export function fillPackets({ packets }: TunnelBuffers, queue: Packet[]): Packet[] {
  const taken = queue.splice(0, packets.capacity);
  const { arena, rows } = packets;
  for (const [row, { bytes }] of taken.entries()) {
    const base = row * PACKET_FIELDS;
    arena.set(bytes, row * PACKET_ROOM);
    rows.fill(0, base, base + PACKET_FIELDS);
    rows[base + PACKET.OFFSET] = row * PACKET_ROOM;
    rows[base + PACKET.LENGTH] = bytes.length;
  }
  packets.count = taken.length;
  return taken;
}

/** Copies of the packets for the device; these stations have no offloads, so each row is one. */
export function readDelivered({ rows, arena, count }: PacketBatch): Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (let row = 0; row < count; row += 1) {
    const base = row * PACKET_FIELDS;
    const offset = rows[base + PACKET.OFFSET] ?? 0;
    packets.push(arena.slice(offset, offset + (rows[base + PACKET.LENGTH] ?? 0)));
  }
  return packets;
}

/** Adds copies of the datagrams to send to `outputs`. */
export function readOutputs({ rows, arena, count }: MessageBatch, outputs: Output[]): void {
  for (let row = 0; row < count; row += 1) {
    const base = row * MESSAGE_FIELDS;
    const start = rows[base + MESSAGE.OFFSET] ?? 0;
    const end = start + (rows[base + MESSAGE.LENGTH] ?? 0);
    const size = rows[base + MESSAGE.SEGMENT] || end - start;
    const to = addressOf(
      (rows[base + MESSAGE.REMOTE + 3] ?? 0) >>> 0,
      rows[base + MESSAGE.PORT] ?? 0,
    );
    const local = (rows[base + MESSAGE.LOCAL + 3] ?? 0) >>> 0;
    const tos = rows[base + MESSAGE.TOS] ?? 0;
    for (let at = start; at < end; at += size) {
      outputs.push(outputOf(arena.slice(at, Math.min(at + size, end)), to, local, tos));
    }
  }
}

function outputOf(bytes: Uint8Array, to: Address, local: Ip, tos: number): Output {
  const view = new DataView(bytes.buffer);
  const type = view.getUint8(0);
  return {
    type,
    to,
    local,
    bytes,
    tos,
    receiverIndex: type === 1 ? 0 : view.getUint32(type === 2 ? 8 : 4, true),
    counter: type === 4 ? view.getUint32(8, true) + view.getUint32(12, true) * 2 ** 32 : 0,
  };
}

/** TOS of packets, in turn: each ECN field, one with a DSCP beside it. */
const CLASSES = [0, 2, 0xb8 | 2, 1, 0, 2, 3, 0xb8];

/** An inner packet (RFC 791, RFC 768 without a checksum) that no other equals. */
export function newPacket(number: number, from: Ip, to: Ip): Packet {
  const bytes = new Uint8Array(IPV4_HEADER + UDP_HEADER + 8);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x45;
  bytes[1] = CLASSES[number % CLASSES.length] ?? 0;
  view.setUint16(2, bytes.length);
  bytes[8] = 64;
  bytes[9] = 17;
  bytes.set(ipBytes4(from), 12);
  bytes.set(ipBytes4(to), 16);
  sealIpv4Header(bytes);
  view.setUint16(IPV4_HEADER, 1_000);
  view.setUint16(IPV4_HEADER + 2, 2_000);
  view.setUint16(IPV4_HEADER + 4, UDP_HEADER + 8);
  view.setUint32(IPV4_HEADER + UDP_HEADER, number);
  return { number, from, to, bytes };
}
