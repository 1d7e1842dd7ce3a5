/**
 * The MSS of TCP SYNs that pass the tunnel, lowered to what its path carries in one piece.
 *
 * Standard: RFC 9293 §3.1 and §3.7.1; the checksum is corrected by RFC 1624. Neither end of the connection
 * then sends what would have to be refused or cut, also where it hears no ICMP. The trap: options are the
 * sender's to write, so each step is checked against the header's end; an option that is no honest MSS is left alone.
 */
import { checksumOf, writeUint16 } from "../checksum.ts";
import {
  findTransport,
  IPV4,
  IPV4_HEADER_BYTES,
  IPV6,
  IPV6_HEADER_BYTES,
  isExtensionHeader,
  TCP,
  TCP_FIELD,
  TCP_FLAG,
  TCP_HEADER_BYTES,
  type UpperLayer,
  uint16At,
} from "../inner-packet.ts";

/** TCP options (RFC 9293 §3.1): kind, and length where it has one. */
const OPTION_END = 0;
const OPTION_NOTHING = 1;
const OPTION_MSS = 2;
const OPTION_MSS_BYTES = 4;

/** By a few bytes: false for nearly every packet, so that nearly none is looked at twice. */
export function mayBeSyn(bytes: Uint8Array, offset: number): boolean {
  const first = bytes[offset] ?? 0;
  if (first >> 4 === 4) {
    return bytes[offset + IPV4.PROTOCOL] === TCP && hasSyn(bytes, offset + (first & 0xf) * 4);
  }
  const next = bytes[offset + IPV6.NEXT_HEADER] ?? 0;
  return next === TCP ? hasSyn(bytes, offset + IPV6_HEADER_BYTES) : isExtensionHeader(next);
}

/**
 * Lowers the MSS of a SYN so that its answers fit packets of `most` bytes; every other packet is left as it
 * is. `isPartial`: the checksum holds only the pseudo-header sum, which has nothing of the options in it.
 * Callers on the packet path ask `mayBeSyn` first.
 */
export function clampMss(
  bytes: Uint8Array,
  offset: number,
  length: number,
  most: number,
  isPartial: boolean,
  upper: UpperLayer,
): void {
  if (!findTransport(bytes, offset, length, upper) || upper.protocol !== TCP) return;
  const tcp = offset + upper.start;
  const at = hasSyn(bytes, tcp) ? findMss(bytes, tcp, offset + length) : 0;
  if (at === 0) return;
  const isIpv4 = (bytes[offset] ?? 0) >> 4 === 4;
  const ipBytes = isIpv4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
  lower(bytes, at, most - ipBytes - TCP_HEADER_BYTES, tcp, isPartial);
}

function hasSyn(bytes: Uint8Array, tcp: number): boolean {
  return ((bytes[tcp + TCP_FIELD.FLAGS_LOW] ?? 0) & TCP_FLAG.SYN) !== 0;
}

/** Where the value of the MSS option is, the TCP header being at `tcp`; 0: there is none, or no honest one. */
function findMss(bytes: Uint8Array, tcp: number, end: number): number {
  const headerEnd = Math.min(tcp + ((bytes[tcp + TCP_FIELD.FLAGS] ?? 0) >> 4) * 4, end);
  for (let at = tcp + TCP_HEADER_BYTES; at + 1 < headerEnd; ) {
    const kind = bytes[at] ?? 0;
    if (kind === OPTION_END) return 0;
    const length = kind === OPTION_NOTHING ? 1 : (bytes[at + 1] ?? 0);
    if (length === 0 || at + length > headerEnd) return 0;
    if (kind === OPTION_MSS) return length === OPTION_MSS_BYTES ? at + 2 : 0;
    at += length;
  }
  return 0;
}

/** Writes the MSS at `at` where it is larger, and the checksum for it. */
function lower(bytes: Uint8Array, at: number, mss: number, tcp: number, isPartial: boolean): void {
  const old = uint16At(bytes, at);
  if (old <= mss) return;
  writeUint16(bytes, at, mss);
  if (isPartial) return;
  // An option may lie at an odd offset: then its bytes count the other way round (RFC 1071 §2).
  const isOdd = ((at - tcp) & 1) === 1;
  const [from, to] = isOdd ? [swapped(old), swapped(mss)] : [old, mss];
  const field = tcp + TCP_FIELD.CHECKSUM;
  const sum = (~uint16At(bytes, field) & 0xffff) + (~from & 0xffff) + to;
  writeUint16(bytes, field, checksumOf(sum));
}

function swapped(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8);
}
