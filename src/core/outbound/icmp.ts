/**
 * ICMP errors for packets from our own device: those that belong to no peer, and those longer than the path takes.
 *
 * Standards: RFC 792, RFC 1122 §3.2.2 and RFC 1812 §4.3.2 (IPv4: type 3, code 1, host unreachable);
 * RFC 4443 §2.4 and §3.1 (IPv6: type 1, code 3, address unreachable); RFC 1191 §4 (type 3, code 4 with the
 * MTU) and RFC 4443 §3.2 (type 2 with the MTU). It goes to the packet's sender
 * and comes from the packet's destination: the local kernel takes that from this device, where any
 * address of our own would look forged. How many are made a second is the caller's to bound.
 *
 * The trap: an error about an error, a broadcast or a fragment's tail makes storms. Whatever cannot be
 * shown to be none of these gets no answer. Broadcast addresses of subnets cannot be known here.
 */
import { addBytes, checksumOf, writeUint16 } from "../checksum.ts";
import {
  emptyUpperLayer,
  findUpperLayer,
  IPV4_DESTINATION,
  IPV4_HEADER_BYTES,
  IPV4_SOURCE,
  IPV6_DESTINATION,
  IPV6_HEADER_BYTES,
  IPV6_SOURCE,
  innerFamily,
  type UpperLayer,
} from "../inner-packet.ts";

/** A whole ICMP error is at most this long (RFC 1812 §4.3.2.3). */
const MAX_IPV4_REPLY_BYTES = 576;
/** A whole ICMPv6 error is at most the minimum MTU (RFC 4443 §2.4(c)). */
const MAX_IPV6_REPLY_BYTES = 1280;
/** Type, code, checksum, four unused bytes, in both families. */
const ICMP_HEADER_BYTES = 8;
const HOP_LIMIT = 64;
/** TOS of ICMP errors: precedence "internetwork control" (RFC 1812 §4.3.2.5). */
const TOS_INTERNETWORK_CONTROL = 0xc0;
const ICMP = 1;
const ICMPV6 = 58;
/** ICMP types that ask or answer rather than complain (RFC 792, 950, 1256): the only ones that may be answered by an error. */
const ICMP_QUERIES: ReadonlySet<number> = new Set([0, 8, 9, 10, 13, 14, 15, 16, 17, 18]);
/** ICMPv6 types below this are errors (RFC 4443 §2.1). */
const FIRST_ICMPV6_QUERY = 128;
const ICMPV6_REDIRECT = 137;

/** The first eight bytes of an error without its checksum: type, code, and what stands in the last four. */
interface IcmpError {
  readonly type: number;
  readonly code: number;
  readonly word: number;
}
const HOST_UNREACHABLE: IcmpError = { type: 3, code: 1, word: 0 };
const ADDRESS_UNREACHABLE: IcmpError = { type: 1, code: 3, word: 0 };

/**
 * Writes "destination unreachable" at `outOffset` and returns its bytes; 0, and nothing written, where none
 * may be sent or `out` has no room. At most 576 bytes for IPv4 and 1,280 for IPv6.
 */
export function unreachableReply(
  bytes: Uint8Array,
  offset: number,
  length: number,
  out: Uint8Array,
  outOffset: number,
): number {
  return errorReply(bytes, offset, length, HOST_UNREACHABLE, ADDRESS_UNREACHABLE, out, outOffset);
}

/** The same for "fragmentation needed" and "packet too big", with the MTU that would fit. */
export function tooBigReply(
  bytes: Uint8Array,
  offset: number,
  length: number,
  mtu: number,
  out: Uint8Array,
  outOffset: number,
): number {
  const v4 = { type: 3, code: 4, word: mtu };
  const v6 = { type: 2, code: 0, word: mtu };
  return errorReply(bytes, offset, length, v4, v6, out, outOffset);
}

function errorReply(
  bytes: Uint8Array,
  offset: number,
  length: number,
  error4: IcmpError,
  error6: IcmpError,
  out: Uint8Array,
  outOffset: number,
): number {
  const upper = emptyUpperLayer();
  if (!findUpperLayer(bytes, offset, length, upper) || upper.fragment === "later") return 0;
  if (isIcmpError(bytes, offset, length, upper)) return 0;
  const isIpv4 = innerFamily(bytes, offset, length) === 4;
  const headerBytes = (isIpv4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES) + ICMP_HEADER_BYTES;
  const limit = isIpv4 ? MAX_IPV4_REPLY_BYTES : MAX_IPV6_REPLY_BYTES;
  const replyBytes = Math.min(headerBytes + length, limit);
  if (outOffset + replyBytes > out.length) return 0;
  const source = offset + (isIpv4 ? IPV4_SOURCE : IPV6_SOURCE);
  const destination = offset + (isIpv4 ? IPV4_DESTINATION : IPV6_DESTINATION);
  const isHost = isIpv4 ? isIpv4Host : isIpv6Host;
  if (!isHost(bytes, source) || !isHost(bytes, destination)) return 0;

  const quoted = bytes.subarray(offset, offset + replyBytes - headerBytes);
  const reply = out.subarray(outOffset, outOffset + replyBytes);
  reply.fill(0, 0, headerBytes);
  reply.set(quoted, headerBytes);
  if (isIpv4) writeIpv4(reply, error4);
  else writeIpv6(reply, error6);
  return replyBytes;
}

