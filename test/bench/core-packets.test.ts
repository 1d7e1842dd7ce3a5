/**
 * The packets of the core's benchmark are packets: lengths, checksums, rows.
 */
import { describe, expect, it } from "vitest";
import {
  type InnerPacket,
  type Ipv4,
  layPackets,
  tcpSuperPacket,
  udpPacket,
} from "../../scripts/benchmark/core-packets.ts";
import { packetBatch } from "../../src/core/batch.ts";
import { GSO, PACKET, PACKET_FIELDS, PACKET_NEEDS_CHECKSUM } from "../../src/core/rows.ts";
import { internetChecksum } from "../helpers/packets.ts";
import { superPacket } from "../helpers/super-packets.ts";

const A: Ipv4 = [10, 77, 0, 1];
const B: Ipv4 = [10, 80, 3, 232];

describe.each([
  { what: "a UDP packet", packet: udpPacket(64, A, B), length: 64, protocol: 17 },
  { what: "a long UDP packet", packet: udpPacket(1400, B, A), length: 1400, protocol: 17 },
  { what: "a super-packet", packet: tcpSuperPacket(4000, 1368, A, B), length: 4052, protocol: 6 },
])("$what", ({ packet, length, protocol }) => {
  it("has the length and protocol that its header says", () => {
    const view = new DataView(packet.bytes.buffer);

    expect(packet.bytes).toHaveLength(length);
    expect(view.getUint16(2)).toBe(length);
    expect(view.getUint8(9)).toBe(protocol);
  });

  it("has a right header checksum", () => {
    expect(internetChecksum(packet.bytes.subarray(0, 20))).toBe(0);
  });

  it("has a transport checksum of the pseudo-header alone", () => {
    const transport = length - 20;
    const tail = Uint8Array.of(0, protocol, transport >> 8, transport & 0xff);
    const addresses = packet.bytes.subarray(12, 20);

    const field = new DataView(packet.bytes.buffer).getUint16(20 + packet.checksumOffset);

    expect(field).toBe(~internetChecksum(addresses, tail) & 0xffff);
  });
});

describe("a super-packet", () => {
  it("says of itself what a twin says", () => {
    const own = tcpSuperPacket(4000, 1368, A, B);
    const twin = superPacket({
      source: A.join("."),
      destination: B.join("."),
      isTcp: true,
      gsoSize: 1368,
      payload: new Uint8Array(4000),
      tcpOptions: new Uint8Array(12),
    });

    const { segments, gsoType, gsoSize, headerLength, checksumOffset } = twin;
    expect(own).toMatchObject({ segments, gsoType, gsoSize, headerLength, checksumOffset });
    expect(own.bytes).toHaveLength(twin.bytes.length);
  });
});

describe("packets laid into a batch", () => {
  it("lie one behind another, each on a cache line of its own, with a row each", () => {
    const batch = packetBatch(new Uint8Array(8192), 4);
    const packets: readonly InnerPacket[] = [
      udpPacket(100, A, B),
      tcpSuperPacket(2000, 1000, A, B),
      udpPacket(64, B, A),
    ];

    layPackets(batch, packets);

    const field = (row: number, name: number) => batch.rows[row * PACKET_FIELDS + name];
    expect(batch.count).toBe(3);
    expect([0, 1, 2].map((row) => field(row, PACKET.OFFSET))).toEqual([0, 128, 2240]);
    expect([0, 1, 2].map((row) => field(row, PACKET.LENGTH))).toEqual([100, 2052, 64]);
    expect([0, 1, 2].map((row) => field(row, PACKET.GSO_TYPE))).toEqual([0, GSO.TCP4, 0]);
    expect(field(1, PACKET.FLAGS)).toBe(PACKET_NEEDS_CHECKSUM);
    expect(batch.arena.subarray(128, 128 + 2052)).toEqual(packets[1]?.bytes);
  });
});
