/**
 * What a vnet header says of a super-packet, held against the packet: how it is cut, and what is refused.
 *
 * The twin is the plain cutter, which must make as many packets, none longer than promised, of everything
 * that is accepted.
 */
import { describe, expect, it } from "vitest";
import { emptyUpperLayer } from "../../../src/core/inner-packet.ts";
import { type Cut, readCut } from "../../../src/core/outbound/super-packet.ts";
import { GSO, PACKET, PACKET_FIELDS, PACKET_NEEDS_CHECKSUM } from "../../../src/core/rows.ts";
import { cutSuperPacket } from "../../helpers/cut-twin.ts";
import {
  type BuiltPacket,
  buildPacket,
  optionsExtension,
  type PacketSpec,
} from "../../helpers/packet-builder.ts";
import { pingPacket } from "../../helpers/packets.ts";
import { Random, seeds } from "../../helpers/random.ts";
import { randomSuperPacket } from "../../helpers/super-packets.ts";

const V6 = { source: "fd00::1", destination: "fd00::2" };
const UDP = { protocol: "udp" } as const;
const NO_CUT = { segments: 1, headerLength: 0 };
const ECN = GSO.ECN;

type Changes = Partial<PacketSpec>;

describe("a super-packet", () => {
  it.each<[string, Changes, number, number]>([
    ["TCP over IPv4", {}, GSO.TCP4, 40],
    ["TCP over IPv6", V6, GSO.TCP6, 60],
    ["UDP over IPv4", UDP, GSO.UDP, 28],
    ["UDP over IPv6", { ...UDP, ...V6 }, GSO.UDP, 48],
    ["TCP with options", { tcpOptions: new Uint8Array(12).fill(1) }, GSO.TCP4, 52],
    ["TCP with 40 bytes of options", { tcpOptions: new Uint8Array(40).fill(1) }, GSO.TCP4, 80],
    ["IPv4 options", { ipOptions: new Uint8Array(40).fill(1) }, GSO.TCP4, 80],
    ["IPv4 options before UDP", { ...UDP, ipOptions: new Uint8Array(4).fill(1) }, GSO.UDP, 32],
    ["an extension header", { ...V6, extensions: [optionsExtension(60)] }, GSO.TCP6, 68],
    [
      "two extension headers",
      { ...V6, ...UDP, extensions: [optionsExtension(0, 2), optionsExtension(60, 4)] },
      GSO.UDP,
      96,
    ],
    ["the ECN bit on TCP over IPv4", {}, GSO.TCP4 | ECN, 40],
    ["the ECN bit on TCP over IPv6", V6, GSO.TCP6 | ECN, 60],
  ])("of %s is cut behind its headers", (_, changes, type, header) => {
    const packet = packetOf(changes, 2501);

    expect(cutOf(packet, { type, size: 1000 })).toEqual({
      segments: 3,
      headerLength: header,
      largest: header + 1000,
    });
  });

  it.each([
    [2000, 1000, 2],
    [2001, 1000, 3],
    [1001, 1000, 2],
    [64_000, 1, 64_000],
    [2, 1, 2],
    [65_000, 1380, 48],
  ])("with %i bytes of payload in segments of %i becomes %i", (payload, size, segments) => {
    expect(cutOf(packetOf({}, payload), { type: GSO.TCP4, size })).toEqual({
      segments,
      headerLength: 40,
      largest: 40 + size,
    });
  });

  it.each(seeds(100))("at random (%i) is cut as its twin cuts it", (seed) => {
    const packet = randomSuperPacket(new Random(seed));
    const meta = { type: packet.gsoType, size: packet.gsoSize };
    const packets = cutSuperPacket(packet.bytes, packet);

    expect(cutOf(packet, meta)).toEqual({
      segments: packets.length,
      headerLength: packet.headerLength,
      largest: Math.max(...packets.map(({ length }) => length)),
    });
  });
});

describe("a packet that is one", () => {
  it.each<[string, Changes, number, { type: number; size: number }]>([
    ["without a type", {}, 100, { type: GSO.NONE, size: 0 }],
    ["without a type, whatever its size field says", {}, 100, { type: GSO.NONE, size: 10 }],
    ["with the ECN bit alone", {}, 100, { type: ECN, size: 10 }],
    ["TCP with payload of exactly a segment", {}, 1000, { type: GSO.TCP4, size: 1000 }],
    ["TCP with less", V6, 999, { type: GSO.TCP6, size: 1000 }],
    ["TCP without payload", {}, 0, { type: GSO.TCP4, size: 1000 }],
    ["UDP with payload of exactly a segment", UDP, 1000, { type: GSO.UDP, size: 1000 }],
    ["UDP without payload", UDP, 0, { type: GSO.UDP, size: 1 }],
  ])("%s is not cut", (_, changes, payload, meta) => {
    const packet = packetOf(changes, payload);

    expect(cutOf(packet, meta)).toEqual({ ...NO_CUT, largest: packet.bytes.length });
  });

  it("of another transport is not looked into", () => {
    const bytes = pingPacket("10.0.0.1", "10.0.0.2");
    const meta = { type: GSO.NONE, size: 0, flags: 0 };

    expect(cutOf({ bytes, checksumStart: 0, checksumOffset: 0 }, meta)).toEqual({
      ...NO_CUT,
      largest: 84,
    });
  });
});

