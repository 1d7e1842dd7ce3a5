/**
 * Builds super-packets as a kernel with offloads hands them out: TCP or UDP over IPv4 or IPv6, with
 * options and extension headers, partial transport checksum, right lengths of the whole.
 *
 * Layouts: RFC 791, RFC 8200 §4, RFC 9293 §3.1, RFC 768; the checksum field as linux/virtio_net.h wants it
 * with NEEDS_CSUM, the folded sum of the pseudo-header. The trap: the pseudo-header's destination is the
 * last one of a routing header, not the one in the IP header (RFC 8200 §8.1).
 */
import { GSO } from "../../src/core/rows.ts";
import { innerBytes } from "./address.ts";
import type { CutMeta } from "./cut-twin.ts";
import { internetChecksum, PROTOCOL } from "./packets.ts";
import type { Random } from "./random.ts";

/** What a super-packet is made of; what is left out is empty or zero. */
export interface SuperPacketParts {
  /** Texts of one family. */
  readonly source: string;
  readonly destination: string;
  readonly isTcp: boolean;
  readonly gsoSize: number;
  readonly payload: Uint8Array;
  /** IPv4 options, a multiple of 4 up to 40 bytes. */
  readonly ipOptions?: Uint8Array;
  /** IPv6 extension headers: type, and bytes from the third on (the length is 8n - 2). */
  readonly extensions?: readonly (readonly [number, Uint8Array])[];
  /** Last destination, where a routing header is among the extensions. */
  readonly finalDestination?: string;
  /** TCP options, a multiple of 4 up to 40 bytes. */
  readonly tcpOptions?: Uint8Array;
  readonly tcpFlags?: number;
  readonly sequence?: number;
  readonly id?: number;
  /** TOS or traffic class. */
  readonly trafficClass?: number;
}

/** A super-packet and what its row says. */
export interface SuperPacket extends CutMeta {
  readonly bytes: Uint8Array;
  readonly checksumOffset: number;
  /** Packets that it is cut into. */
  readonly segments: number;
}

const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
const EXTENSION = { HOP_BY_HOP: 0, ROUTING: 43, DESTINATION: 60 } as const;

/** Builds one. */
export function superPacket(parts: SuperPacketParts): SuperPacket {
  const isV6 = parts.source.includes(":");
  const transport = parts.isTcp ? tcpHeader(parts) : udpHeader(parts);
  const transportLength = transport.length + parts.payload.length;
  const ip = isV6 ? ipv6Headers(parts, transportLength) : ipv4Header(parts, transportLength);
  const checksumOffset = parts.isTcp ? TCP_CHECKSUM : UDP_CHECKSUM;
  new DataView(transport.buffer).setUint16(checksumOffset, pseudoSum(parts, transportLength));
  const tcpType = isV6 ? GSO.TCP6 : GSO.TCP4;
  const hasCwr = ((parts.tcpFlags ?? 0) & 0x80) !== 0;
  return {
    bytes: Uint8Array.of(...ip, ...transport, ...parts.payload),
    gsoType: parts.isTcp ? tcpType | (hasCwr ? GSO.ECN : 0) : GSO.UDP,
    gsoSize: parts.gsoSize,
    headerLength: ip.length + transport.length,
    checksumStart: ip.length,
    checksumOffset,
    segments: Math.ceil(parts.payload.length / parts.gsoSize),
  };
}

/** One with 2 to about 60 segments and anything in its fields; sizes smaller than the header are common. */
export function randomSuperPacket(random: Random): SuperPacket {
  const isV6 = random.chance(0.5);
  const gsoSize = random.chance(0.4) ? 1 + random.below(80) : 1 + random.below(1460);
  const most = Math.min(60, Math.floor(60_000 / gsoSize));
  const payload = random.bytes(gsoSize + 1 + random.below(gsoSize * (most - 1)));
  const options = () => random.bytes(random.chance(0.5) ? 0 : 4 * random.below(11));
  return superPacket({
    source: isV6 ? "fd00::1" : "10.0.0.1",
    destination: isV6 ? "fd00::2" : "10.0.0.2",
    isTcp: random.chance(0.6),
    gsoSize,
    payload,
    ipOptions: isV6 ? new Uint8Array(0) : options(),
    extensions: isV6 ? randomExtensions(random) : [],
    finalDestination: isV6 ? "fd00::3" : "10.0.0.2",
    tcpOptions: options(),
    tcpFlags: random.below(256),
    sequence: random.uint32(),
    id: random.below(0x10000),
  });
}

