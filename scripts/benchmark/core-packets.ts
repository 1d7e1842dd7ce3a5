/**
 * Inner packets for the benchmark of the core: UDP packets of any size, and a TCP super-packet.
 *
 * As a TUN with offloads gives them: transport checksums partial (RFC 768, RFC 9293; the field holds the
 * folded sum of the pseudo-header). The payload is zeros: neither the core nor the cipher looks at it.
 */
import type { PacketBatch } from "../../src/core/batch.ts";
import { GSO, PACKET, PACKET_FIELDS, PACKET_NEEDS_CHECKSUM } from "../../src/core/rows.ts";

const IPV4_BYTES = 20;
const UDP_BYTES = 8;
/** With the timestamps option, which every Linux sends. */
const TCP_BYTES = 32;
const PROTOCOL = { TCP: 6, UDP: 17 } as const;
/** Offset of the checksum in the transport header. */
const CHECKSUM_OFFSET = { [PROTOCOL.TCP]: 16, [PROTOCOL.UDP]: 6 } as const;
/** Packets start on their own cache line, as the addon lays them. */
const ALIGN = 64;

/** Four bytes of an IPv4 address. */
export type Ipv4 = readonly [number, number, number, number];

/** An inner packet and what its row says. */
export interface InnerPacket {
  readonly bytes: Uint8Array;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly headerLength: number;
  readonly checksumOffset: number;
  /** Packets that it becomes on the wire. */
  readonly segments: number;
}

/** A UDP packet of `length` bytes, headers included. */
export function udpPacket(length: number, source: Ipv4, destination: Ipv4): InnerPacket {
  const bytes = ipv4(length, PROTOCOL.UDP, source, destination);
  const view = new DataView(bytes.buffer);
  view.setUint16(IPV4_BYTES, 40_000);
  view.setUint16(IPV4_BYTES + 2, 5201);
  view.setUint16(IPV4_BYTES + 4, length - IPV4_BYTES);
  return finished(bytes, PROTOCOL.UDP, GSO.NONE, 0, IPV4_BYTES + UDP_BYTES);
}

/** A TCP super-packet with `payload` bytes, to be cut into segments of `gsoSize`. */
export function tcpSuperPacket(
  payload: number,
  gsoSize: number,
  source: Ipv4,
  destination: Ipv4,
): InnerPacket {
  const headers = IPV4_BYTES + TCP_BYTES;
  const bytes = ipv4(headers + payload, PROTOCOL.TCP, source, destination);
  const view = new DataView(bytes.buffer);
  view.setUint16(IPV4_BYTES, 40_000);
  view.setUint16(IPV4_BYTES + 2, 5201);
  view.setUint8(IPV4_BYTES + 12, (TCP_BYTES / 4) << 4);
  view.setUint8(IPV4_BYTES + 13, 0x10);
  view.setUint32(IPV4_BYTES + 20, 0x0101080a);
  return finished(bytes, PROTOCOL.TCP, GSO.TCP4, gsoSize, headers);
}

/** Lays packets into a batch; the rows stay right for later batches, whose bytes `bytesOf` has. */
export function layPackets(batch: PacketBatch, packets: readonly InnerPacket[]): void {
  let offset = 0;
  for (const [index, packet] of packets.entries()) {
    const base = index * PACKET_FIELDS;
    batch.rows.fill(0, base, base + PACKET_FIELDS);
    batch.rows[base + PACKET.OFFSET] = offset;
    batch.rows[base + PACKET.LENGTH] = packet.bytes.length;
    batch.rows[base + PACKET.FLAGS] = PACKET_NEEDS_CHECKSUM;
    batch.rows[base + PACKET.GSO_TYPE] = packet.gsoType;
    batch.rows[base + PACKET.GSO_SIZE] = packet.gsoSize;
    batch.rows[base + PACKET.HEADER_LENGTH] = packet.headerLength;
    batch.rows[base + PACKET.CHECKSUM_START] = IPV4_BYTES;
    batch.rows[base + PACKET.CHECKSUM_OFFSET] = packet.checksumOffset;
    batch.arena.set(packet.bytes, offset);
    offset += Math.ceil(packet.bytes.length / ALIGN) * ALIGN;
  }
  batch.count = packets.length;
}

function ipv4(length: number, protocol: number, source: Ipv4, destination: Ipv4): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 0x45);
  view.setUint16(2, length);
  view.setUint16(6, 0x4000);
  view.setUint8(8, 64);
  view.setUint8(9, protocol);
  bytes.set(source, 12);
  bytes.set(destination, 16);
  view.setUint16(10, ~sum(bytes.subarray(0, IPV4_BYTES)) & 0xffff);
  return bytes;
}

function finished(
  bytes: Uint8Array,
  protocol: 6 | 17,
  gsoType: number,
  gsoSize: number,
  headerLength: number,
): InnerPacket {
  const checksumOffset = CHECKSUM_OFFSET[protocol];
  const length = bytes.length - IPV4_BYTES;
  const pseudo = Uint8Array.of(...bytes.subarray(12, 20), 0, protocol, length >> 8, length & 0xff);
  new DataView(bytes.buffer).setUint16(IPV4_BYTES + checksumOffset, sum(pseudo));
  const segments = gsoSize === 0 ? 1 : Math.ceil((bytes.length - headerLength) / gsoSize);
  return { bytes, gsoType, gsoSize, headerLength, checksumOffset, segments };
}

/** The folded one's complement sum (RFC 1071) of an even number of bytes. */
function sum(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let total = 0;
  for (let offset = 0; offset < bytes.length; offset += 2) total += view.getUint16(offset);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}
