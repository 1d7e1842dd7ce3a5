/** How many datagrams or packets a batch holds: a row may be a run of datagrams, or packets that were joined. */
import type { MessageBatch, PacketBatch } from "../core/batch.ts";
import { datagramsIn } from "../core/outbound/message-runs.ts";
import { MESSAGE_FIELDS, PACKET_FIELDS, packetsIn } from "../core/rows.ts";

/** Datagrams of all rows. */
export function datagramsInBatch({ rows, count }: MessageBatch): number {
  let datagrams = 0;
  for (let row = 0; row < count; row++) datagrams += datagramsIn(rows, row * MESSAGE_FIELDS);
  return datagrams;
}

/** Packets of all rows. */
export function packetsInBatch({ rows, count }: PacketBatch): number {
  let packets = 0;
  for (let row = 0; row < count; row++) packets += packetsIn(rows, row * PACKET_FIELDS);
  return packets;
}
