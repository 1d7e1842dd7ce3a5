/**
 * The builders and readers that the other tests trust: addresses, packets, the generator.
 */
import { isIPv6 } from "node:net";
import { describe, expect, it } from "vitest";
import { endpoint, endpointText, ipBytes, ipText, prefix, socketText } from "./address.ts";
import {
  hasRightChecksum,
  internetChecksum,
  PROTOCOL,
  pingPacket,
  tcpPacket,
  udpPacket,
  viewPacket,
  withPartialChecksum,
} from "./packets.ts";
import { Random } from "./random.ts";
import { contains, dataCounter, flipBit, receiverIndex, resized, typeName } from "./wire-view.ts";

const FAMILIES: [string, string][] = [
  ["10.9.0.1", "10.9.0.2"],
  ["fd00:9::1", "fd00:9::2"],
];

describe("addresses", () => {
  it.each([
    "192.0.2.1",
    "::",
    "::1",
    "fd00:9::1",
    "2001:db8::1:0:0:1",
    "2001:db8:1:2:3:4:5:6",
    "fe80::",
  ])("%s survives bytes and back", (text) => {
    expect(ipText(ipBytes(text))).toBe(text);
  });

  it("a mapped address reads as its IPv4 form", () => {
    expect(ipText(ipBytes("::ffff:192.0.2.1"))).toBe("192.0.2.1");
  });

  it("random addresses survive", () => {
    const random = new Random(1);
    for (let round = 0; round < 500; round += 1) {
      const bytes = random.bytes(16).map((byte) => (byte < 100 ? 0 : byte));
      const text = ipText(bytes);
      expect(isIPv6(text), text).toBe(true);
      expect(ipBytes(text)).toEqual(bytes);
    }
  });

  it("prefixes and sockets read as written", () => {
    expect(prefix("10.9.0.0/24")).toEqual({
      family: 4,
      bytes: Uint8Array.of(10, 9, 0, 0),
      length: 24,
    });
    expect(prefix("fd00::1")).toMatchObject({ family: 6, length: 128 });
    expect(socketText({ ip: "fd00::1", port: 5 })).toBe("[fd00::1]:5");
    expect(endpointText(endpoint("192.0.2.1", 1194))).toBe("192.0.2.1:1194");
    expect(endpointText(undefined)).toBe("none");
  });
});

describe.each(FAMILIES)("packets from %s", (source, destination) => {
  it("say what they were built from", () => {
    const view = viewPacket(udpPacket(source, destination, Uint8Array.of(1, 2, 3)));

    expect(view).toMatchObject({ source, destination, protocol: PROTOCOL.UDP });
    expect(view.transport.subarray(8)).toEqual(Uint8Array.of(1, 2, 3));
  });

  it("carry right checksums, which a changed byte breaks", () => {
    for (const packet of [
      udpPacket(source, destination, Uint8Array.of(1, 2, 3)),
      tcpPacket(source, destination, 7, Uint8Array.of(4)),
    ]) {
      expect(hasRightChecksum(packet)).toBe(true);
      expect(hasRightChecksum(flipBit(packet, packet.length * 8 - 1))).toBe(false);
    }
  });

  it("with a partial checksum become right when a kernel completes it", () => {
    const packet = udpPacket(source, destination, Uint8Array.of(1, 2, 3));
    const partial = withPartialChecksum(packet, 6);
    const { transport } = viewPacket(partial);

    new DataView(transport.buffer, transport.byteOffset).setUint16(6, internetChecksum(transport));

    expect(partial).toEqual(packet);
  });
});

it("a ping over IPv4 has the 84 bytes of the usual one, and a right header sum", () => {
  const packet = pingPacket("10.9.0.1", "10.9.0.2");

  expect(packet).toHaveLength(84);
  expect(internetChecksum(packet.subarray(0, 20))).toBe(0);
  expect(internetChecksum(packet.subarray(20))).toBe(0);
});

describe("the generator", () => {
  it("repeats itself from the same seed and differs from another", () => {
    expect(new Random(1).bytes(64)).toEqual(new Random(1).bytes(64));
    expect(new Random(1).bytes(64)).not.toEqual(new Random(2).bytes(64));
  });

  it("fills its range evenly", () => {
    const random = new Random(9);
    const counts = new Array<number>(16).fill(0);
    for (let draw = 0; draw < 32_000; draw += 1) {
      const value = random.below(16);
      counts[value] = (counts[value] ?? 0) + 1;
    }

    expect(Math.min(...counts)).toBeGreaterThan(1_800);
    expect(Math.max(...counts)).toBeLessThan(2_200);
  });

  it("draws nothing for an impossible chance", () => {
    const [a, b] = [new Random(3), new Random(3)];
    a.chance(0);

    expect(a.uint32()).toBe(b.uint32());
    expect(a.fork().uint32()).toBe(b.fork().uint32());
  });
});

describe("the wire view", () => {
  it("reads fields where PROTOCOL section 3 has them", () => {
    const data = Uint8Array.of(4, 1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0);
    const response = Uint8Array.of(2, 1, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0);

    expect(typeName(data)).toBe("DATA");
    expect(typeName(new Uint8Array(0))).toBe("junk");
    expect(receiverIndex(data)).toBe(1);
    expect(dataCounter(data)).toBe(2 ** 32 + 2);
    expect(receiverIndex(response)).toBe(8);
  });

  it("flips, resizes and searches without touching the original", () => {
    const bytes = Uint8Array.of(1, 2, 3);

    expect(flipBit(bytes, 8)).toEqual(Uint8Array.of(1, 3, 3));
    expect(resized(bytes, 2)).toEqual(Uint8Array.of(1, 2));
    expect(resized(bytes, 4)).toEqual(Uint8Array.of(1, 2, 3, 0));
    expect(contains(bytes, Uint8Array.of(2, 3))).toBe(true);
    expect(contains(bytes, Uint8Array.of(3, 2))).toBe(false);
    expect(bytes).toEqual(Uint8Array.of(1, 2, 3));
  });
});
