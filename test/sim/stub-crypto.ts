/**
 * A fake of the cryptography for schedules with many handshakes or datagrams: fast, seeded, worthless.
 *
 * It keeps what protocols rely on: both sides of a DH agree, a different key, nonce, associated data or
 * ciphertext fails to open, and equal inputs give equal outputs. It hides nothing, the "ciphertext" is
 * the plaintext, so tests of secrecy use twin-crypto.ts. The hash is four lanes of multiply and rotate.
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

/** `length` bytes that depend on every byte of every part and on where the parts end. */
export function digest(length: number, parts: readonly Uint8Array[]): Uint8Array {
  const lanes: Lanes = { a: 0x243f6a88, b: 0x85a308d3, c: 0x13198a2e, d: length };
  for (const part of parts) {
    absorb(lanes, part.length);
    absorbAll(lanes, part);
  }
  return squeezed(lanes, length);
}

interface Lanes {
  a: number;
  b: number;
  c: number;
  d: number;
}

/** Symmetric in the two public keys, so both ends agree; an all-zero key has no secret, as in X25519. */
function sharedSecret(own: Uint8Array, other: Uint8Array): Uint8Array | undefined {
  if (other.every((byte) => byte === 0)) return undefined;
  const parts = [own, other].sort((a, b) => Buffer.compare(a, b));
  return digest(32, parts);
}

function absorbAll(lanes: Lanes, part: Uint8Array): void {
  const whole = part.length & ~3;
  const view = new DataView(part.buffer, part.byteOffset, part.length);
  for (let at = 0; at < whole; at += 4) absorb(lanes, view.getInt32(at, true));
  for (let at = whole; at < part.length; at += 1) absorb(lanes, view.getUint8(at) | (at << 8));
}

function absorb(lanes: Lanes, word: number): void {
  const { a, b, c, d } = lanes;
  const mixed = Math.imul(a ^ word, 0x9e3779b1);
  lanes.a = b ^ ((mixed << 13) | (mixed >>> 19));
  lanes.b = Math.imul(c + mixed, 0x85ebca77);
  lanes.c = d ^ (mixed >>> 7);
  lanes.d = Math.imul(a + b + word, 0xc2b2ae3d) ^ c;
}

function squeezed(lanes: Lanes, length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let round = 0; round < 8; round += 1) absorb(lanes, 0x5bd1e995);
  for (let at = 0; at < length; at += 1) {
    if (at % 4 === 0) absorb(lanes, at);
    out[at] = lanes.a >>> (8 * (at % 4));
  }
  return out;
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
