/**
 * ECN by rule 17: what the outer header of a datagram says, and what becomes of a packet that came in one.
 */
import { classOfPacket, decapsulated } from "../../helpers/ecn-twin.ts";
import type { Packet, Sent } from "./records.ts";

/** TOS of the datagram: a packet's ECN field, and nothing of its DSCP; 0 for all else. */
export function tosOf(sent: Sent): number {
  if (sent.kind !== "data" || sent.content.kind !== "packet") return 0;
  return classOfPacket(sent.content.packet.bytes) & 3;
}

/** The packet as it leaves the tunnel where its datagram came with `tos`; undefined: it is dropped. */
export function takenOver(packet: Packet, tos: number): Packet | undefined {
  const bytes = decapsulated(packet.bytes, tos);
  return bytes && { ...packet, bytes };
}

/**
 * What routers and Eve make of the TOS on the way: one of eight with ECT meets congestion, one of sixty-four that
 * has not is marked all the same. Chosen by the datagram's counter, so that no random draw is spent.
 */
export function remarked(tos: number, bytes: Uint8Array): number {
  const counter = bytes[8] ?? 0;
  if (tos === 0) return counter % 64 === 37 ? 3 : 0;
  if (counter % 8 !== 5) return tos;
  return counter % 16 === 5 ? 3 : 1;
}
