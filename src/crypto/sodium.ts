/**
 * The handshake's primitives from libsodium (WebAssembly), behind core's `HandshakeCrypto`.
 *
 * The functions of the module itself are called, for libsodium-wrappers' own leave each key that they are given in the
 * module's memory (scratch.ts), and throw where a hostile input is the cause. Here such an input, a tag that does not
 * verify or a public key of low order, gives `undefined`; an argument of wrong length is a mistake of the caller, and
 * an exception.
 *
 * Not the data path: a packet would cost five times what the addon's cipher costs (DESIGN, §2).
 */
import { randomFillSync } from "node:crypto";
import sodium from "libsodium-wrappers";
import type { HandshakeCrypto, KeyPair } from "../core/crypto.ts";
import { secretBytes } from "../core/secret.ts";
import { moduleOf, Scratch, type SodiumModule } from "./scratch.ts";

/** Bytes of a key of X25519, public or secret, and of an AEAD's. */
const KEY_BYTES = 32;
const NONE = new Uint8Array(0);
/** Longest output of BLAKE2b, bytes. */
const HASH_BYTES = 64;
/** Bytes of a Poly1305 tag: nothing shorter can be an AEAD ciphertext. */
const TAG_BYTES = 16;
/** RFC 8439 §2.3. */
const NONCE_BYTES = 12;
/** draft-irtf-cfrg-xchacha-03 §2.3. */
const EXTENDED_NONCE_BYTES = 24;

/** The handshake crypto, once the WebAssembly module is compiled (some 10 ms, once a process). */
export async function loadSodium(): Promise<HandshakeCrypto> {
  await sodium.ready;
  const module = moduleOf(sodium);
  const scratch = new Scratch(module);
  const short = aead(scratch, NONCE_BYTES, {
    encrypt: module._crypto_aead_chacha20poly1305_ietf_encrypt,
    decrypt: module._crypto_aead_chacha20poly1305_ietf_decrypt,
  });
  const extended = aead(scratch, EXTENDED_NONCE_BYTES, {
    encrypt: module._crypto_aead_xchacha20poly1305_ietf_encrypt,
    decrypt: module._crypto_aead_xchacha20poly1305_ietf_decrypt,
  });
  return {
    random,
    blake2b: (length, parts, key) => blake2b(module, scratch, length, parts, key),
    keyPair: () => keyPair(module, scratch),
    dh: (secretKey, publicKey) => dh(module, scratch, secretKey, publicKey),
    seal: short.seal,
    open: short.open,
    sealExtended: extended.seal,
    openExtended: extended.open,
    equal: (a, b) => a.length === b.length && sodium.memcmp(a, b),
    wipe: (bytes) => sodium.memzero(bytes),
  };
}

interface AeadFunctions {
  readonly encrypt: (...words: readonly number[]) => number;
  readonly decrypt: (...words: readonly number[]) => number;
}

function aead(
  scratch: Scratch,
  nonceBytes: number,
  { encrypt, decrypt }: AeadFunctions,
): Pick<HandshakeCrypto, "seal" | "open"> {
  const checkSizes = (key: Uint8Array, nonce: Uint8Array) => {
    expectLength("key", key, KEY_BYTES);
    expectLength("nonce", nonce, nonceBytes);
  };
  return {
    seal: (key, nonce, ad, plaintext) => {
      checkSizes(key, nonce);
      return scratch.during(() => {
        const length = plaintext.length + TAG_BYTES;
        const out = scratch.room(length);
        const text = scratch.put(plaintext);
        const known = scratch.put(ad);
        const [once, by] = [scratch.put(nonce), scratch.put(key)];
        // Zeros: where to put the length, the upper half of each length, the secret nonce.
        check(encrypt(out, 0, text, plaintext.length, 0, known, ad.length, 0, 0, once, by));
        return scratch.take(out, length);
      });
    },
    open: (key, nonce, ad, sealed) => {
      checkSizes(key, nonce);
      if (sealed.length < TAG_BYTES) return undefined;
      return scratch.during(() => {
        const length = sealed.length - TAG_BYTES;
        const out = scratch.room(length);
        const text = scratch.put(sealed);
        const known = scratch.put(ad);
        const [once, by] = [scratch.put(nonce), scratch.put(key)];
        const status = decrypt(out, 0, 0, text, sealed.length, 0, known, ad.length, 0, once, by);
        return status === 0 ? scratch.take(out, length) : undefined;
      });
    },
  };
}

function blake2b(
  module: SodiumModule,
  scratch: Scratch,
  length: number,
  parts: readonly Uint8Array[],
  key: Uint8Array = NONE,
): Uint8Array {
  return scratch.during(() => {
    const out = scratch.room(length);
    const message = scratch.put(...parts);
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    const by = key.length === 0 ? 0 : scratch.put(key);
    check(module._crypto_generichash(out, length, message, bytes, 0, by, key.length));
    const digest = scratch.take(out, length);
    // The function leaves its output on the module's stack; that of nothing goes over it. Not of a mac, which each
    // forged INIT costs and which is no key.
    if (length >= KEY_BYTES) {
      check(module._crypto_generichash(scratch.room(HASH_BYTES), HASH_BYTES, 0, 0, 0, 0, 0));
    }
    return digest;
  });
}

function dh(
  module: SodiumModule,
  scratch: Scratch,
  secretKey: Uint8Array,
  publicKey: Uint8Array,
): Uint8Array | undefined {
  expectLength("secret key", secretKey, KEY_BYTES);
  expectLength("public key", publicKey, KEY_BYTES);
  return scratch.during(() => {
    const out = scratch.room(KEY_BYTES);
    const status = module._crypto_scalarmult(out, scratch.put(secretKey), scratch.put(publicKey));
    return status === 0 ? scratch.take(out, KEY_BYTES) : undefined;
  });
}

function keyPair(module: SodiumModule, scratch: Scratch): KeyPair {
  const secretKey = random(KEY_BYTES);
  const publicKey = scratch.during(() => {
    const out = scratch.room(KEY_BYTES);
    check(module._crypto_scalarmult_base(out, scratch.put(secretKey)));
    return scratch.take(out, KEY_BYTES);
  });
  return { publicKey, secretKey };
}

/** From the source that libsodium's WebAssembly asks too, but whole: it asks for four bytes at a time. */
function random(length: number): Uint8Array {
  return randomFillSync(secretBytes(length));
}

function expectLength(what: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length)
    throw new RangeError(`${what} of ${bytes.length} bytes, not ${length}`);
}

/** A call that hostile input cannot make fail. */
function check(status: number): void {
  if (status !== 0) throw new Error("libsodium refuses its arguments");
}
