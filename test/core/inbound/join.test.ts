/**
 * Joining: what becomes one packet, what its header then says, and in which order packets are written.
 *
 * Which packets must stay apart is in join-apart.test.ts, random streams are in join-property.test.ts.
 */
import { describe, expect, it } from "vitest";
import { packetBatch } from "../../../src/core/batch.ts";
import { Joiner, type JoinWish } from "../../../src/core/inbound/join.ts";
import { emptyUpperLayer, findTransport } from "../../../src/core/inner-packet.ts";
import { GSO } from "../../../src/core/rows.ts";
import { type Arrived, readDelivered } from "../../helpers/gso-twin.ts";
import {
  concat,
  optionsExtension,
  PLAIN_SPEC,
  pseudoSum,
  sealIpv4Header,
  TCP_FLAG,
} from "../../helpers/packet-builder.ts";
import { internetChecksum, ipPacket, pingPacket } from "../../helpers/packets.ts";
import {
  built,
  consecutive,
  expectCut,
  FULL,
  hex,
  pair,
  partsOf,
  run,
  UDP,
  V6,
} from "../join-packets.ts";
import { CHANGES, FLOWS, join } from "../join-streams.ts";

const { ACK, FIN, PSH } = TCP_FLAG;
const ESP = 50;

describe("a run of 45 full segments", () => {
  it.each([
    { kind: "TCP over IPv4", flow: {}, type: GSO.TCP4, header: 40 },
    { kind: "TCP over IPv6", flow: V6, type: GSO.TCP6, header: 60 },
    { kind: "TCP with options", flow: FLOWS[9] ?? {}, type: GSO.TCP4, header: 52 },
    { kind: "UDP over IPv4", flow: UDP, type: GSO.UDP, header: 28 },
    { kind: "UDP over IPv6", flow: { ...V6, ...UDP }, type: GSO.UDP, header: 48 },
  ])("of $kind becomes one packet with a right header", ({ flow, type, header }) => {
    const packets = run(flow, Array<number>(45).fill(1400));

    const delivered = join(packets);

    const checksumStart = "source" in flow && flow.source === V6.source ? 40 : 20;
    const checksumOffset = type === GSO.UDP ? 6 : 16;
    expect(delivered.map(({ bytes: _, ...rest }) => rest)).toEqual([
      {
        ...{ parts: 45, needsChecksum: true, gsoType: type, gsoSize: 1400, headerLength: header },
        ...{ checksumStart, checksumOffset },
      },
    ]);
    const whole = delivered[0]?.bytes ?? new Uint8Array();
    expect(hex(whole.subarray(header))).toBe(hex(concat(...packets.map(payloadOf(header)))));
    expectRightHeader(whole, checksumStart, checksumOffset);
    expectCut(delivered, packets);
  });
});

