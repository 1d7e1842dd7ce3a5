/**
 * The ECN field the plain way: RFC 6040's egress as rules instead of a table, a checksum made anew.
 *
 * For packets of either version without the mark of DATA's first byte. The twin of src/core/ecn.ts.
 */
import { sealIpv4Header } from "./packet-builder.ts";

/** The ECN field's values in the order of RFC 6040's figure 4, with their names. */
export const FIELDS = [
  ["Not-ECT", 0],
  ["ECT(0)", 2],
  ["ECT(1)", 1],
  ["CE", 3],
] as const;

const [NOT_ECT, ECT0, ECT1, CE] = [0, 2, 1, 3];

/**
 * The field of the packet that leaves the tunnel (RFC 6040 §4.2); undefined: it is dropped. An end that knows no
 * ECN must lose what met congestion; else the outer field goes on where it says more than the inner one.
 */
export function outgoingField(inner: number, outer: number): number | undefined {
  if (outer === CE) return inner === NOT_ECT ? undefined : CE;
  if (outer === ECT1 && inner === ECT0) return ECT1;
  return inner;
}

/** What must leave the tunnel of a packet that came with an outer TOS. */
export function decapsulated(packet: Uint8Array, outerTos: number): Uint8Array | undefined {
  const field = outgoingField(classOfPacket(packet) & 3, outerTos & 3);
  return field === undefined
    ? undefined
    : withClass(packet, (classOfPacket(packet) & 0xfc) | field);
}

/** TOS or traffic class. */
export function classOfPacket(packet: Uint8Array): number {
  const [first = 0, second = 0] = packet;
  return first >> 4 === 4 ? second : ((first << 4) | (second >> 4)) & 0xff;
}

/** A copy with another TOS or traffic class, its header checksum made anew. */
export function withClass(packet: Uint8Array, value: number): Uint8Array {
  const copy = packet.slice();
  if (value === classOfPacket(packet)) return copy;
  const [first = 0, second = 0] = packet;
  if (first >> 4 === 4) {
    copy[1] = value;
    sealIpv4Header(copy);
  } else {
    copy.set([(first & 0xf0) | (value >> 4), ((value & 0x0f) << 4) | (second & 0x0f)]);
  }
  return copy;
}
