/**
 * Inner packets: is the IP header honest about the packet, and where is its transport header.
 *
 * Standards: RFC 791 §3.1, RFC 8200 §3 and §4. Both ends ask: the sender of what its device gave, the
 * receiver of what was decrypted. A member of the tunnel may still be hostile, so nothing here reads
 * past `length`, throws, or walks further than a fixed number of headers. IPv4 header checksums are
 * not verified; the receiving kernel does that.
 *
 * The trap: an IPv6 transport header is wherever the chain of extension headers says, and a chain can
 * be made to point outside. Each step is checked before it is taken.
 */

/** Bytes of an IPv4 header without options (RFC 791 §3.1). */
export const IPV4_HEADER_BYTES = 20;
/** Bytes of an IPv6 header (RFC 8200 §3). */
export const IPV6_HEADER_BYTES = 40;
/** Offsets of the source and destination address in the header. */
export const IPV4_SOURCE = 12;
export const IPV4_DESTINATION = 16;
export const IPV6_SOURCE = 8;
export const IPV6_DESTINATION = 24;

/** Offsets of other fields in the IPv4 header. */
export const IPV4 = {
  TOTAL_LENGTH: 2,
  ID: 4,
  FRAGMENT: 6,
  TTL: 8,
  PROTOCOL: 9,
  CHECKSUM: 10,
} as const;
/** The 16 bits at FRAGMENT of a whole packet with DF set. */
export const IPV4_DONT_FRAGMENT = 0x4000;
/** Offsets of other fields in the IPv6 header. */
export const IPV6 = { PAYLOAD_LENGTH: 4, NEXT_HEADER: 6, HOP_LIMIT: 7 } as const;

/** IANA protocol number of TCP (RFC 9293). */
export const TCP = 6;
/** Offsets in the TCP header (RFC 9293 §3.1). FLAGS: 4 bits of header words, then flags; FLAGS_LOW: the low 8 flags. */
export const TCP_FIELD = {
  SEQUENCE: 4,
  ACKNOWLEDGMENT: 8,
  FLAGS: 12,
  FLAGS_LOW: 13,
  CHECKSUM: 16,
  URGENT: 18,
} as const;
/** Bits at FLAGS_LOW. */
export const TCP_FLAG = {
  FIN: 0x01,
  SYN: 0x02,
  RST: 0x04,
  PSH: 0x08,
  ACK: 0x10,
  URG: 0x20,
  CWR: 0x80,
} as const;
/** Bytes of a TCP header without options. */
export const TCP_HEADER_BYTES = 20;

/** IANA protocol number of UDP (RFC 768). */
export const UDP = 17;
/** Offsets in the UDP header. */
export const UDP_FIELD = { LENGTH: 4, CHECKSUM: 6 } as const;
/** Bytes of a UDP header. */
export const UDP_HEADER_BYTES = 8;

/** IANA protocol numbers of the extension headers. */
const HOP_BY_HOP = 0;
const ROUTING = 43;
export const IPV6_FRAGMENT = 44;
const AUTHENTICATION = 51;
const DESTINATION_OPTIONS = 60;

const EXTENSION_HEADERS: ReadonlySet<number> = new Set([
  HOP_BY_HOP,
  ROUTING,
  IPV6_FRAGMENT,
  AUTHENTICATION,
  DESTINATION_OPTIONS,
]);

/** Whether another header follows one of this IANA protocol number. */
export function isExtensionHeader(protocol: number): boolean {
  return EXTENSION_HEADERS.has(protocol);
}

/** The smallest extension header. */
const MIN_EXTENSION_BYTES = 8;
/** A fragment header. */
export const IPV6_FRAGMENT_BYTES = 8;
/** BOUNDED: extension headers followed. RFC 8200 §4.1 lists six places in its recommended order. */
const MAX_EXTENSION_HEADERS = 8;

/** 4 or 6 where the header fits `length` exactly, 0 where it is malformed. Jumbograms (RFC 2675) count as malformed. */
export function innerFamily(bytes: Uint8Array, offset: number, length: number): 4 | 6 | 0 {
  const version = byteAt(bytes, offset) >> 4;
  if (version === 4) return isHonestIpv4(bytes, offset, length) ? 4 : 0;
  if (version === 6) return isHonestIpv6(bytes, offset, length) ? 6 : 0;
  return 0;
}

/** What lies behind the IP header and its extensions; made once, filled by the functions below. */
export interface UpperLayer {
  /** IANA protocol number of the header at `start`. */
  protocol: number;
  /** Offset of that header in the packet; for TCP and UDP where the checksum starts. */
  start: number;
  /** Offset of the TCP or UDP checksum field from `start`, else 0. */
  checksumOffset: number;
  /** "later": not the first fragment, so that `start` is the middle of something. */
  fragment: "none" | "first" | "later";
  /** Behind an IPv6 authentication header, which covers the checksum. */
  isAuthenticated: boolean;
}

