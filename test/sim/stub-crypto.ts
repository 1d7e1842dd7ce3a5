/**
 * A fake of the cryptography for schedules with many handshakes or datagrams: fast, seeded, worthless.
 *
 * It keeps what protocols rely on: both sides of a DH agree, a different key, nonce, associated data or
 * ciphertext fails to open, and equal inputs give equal outputs. It hides nothing, the "ciphertext" is
 * the plaintext, so tests of secrecy use twin-crypto.ts. The hash is two lanes of multiply and shift.
 */
import type { HandshakeCrypto } from "../../src/core/crypto.ts";
import type { Random } from "../helpers/random.ts";
import type { Cipher } from "./twin-aead.ts";

const EMPTY = new Uint8Array(0);

/** `HandshakeCrypto` without a single real primitive. */
export function stubCrypto(random: Random): HandshakeCrypto {
  return {
    random: (length) => random.bytes(length),
    blake2b: (length, parts, key) => digest(length, [key ?? EMPTY, ...parts]),
    keyPair: () => {
      const secretKey = random.bytes(32);
      return { secretKey, publicKey: digest(32, [secretKey]) };
    },
    dh: (secretKey, publicKey) => sharedSecret(digest(32, [secretKey]), publicKey),
    seal: STUB_CIPHER.seal,
    open: STUB_CIPHER.open,
    sealExtended: STUB_CIPHER.seal,
    openExtended: STUB_CIPHER.open,
    equal: (a, b) => isEqual(a, b),
    wipe: (bytes) => {
      bytes.fill(0);
    },
  };
}

/** The fake AEAD: the text as it is, and a 16-byte hash as tag. */
export const STUB_CIPHER: Cipher = {
  seal: (key, nonce, ad, plaintext) => {
    const sealed = new Uint8Array(plaintext.length + 16);
    sealed.set(plaintext);
    sealed.set(digest(16, [key, nonce, ad, plaintext]), plaintext.length);
    return sealed;
  },
  open: (key, nonce, ad, sealed) => {
    if (sealed.length < 16) return undefined;
    const plaintext = sealed.slice(0, sealed.length - 16);
    const tag = digest(16, [key, nonce, ad, plaintext]);
    return isEqual(tag, sealed.subarray(plaintext.length)) ? plaintext : undefined;
  },
};

/**
 * `length` bytes that depend on every byte of every part and on where the parts end: two lanes of multiply
 * and shift. One loop over plain numbers, because schedules spend much of their time here.
 */
export function digest(length: number, parts: readonly Uint8Array[]): Uint8Array {
  let a = 0x243f6a88 ^ length;
  let b = 0x85a308d3;
  for (const part of parts) {
    a = Math.imul(a ^ part.length, 0x9e3779b1);
    for (let at = 0; at < part.length; at += 4) {
      a = Math.imul(a ^ wordAt(part, at), 0x9e3779b1);
      b = Math.imul(b ^ (a >>> 15), 0x85ebca77) + a;
    }
  }
  return squeezed(a, b, length);
}

/** Four bytes from `at` on, little-endian; zero behind the end. */
function wordAt(part: Uint8Array, at: number): number {
  return (
    (part[at] ?? 0) |
    ((part[at + 1] ?? 0) << 8) |
    ((part[at + 2] ?? 0) << 16) |
    ((part[at + 3] ?? 0) << 24)
  );
}

/** Each word of the output is mixed from both lanes and the word before. */
function squeezed(a: number, b: number, length: number): Uint8Array {
  const out = new Uint8Array(length);
  let word = Math.imul(a ^ (b >>> 13), 0x85ebca77);
  for (let at = 0; at < length; at += 4) {
    word = Math.imul(word ^ (word >>> 15) ^ a, 0x2c1b3c6d) + b;
    word = Math.imul(word ^ (word >>> 12) ^ b, 0x297a2d39) + at;
    word ^= word >>> 15;
    out[at] = word;
    out[at + 1] = word >>> 8;
    out[at + 2] = word >>> 16;
    out[at + 3] = word >>> 24;
  }
  return out;
}

/** Symmetric in the two public keys, so both ends agree; an all-zero key has no secret, as in X25519. */
function sharedSecret(own: Uint8Array, other: Uint8Array): Uint8Array | undefined {
  if (other.every((byte) => byte === 0)) return undefined;
  const parts = [own, other].sort((a, b) => Buffer.compare(a, b));
  return digest(32, parts);
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
