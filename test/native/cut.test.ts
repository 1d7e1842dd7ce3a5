/**
 * Super-packets: what the addon seals of them is what the plain twin cuts, and bad rows fail whole.
 *
 * The twin is test/helpers/cut-twin.ts; how the kernel cuts is compared in cut-kernel.test.ts.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { GSO, PACKET_NEEDS_CHECKSUM, SEAL } from "../../src/core/rows.ts";
import { cutSuperPacket } from "../helpers/cut-twin.ts";
import { Random, seeds } from "../helpers/random.ts";
import { randomSuperPacket, type SuperPacket, superPacket } from "../helpers/super-packets.ts";
import { testNative } from "./native.ts";
import { dataHeader, OVERHEAD_BYTES, open, type SealFields, seal, sealStatus } from "./sealing.ts";

const native = testNative();
const [EINVAL, ENOKEY] = [-22, -126];
const GUARD = 64;

beforeEach(() => {
  native.keyLoad(0, new Random(7).bytes(48));
});

describe("sealing a super-packet", () => {
  it.each(seeds(300))("makes what the twin cuts, byte for byte (seed %i)", (seed) => {
    const random = new Random(seed);
    const whole = randomSuperPacket(random);
    const counter = random.below(2 ** 20) * 2 ** 26 + random.below(2 ** 26);
    expectSame(opened(sealed(whole, counter), whole, counter), cutSuperPacket(whole.bytes, whole));
  });

  it.each([
    ["TCP over IPv4", "10.0.0.1", true, 1448],
    ["TCP over IPv6", "fd00::1", true, 1428],
    ["UDP over IPv4", "10.0.0.1", false, 1472],
    ["UDP over IPv6", "fd00::1", false, 1452],
  ])("cuts 64 KB of %s", (_, source, isTcp, gsoSize) => {
    const whole = example({ source, isTcp, gsoSize, length: 65_000 });
    expect(whole.segments).toBeGreaterThan(40);
    expectSame(opened(sealed(whole, 5), whole, 5), cutSuperPacket(whole.bytes, whole));
  });

  it("has FIN and PSH on the last and CWR on the first segment alone", () => {
    const whole = example({ tcpFlags: 0x99, gsoSize: 100, length: 300 });
    const flags = opened(sealed(whole, 0), whole, 0).map((packet) => packet[33]);
    expect(flags).toEqual([0x90, 0x10, 0x19]);
  });

  it("counts IPv4 id and TCP sequence number past their ends", () => {
    const whole = example({ id: 0xffff, sequence: 0xffffff9c, gsoSize: 100, length: 300 });
    const packets = opened(sealed(whole, 0), whole, 0);
    expect(packets.map((packet) => Buffer.from(packet).readUInt16BE(4))).toEqual([0xffff, 0, 1]);
    expect(packets.map((packet) => Buffer.from(packet).readUInt32BE(24))).toEqual([
      0xffffff9c, 0, 100,
    ]);
  });

  it("leaves a row of one segment as it is, whatever its type says", () => {
    const whole = example({ tcpFlags: 0x99, gsoSize: 1000, length: 100 });
    const [packet = new Uint8Array(0)] = opened(sealed(whole, 0), whole, 0);
    expect(packet).toEqual(whole.bytes);
  });

  it("touches no byte outside the packet and none behind the last tag", () => {
    const whole = example({ gsoSize: 7, length: 300 });
    const { packets, datagrams, total } = sealed(whole, 0);
    expect(isFilled(packets.subarray(0, GUARD))).toBe(true);
    expect(isFilled(packets.subarray(GUARD + whole.bytes.length))).toBe(true);
    expect(isFilled(datagrams.subarray(0, GUARD))).toBe(true);
    expect(isFilled(datagrams.subarray(GUARD + total))).toBe(true);
  });

  it("seals what comes before and after it in the batch", () => {
    const whole = example({ gsoSize: 100, length: 250 });
    const fields = fieldsOf(whole, 1);
    const packets = guarded(whole);
    const small = { IN_OFFSET: packets.length - 4, IN_LENGTH: 4 };

    const rows = seal(packets, new Uint8Array(2000), [
      { ...small, OUT_OFFSET: 1000 },
      fields,
      { ...small, OUT_OFFSET: 1036, COUNTER_LOW: 9 },
    ]);

    expect(sealStatus(rows)).toEqual([0, 0, 0]);
  });

  it("fits the end of the output arena exactly, and the highest counter", () => {
    const whole = example({ gsoSize: 100, length: 250 });
    const total = totalOf(whole);
    const fields = { ...fieldsOf(whole, 2 ** 48 - 3), OUT_OFFSET: 10 };
    expect(sealStatus(seal(guarded(whole), new Uint8Array(10 + total), [fields]))).toEqual([0]);
  });
});

describe("a super-packet's row", () => {
  const whole = example({ gsoSize: 100, length: 250 });
  const inIpv6 = example({ source: "fd00::1", gsoSize: 100, length: 250 });
  const inUdp = example({ isTcp: false, gsoSize: 100, length: 250 });

  it.each([
    ["fewer segments than its lengths say", { SEGMENTS: 2 }],
    ["more segments than its lengths say", { SEGMENTS: 4 }],
    ["the most segments", { SEGMENTS: 0x7fffffff }],
    ["no segment size", { GSO_SIZE: 0 }],
    ["a negative segment size", { GSO_SIZE: -100 }],
    ["the largest segment size", { GSO_SIZE: 0x7fffffff }],
    ["no type", { GSO_TYPE: GSO.NONE }],
    ["a type of the other family", { GSO_TYPE: GSO.TCP6 }],
    ["a type of the other protocol", { GSO_TYPE: GSO.UDP }],
    ["UDP with ECN", { GSO_TYPE: GSO.UDP | GSO.ECN }],
    ["an unknown type", { GSO_TYPE: 3 }],
    ["a negative type", { GSO_TYPE: -1 }],
    ["no partial checksum", { FLAGS: 0 }],
    ["no header", { HEADER_LENGTH: 0, SEGMENTS: 3 }],
    ["a negative header", { HEADER_LENGTH: -40 }],
    ["a header of 4 bytes less", { HEADER_LENGTH: 36 }],
    ["a header of 4 bytes more", { HEADER_LENGTH: 44 }],
    ["a header as long as the packet", { HEADER_LENGTH: 290 }],
    ["the longest header", { HEADER_LENGTH: 0x7fffffff }],
    ["a checksum start that is elsewhere", { CHECKSUM_START: 24 }],
    ["a negative checksum start", { CHECKSUM_START: -20 }],
    ["a checksum field that is elsewhere", { CHECKSUM_OFFSET: 6 }],
    ["a negative length", { IN_LENGTH: -1 }],
    ["no length", { IN_LENGTH: 0 }],
    ["an input behind the arena", { IN_OFFSET: 2 * GUARD + 1 }],
    ["an output behind the arena", { OUT_OFFSET: 1000 - totalOf(whole) + 1 }],
    ["a negative output offset", { OUT_OFFSET: -1 }],
    ["counters that pass 2^48", { COUNTER_HIGH: 0xffff, COUNTER_LOW: -2 }],
    ["a counter of 2^64 - 1", { COUNTER_HIGH: -1, COUNTER_LOW: -1 }],
  ])("is refused with %s, and nothing is written", (_, fields) => {
    expectRefused(whole, fields);
  });

  it("is refused for an empty slot", () => {
    const rows = seal(guarded(whole), new Uint8Array(1000), [
      { ...fieldsOf(whole, 0), KEY_SLOT: 5 },
    ]);
    expect(sealStatus(rows)).toEqual([ENOKEY]);
  });

  it.each([
    ["another protocol in IPv4", whole, 9, 17],
    ["an IPv4 header that is too short", whole, 0, 0x44],
    ["an IPv4 header that is longer than it", whole, 0, 0x4f],
    ["the other version", whole, 0, 0x65],
    ["a TCP header that is too short", whole, 32, 0x40],
    ["a TCP header that is longer", whole, 32, 0x60],
    ["another protocol in IPv6", inIpv6, 6, 17],
    ["an IPv6 fragment header", inIpv6, 6, 44],
    ["an IPv6 header that leads outside", inIpv6, 6, 0],
    ["UDP said to be TCP", inUdp, 9, 6],
  ])("is refused with %s", (_, packet, at, byte) => {
    const bytes = packet.bytes.slice();
    bytes[at] = byte;
    expectRefused({ ...packet, bytes }, {});
  });

  it("is refused with a header of more than 512 bytes", () => {
    const extensions = [0, 60].map((type) => [type, new Uint8Array(286)] as const);
    const long = example({ source: "fd00::1", extensions, gsoSize: 100, length: 250 });
    expect(long.headerLength).toBeGreaterThan(512);
    expectRefused(long, {});
  });

  it("is refused where the output would lie over its own bytes", () => {
    const arena = new Uint8Array(2000).fill(0xee);
    arena.set(whole.bytes, GUARD);
    const rows = seal(arena, arena, [{ ...fieldsOf(whole, 0), OUT_OFFSET: GUARD + 200 }]);
    expect(sealStatus(rows)).toEqual([EINVAL]);
  });

  it.each(seeds(300))("with any rubbish never reaches outside its arenas (seed %i)", (seed) => {
    const random = new Random(seed);
    const packet = randomSuperPacket(random);
    const fields = spoiled(fieldsOf(packet, 3), random);
    const datagrams = new Uint8Array(GUARD + totalOf(packet));
    const [status = 1] = sealStatus(seal(guarded(packet), datagrams, [fields]));
    expect([0, EINVAL, ENOKEY]).toContain(status);
  });
});

interface ExampleOptions extends Partial<Omit<Parameters<typeof superPacket>[0], "payload">> {
  readonly length: number;
  readonly gsoSize: number;
}

function example(options: ExampleOptions): SuperPacket {
  const { source = "10.0.0.1", length, ...parts } = options;
  const destination = source.includes(":") ? "fd00::2" : "10.0.0.2";
  const payload = new Random(length).bytes(length);
  return superPacket({ isTcp: true, source, destination, payload, ...parts });
}

/** The packet between bytes that must stay. */
function guarded(whole: SuperPacket): Uint8Array {
  const packets = new Uint8Array(2 * GUARD + whole.bytes.length).fill(0xee);
  packets.set(whole.bytes, GUARD);
  return packets;
}

