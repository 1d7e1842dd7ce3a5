/**
 * ICMP unreachable: the answer's bytes and checksums, how much it quotes, and who gets none.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addBytes, checksumOf } from "../../../src/core/checksum.ts";
import { innerFamily } from "../../../src/core/inner-packet.ts";
import { unreachableReply } from "../../../src/core/outbound/icmp.ts";
import { innerBytes, ipText } from "../../helpers/address.ts";
import { udpPacket } from "../../helpers/packets.ts";
import { toHex } from "../../vectors/vectors.ts";

const V4 = ["10.0.0.1", "10.9.0.2"] as const;
const V6 = ["fd00::1", "fd00:9::2"] as const;

describe("the answer to an IPv4 packet", () => {
  const packet = udpPacket(...V4, new Uint8Array(100).fill(0x77));
  const answer = reply(packet);

  it("is an honest IPv4 packet of header, ICMP header and the whole packet", () => {
    expect(innerFamily(answer, 0, answer.length)).toBe(4);
    expect(answer.length).toBe(20 + 8 + packet.length);
    expect(toHex(answer.subarray(28))).toBe(toHex(packet));
  });

  it("goes to the sender and comes from the packet's destination", () => {
    expect(addressText(answer.subarray(16, 20))).toBe(V4[0]);
    expect(addressText(answer.subarray(12, 16))).toBe(V4[1]);
  });

  it("is type 3 code 1, with four zero bytes, TTL 64, DF and precedence 6", () => {
    expect([...answer.subarray(20, 22)]).toEqual([3, 1]);
    expect([...answer.subarray(24, 28)]).toEqual([0, 0, 0, 0]);
    expect(answer[8]).toBe(64);
    expect(answer[9]).toBe(1);
    expect(answer[6]).toBe(0x40);
    expect(answer[1]).toBe(0xc0);
  });

  it("has both checksums right", () => {
    expect(checksumOf(addBytes(0, answer, 0, 20))).toBe(0);
    expect(checksumOf(addBytes(0, answer, 20, answer.length))).toBe(0);
  });

  it.each([
    [548, 576],
    [549, 576],
    [547, 575],
    [1400, 576],
    [65_535, 576],
  ])("quotes of %i bytes what 576 allow", (length, replyLength) => {
    const big = udpPacket(...V4, new Uint8Array(length - 28).fill(1));
    const bounded = reply(big);
    expect(bounded.length).toBe(replyLength);
    expect(toHex(bounded.subarray(28))).toBe(toHex(big.subarray(0, replyLength - 28)));
    expect(checksumOf(addBytes(0, bounded, 20, bounded.length))).toBe(0);
  });
});

describe("the answer to an IPv6 packet", () => {
  const packet = udpPacket(...V6, new Uint8Array(101).fill(0x77));
  const answer = reply(packet);

  it("is an honest IPv6 packet of header, ICMPv6 header and the whole packet", () => {
    expect(innerFamily(answer, 0, answer.length)).toBe(6);
    expect(answer.length).toBe(40 + 8 + packet.length);
    expect(toHex(answer.subarray(48))).toBe(toHex(packet));
  });

  it("goes to the sender and comes from the packet's destination", () => {
    expect(addressText(answer.subarray(24, 40))).toBe(V6[0]);
    expect(addressText(answer.subarray(8, 24))).toBe(V6[1]);
  });

  it("is type 1 code 3, with four zero bytes and hop limit 64", () => {
    expect([...answer.subarray(40, 42)]).toEqual([1, 3]);
    expect([...answer.subarray(44, 48)]).toEqual([0, 0, 0, 0]);
    expect([answer[6], answer[7]]).toEqual([58, 64]);
  });

  it("has its checksum right, pseudo-header included", () => {
    expect(checksum6(answer)).toBe(0);
  });

  it.each([
    [1232, 1280],
    [1233, 1280],
    [1231, 1279],
    [9000, 1280],
  ])("quotes of %i bytes what 1,280 allow", (length, replyLength) => {
    const big = udpPacket(...V6, new Uint8Array(length - 48).fill(1));
    const bounded = reply(big);
    expect(bounded.length).toBe(replyLength);
    expect(toHex(bounded.subarray(48))).toBe(toHex(big.subarray(0, replyLength - 48)));
    expect(checksum6(bounded)).toBe(0);
  });
});

describe("an answer is given", () => {
  it.each([
    ["to an IPv4 ping", packet4({ protocol: 1, body: [8, 0] })],
    ["to an IPv4 ping's answer", packet4({ protocol: 1, body: [0, 0] })],
    ["to a timestamp request", packet4({ protocol: 1, body: [13, 0] })],
    ["to the first IPv4 fragment", packet4({ fragment: 0x2000 })],
    ["to TCP", packet4({ protocol: 6 })],
    ["to an unknown protocol", packet4({ protocol: 253 })],
    ["to IPv4 options", packet4({ headerWords: 9 })],
    ["to an IPv4 header alone", packet4({ body: [] })],
    ["to an IPv6 ping", packet6({ next: 58, body: [128, 0] })],
    ["to a neighbour's unicast solicitation", packet6({ next: 58, body: [135, 0] })],
    ["to the first IPv6 fragment", packet6({ next: 44, body: [17, 0, 0, 1, 0, 0, 0, 1, 9, 9] })],
    ["to an IPv6 packet without payload", packet6({ next: 59, body: [] })],
    [
      "to a ping behind destination options",
      packet6({ next: 60, body: [58, 0, 1, 4, 0, 0, 0, 0, 128, 0] }),
    ],
    ["from a link-local address", packet6({ source: "fe80::1" })],
  ])("%s", (_, packet) => {
    expect(reply(packet).length).toBeGreaterThan(0);
  });
});

describe("no answer is given", () => {
  it.each([3, 4, 5, 11, 12, 1, 2, 19, 40, 255])("to ICMP type %i", (type) => {
    expect(reply(packet4({ protocol: 1, body: [type, 0, 0, 0] })).length).toBe(0);
  });

  it.each([0, 1, 2, 3, 4, 100, 127, 137])("to ICMPv6 type %i", (type) => {
    expect(reply(packet6({ next: 58, body: [type, 0, 0, 0] })).length).toBe(0);
    const behind = [58, 0, 1, 4, 0, 0, 0, 0, type, 0];
    expect(reply(packet6({ next: 60, body: behind })).length).toBe(0);
  });

  it.each([
    ["ICMP without its type", packet4({ protocol: 1, body: [] })],
    ["ICMPv6 without its type", packet6({ next: 58, body: [] })],
    ["a later IPv4 fragment", packet4({ fragment: 0x2001 })],
    ["the last IPv4 fragment", packet4({ fragment: 0x0001 })],
    ["a later IPv6 fragment", packet6({ next: 44, body: [17, 0, 0, 9, 0, 0, 0, 1, 9, 9] })],
    ["IPv6 extension headers that are cut", packet6({ next: 60, body: [58, 9] })],
    ["a malformed packet", packet4({}).subarray(0, 21)],
    ["nothing", new Uint8Array(0)],
    ["another version", Uint8Array.from(packet4({})).fill(0x55, 0, 1)],
  ])("to %s", (_, packet) => {
    expect(reply(packet).length).toBe(0);
  });

  it.each([
    "0.0.0.0",
    "0.1.2.3",
    "127.0.0.1",
    "127.255.255.255",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
  ])("from or to %s", (address) => {
    expect(reply(packet4({ source: address })).length).toBe(0);
    expect(reply(packet4({ destination: address })).length).toBe(0);
  });

  it.each(["::", "::1", "ff02::1", "ff00::", "ff0e::101"])("from or to %s", (address) => {
    expect(reply(packet6({ source: address })).length).toBe(0);
    expect(reply(packet6({ destination: address })).length).toBe(0);
  });

  it.each(["1.0.0.1", "126.255.255.255", "128.0.0.1", "223.255.255.255"])(
    "but from and to the neighbour %s of those it is",
    (address) => {
      expect(reply(packet4({ source: address })).length).toBeGreaterThan(0);
      expect(reply(packet4({ destination: address })).length).toBeGreaterThan(0);
    },
  );

  it("to its own answers, so that nothing circles", () => {
    expect(reply(reply(packet4({}))).length).toBe(0);
    expect(reply(reply(packet6({}))).length).toBe(0);
  });

  it("where the room does not suffice, and nothing is written", () => {
    const packet = udpPacket(...V4, new Uint8Array(100));
    const out = new Uint8Array(200).fill(0xaa);
    expect(unreachableReply(packet, 0, packet.length, out, 200 - 155)).toBe(0);
    expect(out.every((byte) => byte === 0xaa)).toBe(true);
    expect(unreachableReply(packet, 0, packet.length, out, 200 - 156)).toBe(156);
  });
});

describe("anything", () => {
  it("never throws, never writes outside, and every answer is an honest packet", () => {
    const body = fc.array(fc.nat(255), { maxLength: 80 });
    const next = fc.constantFrom(0, 1, 6, 17, 43, 44, 51, 58, 60);
    const packets = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.tuple(next, body).map(([kind, bytes]) => packet6({ next: kind, body: bytes })),
      fc
        .tuple(next, body, fc.nat(0xffff))
        .map(([protocol, bytes, fragment]) => packet4({ protocol, body: bytes, fragment })),
    );
    fc.assert(
      fc.property(packets, (packet) => {
        const out = new Uint8Array(1400).fill(0xaa);
        const length = unreachableReply(packet, 0, packet.length, out, 50);
        expect(out.subarray(0, 50).every((byte) => byte === 0xaa)).toBe(true);
        expect(out.subarray(50 + length).every((byte) => byte === 0xaa)).toBe(true);
        if (length > 0)
          expect(innerFamily(out, 50, length)).toBe(innerFamily(packet, 0, packet.length));
      }),
      { numRuns: 1000 },
    );
  });
});

interface Fields4 {
  readonly source?: string;
  readonly destination?: string;
  readonly protocol?: number;
  readonly fragment?: number;
  readonly headerWords?: number;
  readonly body?: readonly number[];
}

function packet4(fields: Fields4): Uint8Array {
  const { headerWords = 5, body = [1, 2, 3, 4, 5, 6, 7, 8], fragment = 0 } = fields;
  const packet = new Uint8Array(headerWords * 4 + body.length);
  const view = new DataView(packet.buffer);
  packet[0] = 0x40 | headerWords;
  view.setUint16(2, packet.length);
  view.setUint16(6, fragment);
  packet[9] = fields.protocol ?? 17;
  packet.set(innerBytes(fields.source ?? V4[0]), 12);
  packet.set(innerBytes(fields.destination ?? V4[1]), 16);
  packet.set(body, headerWords * 4);
  return packet;
}

interface Fields6 {
  readonly source?: string;
  readonly destination?: string;
  readonly next?: number;
  readonly body?: readonly number[];
}

function packet6(fields: Fields6): Uint8Array {
  const { body = [1, 2, 3, 4, 5, 6, 7, 8] } = fields;
  const packet = new Uint8Array(40 + body.length);
  packet[0] = 0x60;
  new DataView(packet.buffer).setUint16(4, body.length);
  packet[6] = fields.next ?? 17;
  packet.set(innerBytes(fields.source ?? V6[0]), 8);
  packet.set(innerBytes(fields.destination ?? V6[1]), 24);
  packet.set(body, 40);
  return packet;
}

/** The answer, empty where none is given; made at odd places in both arenas. */
function reply(packet: Uint8Array): Uint8Array {
  const arena = new Uint8Array(packet.length + 20).fill(0x45);
  arena.set(packet, 13);
  const out = new Uint8Array(1400);
  const length = unreachableReply(arena, 13, packet.length, out, 7);
  return out.slice(7, 7 + length);
}

function checksum6(packet: Uint8Array): number {
  const pseudo = addBytes(packet.length - 40 + 58, packet, 8, 40);
  return checksumOf(addBytes(pseudo, packet, 40, packet.length));
}

function addressText(bytes: Uint8Array): string {
  return bytes.length === 4 ? bytes.join(".") : ipText(bytes);
}