function randomExtensions(random: Random): [number, Uint8Array][] {
  const types = Object.values(EXTENSION).filter(() => random.chance(0.3));
  return types.map((type) => [type, random.bytes(8 * (1 + random.below(5)) - 2)]);
}

function tcpHeader(parts: SuperPacketParts): Uint8Array {
  const { tcpOptions = new Uint8Array(0), tcpFlags = 0x10, sequence = 1 } = parts;
  const header = new Uint8Array(20 + tcpOptions.length);
  const view = new DataView(header.buffer);
  view.setUint16(0, 1000);
  view.setUint16(2, 2000);
  view.setUint32(4, sequence);
  view.setUint32(8, 0x01020304);
  view.setUint8(12, (header.length / 4) << 4);
  view.setUint8(13, tcpFlags);
  view.setUint16(14, 0xffff);
  header.set(tcpOptions, 20);
  return header;
}

function udpHeader(parts: SuperPacketParts): Uint8Array {
  const header = new Uint8Array(8);
  const view = new DataView(header.buffer);
  view.setUint16(0, 1000);
  view.setUint16(2, 2000);
  view.setUint16(4, 8 + parts.payload.length);
  return header;
}

function ipv4Header(parts: SuperPacketParts, transportLength: number): Uint8Array {
  const { ipOptions = new Uint8Array(0) } = parts;
  const header = new Uint8Array(20 + ipOptions.length);
  const view = new DataView(header.buffer);
  view.setUint8(0, 0x40 | (header.length / 4));
  view.setUint8(1, parts.trafficClass ?? 0);
  view.setUint16(2, header.length + transportLength);
  view.setUint16(4, parts.id ?? 0);
  view.setUint8(8, 64);
  view.setUint8(9, protocolOf(parts));
  header.set(innerBytes(parts.source), 12);
  header.set(innerBytes(parts.destination), 16);
  header.set(ipOptions, 20);
  view.setUint16(10, internetChecksum(header));
  return header;
}

function ipv6Headers(parts: SuperPacketParts, transportLength: number): Uint8Array {
  const { extensions = [] } = parts;
  const types = [...extensions.map(([type]) => type), protocolOf(parts)];
  const chain = extensions.flatMap(([, rest], index) => [
    types[index + 1] ?? 0,
    (2 + rest.length) / 8 - 1,
    ...rest,
  ]);
  const header = new Uint8Array(40);
  const view = new DataView(header.buffer);
  view.setUint16(0, 0x6000 | ((parts.trafficClass ?? 0) << 4));
  view.setUint16(4, chain.length + transportLength);
  view.setUint8(6, types[0] ?? 0);
  view.setUint8(7, 64);
  header.set(innerBytes(parts.source), 8);
  header.set(innerBytes(parts.destination), 24);
  return Uint8Array.of(...header, ...chain);
}

function protocolOf(parts: SuperPacketParts): number {
  return parts.isTcp ? PROTOCOL.TCP : PROTOCOL.UDP;
}

function pseudoSum(parts: SuperPacketParts, transportLength: number): number {
  const isRouted = parts.extensions?.some(([type]) => type === EXTENSION.ROUTING) === true;
  const tail = new Uint8Array(8);
  new DataView(tail.buffer).setUint32(0, transportLength);
  tail[7] = protocolOf(parts);
  const destination = (isRouted ? parts.finalDestination : undefined) ?? parts.destination;
  return ~internetChecksum(innerBytes(parts.source), innerBytes(destination), tail) & 0xffff;
}
