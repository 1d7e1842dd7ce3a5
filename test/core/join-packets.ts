/**
 * Packets for the rules of joining: flows of full segments, and pairs that are joined but for one change.
 *
 * What is done with them stands in join.test.ts and join-apart.test.ts. The trap: a change that is meant for one
 * field must not touch another, so each packet is built anew from its description.
 */
import { expect } from "vitest";
import { type Arrived, cutAgain, type Delivered } from "../helpers/gso-twin.ts";
import { buildPacket, type PacketSpec, PLAIN_SPEC } from "../helpers/packet-builder.ts";
import { Random } from "../helpers/random.ts";
import { join } from "./join-streams.ts";

/** Payload bytes of a full segment. */
export const FULL = 1000;
/** What makes a flow one of IPv6, or of UDP. */
export const V6 = { source: "fd00::1", destination: "fd00::2" } as const;
export const UDP = { protocol: "udp" } as const;

/** What is said of a packet beside what `PLAIN_SPEC` says. */
export type Changes = Partial<PacketSpec>;

/** A packet of `FULL` bytes of payload unless told otherwise. */
export function built(changes: Changes): Arrived {
  const spec = { payload: new Random(3).bytes(FULL), ...changes };
  return { bytes: buildPacket(spec).bytes, isPartial: spec.isPartial ?? true };
}

/** Packets of one flow, one after another, with payloads of these sizes. */
export function run(flow: Changes, sizes: readonly number[]): readonly Arrived[] {
  const start = { ...PLAIN_SPEC, ...flow };
  let { sequence } = start;
  return sizes.map((size, index) => {
    const payload = new Random(index).bytes(size);
    const packet = built({ ...start, payload, sequence, id: (start.id + index) & 0xffff });
    sequence = (sequence + size) >>> 0;
    return packet;
  });
}

/** Two packets of a flow that would be joined but for the changes of the second. */
export function pair(flow: Changes, second: Changes): readonly [Arrived, Arrived] {
  const start = { ...PLAIN_SPEC, ...flow };
  const next = { sequence: start.sequence + FULL, id: start.id + 1 };
  return [
    built({ payload: new Uint8Array(FULL), ...flow }),
    built({ ...flow, ...next, ...second }),
  ];
}

/** Full segments of one TCP flow, each with changes of its own. */
export function consecutive(
  count: number,
  changes: (index: number) => Changes,
): readonly Arrived[] {
  return Array.from({ length: count }, (_, index) =>
    built({ sequence: 1 + index * FULL, id: 1000 + index, ...changes(index) }),
  );
}

/** How many packets each delivered one was made of. */
export function partsOf(packets: readonly Arrived[]): readonly number[] {
  return join(packets).map(({ parts }) => parts);
}

/** What was delivered, cut again, is `packets`, byte for byte. */
export function expectCut(delivered: readonly Delivered[], packets: readonly Arrived[]): void {
  const cut = delivered.flatMap((packet) => cutAgain(packet));
  expect(cut.map(hex)).toEqual(packets.map(({ bytes }) => hex(bytes)));
}

/** As hexadecimal text. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
