/**
 * The ECN field of RFC 6040 on the bytes of packets: each of figure 4's 16 cells, and runs against the plain twin.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { correctIpv4Checksum } from "../../src/core/checksum.ts";
import { ECN, isMark, takeOuterEcn } from "../../src/core/ecn.ts";
import {
  classOfPacket,
  decapsulated,
  FIELDS,
  outgoingField,
  withClass,
} from "../helpers/ecn-twin.ts";
import { buildPacket, concat, sealIpv4Header } from "../helpers/packet-builder.ts";
import { toHex } from "../vectors/vectors.ts";

const { NOT_ECT, ECT1, ECT0, CE } = ECN;
const DROPPED = undefined;
/** DSCP EF (RFC 3246), in its place. */
const EF = 0xb8;
const FAMILIES = {
  IPv4: { source: "10.0.0.1", destination: "10.0.0.2" },
  IPv6: { source: "fd00::1", destination: "fd00::2" },
} as const;

/** Arriving inner, arriving outer, outgoing field (RFC 6040, figure 4). */
const FIGURE_4 = [
  [NOT_ECT, NOT_ECT, NOT_ECT],
  [NOT_ECT, ECT0, NOT_ECT],
  [NOT_ECT, ECT1, NOT_ECT],
  [NOT_ECT, CE, DROPPED],
  [ECT0, NOT_ECT, ECT0],
  [ECT0, ECT0, ECT0],
  [ECT0, ECT1, ECT1],
  [ECT0, CE, CE],
  [ECT1, NOT_ECT, ECT1],
  [ECT1, ECT0, ECT1],
  [ECT1, ECT1, ECT1],
  [ECT1, CE, CE],
  [CE, NOT_ECT, CE],
  [CE, ECT0, CE],
  [CE, ECT1, CE],
  [CE, CE, CE],
] as const;

describe.each(FIGURE_4)("inner %i under outer %i", (inner, outer, outgoing) => {
  it.each(Object.entries(FAMILIES))(
    "in %s: leaves as figure 4 says, its DSCP as it was",
    (_, addresses) => {
      const { bytes } = buildPacket({ ...addresses, trafficClass: EF | inner });
      const expected = outgoing === undefined ? bytes : withClass(bytes, EF | outgoing);

      expect(take(bytes, outer)).toBe(outgoing !== undefined);
      expect(toHex(bytes)).toBe(toHex(expected));
    },
  );

  it("is what the twin says, whatever the outer DSCP", () => {
    for (const dscp of [0, EF]) {
      const { bytes } = buildPacket({ trafficClass: inner });
      expect(outgoingField(inner, outer)).toBe(outgoing);
      expect(take(bytes, dscp | outer)).toBe(outgoing !== undefined);
      expect(classOfPacket(bytes)).toBe(outgoing ?? inner);
    }
  });

  it("may be skipped where the outer field is no mark", () => {
    if (!isMark(EF | outer)) expect(outgoing).toBe(inner);
  });
});

it("the marks are ECT(1) and CE", () => {
  expect(FIELDS.filter(([, field]) => isMark(EF | field)).map(([name]) => name)).toEqual([
    "ECT(1)",
    "CE",
  ]);
});

describe("what is taken over", () => {
  it("is the same in every packet of a run, each with its own checksum, and touches nothing else", () => {
    fc.assert(
      fc.property(anyRun(), ({ packets, outer, isPartial, gap }) => {
        const mark = (packet: Uint8Array) => withMark(packet, isPartial);
        const arena = laid(packets.map(mark), gap);
        const stride = (packets[0]?.length ?? 0) + gap;
        const length = packets[0]?.length ?? 0;

        const passes = takeOuterEcn(arena, gap, length, stride, packets.length, outer);

        const due = packets.map((packet) => decapsulated(packet, outer));
        expect(passes).toBe(due[0] !== undefined);
        const left = due.every((packet) => packet !== undefined) ? due : packets;
        expect(toHex(arena)).toBe(toHex(laid(left.map(mark), gap)));
      }),
      { numRuns: 400 },
    );
  });

  it("is taken over by so many packets as are told, and not by the next", () => {
    const { bytes } = buildPacket({ trafficClass: ECT0 });
    const arena = concat(bytes, bytes, bytes);
    expect(takeOuterEcn(arena, 0, bytes.length, bytes.length, 2, CE)).toBe(true);
    const marked = withClass(bytes, CE);
    expect(toHex(arena)).toBe(toHex(concat(marked, marked, bytes)));
  });

  it("leaves a wrong IPv4 checksum as wrong as it was", () => {
    const { bytes } = buildPacket({ trafficClass: ECT0 });
    const right = withClass(bytes, CE);
    bytes[10] = (bytes[10] ?? 0) ^ 0x55;
    right[10] = (right[10] ?? 0) ^ 0x55;

    takeOuterEcn(bytes, 0, bytes.length, bytes.length, 1, CE);

    expect(sumOf(bytes) === 0).toBe(false);
    expect(sumOf(bytes)).toBe(sumOf(right));
  });

  it.each([
    ["IPv4", 0x45, 20],
    ["IPv6", 0x60, 40],
    ["IPv4 with a partial checksum", 0xc5, 20],
    ["IPv6 with a partial checksum", 0xe0, 40],
  ])("is nothing where %s is shorter than its header", (_, first, header) => {
    for (let length = 1; length <= header; length += 1) {
      const bytes = new Uint8Array(64).fill(0x22);
      bytes[0] = first;
      const before = toHex(bytes);

      expect(takeOuterEcn(bytes, 0, length, length, 1, CE)).toBe(true);
      expect(toHex(bytes) === before).toBe(length < header);
    }
  });
});

