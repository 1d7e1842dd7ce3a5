/** The queue and the bucket of a peer with a rate (rule 21): when packets leave, what is kept, and who pays. */
import { describe, expect, it } from "vitest";
import { packetBatch } from "../../../src/core/batch.ts";
import {
  PACED_BYTES_TOTAL,
  PACED_LEAST_BYTES,
  PACED_MOST_BYTES,
  PACED_PACKET_BYTES,
  PACED_PACKETS,
} from "../../../src/core/constants.ts";
import { ECN, ECN_BITS } from "../../../src/core/ecn.ts";
import { emptyUpperLayer } from "../../../src/core/inner-packet.ts";
import { type Cut, readCut } from "../../../src/core/outbound/super-packet.ts";
import { type PacedTotal, Pacer } from "../../../src/core/pacing/pacing.ts";
import { GSO, PACKET, PACKET_FIELDS, PACKET_NEEDS_CHECKSUM } from "../../../src/core/rows.ts";
import { after } from "../../../src/core/time.ts";
import { buildPacket, concat } from "../../helpers/packet-builder.ts";
import { type SuperPacket, superPacket } from "../../helpers/super-packets.ts";
import { START } from "../core-fixtures.ts";

/** 1,000 bytes a millisecond. */
const RATE = 8e6;
const OUTER_BYTES = 28;
/** What goes around each datagram. */
const AROUND = 32 + OUTER_BYTES;
/** A packet that takes 1,000 bytes on the wire. */
const PACKET_BYTES = 1_000 - AROUND;

const upper = emptyUpperLayer();

function newPacer(bitsPerSecond = RATE, total: PacedTotal = { bytes: 0 }): Pacer {
  return new Pacer(bitsPerSecond, total, 7, START);
}

/** A UDP packet of so many bytes; its flow is `flow`. */
function packetOf(bytes: number, flow = 0, trafficClass = 0): Uint8Array {
  const [source, destination] = ["10.0.0.1", `10.0.0.${flow + 2}`];
  return buildPacket({
    protocol: "udp",
    source,
    destination,
    trafficClass,
    payload: new Uint8Array(bytes - 28),
  }).bytes;
}

/** Pushes a packet, or a super-packet, that lies in the middle of an arena and of its rows. */
function push(pacer: Pacer, bytes: Uint8Array, whole?: SuperPacket): void {
  const arena = concat(new Uint8Array(50), bytes, new Uint8Array(9));
  const rows = new Int32Array(3 * PACKET_FIELDS);
  const base = PACKET_FIELDS;
  rows[base + PACKET.OFFSET] = 50;
  rows[base + PACKET.LENGTH] = bytes.length;
  rows[base + PACKET.FLAGS] = whole === undefined ? 0 : PACKET_NEEDS_CHECKSUM;
  rows[base + PACKET.GSO_TYPE] = whole?.gsoType ?? GSO.NONE;
  rows[base + PACKET.GSO_SIZE] = whole?.gsoSize ?? 0;
  rows[base + PACKET.CHECKSUM_START] = whole?.checksumStart ?? 0;
  rows[base + PACKET.CHECKSUM_OFFSET] = whole?.checksumOffset ?? 0;
  const cut: Cut = { segments: 0, headerLength: 0, largest: 0 };
  if (!readCut(arena, rows, base, upper, cut)) throw new Error("no such packet can be");
  pacer.push(arena, rows, base, cut, upper, OUTER_BYTES, START);
}

function pushMany(pacer: Pacer, count: number, packet = packetOf(PACKET_BYTES)): void {
  for (let index = 0; index < count; index += 1) push(pacer, packet);
}

/** The packets that leave at START + `ms`. */
function drain(pacer: Pacer, ms: number, capacity = 64, arenaBytes = 65_536, room = 1_500) {
  const batch = packetBatch(new Uint8Array(arenaBytes), capacity);
  pacer.drainInto(batch, room, after(START, ms));
  return Array.from({ length: batch.count }, (_, index) => {
    const row = batch.rows.subarray(index * PACKET_FIELDS, (index + 1) * PACKET_FIELDS);
    const offset = row[PACKET.OFFSET] ?? 0;
    return { row, bytes: batch.arena.slice(offset, offset + (row[PACKET.LENGTH] ?? 0)) };
  });
}