describe("a row that contradicts its packet is refused:", () => {
  it.each<[string, Changes, Partial<Meta>]>([
    ["TCPv6 said of IPv4", {}, { type: GSO.TCP6 }],
    ["TCPv4 said of IPv6", V6, { type: GSO.TCP4 }],
    ["UDP said of TCP", {}, { type: GSO.UDP }],
    ["UDP said of TCP over IPv6", V6, { type: GSO.UDP }],
    ["TCP said of UDP", UDP, { type: GSO.TCP4 }],
    ["TCP said of UDP over IPv6", { ...UDP, ...V6 }, { type: GSO.TCP6 }],
    ["the UDP fragmentation offload of old (3)", UDP, { type: 3 }],
    ["an unknown type", {}, { type: 2 }],
    ["every bit of a type", {}, { type: 0xff }],
    ["the ECN bit on UDP", UDP, { type: GSO.UDP | ECN }],
    ["the place of the UDP checksum said of TCP", {}, { field: 6 }],
    ["the place of the TCP checksum said of UDP", UDP, { type: GSO.UDP, field: 16 }],
    ["no NEEDS_CHECKSUM", {}, { flags: 0 }],
    ["only other flags", {}, { flags: 0xfe }],
    ["size 0", {}, { size: 0 }],
    ["a negative size", {}, { size: -1 }],
    ["the checksum before the transport header", {}, { start: 19 }],
    ["the checksum behind the transport header's start", {}, { start: 22 }],
    ["the checksum at 0", {}, { start: 0 }],
    [
      "the checksum at the extension header",
      { ...V6, extensions: [optionsExtension(60)] },
      { start: 40, type: GSO.TCP6 },
    ],
    [
      "a checksum that ignores IPv4 options",
      { ipOptions: new Uint8Array(8).fill(1) },
      { start: 20 },
    ],
  ])("%s", (_, changes, wrong) => {
    const packet = packetOf(changes, 2500);
    const right = { type: GSO.TCP4, size: 1000 };

    expect(cutOf(packet, { ...right, ...wrong })).toBe("refused");
  });

  it.each<[string, (bytes: Uint8Array) => void]>([
    ["a TCP header longer than the packet", (bytes) => bytes.set([0xf0], 32)],
    ["a TCP header shorter than any", (bytes) => bytes.set([0x40], 32)],
    ["a first fragment", (bytes) => bytes.set([0x20], 6)],
    ["a later fragment", (bytes) => bytes.set([0x00, 0x01], 6)],
    ["another protocol", (bytes) => bytes.set([47], 9)],
  ])("%s", (name, spoil) => {
    const packet = packetOf({}, name.includes("longer") ? 10 : 2500);
    spoil(packet.bytes);

    expect(cutOf(packet, { type: GSO.TCP4, size: 5 })).toBe("refused");
  });

  it("a packet without room for its transport header", () => {
    const { bytes } = packetOf(UDP, 0);
    const short = bytes.slice(0, 27);
    short.set([0, 27], 2);

    const packet = { bytes: short, checksumStart: 20, checksumOffset: 6 };
    expect(cutOf(packet, { type: GSO.UDP, size: 1 })).toBe("refused");
  });
});

it("what was read of one packet is not left for the next", () => {
  const cut: Cut = { segments: 9, headerLength: 9, largest: 9 };
  const first = read(packetOf({}, 2500), { type: GSO.TCP4, size: 1000 }, cut);
  const second = read(packetOf({}, 10), { type: GSO.NONE, size: 1000 }, cut);

  expect([first, second, cut]).toEqual([true, true, { ...NO_CUT, largest: 50 }]);
});

interface Meta {
  readonly type: number;
  readonly size: number;
  readonly flags: number;
  /** CHECKSUM_START, where not the right one. */
  readonly start: number;
  /** CHECKSUM_OFFSET, where not the right one. */
  readonly field: number;
}
type Given = Pick<Meta, "type" | "size"> & Partial<Meta>;
type Packet = Pick<BuiltPacket, "bytes" | "checksumStart" | "checksumOffset">;

function packetOf(changes: Changes, payload: number): BuiltPacket {
  return buildPacket({ payload: new Uint8Array(payload).fill(7), ...changes });
}

function cutOf(packet: Packet, meta: Given): Cut | "refused" {
  const cut = { segments: 0, headerLength: 0, largest: 0 };
  return read(packet, meta, cut) ? cut : "refused";
}

/** Reads the packet in the middle of an arena, in its second row; the header hint is nonsense. */
function read(packet: Packet, meta: Given, cut: Cut): boolean {
  const { type, size, flags = PACKET_NEEDS_CHECKSUM } = meta;
  const { start = packet.checksumStart, field = packet.checksumOffset } = meta;
  const arena = new Uint8Array(packet.bytes.length + 200).fill(0x45);
  arena.set(packet.bytes, 77);
  const rows = new Int32Array(2 * PACKET_FIELDS);
  rows[PACKET_FIELDS + PACKET.OFFSET] = 77;
  rows[PACKET_FIELDS + PACKET.LENGTH] = packet.bytes.length;
  rows[PACKET_FIELDS + PACKET.FLAGS] = flags;
  rows[PACKET_FIELDS + PACKET.GSO_TYPE] = type;
  rows[PACKET_FIELDS + PACKET.GSO_SIZE] = size;
  rows[PACKET_FIELDS + PACKET.HEADER_LENGTH] = 3;
  rows[PACKET_FIELDS + PACKET.CHECKSUM_START] = start;
  rows[PACKET_FIELDS + PACKET.CHECKSUM_OFFSET] = field;
  return readCut(arena, rows, PACKET_FIELDS, emptyUpperLayer(), cut);
}
