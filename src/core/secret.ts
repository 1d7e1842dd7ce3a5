/**
 * Memory for secrets.
 *
 * The trap: an array of up to 64 bytes lies in the collector's own heap, where it is moved, also when somebody asks
 * for its `buffer` or a `subarray`; what it leaves behind is overwritten by chance, and no wipe reaches it. Memory that
 * was asked for as an ArrayBuffer stays where it is.
 */

/** Zeros that stay where they are. */
export function secretBytes(length: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(length));
}

/** A copy of the first `length` bytes that stays where it is. */
export function secretCopy(bytes: Uint8Array, length = bytes.length): Uint8Array {
  const copy = secretBytes(length);
  for (let index = 0; index < length; index++) copy[index] = bytes[index] ?? 0;
  return copy;
}
