/**
 * Inner packets: every way in which a header can lie, and where TCP and UDP are found.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  emptyUpperLayer,
  findTransport,
  findUpperLayer,
  innerFamily,
} from "../../src/core/inner-packet.ts";
import { tcpPacket, udpPacket } from "../helpers/packets.ts";
import { fromHex } from "../vectors/vectors.ts";

const V4 = ["10.0.0.1", "10.0.0.2"] as const;
const V6 = ["fd00::1", "fd00::2"] as const;

describe("innerFamily accepts", () => {
  it.each([
    ["an IPv4 packet", udpPacket(...V4, new Uint8Array(10)), 4],
    ["an IPv6 packet", udpPacket(...V6, new Uint8Array(10)), 6],
    ["an IPv4 header alone", ipv4({ totalLength: 20 }), 4],
    ["an IPv6 header alone", ipv6(59), 6],
    ["an IPv4 header with options alone", ipv4({ headerWords: 15, totalLength: 60 }), 4],
    ["the largest IPv4 packet", ipv4({ totalLength: 65_535 }), 4],
    ["the largest IPv6 packet", ipv6(59, new Uint8Array(65_535)), 6],
  ])("%s", (_, packet, family) => {
    expect(innerFamily(packet, 0, packet.length)).toBe(family);
  });

  it("a packet wherever it lies in the arena, and no other length of it", () => {
    const packet = udpPacket(...V6, new Uint8Array(10));
    const arena = new Uint8Array(200).fill(0x45);
    arena.set(packet, 77);
    expect(innerFamily(arena, 77, packet.length)).toBe(6);
    expect(innerFamily(arena, 77, packet.length - 1)).toBe(0);
    expect(innerFamily(arena, 77, packet.length + 1)).toBe(0);
  });
});

describe("innerFamily refuses", () => {
  it.each([
    ["nothing", new Uint8Array(0)],
    ["one byte of IPv4", Uint8Array.of(0x45)],
    ["19 bytes of IPv4", ipv4({ totalLength: 19 }).subarray(0, 19)],
    ["39 bytes of IPv6", ipv6(59).subarray(0, 39)],
    ["an IPv4 header of 0 words", ipv4({ headerWords: 0, totalLength: 40 })],
    ["an IPv4 header of 4 words", ipv4({ headerWords: 4, totalLength: 40 })],
    ["an IPv4 header longer than the packet", ipv4({ headerWords: 6, totalLength: 20 })],
    ["an IPv4 total length of 0", ipv4({ totalLength: 0, bytes: 40 })],
    ["an IPv4 total length one too small", ipv4({ totalLength: 39, bytes: 40 })],
    ["an IPv4 total length one too large", ipv4({ totalLength: 41, bytes: 40 })],
    ["an IPv4 total length with its bytes swapped", ipv4({ totalLength: 40 << 8, bytes: 40 })],
    ["an IPv6 payload length one too small", resized(ipv6(59, new Uint8Array(9)), 1)],
    ["an IPv6 payload length one too large", resized(ipv6(59, new Uint8Array(9)), -1)],
    ["an IPv6 jumbogram", jumbogram()],
  ])("%s", (_, packet) => {
    expect(innerFamily(packet, 0, packet.length)).toBe(0);
  });

  it.each([0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15])("version %i", (version) => {
    for (const packet of [
      udpPacket(...V4, new Uint8Array(4)),
      udpPacket(...V6, new Uint8Array(4)),
    ]) {
      packet[0] = (version << 4) | 5;
      expect(innerFamily(packet, 0, packet.length)).toBe(0);
    }
  });

  it("IPv4 in IPv6's clothes and the reverse", () => {
    const four = udpPacket(...V4, new Uint8Array(40));
    const six = udpPacket(...V6, new Uint8Array(40));
    four[0] = 0x65;
    six[0] = 0x45;
    expect([innerFamily(four, 0, four.length), innerFamily(six, 0, six.length)]).toEqual([0, 0]);
  });
});

describe("findTransport finds", () => {
  it.each([
    ["IPv4 UDP", udpPacket(...V4, new Uint8Array(5)), 17, 20, 6],
    ["IPv4 TCP", tcpPacket(...V4, 1, new Uint8Array(5)), 6, 20, 16],
    ["IPv6 UDP", udpPacket(...V6, new Uint8Array(5)), 17, 40, 6],
    ["IPv6 TCP", tcpPacket(...V6, 1, new Uint8Array(5)), 6, 40, 16],
    ["IPv4 TCP behind options", ipv4({ headerWords: 8, protocol: 6, payload: TCP() }), 6, 32, 16],
    ["IPv4 UDP without payload", ipv4({ protocol: 17, payload: new Uint8Array(8) }), 17, 20, 6],
    [
      "IPv4 with DF",
      ipv4({ protocol: 17, fragment: 0x4000, payload: new Uint8Array(8) }),
      17,
      20,
      6,
    ],
    ["TCP with 15 words of header", ipv6(6, TCP(15)), 6, 40, 16],
    ["UDP behind hop-by-hop options", ipv6(0, [...extension(17, 0), ...UDP()]), 17, 48, 6],
    ["UDP behind a routing header", ipv6(43, [...extension(17, 2), ...UDP()]), 17, 64, 6],
    [
      "TCP behind hop-by-hop, routing and destination options",
      ipv6(0, [...extension(43, 0), ...extension(60, 1), ...extension(6, 0), ...TCP()]),
      6,
      40 + 8 + 16 + 8,
      16,
    ],
    [
      "UDP behind eight headers",
      ipv6(60, [...chain(60, 7), ...extension(17, 0), ...UDP()]),
      17,
      104,
      6,
    ],
  ])("%s", (_, packet, protocol, start, checksumOffset) => {
    const upper = emptyUpperLayer();
    expect(findTransport(packet, 0, packet.length, upper)).toBe(true);
    expect(upper).toEqual({
      protocol,
      start,
      checksumOffset,
      fragment: "none",
      isAuthenticated: false,
    });
  });

  it("a packet wherever it lies in the arena", () => {
    const packet = ipv6(60, [...extension(17, 0), ...UDP()]);
    const arena = new Uint8Array(500).fill(0x2c);
    arena.set(packet, 123);
    const upper = emptyUpperLayer();
    expect(findTransport(arena, 123, packet.length, upper)).toBe(true);
    expect(upper.start).toBe(48);
  });

  it("the same with an object used before as with a new one", () => {
    const upper = emptyUpperLayer();
    const fragmented = ipv6(51, [...authentication(44), ...fragmentHeader(17, 8), ...UDP()]);
    findTransport(fragmented, 0, fragmented.length, upper);
    const packet = udpPacket(...V4, new Uint8Array(5));
    expect(findTransport(packet, 0, packet.length, upper)).toBe(true);
  });
});

describe("findTransport refuses", () => {
  it.each([
    ["a malformed packet", ipv4({ totalLength: 41, bytes: 40, protocol: 17 })],
    ["IPv4 ICMP", ipv4({ protocol: 1, payload: new Uint8Array(8) })],
    ["IPv6 ICMP", ipv6(58, new Uint8Array(8))],
    ["SCTP", ipv6(132, new Uint8Array(20))],
    ["UDP-Lite", ipv4({ protocol: 136, payload: new Uint8Array(8) })],
    ["no next header", ipv6(59, new Uint8Array(20))],
    ["IPv4 UDP of 7 bytes", ipv4({ protocol: 17, payload: new Uint8Array(7) })],
    ["IPv4 TCP of 19 bytes", ipv4({ protocol: 6, payload: TCP().subarray(0, 19) })],
    ["TCP whose header is 4 words", ipv6(6, TCP(4))],
    ["TCP whose header ends outside", ipv6(6, TCP(10).subarray(0, 39))],
    ["the first IPv4 fragment", ipv4({ protocol: 17, fragment: 0x2000, payload: UDP() })],
    ["a later IPv4 fragment", ipv4({ protocol: 17, fragment: 0x2001, payload: UDP() })],
    ["the last IPv4 fragment", ipv4({ protocol: 17, fragment: 0x00b9, payload: UDP() })],
    ["the first IPv6 fragment", ipv6(44, [...fragmentHeader(17, 1), ...UDP()])],
    ["a later IPv6 fragment", ipv6(44, [...fragmentHeader(17, 8), ...UDP()])],
    ["an atomic IPv6 fragment", ipv6(44, [...fragmentHeader(17, 0), ...UDP()])],
    ["UDP behind an authentication header", ipv6(51, [...authentication(17), ...UDP()])],
    ["encrypted payload", ipv6(50, new Uint8Array(30))],
    ["an extension header without bytes", ipv6(60)],
    ["an extension header cut after 7 bytes", ipv6(60, extension(17, 0).subarray(0, 7))],
    ["an extension header that ends outside", ipv6(60, extension(17, 3).subarray(0, 31))],
    [
      "an extension header of 2,048 bytes",
      ipv6(0, [...extension(17, 0), ...UDP()].fill(255, 1, 2)),
    ],
    ["nine extension headers", ipv6(60, [...chain(60, 8), ...extension(17, 0), ...UDP()])],
    ["a chain that never ends", ipv6(60, chain(60, 200))],
    ["UDP that starts where the packet ends", ipv6(60, extension(17, 0))],
  ])("%s", (_, packet) => {
    expect(findTransport(packet, 0, packet.length, emptyUpperLayer())).toBe(false);
  });
});

describe("findUpperLayer", () => {
  it.each([
    ["the first IPv4 fragment", ipv4({ protocol: 17, fragment: 0x2000, payload: UDP() }), "first"],
    ["the last IPv4 fragment", ipv4({ protocol: 17, fragment: 0x00b9, payload: UDP() }), "later"],
    ["the first IPv6 fragment", ipv6(44, [...fragmentHeader(17, 1), ...UDP()]), "first"],
    ["a later IPv6 fragment", ipv6(44, [...fragmentHeader(17, 8), ...UDP()]), "later"],
  ])("knows %s", (_, packet, fragment) => {
    const upper = emptyUpperLayer();
    expect(findUpperLayer(packet, 0, packet.length, upper)).toBe(true);
    expect(upper).toMatchObject({ protocol: 17, fragment });
  });

  it("does not follow the middle of a fragmented chain", () => {
    const upper = emptyUpperLayer();
    const packet = ipv6(44, [...fragmentHeader(60, 8), 0x11, 0xff, 0, 0, 0, 0, 0, 0]);
    expect(findUpperLayer(packet, 0, packet.length, upper)).toBe(true);
    expect(upper).toMatchObject({ protocol: 60, start: 48, fragment: "later" });
  });
});

describe("junk", () => {
  it("never throws, and what is found lies inside the packet", () => {
    const upper = emptyUpperLayer();
    fc.assert(
      fc.property(likelyPacket(), mostlyZero(20), mostlyZero(5), (bytes, at, off) => {
        const length = bytes.length - at + off;
        innerFamily(bytes, at, length);
        if (!findTransport(bytes, at, length, upper)) return;
        const field = upper.start + upper.checksumOffset;
        expect(field + 2).toBeLessThanOrEqual(length);
        expect(upper.start).toBeGreaterThanOrEqual(20);
      }),
      { numRuns: 3000 },
    );
  });

  it("finds something in a good share of packets whose header is honest", () => {
    const upper = emptyUpperLayer();
    let found = 0;
    for (const bytes of fc.sample(likelyPacket(), { numRuns: 2000, seed: 1 })) {
      if (findTransport(bytes, 0, bytes.length, upper)) found++;
    }
    expect(found).toBeGreaterThan(50);
  });
});

interface Ipv4Fields {
  readonly headerWords?: number;
  readonly totalLength?: number;
  /** Bytes of the whole array, where they are not the total length. */
  readonly bytes?: number;
  readonly protocol?: number;
  readonly fragment?: number;
  readonly payload?: Uint8Array;
}

