/**
 * A fake of the cryptography that costs next to nothing: test/sim/stub-crypto.ts with a quicker hash.
 *
 * The same promises, as far as a fuzzer can tell: equal inputs give equal outputs, any changed bit another one, both
 * sides of a DH agree. Handshakes are forty hashes each, so the hash decides how many inputs a second there are.
 */
import type { HandshakeCrypto } from "../../../src/core/crypto.ts";
import type { Random } from "../../helpers/random.ts";
import type { Cipher } from "../../sim/twin-aead.ts";

const TAG_BYTES = 16;
const EMPTY = new Uint8Array(0);

/** `HandshakeCrypto` over the quick hash. */
export function fastCrypto(random: Random): HandshakeCrypto {
  return {
    random: (length) => random.bytes(length),
    blake2b: (length, parts, key) => hash(length, key ?? EMPTY, parts),
    keyPair: () => {
      const secretKey = random.bytes(32);
      return { secretKey, publicKey: hash(32, secretKey, []) };
    },
    dh: (secretKey, publicKey) => shared(hash(32, secretKey, []), publicKey),
    seal: FAST_CIPHER.seal,
    open: FAST_CIPHER.open,
    sealExtended: FAST_CIPHER.seal,
    openExtended: FAST_CIPHER.open,
    equal: (a, b) => Buffer.compare(a, b) === 0,
    wipe: (bytes) => {
      bytes.fill(0);
    },
  };
}

/** The text as it is, and a hash as tag. */
export const FAST_CIPHER: Cipher = {
  seal: (key, nonce, ad, plaintext) => {
    const sealed = new Uint8Array(plaintext.length + TAG_BYTES);
    sealed.set(plaintext);
    sealed.set(hash(TAG_BYTES, key, [nonce, ad, plaintext]), plaintext.length);
    return sealed;
  },
  open: (key, nonce, ad, sealed) => {
    if (sealed.length < TAG_BYTES) return undefined;
    const plaintext = sealed.slice(0, sealed.length - TAG_BYTES);
    const tag = hash(TAG_BYTES, key, [nonce, ad, plaintext]);
    return Buffer.compare(tag, sealed.subarray(plaintext.length)) === 0 ? plaintext : undefined;
  },
};

/** Symmetric in the two public keys; an all-zero key has no secret, as in X25519. */
function shared(own: Uint8Array, other: Uint8Array): Uint8Array | undefined {
  if (other.every((byte) => byte === 0)) return undefined;
  const [first = own, second = other] = [own, other].sort((a, b) => Buffer.compare(a, b));
  return hash(32, first, [second]);
}

/** `length` bytes that depend on every byte of every part, and on where parts end. */
function hash(length: number, key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  let low = 0x243f6a88 ^ length;
  let high = 0x85a308d3;
  for (let index = -1; index < parts.length; index += 1) {
    const part = index < 0 ? key : (parts[index] ?? EMPTY);
    for (const byte of part) {
      low = Math.imul(low ^ byte, 0x01000193);
      high = Math.imul((high ^ low) + byte, 0x85ebca6b);
      high ^= high >>> 15;
    }
    low = Math.imul(low ^ part.length, 0x9e3779b1) ^ (high >>> 7);
  }
  const out = new Uint8Array(length);
  for (let at = 0; at < length; at += 1) {
    low = Math.imul(low ^ (high >>> 13), 0xc2b2ae35) + at;
    high = Math.imul(high ^ (low >>> 11), 0x27d4eb2f);
    out[at] = high >>> 24;
  }
  return out;
}