/** Also true where the type lies outside the packet: then it cannot be shown to be none. */
function isIcmpError(
  bytes: Uint8Array,
  offset: number,
  length: number,
  upper: UpperLayer,
): boolean {
  if (upper.protocol !== ICMP && upper.protocol !== ICMPV6) return false;
  if (upper.start >= length) return true;
  const type = bytes[offset + upper.start] ?? 0;
  return upper.protocol === ICMP
    ? !ICMP_QUERIES.has(type)
    : type < FIRST_ICMPV6_QUERY || type === ICMPV6_REDIRECT;
}

/** Whether the address names a single host elsewhere: not 0/8, loopback, multicast, class E or broadcast. */
function isIpv4Host(bytes: Uint8Array, at: number): boolean {
  const first = bytes[at] ?? 0;
  return first !== 0 && first !== 127 && first < 224;
}

/** Whether the address names a single host elsewhere: not ::, ::1 or multicast. */
function isIpv6Host(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] === 0xff) return false;
  for (let index = 0; index < 15; index++) if (bytes[at + index] !== 0) return true;
  return (bytes[at + 15] ?? 0) > 1;
}

/** Fills a reply whose quoted packet already stands behind 28 zero bytes. */
function writeIpv4(reply: Uint8Array, error: IcmpError): void {
  const quoted = IPV4_HEADER_BYTES + ICMP_HEADER_BYTES;
  reply[0] = 0x45;
  reply[1] = TOS_INTERNETWORK_CONTROL;
  writeUint16(reply, 2, reply.length);
  // Don't fragment, so that an identification of 0 is unique enough (RFC 6864 §4.1).
  writeUint16(reply, 6, 0x4000);
  reply[8] = HOP_LIMIT;
  reply[9] = ICMP;
  reply.copyWithin(IPV4_SOURCE, quoted + IPV4_DESTINATION, quoted + IPV4_DESTINATION + 4);
  reply.copyWithin(IPV4_DESTINATION, quoted + IPV4_SOURCE, quoted + IPV4_SOURCE + 4);
  writeUint16(reply, 10, checksumOf(addBytes(0, reply, 0, IPV4_HEADER_BYTES)));
  writeError(reply, IPV4_HEADER_BYTES, error);
  const sum = addBytes(0, reply, IPV4_HEADER_BYTES, reply.length);
  writeUint16(reply, IPV4_HEADER_BYTES + 2, checksumOf(sum));
}

/** Fills a reply whose quoted packet already stands behind 48 zero bytes. */
function writeIpv6(reply: Uint8Array, error: IcmpError): void {
  const quoted = IPV6_HEADER_BYTES + ICMP_HEADER_BYTES;
  const payloadBytes = reply.length - IPV6_HEADER_BYTES;
  reply[0] = 0x60;
  writeUint16(reply, 4, payloadBytes);
  reply[6] = ICMPV6;
  reply[7] = HOP_LIMIT;
  reply.copyWithin(IPV6_SOURCE, quoted + IPV6_DESTINATION, quoted + IPV6_DESTINATION + 16);
  reply.copyWithin(IPV6_DESTINATION, quoted + IPV6_SOURCE, quoted + IPV6_SOURCE + 16);
  writeError(reply, IPV6_HEADER_BYTES, error);
  // The pseudo-header of RFC 8200 §8.1: both addresses, the upper-layer length, the next header.
  const pseudo = addBytes(payloadBytes + ICMPV6, reply, IPV6_SOURCE, IPV6_HEADER_BYTES);
  const sum = addBytes(pseudo, reply, IPV6_HEADER_BYTES, reply.length);
  writeUint16(reply, IPV6_HEADER_BYTES + 2, checksumOf(sum));
}

function writeError(reply: Uint8Array, start: number, { type, code, word }: IcmpError): void {
  reply[start] = type;
  reply[start + 1] = code;
  writeUint16(reply, start + 6, word);
}
