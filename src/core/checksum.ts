/**
 * The Internet checksum (RFC 1071): finishing a partial one, and making one from nothing.
 *
 * Only for packets that the kernel does not finish itself: a device without vnet header, and our own
 * ICMP errors. The fast path carries partial sums to the receiver's kernel (PROTOCOL, first byte 0xC, 0xE).
 *
 * The trap: in one's complement 0 and 0xffff are the same number, but a UDP checksum field of 0 means
 * "none" (RFC 768; forbidden in IPv6, RFC 8200 §8.1). So a result of 0 is written as 0xffff.
 */
import { IPV4, IPV4_HEADER_BYTES } from "./inner-packet.ts";

/**
 * Finishes a checksum whose field holds the folded pseudo-header sum: sums from `checksumStart` to the
 * packet's end and writes the complement. False, and nothing written, where a field lies outside.
 */
export function completeChecksum(
  bytes: Uint8Array,
  offset: number,
  length: number,
  checksumStart: number,
  checksumOffset: number,
): boolean {
  const field = checksumStart + checksumOffset;
  if (!(checksumStart >= 0 && checksumOffset >= 0 && field + 2 <= length)) return false;
  const checksum = checksumOf(addBytes(0, bytes, offset + checksumStart, offset + length));
  writeUint16(bytes, offset + field, checksum === 0 ? 0xffff : checksum);
  return true;
}

/** Adds the big-endian 16-bit words of bytes[start, end) to a running sum; an odd last byte counts as a high byte. */
export function addBytes(sum: number, bytes: Uint8Array, start: number, end: number): number {
  let total = sum;
  let at = start;
  // 65,535 bytes add less than 2^31, so a packet's sum stays an integer that V8 keeps in a register.
  for (; at + 1 < end; at += 2) total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  return at < end ? total + ((bytes[at] ?? 0) << 8) : total;
}

/** The checksum of a running sum: folded to 16 bits and complemented. */
export function checksumOf(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return folded ^ 0xffff;
}

/** Writes two bytes, big-endian. */
export function writeUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
}

/** Adds a number below 65,536 to the 16-bit one's complement sum at `field`, such as the folded pseudo-header sum when a length grows. */
export function addToSum(bytes: Uint8Array, field: number, added: number): void {
  const sum = (((bytes[field] ?? 0) << 8) | (bytes[field + 1] ?? 0)) + added;
  writeUint16(bytes, field, sum > 0xffff ? sum - 0xffff : sum);
}

/**
 * Corrects an IPv4 header checksum for a header word that grew by `added`, a little (RFC 1624 §3, equation 3:
 * the shorter equation 4 makes a 0xffff where the header's sum says 0).
 */
export function correctIpv4Checksum(bytes: Uint8Array, offset: number, added: number): void {
  const field = offset + IPV4.CHECKSUM;
  const sum = (((bytes[field] ?? 0) << 8) | (bytes[field + 1] ?? 0)) ^ 0xffff;
  writeUint16(bytes, field, checksumOf(sum + 0xffff + added));
}

/** Writes the total length of an IPv4 header without options, and its header checksum anew (RFC 791 §3.1). */
export function writeIpv4Length(bytes: Uint8Array, offset: number, total: number): void {
  writeUint16(bytes, offset + IPV4.TOTAL_LENGTH, total);
  writeUint16(bytes, offset + IPV4.CHECKSUM, 0);
  const sum = addBytes(0, bytes, offset, offset + IPV4_HEADER_BYTES);
  writeUint16(bytes, offset + IPV4.CHECKSUM, checksumOf(sum));
}
