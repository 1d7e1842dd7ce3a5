/**
 * Joining, over random streams: what a receiver gets from the rows is what was put in, and nothing is
 * joined, or left alone, against the rules as the plain twin reads them.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { emptyUpperLayer, findTransport, innerFamily } from "../../../src/core/inner-packet.ts";
import { type Arrived, type Delivered, plainJoin, readDelivered } from "../../helpers/gso-twin.ts";
import { flat, orderOf, pairOf, withAllowedId } from "../../helpers/gso-twin-order.ts";
import { sealIpv4Header } from "../../helpers/packet-builder.ts";
import { internetChecksum } from "../../helpers/packets.ts";
import { join, joinRows, joinRuns, packetsOf, type Stream, streams } from "../join-streams.ts";

const { IPTUN_SEED } = process.env;
const RUNS = { numRuns: 200, seed: Number(IPTUN_SEED ?? 1) };
const BOTH = { tcp: true, udp: true };

describe("joining random streams", () => {
  it("and cutting again gives each flow its packets, byte for byte and in order", () => {
    const joined = { tcp: 0, udp: 0, packets: 0 };

    fc.assert(
      fc.property(streams, (stream) => {
        const packets = packetsOf(stream);
        const delivered = join(packets, BOTH, stream.seed);
        expectSamePackets(packets, delivered);
        count(joined, delivered);
      }),
      RUNS,
    );

    // A Joiner that never joins must not pass.
    expect(joined.tcp).toBeGreaterThan(500);
    expect(joined.udp).toBeGreaterThan(300);
    expect(joined.packets).toBeGreaterThan(5000);
  });

  it("joins exactly what the rules allow", () => {
    fc.assert(
      fc.property(streams, fc.boolean(), fc.boolean(), (stream, tcp, udp) => {
        const packets = packetsOf(stream);
        const wish = { tcp, udp };
        const delivered = join(packets, wish, stream.seed);
        expect(delivered.map(({ parts }) => parts)).toEqual(
          plainJoin(packets, wish).map(({ length }) => length),
        );
        expect(flat(delivered)).toHaveLength(packets.length);
      }),
      RUNS,
    );
  });

  it("gives the same packets by the long way alone", () => {
    fc.assert(
      fc.property(streams, (stream) => {
        const packets = packetsOf(stream);
        const [short, long] = [true, false].map((hasShortWay) => {
          const { arena, rows, count } = joinRows(packets, BOTH, stream.seed, hasShortWay);
          const delivered = readDelivered(arena, rows, count);
          return delivered.map(({ bytes }) => Buffer.from(bytes).toString("base64"));
        });
        expect(short).toEqual(long);
      }),
      RUNS,
    );
  });

  it("gives the same packets where alike ones come together, in fewer rows", () => {
    let [rows, fewer] = [0, 0];
    fc.assert(
      fc.property(streams, (stream) => {
        const packets = packetsOf(stream);
        const [one, runs] = [joinRows(packets, BOTH, stream.seed), joinRuns(packets, BOTH)];
        const [alone, together] = [one, runs].map(({ arena, rows, count }) =>
          readDelivered(arena, rows, count).map(({ bytes }) =>
            Buffer.from(bytes).toString("base64"),
          ),
        );
        expect(together).toEqual(alone);
        rows += one.count;
        fewer += runs.count;
      }),
      RUNS,
    );
    expect(fewer).toBeLessThan(0.95 * rows);
  });

  it("gives the same packets where alike ones come together though a hostile member spoilt them", () => {
    fc.assert(
      fc.property(streams, fc.array(flips, { maxLength: 20 }), (stream, list) => {
        const packets = hostile(stream, list);
        const delivered = [joinRows(packets, BOTH, stream.seed), joinRuns(packets, BOTH)].map(
          ({ arena, rows, count }) =>
            readDelivered(arena, rows, count).map(({ bytes }) =>
              Buffer.from(bytes).toString("hex"),
            ),
        );
        expect(delivered[1]).toEqual(delivered[0]);
      }),
      RUNS,
    );
  });

  it("never moves a packet past one whose transport is not seen, between the same addresses", () => {
    fc.assert(
      fc.property(streams, (stream) => {
        const packets = packetsOf(stream);
        const order = orderOf(packets, join(packets, BOTH, stream.seed));
        packets.forEach((packet, index) => {
          if (!packet.isPartial) expectPivot(packets, order, index);
        });
      }),
      RUNS,
    );
  });

  it("keeps to all that also for packets of a hostile member", () => {
    fc.assert(
      fc.property(streams, fc.array(flips, { maxLength: 20 }), (stream, list) => {
        const packets = hostile(stream, list);
        const delivered = join(packets, BOTH, stream.seed);
        expectSamePackets(packets, delivered, withRightHeaderSum);
      }),
      RUNS,
    );
  });
});

/** Bits of one packet that a hostile member turns; the IP version and lengths stay as they are. */
interface Flip {
  readonly packet: number;
  readonly at: number;
  readonly mask: number;
  /** In every packet from there on. */
  readonly isLasting: boolean;
}