/** An `UpperLayer` to be filled. */
export function emptyUpperLayer(): UpperLayer {
  return { protocol: 0, start: 0, checksumOffset: 0, fragment: "none", isAuthenticated: false };
}

/**
 * Whether the packet is unfragmented TCP or UDP with its transport header inside `length` (PROTOCOL
 * rule 13); then `upper.start` and `upper.checksumOffset` say where the checksum goes. A fragment header
 * counts as fragmented even where it is the only one (RFC 6946), and an authentication header as sealed:
 * no kernel leaves a partial checksum behind either.
 */
export function findTransport(
  bytes: Uint8Array,
  offset: number,
  length: number,
  upper: UpperLayer,
): boolean {
  return (
    findUpperLayer(bytes, offset, length, upper) &&
    upper.fragment === "none" &&
    !upper.isAuthenticated &&
    isTransportInside(bytes, offset, length, upper)
  );
}

/** Fills `upper`; false where the packet is malformed or its extension headers are cut, or too many. */
export function findUpperLayer(
  bytes: Uint8Array,
  offset: number,
  length: number,
  upper: UpperLayer,
): boolean {
  const family = innerFamily(bytes, offset, length);
  if (family === 0) return false;
  upper.isAuthenticated = false;
  if (family === 4) readUpperLayer4(bytes, offset, upper);
  else if (!walkExtensions(bytes, offset, length, upper)) return false;
  upper.checksumOffset =
    upper.protocol === TCP ? TCP_FIELD.CHECKSUM : upper.protocol === UDP ? UDP_FIELD.CHECKSUM : 0;
  return true;
}

function isHonestIpv4(bytes: Uint8Array, offset: number, length: number): boolean {
  if (length < IPV4_HEADER_BYTES) return false;
  const headerBytes = (byteAt(bytes, offset) & 0x0f) * 4;
  return (
    headerBytes >= IPV4_HEADER_BYTES &&
    headerBytes <= length &&
    uint16At(bytes, offset + 2) === length
  );
}

function isHonestIpv6(bytes: Uint8Array, offset: number, length: number): boolean {
  return length >= IPV6_HEADER_BYTES && uint16At(bytes, offset + 4) + IPV6_HEADER_BYTES === length;
}

function readUpperLayer4(bytes: Uint8Array, offset: number, upper: UpperLayer): void {
  upper.protocol = byteAt(bytes, offset + IPV4.PROTOCOL);
  upper.start = (byteAt(bytes, offset) & 0x0f) * 4;
  const flags = uint16At(bytes, offset + 6);
  const hasMore = (flags & 0x2000) !== 0;
  upper.fragment = (flags & 0x1fff) !== 0 ? "later" : hasMore ? "first" : "none";
}

/** Follows the extension headers of RFC 8200 §4 and RFC 4302 to the first header of another kind. */
function walkExtensions(
  bytes: Uint8Array,
  offset: number,
  length: number,
  upper: UpperLayer,
): boolean {
  upper.protocol = byteAt(bytes, offset + IPV6.NEXT_HEADER);
  upper.start = IPV6_HEADER_BYTES;
  upper.fragment = "none";
  for (let count = 0; count <= MAX_EXTENSION_HEADERS; count++) {
    if (!EXTENSION_HEADERS.has(upper.protocol) || upper.fragment === "later") return true;
    const at = offset + upper.start;
    if (upper.start + MIN_EXTENSION_BYTES > length) return false;
    if (upper.protocol === IPV6_FRAGMENT) {
      upper.fragment = (uint16At(bytes, at + 2) & 0xfff8) === 0 ? "first" : "later";
    }
    upper.isAuthenticated ||= upper.protocol === AUTHENTICATION;
    upper.start += extensionBytes(upper.protocol, byteAt(bytes, at + 1));
    upper.protocol = byteAt(bytes, at);
    if (upper.start > length) return false;
  }
  return false;
}

function extensionBytes(protocol: number, lengthField: number): number {
  if (protocol === IPV6_FRAGMENT) return IPV6_FRAGMENT_BYTES;
  // RFC 4302 §2.2 counts in words of 4 bytes, all others in words of 8.
  return protocol === AUTHENTICATION ? (lengthField + 2) * 4 : (lengthField + 1) * 8;
}

function isTransportInside(
  bytes: Uint8Array,
  offset: number,
  length: number,
  upper: UpperLayer,
): boolean {
  const left = length - upper.start;
  if (upper.protocol === UDP) return left >= UDP_HEADER_BYTES;
  if (upper.protocol !== TCP || left < TCP_HEADER_BYTES) return false;
  const headerBytes = (byteAt(bytes, offset + upper.start + 12) >> 4) * 4;
  return headerBytes >= TCP_HEADER_BYTES && headerBytes <= left;
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

/** Two bytes, big-endian. */
export function uint16At(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