describe("correctIpv4Checksum", () => {
  it("is the checksum made anew, for every change of a header's second byte", () => {
    fc.assert(
      fc.property(anyHeader(), fc.nat(255), (header, tos) => {
        const changed = header.slice();
        changed[1] = tos;
        correctIpv4Checksum(changed, 0, tos - (header[1] ?? 0));

        const expected = changed.slice();
        sealIpv4Header(expected);
        expect(toHex(changed)).toBe(toHex(expected));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ["up by 1, from checksum 1", ECT0, CE, 1],
    ["down by 1, from checksum 0xfffe", ECT0, ECT1, 0xfffe],
  ])("makes a 0, never 0xffff (RFC 1624 §3): %s", (_, inner, outer, before) => {
    const header = headerWithChecksum(inner, before);

    takeOuterEcn(header, 0, 20, 20, 1, outer);

    expect([header[1], header[10], header[11]]).toEqual([outer, 0, 0]);
  });
});

/** An IPv4 header with this checksum, which is right for it. */
function headerWithChecksum(trafficClass: number, checksum: number): Uint8Array {
  const header = buildPacket({ trafficClass, id: 0 }).bytes.slice(0, 20);
  const own = ((header[10] ?? 0) << 8) | (header[11] ?? 0);
  // The id takes what the checksum is to lose.
  const id = (own - checksum + 0xffff) % 0xffff;
  header.set([id >> 8, id & 0xff], 4);
  sealIpv4Header(header);
  expect([header[10], header[11]]).toEqual([checksum >> 8, checksum & 0xff]);
  return header;
}

function take(bytes: Uint8Array, outerTos: number): boolean {
  return takeOuterEcn(bytes, 0, bytes.length, bytes.length, 1, outerTos);
}

/** Packets of one length and class; ids and payloads differ. */
function anyRun() {
  return fc
    .record({
      isV6: fc.boolean(),
      trafficClass: fc.nat(255),
      outer: fc.nat(255),
      isPartial: fc.boolean(),
      gap: fc.nat(40),
      ids: fc.array(fc.nat(0xffff), { minLength: 1, maxLength: 12 }),
      flowLabel: fc.nat(0xfffff),
      options: fc.nat(10),
      payload: fc.uint8Array({ maxLength: 60 }),
    })
    .map(({ isV6, ids, options, payload, ...rest }) => ({
      ...rest,
      packets: ids.map((id, index) => {
        const family = isV6 ? FAMILIES.IPv6 : FAMILIES.IPv4;
        const ipOptions = new Uint8Array(isV6 ? 0 : 4 * options).fill(1);
        const own = payload.map((byte) => byte + index);
        return buildPacket({ ...family, ...rest, id, ipOptions, payload: own }).bytes;
      }),
    }));
}

function anyHeader() {
  return fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => {
    bytes[0] = 0x45;
    sealIpv4Header(bytes);
    return bytes;
  });
}

/** With bit 7 of the first byte, as DATA carries a packet whose checksum is partial. */
function withMark(packet: Uint8Array, isPartial: boolean): Uint8Array {
  const copy = packet.slice();
  copy[0] = (copy[0] ?? 0) | (isPartial ? 0x80 : 0);
  return copy;
}

/** One behind another with `gap` bytes before each. */
function laid(packets: readonly Uint8Array[], gap: number): Uint8Array {
  return concat(...packets.flatMap((packet) => [new Uint8Array(gap).fill(0xa5), packet]));
}

/** The folded sum of an IPv4 header's words; 0 where its checksum is right. */
function sumOf(header: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += ((header[at] ?? 0) << 8) | (header[at + 1] ?? 0);
  return sum % 0xffff;
}