function fieldsOf(whole: SuperPacket, counter: number): SealFields {
  return {
    IN_OFFSET: GUARD,
    IN_LENGTH: whole.bytes.length,
    OUT_OFFSET: GUARD,
    RECEIVER_INDEX: 77,
    COUNTER_LOW: counter | 0,
    COUNTER_HIGH: Math.floor(counter / 2 ** 32),
    SEGMENTS: whole.segments,
    FLAGS: PACKET_NEEDS_CHECKSUM,
    GSO_TYPE: whole.gsoType,
    GSO_SIZE: whole.gsoSize,
    HEADER_LENGTH: whole.headerLength,
    CHECKSUM_START: whole.checksumStart,
    CHECKSUM_OFFSET: whole.checksumOffset,
  };
}

function totalOf(whole: SuperPacket): number {
  const perSegment = whole.headerLength + OVERHEAD_BYTES;
  return whole.bytes.length - whole.headerLength + whole.segments * perSegment;
}

function sealed(whole: SuperPacket, counter: number) {
  const packets = guarded(whole);
  const total = totalOf(whole);
  const datagrams = new Uint8Array(2 * GUARD + total).fill(0xee);
  const rows = seal(packets, datagrams, [fieldsOf(whole, counter)]);
  expect(sealStatus(rows)).toEqual([0]);
  expect(rows[SEAL.OUT_LENGTH]).toBe(total);
  return { packets, datagrams, total };
}