/** An IPv4 packet that says what it is told to, honest or not. */
function ipv4(fields: Ipv4Fields): Uint8Array {
  const { headerWords = 5, protocol = 59, fragment = 0, payload = new Uint8Array(0) } = fields;
  const totalLength = fields.totalLength ?? headerWords * 4 + payload.length;
  const packet = new Uint8Array(fields.bytes ?? Math.max(20, totalLength));
  const view = new DataView(packet.buffer);
  packet[0] = 0x40 | headerWords;
  view.setUint16(2, totalLength);
  view.setUint16(6, fragment);
  packet[9] = protocol;
  if (payload.length > 0) packet.set(payload, headerWords * 4);
  return packet;
}

/** An IPv6 packet with an honest payload length. */
function ipv6(nextHeader: number, payload: Iterable<number> = []): Uint8Array {
  const body = Uint8Array.from(payload);
  const packet = new Uint8Array(40 + body.length);
  packet[0] = 0x60;
  new DataView(packet.buffer).setUint16(4, body.length);
  packet[6] = nextHeader;
  packet.set(body, 40);
  return packet;
}

/** The packet with so many bytes more, its length field as before. */
function resized(packet: Uint8Array, more: -1 | 1): Uint8Array {
  const changed = new Uint8Array(packet.length + more);
  changed.set(packet.subarray(0, changed.length));
  return changed;
}

