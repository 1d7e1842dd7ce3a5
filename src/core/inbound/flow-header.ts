/**
 * Comparing two packets' headers: which fields must be equal for the second to continue the first.
 *
 * Both lie in one arena, have passed their checks, and have neither IPv4 options nor IPv6 extension headers;
 * `first` and `offset` are where their IP headers start. The rules are those under which a network card
 * joins what it received; the traps are the fields that may differ: lengths, checksums, IPv4 id, FIN, PSH.
 */
import {
  IPV4,
  IPV4_DONT_FRAGMENT,
  IPV4_SOURCE,
  IPV6,
  IPV6_SOURCE,
  TCP_FIELD,
  TCP_FLAG,
  TCP_HEADER_BYTES,
} from "../inner-packet.ts";

/** Flags that end a run; the whole gets them. */
export const ENDING = TCP_FLAG.FIN | TCP_FLAG.PSH;
/** The same in the 32 bits of data offset, flags and window. */
const MAY_DIFFER = ENDING << 16;

/** What an IPv4 id is above the one before: 1; always the same: 0; or ANY. */
export const ANY = -1;

/** Same version, source and destination address. */
export function isSamePair(view: DataView, first: number, offset: number): boolean {
  const version = view.getUint8(first) >> 4;
  if (view.getUint8(offset) >> 4 !== version) return false;
  return version === 4
    ? isEqual(view, first + IPV4_SOURCE, offset + IPV4_SOURCE, 8)
    : isEqual(view, first + IPV6_SOURCE, offset + IPV6_SOURCE, 32);
}

/** Same TOS, TTL and flags, and an id `parts` after the first's, or one that does not matter (RFC 6864 §4.1). */
export function continuesIpv4(
  view: DataView,
  first: number,
  offset: number,
  parts: number,
  wantedStep: number,
): boolean {
  const fragment = view.getUint16(offset + IPV4.FRAGMENT);
  if (
    view.getUint16(first) !== view.getUint16(offset) ||
    view.getUint16(first + IPV4.TTL) !== view.getUint16(offset + IPV4.TTL) ||
    view.getUint16(first + IPV4.FRAGMENT) !== fragment
  ) {
    return false;
  }
  const step = idStep(view, first, offset, parts);
  if (step === 0) return fragment === IPV4_DONT_FRAGMENT && wantedStep !== 1;
  return step === 1 && wantedStep !== 0;
}

/** 1: the packet's id is `parts` above the first's, 0: the same, else ANY. */
export function idStep(view: DataView, first: number, offset: number, parts: number): number {
  const above = (view.getUint16(offset + IPV4.ID) - view.getUint16(first + IPV4.ID)) & 0xffff;
  if (above === 0) return 0;
  return above === parts ? 1 : ANY;
}

/** Same traffic class, flow label, next header and hop limit. */
export function continuesIpv6(view: DataView, first: number, offset: number): boolean {
  return (
    view.getInt32(first) === view.getInt32(offset) &&
    view.getUint16(first + IPV6.NEXT_HEADER) === view.getUint16(offset + IPV6.NEXT_HEADER)
  );
}

/** The wanted sequence number; the rest of the `bytes` of TCP header but FIN, PSH and checksum as in the first. */
export function continuesTcp(
  view: DataView,
  first: number,
  own: number,
  bytes: number,
  sequence: number,
): boolean {
  const flags = view.getInt32(first + TCP_FIELD.FLAGS) ^ view.getInt32(own + TCP_FIELD.FLAGS);
  return (
    view.getInt32(own + TCP_FIELD.SEQUENCE) === sequence &&
    isEqual(view, first + TCP_FIELD.ACKNOWLEDGMENT, own + TCP_FIELD.ACKNOWLEDGMENT, 4) &&
    (flags & ~MAY_DIFFER) === 0 &&
    view.getUint16(own + TCP_FIELD.URGENT) === view.getUint16(first + TCP_FIELD.URGENT) &&
    isEqual(view, first + TCP_HEADER_BYTES, own + TCP_HEADER_BYTES, bytes - TCP_HEADER_BYTES)
  );
}

/** Compares two places of the arena, a multiple of 4 bytes. */
function isEqual(view: DataView, a: number, b: number, bytes: number): boolean {
  for (let done = 0; done < bytes; done += 4) {
    if (view.getInt32(a + done) !== view.getInt32(b + done)) return false;
  }
  return true;
}
