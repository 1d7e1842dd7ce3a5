/**
 * Builds TCP and UDP packets from a description of every field: IPv4 (RFC 791) with options, IPv6 (RFC 8200)
 * with extension headers, TCP (RFC 9293) with options, UDP (RFC 768).
 *
 * For tests of cutting and joining, where each header field matters; packets.ts is for those where none
 * does. A description may be larger than any link carries: a super-packet is built by the same code. The
 * trap: with a partial checksum the field holds the folded sum of the pseudo-header, not its complement.
 */
import { innerBytes } from "./address.ts";
import { internetChecksum } from "./packets.ts";

/** TCP flags, RFC 9293 §3.1 and RFC 3168 §6.1; AE of RFC 7560 is in the byte before. */
export const TCP_FLAG = {
  FIN: 0x01,
  SYN: 0x02,
  RST: 0x04,
  PSH: 0x08,
  ACK: 0x10,
  URG: 0x20,
  ECE: 0x40,
  CWR: 0x80,
  AE: 0x100,
} as const;

/** Everything that a packet says. */
export interface PacketSpec {
  readonly protocol: "tcp" | "udp";
  /** Text; the family of both decides the IP version. */
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** TOS or traffic class, with ECN. */
  readonly trafficClass: number;
  readonly hopLimit: number;
  /** IPv4 only. */
  readonly id: number;
  readonly isDontFragment: boolean;
  /** IPv4 only: option bytes, a multiple of 4, at most 40. */
  readonly ipOptions: Uint8Array;
  /** IPv6 only. */
  readonly flowLabel: number;
  readonly extensions: readonly Extension[];
  readonly sequence: number;
  readonly acknowledgment: number;
  /** Bits of `TCP_FLAG`. */
  readonly flags: number;
  readonly window: number;
  readonly urgent: number;
  /** Option bytes, a multiple of 4, at most 40. */
  readonly tcpOptions: Uint8Array;
  readonly payload: Uint8Array;
  /** Whether the checksum holds only the pseudo-header sum. */
  readonly isPartial: boolean;
}

/** An IPv6 extension header: its protocol number and what follows its first two bytes, 6 + 8n bytes. */
export interface Extension {
  readonly protocol: number;
  readonly body: Uint8Array;
}

/** A packet's bytes and what a vnet header would say of it. */
export interface BuiltPacket {
  readonly bytes: Uint8Array;
  /** Offset of the transport header. */
  readonly checksumStart: number;
  /** Offset of the checksum from there. */
  readonly checksumOffset: number;
  /** Bytes of IP and transport header. */
  readonly headerLength: number;
}

const NOTHING = new Uint8Array();

/** A TCP segment of a connection in mid-flow, or a UDP datagram, over IPv4. */
export const PLAIN_SPEC: PacketSpec = {
  protocol: "tcp",
  source: "10.0.0.1",
  destination: "10.0.0.2",
  sourcePort: 40_000,
  destinationPort: 5201,
  trafficClass: 0,
  hopLimit: 64,
  id: 1000,
  isDontFragment: true,
  ipOptions: NOTHING,
  flowLabel: 0,
  extensions: [],
  sequence: 1,
  acknowledgment: 77,
  flags: TCP_FLAG.ACK,
  window: 502,
  urgent: 0,
  tcpOptions: NOTHING,
  payload: NOTHING,
  isPartial: true,
};

/** The packet of `PLAIN_SPEC` with `changes`. */
export function buildPacket(changes: Partial<PacketSpec> = {}): BuiltPacket {
  const spec: PacketSpec = { ...PLAIN_SPEC, ...changes };
  const transport = spec.protocol === "tcp" ? tcpMessage(spec) : udpMessage(spec);
  const protocol = spec.protocol === "tcp" ? 6 : 17;
  const checksumOffset = spec.protocol === "tcp" ? 16 : 6;
  writeChecksum(spec, protocol, transport, checksumOffset);
  const header = isIpv6(spec)
    ? ipv6Header(spec, protocol, transport.length)
    : ipv4Header(spec, protocol, transport.length);
  return {
    bytes: concat(header, transport),
    checksumStart: header.length,
    checksumOffset,
    headerLength: header.length + transport.length - spec.payload.length,
  };
}

