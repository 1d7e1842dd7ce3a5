/**
 * What a receiver may get of packets that were joined: the packets themselves, each flow's in order.
 *
 * Beside gso-twin.ts. The trap: runs of several flows overtake one another, so what is delivered can only be
 * compared flow by flow; `orderOf` finds which packet each one is.
 */
import { emptyUpperLayer, findTransport } from "../../src/core/inner-packet.ts";
import { type Arrived, cutAgain, type Delivered } from "./gso-twin.ts";
import { sealIpv4Header } from "./packet-builder.ts";

/** One packet that was cut from a delivered one. */
export interface Cut {
  readonly bytes: Uint8Array;
  readonly isPartial: boolean;
  /** The first packet of its run as it is cut, and how many come before this one. */
  readonly firstOfRun: Uint8Array;
  readonly place: number;
}

/** All packets, cut, in the order of delivery. */
export function flat(delivered: readonly Delivered[]): readonly Cut[] {
  return delivered.flatMap((packet) => {
    const cut = cutAgain(packet);
    const [firstOfRun = packet.bytes] = cut;
    const isPartial = packet.needsChecksum;
    return cut.map((bytes, place) => ({ bytes, isPartial, firstOfRun, place }));
  });
}

/**
 * The packet as a receiver may see it. RFC 6864 §4.1: the id of a packet that must not be fragmented has
 * no meaning; a run whose ids are all equal is cut with ids that count. Nothing else may differ.
 */
export function withAllowedId(
  original: Uint8Array,
  firstOfRun: Uint8Array,
  place: number,
): Uint8Array {
  const isIpv4 = (original[0] ?? 0) >> 4 === 4;
  const isDontFragment = ((original[6] ?? 0) & 0x40) !== 0;
  if (!isIpv4 || !isDontFragment || place === 0 || idOf(original) !== idOf(firstOfRun)) {
    return original;
  }
  const changed = original.slice();
  const id = (idOf(firstOfRun) + place) & 0xffff;
  changed.set([id >> 8, id & 0xff], 4);
  sealIpv4Header(changed);
  return changed;
}

/** For each packet that is delivered, which of those that arrived it is: the next of its flow. */
export function orderOf(
  packets: readonly Arrived[],
  delivered: readonly Delivered[],
): readonly number[] {
  const waiting = new Map<string, number[]>();
  packets.forEach((packet, index) => {
    const flow = flowOf(packet);
    waiting.set(flow, [...(waiting.get(flow) ?? []), index]);
  });
  return flat(delivered).map((cut) => waiting.get(flowOf(cut))?.shift() ?? -1);
}

/** Addresses, and where the transport is seen protocol and ports. */
function flowOf({ bytes, isPartial }: Arrived): string {
  const upper = emptyUpperLayer();
  if (!isPartial || !findTransport(bytes, 0, bytes.length, upper)) return `${pairOf(bytes)} unseen`;
  const ports = bytes.subarray(upper.start, upper.start + 4).join(".");
  return `${pairOf(bytes)} ${upper.protocol} ${ports}`;
}

/** Both addresses; none of no packet. */
export function pairOf(bytes: Uint8Array = new Uint8Array()): string {
  return ((bytes[0] ?? 0) >> 4 === 4 ? bytes.subarray(12, 20) : bytes.subarray(8, 40)).join(".");
}

function idOf(bytes: Uint8Array): number {
  return ((bytes[4] ?? 0) << 8) | (bytes[5] ?? 0);
}
