/**
 * The handshake's primitives from libsodium (WebAssembly), behind core's `HandshakeCrypto`.
 *
 * Not the data path: a packet would cost five times what the addon's cipher costs (DESIGN, §2).
 *
 * The trap: libsodium-wrappers throws where a hostile input is the cause (a tag that does not verify,
 * a public key of low order). Exactly those two become `undefined`; whatever else it throws, such as
 * a key of wrong length, is a mistake of the caller and stays an exception.
 */
import { randomFillSync } from "node:crypto";
import sodium from "libsodium-wrappers";
import type { HandshakeCrypto, KeyPair } from "../core/crypto.ts";

/** Bytes of a Poly1305 tag: nothing shorter can be an AEAD ciphertext. */
const TAG_BYTES = 16;
/** What libsodium-wrappers 0.8.4 says of a forged ciphertext and of an all-zero shared secret. */
const FORGED = "ciphertext cannot be decrypted using that key";
const LOW_ORDER = "weak public key";

/** The handshake crypto, once the WebAssembly module is compiled (some 10 ms, once a process). */
export async function loadSodium(): Promise<HandshakeCrypto> {
  await sodium.ready;
  return {
    random,
    blake2b,
    keyPair,
    dh: (secretKey, publicKey) =>
      undefinedOn(LOW_ORDER, () => sodium.crypto_scalarmult(secretKey, publicKey)),
    seal: (key, nonce, ad, plaintext) =>
      sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, ad, null, nonce, key),
    open: (key, nonce, ad, sealed) =>
      openWith(sodium.crypto_aead_chacha20poly1305_ietf_decrypt, key, nonce, ad, sealed),
    sealExtended: (key, nonce, ad, plaintext) =>
      sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, ad, null, nonce, key),
    openExtended: (key, nonce, ad, sealed) =>
      openWith(sodium.crypto_aead_xchacha20poly1305_ietf_decrypt, key, nonce, ad, sealed),
    equal: (a, b) => a.length === b.length && sodium.memcmp(a, b),
    wipe: (bytes) => sodium.memzero(bytes),
  };
}

type Decrypt = typeof sodium.crypto_aead_chacha20poly1305_ietf_decrypt;

function openWith(
  decrypt: Decrypt,
  key: Uint8Array,
  nonce: Uint8Array,
  ad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < TAG_BYTES) return undefined;
  return undefinedOn(FORGED, () => decrypt(null, sealed, ad, nonce, key));
}

function blake2b(length: number, parts: readonly Uint8Array[], key?: Uint8Array): Uint8Array {
  const state = sodium.crypto_generichash_init(key ?? null, length);
  for (const part of parts) sodium.crypto_generichash_update(state, part);
  return sodium.crypto_generichash_final(state, length);
}

/** From the source that libsodium's WebAssembly asks too, but whole: it asks for four bytes at a time. */
function random(length: number): Uint8Array {
  return randomFillSync(new Uint8Array(length));
}

function keyPair(): KeyPair {
  const secretKey = random(sodium.crypto_scalarmult_SCALARBYTES);
  return { publicKey: sodium.crypto_scalarmult_base(secretKey), secretKey };
}

function undefinedOn(message: string, call: () => Uint8Array): Uint8Array | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof Error && error.message === message) return undefined;
    throw error;
  }
}