describe("the bucket", () => {
  it("lets a few milliseconds of the rate leave at once, then the rate", () => {
    const pacer = newPacer();
    pushMany(pacer, 20);
    expect(drain(pacer, 0)).toHaveLength(4);
    expect(pacer.nextAt(START) - START).toBeCloseTo(0.001);
    expect(drain(pacer, 0)).toEqual([]);
    expect([drain(pacer, 1).length, drain(pacer, 3).length]).toEqual([1, 2]);
    // After a long rest no more than at first.
    expect(drain(pacer, 10_000)).toHaveLength(4);
  });

  it("holds two packets of the usual size at least, and may be overdrawn by the last", () => {
    const pacer = newPacer(RATE / 100);
    pushMany(pacer, 6);
    expect(drain(pacer, 0)).toHaveLength(4);
    // 3,028 bytes less 4,000, at 10 bytes a millisecond, and one more.
    expect(pacer.nextAt(START) - START).toBeCloseTo(97.3);
    expect(drain(pacer, 97)).toEqual([]);
    expect(drain(pacer, 98)).toHaveLength(1);
  });

  it("says that what may leave leaves now", () => {
    expect(newPacer().nextAt(after(START, 5))).toBe(START + 5);
  });
});

describe("a batch", () => {
  it("takes as many as it has rows for, whole and in order; the others wait", () => {
    const pacer = newPacer();
    const packets = [0, 1, 2].map((flow) => packetOf(100 + flow, flow));
    for (const packet of packets) push(pacer, packet);
    const [first, second] = [drain(pacer, 0, 2), drain(pacer, 0, 2)];
    expect([...first, ...second].map(({ bytes }) => bytes)).toEqual(packets);
    expect(second).toHaveLength(1);
    expect(pacer.isEmpty).toBe(true);
  });

  it.each([
    [2 * PACKET_BYTES, 2],
    [2 * PACKET_BYTES - 1, 1],
  ])("of %i bytes takes as many as there is room for", (arenaBytes, count) => {
    const pacer = newPacer();
    pushMany(pacer, 3);
    expect(drain(pacer, 0, 64, arenaBytes, PACKET_BYTES)).toHaveLength(count);
    expect([pacer.isEmpty, pacer.snapshot().packets]).toEqual([false, 3 - count]);
  });
});

describe("what waits", () => {
  it("is counted with all that goes around it, alone and with all other peers", () => {
    const total = { bytes: 0 };
    const [one, other] = [newPacer(RATE, total), newPacer(RATE, total)];
    pushMany(one, 3);
    pushMany(other, 2);
    expect([one.snapshot(), total.bytes]).toEqual([
      { bitsPerSecond: RATE, packets: 3, bytes: 3_000, dropped: 0, marked: 0 },
      5_000 + 5 * PACED_PACKET_BYTES,
    ]);
    drain(one, 0, 1);
    expect([one.snapshot().bytes, total.bytes]).toEqual([2_000, 4_000 + 4 * PACED_PACKET_BYTES]);
    const own = 2_000 + 2 * PACED_PACKET_BYTES;
    expect([other.clear(), total.bytes, other.isEmpty]).toEqual([2, own, true]);
  });

  it.each([
    ["a slow one", 1e6, PACED_LEAST_BYTES],
    ["one of 16 Mbit/s", 16e6, 500_000],
    ["a fast one", 10e9, PACED_MOST_BYTES],
  ])("at %s is a quarter of a second, but not too little or too much", (_name, rate, most) => {
    const pacer = newPacer(rate);
    const packet = packetOf(Math.min(Math.floor(most / 20), 60_000));
    let largest = 0;
    while (pacer.takeDropped() === 0) {
      largest = Math.max(largest, pacer.snapshot().bytes);
      push(pacer, packet);
    }
    expect(largest).toBeLessThanOrEqual(most);
    expect(largest).toBeGreaterThan(most - packet.length - AROUND);
    expect(pacer.snapshot().dropped).toBeGreaterThan(0);
  });

  it("of exactly so many bytes is kept", () => {
    const pacer = newPacer(16e6);
    pushMany(pacer, 500);
    expect(pacer.snapshot()).toMatchObject({ packets: 500, bytes: 500_000, dropped: 0 });
    push(pacer, packetOf(28));
    expect(pacer.takeDropped()).toBeGreaterThan(0);
  });

  it("is no more than so many packets", () => {
    const pacer = newPacer(10e9);
    const packet = packetOf(28);
    pushMany(pacer, PACED_PACKETS, packet);
    expect(pacer.takeDropped()).toBe(0);
    push(pacer, packet);
    expect(pacer.takeDropped()).toBeGreaterThan(0);
  });

  it("of all peers together has a bound, which costs whoever sends next", () => {
    const others = PACED_BYTES_TOTAL - 1_000 - PACED_PACKET_BYTES;
    const total = { bytes: others };
    const pacer = newPacer(RATE, total);
    pushMany(pacer, 1);
    expect([pacer.takeDropped(), total.bytes]).toEqual([0, PACED_BYTES_TOTAL]);
    pushMany(pacer, 1);
    expect(pacer.takeDropped()).toBeGreaterThan(0);
    const { packets, bytes } = pacer.snapshot();
    expect(total.bytes).toBe(others + bytes + packets * PACED_PACKET_BYTES);
    // Nothing of its own is left to drop.
    total.bytes = 2 * PACED_BYTES_TOTAL;
    pushMany(pacer, 1);
    expect(pacer.isEmpty).toBe(true);
  });
});

