/**
 * What the cipher's tests share: rows to seal and to open, and a seeded source of bytes and sizes.
 */
import { OPEN, OPEN_FIELDS, SEAL, SEAL_FIELDS } from "../../src/core/rows.ts";
import { testNative } from "./native.ts";

const native = testNative();

/** Bytes that a DATA datagram has more than its plaintext. */
export const OVERHEAD_BYTES = 32;

/** A seal row; what is left out is zero, but for one segment. */
export type SealFields = Partial<Record<keyof typeof SEAL, number>>;

/** Rows to seal; OUT_LENGTH and STATUS hold rubbish that the addon must overwrite. */
export function sealRows(list: readonly SealFields[]): Int32Array {
  const rows = new Int32Array(list.length * SEAL_FIELDS);
  list.forEach((fields, index) => {
    const full: SealFields = { SEGMENTS: 1, STATUS: 12345, OUT_LENGTH: 12345, ...fields };
    for (const [name, value] of Object.entries(full))
      rows[index * SEAL_FIELDS + SEAL[name as keyof typeof SEAL]] = value;
  });
  return rows;
}

/** Offset, length and slot of a row to open. */
export type OpenFields = readonly [number, number, number];

/** Rows to open: offset, length and slot of each; STATUS holds rubbish. */
export function openRows(list: readonly OpenFields[]): Int32Array {
  const rows = new Int32Array(list.length * OPEN_FIELDS);
  list.forEach(([offset, length, slot], index) => {
    rows.set([offset, length, slot, 12345, 678], index * OPEN_FIELDS);
  });
  return rows;
}

/** STATUS of every seal row. */
export function sealStatus(rows: Int32Array): number[] {
  return every(rows, SEAL_FIELDS, SEAL.STATUS);
}

/** STATUS of every open row. */
export function openStatus(rows: Int32Array): number[] {
  return every(rows, OPEN_FIELDS, OPEN.STATUS);
}

function every(rows: Int32Array, fields: number, field: number): number[] {
  return Array.from(
    { length: rows.length / fields },
    (_, row) => rows[row * fields + field] ?? Number.NaN,
  );
}

/** Uniform 32-bit numbers from a seed (xorshift32, Marsaglia 2003). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

/** `length` bytes of the seeded source. */
export function randomBytes(random: () => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random() & 0xff);
}

/** The 24-byte nonce of PROTOCOL "Transport keys": P || LE64(counter). */
export function extendedNonce(material: Uint8Array, counter: number): Uint8Array {
  const nonce = new Uint8Array(24);
  nonce.set(material.subarray(32, 48));
  new DataView(nonce.buffer).setBigUint64(16, BigInt(counter), true);
  return nonce;
}

/** The 16-byte header of PROTOCOL "DATA". */
export function dataHeader(receiverIndex: number, counter: number): Uint8Array {
  const header = new Uint8Array(16);
  const view = new DataView(header.buffer);
  header.set([4, 1]);
  view.setUint32(4, receiverIndex, true);
  view.setBigUint64(8, BigInt(counter), true);
  return header;
}

/** Seals rows made from `list` and returns them. */
export function seal(
  packets: Uint8Array,
  datagrams: Uint8Array,
  list: readonly SealFields[],
): Int32Array {
  const rows = sealRows(list);
  native.seal(packets, datagrams, rows, list.length);
  return rows;
}

/** Opens rows made from `list` and returns their STATUS. */
export function open(datagrams: Uint8Array, list: readonly OpenFields[]): number[] {
  const rows = openRows(list);
  native.open(datagrams, rows, list.length);
  return openStatus(rows);
}
