/**
 * The datagram format as an eavesdropper reads it: the plain twin of core/wire.ts for the tests.
 *
 * Offsets are written out from PROTOCOL section 3 and not imported, so that a slip in the core's table
 * shows. It checks nothing; a test that reads a field has made sure of the type.
 */

export const TYPE = { INIT: 1, RESP: 2, CHALLENGE: 3, DATA: 4 } as const;
/** Bytes of each message; DATA: of a keepalive. */
export const SIZE = { INIT: 120, RESP: 108, CHALLENGE: 64, KEEPALIVE: 32 } as const;
/** Bytes that DATA adds to an inner packet. */
export const DATA_OVERHEAD = 32;

/** The message type byte, or -1 of an empty datagram. */
export function typeOf(datagram: Uint8Array): number {
  return datagram[0] ?? -1;
}

/** The short name of a datagram's type, for logs. */
export function typeName(datagram: Uint8Array): string {
  const found = Object.entries(TYPE).find(([, value]) => value === datagram[0]);
  return found?.[0] ?? "junk";
}

/** The sender's session index of an INIT or RESP. */
export function senderIndex(datagram: Uint8Array): number {
  return word(datagram, 4);
}

/** The receiver's session index of a RESP (at 8), CHALLENGE or DATA (at 4). */
export function receiverIndex(datagram: Uint8Array): number {
  return word(datagram, typeOf(datagram) === TYPE.RESP ? 8 : 4);
}

/** The counter of a DATA datagram; above 2^53 it loses low bits. */
export function dataCounter(datagram: Uint8Array): number {
  return word(datagram, 8) + word(datagram, 12) * 2 ** 32;
}

/** A copy with one bit turned over; bit 0 is the lowest of byte 0. */
export function flipBit(datagram: Uint8Array, bit: number): Uint8Array {
  const flipped = datagram.slice();
  const at = bit >> 3;
  flipped[at] = (flipped[at] ?? 0) ^ (1 << (bit & 7));
  return flipped;
}

/** A copy cut or zero-padded to `length` bytes. */
export function resized(datagram: Uint8Array, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(datagram.subarray(0, Math.min(length, datagram.length)));
  return copy;
}

/** Whether `needle` occurs in `haystack`. */
export function contains(haystack: Uint8Array, needle: Uint8Array): boolean {
  return Buffer.from(haystack.buffer, haystack.byteOffset, haystack.length).includes(
    Buffer.from(needle),
  );
}

function word(datagram: Uint8Array, offset: number): number {
  return new DataView(datagram.buffer, datagram.byteOffset).getUint32(offset, true);
}
