/**
 * IP prefixes and addresses as text and bytes; the one parser for both families.
 *
 * Standards: RFC 4291 §2.2 (IPv6 text), RFC 5952 (its canonical form), dotted quad without leading
 * zeros for IPv4. A prefix with host bits set is reported, never silently masked: the caller decides.
 *
 * The trap: ::ffff:a.b.c.d is the IPv4 address in other clothes. Where addresses are compared it
 * counts as IPv4, and a prefix written that way is refused, so that no list can be passed by it.
 */

/** An IP prefix: 4 or 16 address bytes with host bits zero, and a length in bits. */
export interface Prefix {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** What stands in a prefix's text. */
export interface ParsedPrefix {
  /** Host bits cleared. */
  readonly prefix: Prefix;
  /** The address as written, 4 or 16 bytes, host bits kept. */
  readonly address: Uint8Array;
  readonly hasHostBits: boolean;
}

/** Bits before an IPv4 address in its mapped form. */
const MAPPED_BITS = 96;
const DECIMAL = /^(?:0|[1-9][0-9]{0,2})$/;
const HEX_GROUP = /^[0-9a-fA-F]{1,4}$/;

/** Reads "10.0.0.0/8" or "2001:db8::/32"; the fault is a clause that says what was expected. */
export function parsePrefix(text: string): ParsedPrefix | { readonly fault: string } {
  const slash = text.indexOf("/");
  if (slash < 0) return { fault: "has no prefix length, expected a form such as 10.0.0.0/24" };
  const address = parseAddress(text.slice(0, slash));
  if (address === undefined) return { fault: "is not an IPv4 or IPv6 prefix" };
  const bits = address.length * 8;
  const length = parseDecimal(text.slice(slash + 1), bits);
  if (length === undefined) return { fault: `has a prefix length that is not 0 to ${bits}` };
  if (isMapped(address) && length >= MAPPED_BITS) {
    return { fault: "is an IPv4-mapped prefix, expected its IPv4 form" };
  }
  const bytes = masked(address, length);
  const prefix: Prefix = { family: address.length === 4 ? 4 : 6, bytes, length };
  return { prefix, address, hasHostBits: bytes.some((byte, index) => byte !== address[index]) };
}

/** 4 or 16 bytes, network order; undefined where the text is no address. No zone ("%eth0") is taken. */
export function parseAddress(text: string): Uint8Array | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** The canonical text of 4 or 16 bytes; an IPv4-mapped address as its dotted quad. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  return isMapped(bytes) ? bytes.subarray(12).join(".") : formatIpv6(bytes);
}

/** "10.0.0.0/8", "2001:db8::/32". */
export function formatPrefix(prefix: Prefix): string {
  const { family, bytes, length } = prefix;
  return `${family === 4 ? bytes.join(".") : formatIpv6(bytes)}/${length}`;
}

/** "192.0.2.1:1194", "[2001:db8::1]:1194"; a link-local address with its interface index, "[fe80::1%3]:1194". */
export function formatEndpoint(endpoint: {
  readonly address: Uint8Array;
  readonly port: number;
  readonly scope: number;
}): string {
  const address = formatAddress(endpoint.address);
  if (!address.includes(":")) return `${address}:${endpoint.port}`;
  const zone = endpoint.scope === 0 ? "" : `%${endpoint.scope}`;
  return `[${address}${zone}]:${endpoint.port}`;
}

/** Whether the prefix covers the address, 4 or 16 bytes; an IPv4-mapped one counts as IPv4. */
export function containsAddress(prefix: Prefix, bytes: Uint8Array): boolean {
  const plain = isMapped(bytes) ? bytes.subarray(12) : bytes;
  return plain.length === prefix.bytes.length && sharesBits(prefix.bytes, plain, prefix.length);
}

/** Whether some address lies in both. */
export function prefixesOverlap(a: Prefix, b: Prefix): boolean {
  return a.family === b.family && sharesBits(a.bytes, b.bytes, Math.min(a.length, b.length));
}

/** The 16 bytes that stand for an address in message rows: IPv4 as ::ffff:a.b.c.d. */
export function mapAddress(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 16) return bytes.slice();
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes);
}

function isMapped(bytes: Uint8Array): boolean {
  return (
    bytes.length === 16 &&
    bytes.subarray(0, 10).every((byte) => byte === 0) &&
    bytes[10] === 0xff &&
    bytes[11] === 0xff
  );
}

function parseDecimal(text: string, max: number): number | undefined {
  const value = DECIMAL.test(text) ? Number(text) : Number.NaN;
  return value <= max ? value : undefined;
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split(".").map((part) => parseDecimal(part, 255));
  if (parts.length !== 4 || !parts.every((part) => part !== undefined)) return undefined;
  return Uint8Array.from(parts);
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = unquad(text)?.split("::").map(parseGroups) ?? [];
  const [head, tail] = halves;
  if (head === undefined || halves.length > 2) return undefined;
  if (halves.length === 1) return head.length === 8 ? groupBytes(head) : undefined;
  if (tail === undefined) return undefined;
  // "::" stands for at least one group of zeros.
  const zeros = 8 - head.length - tail.length;
  return zeros < 1
    ? undefined
    : groupBytes([...head, ...new Array<number>(zeros).fill(0), ...tail]);
}

/** The text with a closing dotted quad written as two groups. */
function unquad(text: string): string | undefined {
  if (!text.includes(".")) return text;
  const at = text.lastIndexOf(":") + 1;
  const quad = parseIpv4(text.slice(at));
  if (quad === undefined) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = quad;
  return `${text.slice(0, at)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function parseGroups(half: string): number[] | undefined {
  if (half === "") return [];
  const groups = half.split(":");
  return groups.every((group) => HEX_GROUP.test(group))
    ? groups.map((group) => Number.parseInt(group, 16))
    : undefined;
}

function groupBytes(groups: readonly number[]): Uint8Array {
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** RFC 5952 §4: lower case, no leading zeros, the first longest run of two or more zero groups as "::". */
function formatIpv6(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(index * 2).toString(16));
  const { start, length } = longestZeroRun(groups);
  if (length < 2) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

function longestZeroRun(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [index, group] of groups.entries()) {
    length = group === "0" ? length + 1 : 0;
    if (length > best.length) best = { start: index - length + 1, length };
  }
  return best;
}

function masked(address: Uint8Array, length: number): Uint8Array {
  return address.map((byte, index) => byte & byteMask(length - index * 8));
}

function sharesBits(a: Uint8Array, b: Uint8Array, length: number): boolean {
  return a.every((byte, index) => ((byte ^ (b[index] ?? 0)) & byteMask(length - index * 8)) === 0);
}

/** The mask of one byte of which the first `bits` count; below 0 and above 8 as 0 and 8. */
function byteMask(bits: number): number {
  return 0xff & (0xff00 >> Math.min(8, Math.max(0, bits)));
}