describe("a queue that stands", () => {
  it.each([
    ["marks where a flow knows ECN", ECN.ECT0, true],
    ["drops where it does not", ECN.NOT_ECT, false],
  ])("%s, and tells how often", (_name, field, isMarked) => {
    const total = { bytes: 0 };
    const pacer = newPacer(RATE, total);
    pushMany(pacer, 250, packetOf(PACKET_BYTES, 0, field));
    const left = Array.from({ length: 240 }, (_, ms) => drain(pacer, ms)).flat();
    const marks = left.filter(({ bytes }) => ((bytes[1] ?? 0) & ECN_BITS) === ECN.CE).length;

    const { dropped, marked, packets, bytes } = pacer.snapshot();
    const paid = isMarked ? marked : dropped;
    expect([marks, isMarked ? dropped : marked]).toEqual([marked, 0]);
    expect(paid).toBeGreaterThan(1);
    expect(left.length + dropped + packets).toBe(250);
    expect(bytes).toBe(1_000 * packets);
    expect(total.bytes).toBe(bytes + packets * PACED_PACKET_BYTES);
    expect([pacer.takeDropped(), pacer.takeDropped()]).toEqual([dropped, 0]);
  });
});

describe("a super-packet", () => {
  const whole = superPacket({
    source: "10.0.0.1",
    destination: "10.0.0.2",
    isTcp: true,
    gsoSize: 1_360,
    payload: new Uint8Array(10 * 1_360),
  });
  const wireBytes = whole.bytes.length + 9 * whole.headerLength + 10 * AROUND;

  it.each([
    ["a segment each where the link is slow", RATE, 1],
    ["as many segments as it carries in a millisecond", 3 * 8 * (1_400 + AROUND) * 1_000, 3],
    ["one less than it would carry in a little more", 3 * 8 * (1_400 + AROUND) * 1_000 - 8, 2],
    ["one part where it is fast", 1e9, 10],
  ])("is split into %s", (_name, rate, each) => {
    expect(whole.headerLength + whole.gsoSize).toBe(1_400);
    const total = { bytes: 0 };
    const pacer = newPacer(rate, total);
    push(pacer, whole.bytes, whole);
    const packets = Math.ceil(10 / each);
    expect(total.bytes).toBe(wireBytes + packets * PACED_PACKET_BYTES);
    expect(pacer.snapshot()).toMatchObject({ packets, bytes: wireBytes });
    const [first] = drain(pacer, 0, 64, 65_536, 20_000);
    expect(first?.bytes).toHaveLength(whole.headerLength + each * whole.gsoSize);
  });
});
