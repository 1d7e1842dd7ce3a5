/**
 * Builds and reads inner packets: IPv4 (RFC 791) and IPv6 (RFC 8200) with UDP, TCP or ICMP.
 *
 * Checksums are right unless a test spoils them afterwards. It is a plain twin of the core's parser,
 * for headers without options and without extension headers only. The trap: an IPv4 UDP checksum of
 * zero means "none", so a computed zero is sent as 0xffff (RFC 768).
 */
import { innerBytes, ipText } from "./address.ts";

export const PROTOCOL = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58 } as const;

/** What a packet says, for assertions. */
export interface PacketView {
  readonly version: number;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  /** Transport header and payload. */
  readonly transport: Uint8Array;
}

/** A UDP packet; ports 1000 and 2000, so that only what matters stands in a test. */
export function udpPacket(source: string, destination: string, payload: Uint8Array): Uint8Array {
  const datagram = new Uint8Array(8 + payload.length);
  const view = new DataView(datagram.buffer);
  view.setUint16(0, 1000);
  view.setUint16(2, 2000);
  view.setUint16(4, datagram.length);
  datagram.set(payload, 8);
  return ipPacket(
    source,
    destination,
    PROTOCOL.UDP,
    withChecksum(source, destination, PROTOCOL.UDP, datagram, 6),
  );
}

/** A TCP segment with ACK and PSH set. */
export function tcpPacket(
  source: string,
  destination: string,
  sequence: number,
  payload: Uint8Array,
): Uint8Array {
  const segment = new Uint8Array(20 + payload.length);
  const view = new DataView(segment.buffer);
  view.setUint16(0, 1000);
  view.setUint16(2, 2000);
  view.setUint32(4, sequence);
  segment[12] = 5 << 4;
  segment[13] = 0x18;
  view.setUint16(14, 65_535);
  segment.set(payload, 20);
  return ipPacket(
    source,
    destination,
    PROTOCOL.TCP,
    withChecksum(source, destination, PROTOCOL.TCP, segment, 16),
  );
}

/** An ICMP or ICMPv6 echo request; 56 payload bytes make the 84-byte packet of `ping` over IPv4. */
export function pingPacket(
  source: string,
  destination: string,
  sequence = 1,
  payloadLength = 56,
): Uint8Array {
  const isV6 = source.includes(":");
  const message = new Uint8Array(8 + payloadLength);
  message[0] = isV6 ? 128 : 8;
  const view = new DataView(message.buffer);
  view.setUint16(4, 0x4242);
  view.setUint16(6, sequence & 0xffff);
  for (let index = 8; index < message.length; index += 1) message[index] = index;
  const protocol = isV6 ? PROTOCOL.ICMPV6 : PROTOCOL.ICMP;
  return ipPacket(
    source,
    destination,
    protocol,
    withChecksum(source, destination, protocol, message, 2),
  );
}

/** A complete IP packet round a transport message. */
export function ipPacket(
  source: string,
  destination: string,
  protocol: number,
  transport: Uint8Array,
): Uint8Array {
  return source.includes(":")
    ? ipv6(innerBytes(source), innerBytes(destination), protocol, transport)
    : ipv4(innerBytes(source), innerBytes(destination), protocol, transport);
}

/** Reads a packet that this file could have built. */
export function viewPacket(packet: Uint8Array): PacketView {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 6) {
    return {
      version,
      source: ipText(packet.subarray(8, 24)),
      destination: ipText(packet.subarray(24, 40)),
      protocol: packet[6] ?? 0,
      transport: packet.subarray(40),
    };
  }
  return {
    version,
    source: packet.subarray(12, 16).join("."),
    destination: packet.subarray(16, 20).join("."),
    protocol: packet[9] ?? 0,
    transport: packet.subarray(((packet[0] ?? 0) & 0x0f) * 4),
  };
}

/** Whether the transport checksum of a packet is right (a right one sums to zero). */
export function hasRightChecksum(packet: Uint8Array): boolean {
  const { source, destination, protocol, transport } = viewPacket(packet);
  return (
    internetChecksum(pseudoHeader(source, destination, protocol, transport.length), transport) === 0
  );
}

/** Leaves only the pseudo-header sum in the checksum field at `offset` of the transport header, as a kernel with offloads does. */
export function withPartialChecksum(packet: Uint8Array, offset: number): Uint8Array {
  const partial = packet.slice();
  const { source, destination, protocol, transport } = viewPacket(partial);
  const sum =
    ~internetChecksum(pseudoHeader(source, destination, protocol, transport.length)) & 0xffff;
  new DataView(transport.buffer, transport.byteOffset).setUint16(offset, sum);
  return partial;
}

/** The complement of the ones' complement sum (RFC 1071) over the parts, each of even length but the last. */
export function internetChecksum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let index = 0; index < part.length; index += 2) {
      sum += ((part[index] ?? 0) << 8) | (part[index + 1] ?? 0);
    }
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

export function withChecksum(
  source: string,
  destination: string,
  protocol: number,
  transport: Uint8Array,
  offset: number,
): Uint8Array {
  // ICMP over IPv4 has no pseudo-header (RFC 792).
  const covered =
    protocol === PROTOCOL.ICMP
      ? []
      : [pseudoHeader(source, destination, protocol, transport.length)];
  const sum = internetChecksum(...covered, transport);
  const stored = sum === 0 && protocol === PROTOCOL.UDP ? 0xffff : sum;
  new DataView(transport.buffer, transport.byteOffset).setUint16(offset, stored);
  return transport;
}

function pseudoHeader(
  source: string,
  destination: string,
  protocol: number,
  length: number,
): Uint8Array {
  const tail = new Uint8Array(8);
  new DataView(tail.buffer).setUint32(0, length);
  tail[7] = protocol;
  return Uint8Array.of(...innerBytes(source), ...innerBytes(destination), ...tail);
}

function ipv4(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  transport: Uint8Array,
): Uint8Array {
  const packet = new Uint8Array(20 + transport.length);
  const view = new DataView(packet.buffer);
  packet[0] = 0x45;
  view.setUint16(2, packet.length);
  packet[8] = 64;
  packet[9] = protocol;
  packet.set(source, 12);
  packet.set(destination, 16);
  view.setUint16(10, internetChecksum(packet.subarray(0, 20)));
  packet.set(transport, 20);
  return packet;
}

function ipv6(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  transport: Uint8Array,
): Uint8Array {
  const packet = new Uint8Array(40 + transport.length);
  packet[0] = 0x60;
  new DataView(packet.buffer).setUint16(4, transport.length);
  packet[6] = protocol;
  packet[7] = 64;
  packet.set(source, 8);
  packet.set(destination, 24);
  packet.set(transport, 40);
  return packet;
}
