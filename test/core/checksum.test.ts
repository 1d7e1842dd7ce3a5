/**
 * The Internet checksum: RFC 1071's example, a plain twin, and the finishing of partial sums.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  addBytes,
  addToSum,
  checksumOf,
  completeChecksum,
  writeIpv4Length,
  writeUint16,
} from "../../src/core/checksum.ts";
import { buildPacket } from "../helpers/packet-builder.ts";
import { hasRightChecksum, internetChecksum, tcpPacket, udpPacket } from "../helpers/packets.ts";
import { fromHex, toHex } from "../vectors/vectors.ts";

describe("addBytes and checksumOf", () => {
  it("give the sum of RFC 1071 §3", () => {
    const bytes = fromHex("0001f203f4f5f6f7");
    expect(addBytes(0, bytes, 0, bytes.length)).toBe(0x2ddf0);
    expect(checksumOf(0x2ddf0)).toBe(0xffff ^ 0xddf2);
  });

  it("give the checksum of a real IPv4 header, and 0 over the header that holds it", () => {
    const header = fromHex("45000073000040004011 0000 c0a80001c0a800c7");
    const checksum = checksumOf(addBytes(0, header, 0, 20));
    expect(checksum).toBe(0xb861);
    writeUint16(header, 10, checksum);
    expect(checksumOf(addBytes(0, header, 0, 20))).toBe(0);
  });

  it("agree with a plain twin for every length and place, odd ones too", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), fc.nat(300), (bytes, a, b) => {
        const start = Math.min(a, b, bytes.length);
        const end = Math.min(Math.max(a, b), bytes.length);
        const sum = checksumOf(addBytes(0, bytes, start, end));
        expect(sum).toBe(plainChecksum(bytes.subarray(start, end)));
      }),
      { numRuns: 1000 },
    );
  });

  it("do not overflow over 65,535 bytes of 0xff, nor over several such sums", () => {
    const bytes = new Uint8Array(65_535).fill(0xff);
    let sum = 0;
    for (let count = 0; count < 10; count++) sum = addBytes(sum, bytes, 0, 65_534);
    expect(sum).toBe(10 * 32_767 * 0xffff);
    expect(checksumOf(sum)).toBe(0);
    expect(checksumOf(addBytes(0, bytes, 0, 65_535))).toBe(plainChecksum(bytes));
  });

  it("can be continued over an even cut", () => {
    const bytes = fromHex("00010203040506070809");
    expect(addBytes(addBytes(0, bytes, 0, 4), bytes, 4, 10)).toBe(addBytes(0, bytes, 0, 10));
  });
});

describe("completeChecksum", () => {
  it.each([
    ["IPv4 UDP", udpPacket("10.0.0.1", "10.0.0.2", new Uint8Array(33).fill(7)), 20, 6],
    ["IPv4 TCP", tcpPacket("10.0.0.1", "10.0.0.2", 9, new Uint8Array(100).fill(3)), 20, 16],
    ["IPv6 UDP", udpPacket("fd00::1", "fd00::2", new Uint8Array(1).fill(9)), 40, 6],
    ["IPv6 TCP", tcpPacket("fd00::1", "fd00::2", 9, new Uint8Array(0)), 40, 16],
  ])("gives %s the checksum that the packet was built with", (_, packet, start, field) => {
    const partial = withPartialSum(packet, start, field);
    expect(toHex(partial)).not.toBe(toHex(packet));
    expect(completeChecksum(partial, 0, partial.length, start, field)).toBe(true);
    expect(toHex(partial)).toBe(toHex(packet));
  });

  it("works in the middle of an arena and touches two bytes only", () => {
    const packet = udpPacket("10.0.0.1", "10.0.0.2", new Uint8Array(11).fill(7));
    const arena = new Uint8Array(100).fill(0xaa);
    arena.set(withPartialSum(packet, 20, 6), 31);
    expect(completeChecksum(arena, 31, packet.length, 20, 6)).toBe(true);
    expect(toHex(arena.subarray(31, 31 + packet.length))).toBe(toHex(packet));
    arena.fill(0xaa, 31, 31 + packet.length);
    expect(arena.every((byte) => byte === 0xaa)).toBe(true);
  });

  it("writes 0xffff where the sum comes out as zero", () => {
    const bytes = fromHex("1234 0000 edcb");
    expect(completeChecksum(bytes, 0, 6, 0, 2)).toBe(true);
    expect(toHex(bytes)).toBe("1234ffffedcb");
    expect(checksumOf(addBytes(0, bytes, 0, 6))).toBe(0);
  });

  it.each([
    ["a field that ends outside", 20, 20, 0],
    ["a field that starts on the last byte", 20, 19, 0],
    ["a start outside", 20, 21, 0],
    ["an offset outside", 20, 0, 19],
    ["a negative start", 20, -1, 2],
    ["a negative offset", 20, 4, -2],
    ["an empty packet", 0, 0, 0],
    ["values that are not numbers", 20, Number.NaN, 0],
  ])("refuses %s and writes nothing", (_, length, start, field) => {
    const bytes = new Uint8Array(40).fill(0x55);
    expect(completeChecksum(bytes, 8, length, start, field)).toBe(false);
    expect(bytes.every((byte) => byte === 0x55)).toBe(true);
  });

  it("leaves a packet that verifies, whatever it held", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2, maxLength: 200 }), fc.nat(100), (bytes, at) => {
        const field = 2 * Math.floor(Math.min(at, bytes.length - 2) / 2);
        const pseudo = checksumOf(addBytes(0, bytes, field, field + 2)) ^ 0xffff;
        expect(completeChecksum(bytes, 0, bytes.length, 0, field)).toBe(true);
        const verified = addBytes(pseudo, bytes, 0, bytes.length);
        expect(checksumOf(verified)).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("addToSum", () => {
  it.each([
    [0x0000, 0x0000, 0x0000],
    [0x0000, 0xffff, 0xffff],
    [0xffff, 0x0000, 0xffff],
    [0xffff, 0xffff, 0xffff],
    [0xffff, 0x0001, 0x0001],
    [0xfffe, 0x0001, 0xffff],
    [0xfffe, 0x0003, 0x0002],
    [0x00ff, 0x0001, 0x0100],
    [0x1234, 0x4321, 0x5555],
  ])("makes %i and %i to %i", (field, added, sum) => {
    const bytes = Uint8Array.of(0xaa, field >> 8, field & 0xff, 0xaa);
    addToSum(bytes, 1, added);
    expect([...bytes]).toEqual([0xaa, sum >> 8, sum & 0xff, 0xaa]);
  });

  it("is one's complement addition for every pair of numbers", () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.nat(0xffff), (field, added) => {
        const bytes = Uint8Array.of(field >> 8, field & 0xff);
        addToSum(bytes, 0, added);
        const plain =
          plainChecksum(Uint8Array.of(field >> 8, field & 0xff, added >> 8, added)) ^ 0xffff;
        expect(((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)).toBe(plain);
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ["tcp", "10.0.0.1", "10.0.0.2"],
    ["udp", "10.255.255.255", "255.255.255.254"],
    ["tcp", "fd00::1", "fd00::2"],
    ["udp", "ffff:ffff:ffff:ffff::", "ffff::1"],
  ] as const)(
    "gives a %s packet from %s that grew the sum that it would have had, so that it verifies when finished",
    (protocol, source, destination) => {
      const lengths = fc.tuple(fc.nat(3000), fc.nat(30_000));
      fc.assert(
        fc.property(lengths, ([short, more]) => {
          const spec = { protocol, source, destination };
          const small = buildPacket({ ...spec, payload: new Uint8Array(short) });
          const whole = buildPacket({ ...spec, payload: new Uint8Array(short + more).fill(0x5a) });
          const field = small.checksumStart + small.checksumOffset;
          whole.bytes.set(small.bytes.subarray(field, field + 2), field);
          addToSum(whole.bytes, field, more);
          const { bytes, checksumStart, checksumOffset } = whole;
          expect(completeChecksum(bytes, 0, bytes.length, checksumStart, checksumOffset)).toBe(
            true,
          );
          expect(hasRightChecksum(bytes)).toBe(true);
        }),
        { numRuns: 50 },
      );
    },
  );
});

describe("writeIpv4Length", () => {
  it("writes length and header checksum, and nothing else", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 20, maxLength: 20 }),
        fc.nat(0xffff),
        fc.nat(40),
        (header, total, offset) => {
          header[0] = 0x45;
          const arena = new Uint8Array(100).fill(0x77);
          arena.set(header, offset);

          writeIpv4Length(arena, offset, total);

          const written = arena.slice(offset, offset + 20);
          const expected = header.slice();
          expected.set([total >> 8, total & 0xff], 2);
          expected.set([0, 0], 10);
          const checksum = internetChecksum(expected);
          expected.set([checksum >> 8, checksum & 0xff], 10);
          expect(toHex(written)).toBe(toHex(expected));
          expect(checksumOf(addBytes(0, written, 0, 20))).toBe(0);
          arena.fill(0x77, offset, offset + 20);
          expect(arena.every((byte) => byte === 0x77)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** RFC 1071 in its plainest form, over BigInt. */
function plainChecksum(bytes: Uint8Array): number {
  let sum = 0n;
  for (const [index, byte] of bytes.entries()) sum += BigInt(byte) << (index % 2 === 0 ? 8n : 0n);
  while (sum > 0xffffn) sum = (sum & 0xffffn) + (sum >> 16n);
  return Number(sum ^ 0xffffn);
}

/** The packet with the folded pseudo-header sum in its checksum field, as a device with offload gives it. */
function withPartialSum(packet: Uint8Array, start: number, field: number): Uint8Array {
  const partial = packet.slice();
  const addresses = start === 20 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  const protocol = field === 6 ? 17 : 6;
  const sum = addBytes(packet.length - start + protocol, addresses, 0, addresses.length);
  writeUint16(partial, start + field, checksumOf(sum) ^ 0xffff);
  return partial;
}