const flips: fc.Arbitrary<Flip> = fc.record({
  packet: fc.nat(149),
  at: fc.nat(79),
  mask: fc.integer({ min: 1, max: 255 }),
  isLasting: fc.boolean(),
});

/** Each flow's packets, cut from what was delivered, are those that arrived. */
function expectSamePackets(
  packets: readonly Arrived[],
  delivered: readonly Delivered[],
  normalise: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
): void {
  const order = orderOf(packets, delivered);
  expect(order.toSorted((a, b) => a - b)).toEqual(packets.map((_, index) => index));
  const differences = flat(delivered).flatMap(({ bytes, firstOfRun, place }, index) => {
    const original = packets[order[index] ?? -1]?.bytes ?? new Uint8Array();
    const pair = [bytes, withAllowedId(original, firstOfRun, place)].map(normalise);
    const [got, expected] = pair.map((packet) => Buffer.from(packet).toString("latin1"));
    return got === expected ? [] : [{ got: pair[0], expected: pair[1] }];
  });
  expect(differences).toEqual([]);
}

function expectPivot(packets: readonly Arrived[], order: readonly number[], pivot: number): void {
  const pair = pairOf(packets[pivot]?.bytes);
  const mine = order.filter((index) => pairOf(packets[index]?.bytes) === pair);
  const place = mine.indexOf(pivot);
  expect(Math.max(-1, ...mine.slice(0, place))).toBeLessThan(pivot);
  expect(Math.min(packets.length, ...mine.slice(place + 1))).toBeGreaterThan(pivot);
}

/** What core/inbound/receive.ts lets through of a stream with bits turned. */
function hostile(stream: Stream, list: readonly Flip[]): readonly Arrived[] {
  const packets = packetsOf(stream).map(({ bytes, isPartial }) => ({
    bytes: bytes.slice(),
    isPartial,
  }));
  for (const { packet, at, mask, isLasting } of list) {
    const first = packet % Math.max(1, packets.length);
    for (const { bytes } of packets.slice(first, isLasting ? undefined : first + 1)) {
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ mask;
    }
  }
  const upper = emptyUpperLayer();
  return packets.filter(
    ({ bytes, isPartial }) =>
      innerFamily(bytes, 0, bytes.length) !== 0 &&
      (!isPartial || findTransport(bytes, 0, bytes.length, upper)),
  );
}

/** With a right IPv4 header checksum, and a partial sum of 0 as the 0xffff that it is. */
function withRightHeaderSum(bytes: Uint8Array): Uint8Array {
  const upper = emptyUpperLayer();
  const isSeen = findTransport(bytes, 0, bytes.length, upper);
  const right = bytes.slice();
  if ((right[0] ?? 0) >> 4 === 4) sealIpv4Header(right);
  const field = upper.start + upper.checksumOffset;
  if (isSeen && internetChecksum(right.subarray(field, field + 2)) === 0xffff) {
    right.set([0xff, 0xff], field);
  }
  return right;
}

function count(
  joined: { tcp: number; udp: number; packets: number },
  delivered: readonly Delivered[],
): void {
  for (const { parts, gsoType } of delivered) {
    if (parts === 1) continue;
    joined.packets += parts;
    if (gsoType === 5) joined.udp += 1;
    else joined.tcp += 1;
  }
}