/** RFC 2675: payload length 0 and a hop-by-hop option with the real one. */
function jumbogram(): Uint8Array {
  const packet = ipv6(0, [...fromHex("1100c20400000010"), ...UDP()]);
  packet.fill(0, 4, 6);
  return packet;
}

function UDP(): Uint8Array {
  return fromHex("03e807d000080000");
}

/** A TCP header of so many words. */
function TCP(words = 5): Uint8Array {
  const header = new Uint8Array(Math.max(20, words * 4));
  header[12] = words << 4;
  return header;
}

/** An options or routing header of 8 * (lengthField + 1) bytes. */
function extension(next: number, lengthField: number): Uint8Array {
  const header = new Uint8Array(8 * (lengthField + 1));
  header[0] = next;
  header[1] = lengthField;
  return header;
}

function chain(kind: number, count: number): number[] {
  return Array.from({ length: count }, () => [...extension(kind, 0)]).flat();
}

/** RFC 8200 §4.5; `offsetAndMore` is the 16-bit field: offset * 8, and 1 for "more". */
function fragmentHeader(next: number, offsetAndMore: number): Uint8Array {
  return Uint8Array.of(next, 0, offsetAndMore >> 8, offsetAndMore & 0xff, 0, 0, 0, 7);
}

/** RFC 4302 with a 12-byte check value: 24 bytes, counted in words of 4 less 2. */
function authentication(next: number): Uint8Array {
  const header = new Uint8Array(24);
  header[0] = next;
  header[1] = 4;
  return header;
}

function mostlyZero(max: number): fc.Arbitrary<number> {
  return fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: -max, max }));
}

/** Bytes that are often an honest header of a protocol or extension that the parser knows. */
function likelyPacket(): fc.Arbitrary<Uint8Array> {
  const kind = fc.constantFrom(0, 6, 17, 43, 44, 51, 58, 59, 60, 255);
  const body = fc.array(fc.oneof(kind, fc.constantFrom(0, 1, 0x50, 0x60), fc.nat(255)), {
    maxLength: 90,
    size: "max",
  });
  return fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.tuple(kind, body).map(([next, bytes]) => ipv6(next, bytes)),
    fc
      .tuple(kind, body, fc.constantFrom(0, 0, 0x2000, 0x4000, 5), fc.integer({ min: 5, max: 15 }))
      .map(([protocol, bytes, fragment, headerWords]) =>
        ipv4({ protocol, fragment, headerWords, payload: Uint8Array.from(bytes) }),
      ),
  );
}