/**
 * An extension header with one experimental option (RFC 4727 §3.3, to be skipped where unknown), `words`
 * times 8 bytes long: 0 hop-by-hop, 60 destination options.
 */
export function optionsExtension(protocol: 0 | 60, words = 1): Extension {
  const body = new Uint8Array(8 * words - 2).fill(0x5a);
  body.set([0x1e, body.length - 2]);
  return { protocol, body };
}

/** The folded one's complement sum (RFC 1071) of the pseudo-header. */
export function pseudoSum(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  length: number,
): number {
  const tail = Uint8Array.of(0, 0, length >> 8, length & 0xff, 0, 0, 0, protocol);
  return ~internetChecksum(source, destination, tail) & 0xffff;
}

/** Writes the header checksum of an IPv4 packet. */
export function sealIpv4Header(packet: Uint8Array): void {
  const header = packet.subarray(0, ((packet[0] ?? 0) & 0x0f) * 4);
  header.fill(0, 10, 12);
  const sum = internetChecksum(header);
  header.set([sum >> 8, sum & 0xff], 10);
}

/** One behind another. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function isIpv6(spec: PacketSpec): boolean {
  return spec.source.includes(":");
}

function tcpMessage(spec: PacketSpec): Uint8Array {
  const header = new Uint8Array(20 + spec.tcpOptions.length);
  const view = new DataView(header.buffer);
  view.setUint16(0, spec.sourcePort);
  view.setUint16(2, spec.destinationPort);
  view.setUint32(4, spec.sequence);
  view.setUint32(8, spec.acknowledgment);
  view.setUint16(12, ((header.length / 4) << 12) | spec.flags);
  view.setUint16(14, spec.window);
  view.setUint16(18, spec.urgent);
  header.set(spec.tcpOptions, 20);
  return concat(header, spec.payload);
}

function udpMessage(spec: PacketSpec): Uint8Array {
  const header = new Uint8Array(8);
  const view = new DataView(header.buffer);
  view.setUint16(0, spec.sourcePort);
  view.setUint16(2, spec.destinationPort);
  view.setUint16(4, 8 + spec.payload.length);
  return concat(header, spec.payload);
}

function writeChecksum(
  spec: PacketSpec,
  protocol: number,
  transport: Uint8Array,
  offset: number,
): void {
  const view = new DataView(transport.buffer);
  const ends = [innerBytes(spec.source), innerBytes(spec.destination)] as const;
  view.setUint16(offset, pseudoSum(...ends, protocol, transport.length));
  if (spec.isPartial) return;
  const sum = internetChecksum(transport);
  view.setUint16(offset, sum === 0 && spec.protocol === "udp" ? 0xffff : sum);
}

function ipv4Header(spec: PacketSpec, protocol: number, length: number): Uint8Array {
  const header = new Uint8Array(20 + spec.ipOptions.length);
  const view = new DataView(header.buffer);
  header[0] = 0x40 | (header.length / 4);
  header[1] = spec.trafficClass;
  view.setUint16(2, header.length + length);
  view.setUint16(4, spec.id);
  view.setUint16(6, spec.isDontFragment ? 0x4000 : 0);
  header[8] = spec.hopLimit;
  header[9] = protocol;
  header.set(innerBytes(spec.source), 12);
  header.set(innerBytes(spec.destination), 16);
  header.set(spec.ipOptions, 20);
  sealIpv4Header(header);
  return header;
}

function ipv6Header(spec: PacketSpec, protocol: number, length: number): Uint8Array {
  const extensions = extensionBytes(spec.extensions, protocol);
  const header = new Uint8Array(40);
  const view = new DataView(header.buffer);
  view.setUint32(0, 0x6000_0000 + spec.trafficClass * 2 ** 20 + spec.flowLabel);
  view.setUint16(4, extensions.length + length);
  header[6] = spec.extensions[0]?.protocol ?? protocol;
  header[7] = spec.hopLimit;
  header.set(innerBytes(spec.source), 8);
  header.set(innerBytes(spec.destination), 24);
  return concat(header, extensions);
}

function extensionBytes(extensions: readonly Extension[], protocol: number): Uint8Array {
  const parts = extensions.map(({ body }, index) => {
    const next = extensions[index + 1]?.protocol ?? protocol;
    return concat(Uint8Array.of(next, (body.length + 2) / 8 - 1), body);
  });
  return concat(...parts);
}