describe("a run", () => {
  it.each([
    { what: "a shorter segment", sizes: [FULL, FULL, 999, 999, 999], parts: [3, 2] },
    { what: "a longer segment", sizes: [FULL, FULL, 1001, 1001], parts: [2, 2] },
    { what: "one byte", sizes: [FULL, 1, 1], parts: [2, 1] },
    { what: "an empty segment", sizes: [FULL, FULL, 0, FULL], parts: [2, 1, 1] },
  ])("of TCP or UDP ends with $what as it must", ({ sizes, parts }) => {
    for (const flow of [{}, UDP, V6, { ...V6, ...UDP }]) {
      expect(partsOf(run(flow, sizes))).toEqual(parts);
    }
  });

  it.each([
    { name: "PSH", flags: PSH },
    { name: "FIN", flags: FIN },
    { name: "FIN and PSH", flags: FIN | PSH },
  ])("ends with a segment that has $name, and gets the flag", ({ flags }) => {
    const packets = consecutive(4, (index) => (index === 1 ? { flags: ACK | flags } : {}));

    const delivered = join(packets);

    expect(delivered.map(({ parts }) => parts)).toEqual([2, 2]);
    expect(delivered.map(({ bytes }) => bytes[33])).toEqual([ACK | flags, ACK]);
  });

  it.each([
    { name: "PSH", flags: PSH },
    { name: "FIN", flags: FIN },
  ])("does not begin with a segment that has $name", ({ flags }) => {
    const packets = consecutive(3, (index) => (index === 0 ? { flags: ACK | flags } : {}));

    expect(partsOf(packets)).toEqual([1, 2]);
  });

  it("of TCP ends at 65,535 bytes", () => {
    expect(partsOf(run({}, Array<number>(6).fill(13_099)))).toEqual([5, 1]);
    expect(partsOf(run({}, Array<number>(8).fill(8187)))).toEqual([7, 1]);
    expect(partsOf(run(V6, Array<number>(6).fill(13_095)))).toEqual([5, 1]);
    expect(partsOf(run(V6, Array<number>(4).fill(16_369)))).toEqual([3, 1]);
  });

  it("of UDP ends at 65,535 bytes", () => {
    expect(partsOf(run(UDP, [...Array<number>(50).fill(1310), 7]))).toEqual([51]);
    expect(partsOf(run(UDP, [...Array<number>(50).fill(1310), 8]))).toEqual([50, 1]);
  });

  it("ends at 128 segments of TCP, and at 64 datagrams of UDP", () => {
    expect(partsOf(run({}, Array<number>(130).fill(100)))).toEqual([128, 2]);
    expect(partsOf(run(UDP, Array<number>(66).fill(100)))).toEqual([64, 2]);
  });

  it("goes on past the end of IPv4 ids and TCP sequence numbers", () => {
    const packets = run({ id: 0xffff, sequence: 0xffff_ffff }, [FULL, FULL, FULL]);

    const delivered = join(packets);

    expect(delivered.map(({ parts }) => parts)).toEqual([3]);
    expectCut(delivered, packets);
  });

  it("may have one id in all packets that must not be fragmented, but not two kinds of counting", () => {
    const ids = (...list: number[]) =>
      consecutive(list.length, (index) => ({ id: list[index] ?? 0 }));

    expect(partsOf(ids(5, 5, 5))).toEqual([3]);
    expect(partsOf(ids(5, 6, 7))).toEqual([3]);
    expect(partsOf(ids(5, 5, 6, 7))).toEqual([2, 2]);
    expect(partsOf(ids(5, 6, 6))).toEqual([2, 1]);
    expect(partsOf(ids(5, 6, 5))).toEqual([2, 1]);
    expect(partsOf(ids(5, 5, 7))).toEqual([2, 1]);
    expect(partsOf(ids(5, 6, 8))).toEqual([2, 1]);
    expect(partsOf(ids(0, 0, 0))).toEqual([3]);
  });
});