/** The plaintext of each datagram, its mark taken off; headers are checked on the way. */
function opened(
  { datagrams }: { datagrams: Uint8Array },
  whole: SuperPacket,
  counter: number,
): Uint8Array[] {
  let at = GUARD;
  return Array.from({ length: whole.segments }, (_, index) => {
    const done = index * whole.gsoSize;
    const rest = Math.min(whole.gsoSize, whole.bytes.length - whole.headerLength - done);
    const length = whole.headerLength + rest;
    const header = Buffer.from(datagrams.subarray(at, at + 16)).toString("hex");
    expect(header).toBe(Buffer.from(dataHeader(77, counter + index)).toString("hex"));
    expect(open(datagrams, [[at, length + OVERHEAD_BYTES, 0]])).toEqual([length]);
    const packet = datagrams.slice(at + 16, at + 16 + length);
    expect((packet[0] ?? 0) & 0x80).toBe(0x80);
    packet[0] = (packet[0] ?? 0) & 0x7f;
    at += length + OVERHEAD_BYTES;
    return packet;
  });
}

/** Equal packets; the lists are compared as text only where they differ, which is slow. */
function expectSame(actual: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  expect(actual.map((packet) => packet.length)).toEqual(expected.map((packet) => packet.length));
  if (Buffer.compare(Buffer.concat(actual), Buffer.concat(expected)) !== 0)
    expect(actual).toEqual(expected);
}

function expectRefused(whole: SuperPacket, fields: SealFields): void {
  const packets = guarded(whole);
  const before = packets.slice();
  const datagrams = new Uint8Array(1000).fill(0xee);
  const rows = seal(packets, datagrams, [{ ...fieldsOf(whole, 0), ...fields }]);
  expect(sealStatus(rows)).toEqual([EINVAL]);
  expect(rows[SEAL.OUT_LENGTH]).toBe(0);
  expect(Buffer.compare(packets, before)).toBe(0);
  expect(isFilled(datagrams)).toBe(true);
}

function isFilled(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0xee);
}

/** One to three fields replaced by something near or far. */
function spoiled(fields: SealFields, random: Random): SealFields {
  const names = Object.keys(fields) as (keyof SealFields)[];
  const wrong: SealFields = { ...fields };
  for (let times = 1 + random.below(3); times > 0; times -= 1) {
    const name = names[random.below(names.length)] ?? "GSO_SIZE";
    const near = (fields[name] ?? 0) + random.below(65) - 32;
    wrong[name] = random.chance(0.7) ? near : random.uint32() | 0;
  }
  return wrong;
}