describe("order", () => {
  it("is kept inside a flow: a packet that cannot be joined ends the run", () => {
    const packets = consecutive(4, () => ({}));
    const arriving = (...indices: readonly number[]) =>
      partsOf(indices.flatMap((index) => packets.slice(index, index + 1)));

    expect(arriving(0, 1, 2, 3)).toEqual([4]);
    expect(arriving(0, 2, 1, 3)).toEqual([1, 1, 1, 1]);
    expect(arriving(0, 1, 3, 2)).toEqual([2, 1, 1]);
    expect(arriving(0, 0, 1)).toEqual([1, 2]);
    expect(arriving(0, 2, 3)).toEqual([1, 2]);
  });

  it("lets several flows have runs at once, and writes packets in the order of their first", () => {
    const flows = [{}, UDP, V6].map((flow) => run(flow, [FULL, FULL, FULL]));
    const mixed = [0, 1, 2].flatMap((place) =>
      flows.flatMap((flow) => flow.slice(place, place + 1)),
    );

    const delivered = join(mixed);

    expect(delivered.map(({ parts, gsoType }) => [parts, gsoType])).toEqual([
      [3, GSO.TCP4],
      [3, GSO.UDP],
      [3, GSO.TCP6],
    ]);
    expectCut(delivered, flows.flat());
  });

  it("of nine flows at once: the run opened longest ago is closed", () => {
    const flows = Array.from({ length: 9 }, (_, flow) => pair({ sourcePort: 100 + flow }, {}));
    const firsts = flows.map(([first]) => first);
    const seconds = flows.map(([, second]) => second);

    expect(partsOf([...firsts, ...seconds.reverse()])).toEqual([1, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
  });

  const { source, destination } = PLAIN_SPEC;
  const other = { bytes: pingPacket("10.0.0.1", "10.0.0.3"), isPartial: false };

  it.each<[string, Arrived]>([
    ["a ping", { bytes: pingPacket(source, destination), isPartial: false }],
    [
      "an encrypted packet",
      { bytes: ipPacket(source, destination, ESP, new Uint8Array(40)), isPartial: false },
    ],
    ["a fragment", firstFragment()],
    ["a segment of the flow with a full checksum", built({ isPartial: false })],
    ["a datagram with a full checksum", built({ ...UDP, isPartial: false })],
  ])("is kept towards a packet whose transport is not seen: %s", (_, unseen) => {
    const [tcp, nextTcp] = pair({}, {});
    const [udp, nextUdp] = pair(UDP, {});

    expect(partsOf([tcp, udp, unseen, nextTcp, nextUdp])).toEqual([1, 1, 1, 1, 1]);
    expect(partsOf([tcp, udp, other, nextTcp, nextUdp])).toEqual([2, 2, 1]);
  });

  it("is kept over IPv6 likewise", () => {
    const [first, second] = pair(V6, {});
    const unseen = { bytes: pingPacket(V6.source, V6.destination), isPartial: false };
    const elsewhere = { bytes: pingPacket(V6.source, "fd00::3"), isPartial: false };

    expect(partsOf([first, unseen, second])).toEqual([1, 1, 1]);
    expect(partsOf([first, elsewhere, second])).toEqual([2, 1]);
  });

  it("is kept towards a packet of the flow with options or extension headers", () => {
    const [first, second] = pair({}, {});
    const [first6, second6] = pair(V6, {});
    const twice = [first, built(CHANGES.shortIpOptions), second];
    const twice6 = [first6, built({ ...V6, extensions: [optionsExtension(60)] }), second6];

    expect(partsOf(twice)).toEqual([1, 1, 1]);
    expect(partsOf(twice6)).toEqual([1, 1, 1]);
  });
});

describe("a wish", () => {
  const packets = [...run({}, [FULL, FULL]), ...run(UDP, [FULL, FULL])];

  it.each<[JoinWish, readonly number[]]>([
    [{ tcp: true, udp: true }, [2, 2]],
    [{ tcp: true, udp: false }, [2, 1, 1]],
    [{ tcp: false, udp: true }, [1, 1, 2]],
    [{ tcp: false, udp: false }, [1, 1, 1, 1]],
  ])("for %o is kept", (wish, parts) => {
    expect(join(packets, wish).map((packet) => packet.parts)).toEqual(parts);
  });
});

describe("a batch", () => {
  it("is not joined with the one before", () => {
    const packets = run({}, [FULL, FULL, FULL, FULL]);
    const arena = concat(...packets.map(({ bytes }) => bytes));
    const batch = packetBatch(arena, 4);
    const joiner = new Joiner(batch, { tcp: true, udp: true });
    const upper = emptyUpperLayer();
    const pass = (...indices: readonly number[]) => {
      joiner.begin();
      for (const index of indices) {
        findTransport(arena, index * (FULL + 40), FULL + 40, upper);
        joiner.add(index * (FULL + 40), FULL + 40, true, upper);
      }
      joiner.finish();
      return readDelivered(arena, batch.rows, batch.count);
    };

    const batches = [pass(0), pass(1), pass(2, 3), pass()];

    expect(batches.map((delivered) => delivered.map(({ parts }) => parts))).toEqual([
      [1],
      [1],
      [2],
      [],
    ]);
  });
});

function firstFragment(): Arrived {
  const { bytes } = built({ isPartial: false, isDontFragment: false });
  bytes[6] = 0x20;
  sealIpv4Header(bytes);
  return { bytes, isPartial: false };
}

function payloadOf(header: number): (packet: Arrived) => Uint8Array {
  return ({ bytes }) => bytes.subarray(header);
}

/** Lengths, IPv4 header checksum and partial checksum say what the whole packet is. */
function expectRightHeader(packet: Uint8Array, start: number, checksumOffset: number): void {
  const view = new DataView(packet.buffer, packet.byteOffset);
  const isIpv4 = start === 20;
  const ends = isIpv4
    ? ([packet.subarray(12, 16), packet.subarray(16, 20)] as const)
    : ([packet.subarray(8, 24), packet.subarray(24, 40)] as const);
  const length = packet.length - start;
  expect(view.getUint16(isIpv4 ? 2 : 4)).toBe(isIpv4 ? packet.length : length);
  if (isIpv4) expect(internetChecksum(packet.subarray(0, 20))).toBe(0);
  if (checksumOffset === 6) expect(view.getUint16(start + 4)).toBe(length);
  const protocol = checksumOffset === 6 ? 17 : 6;
  expect(view.getUint16(start + checksumOffset)).toBe(pseudoSum(...ends, protocol, length));
}
