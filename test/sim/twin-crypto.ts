/**
 * The handshake's primitives for the simulations: libsodium's functions with seeded randomness.
 *
 * The keys are as weak as the seed, which is the point: a failing run can be run again, datagram for
 * datagram. It is written apart from src/crypto/sodium.ts, so that the two check each other.
 */
import sodium from "libsodium-wrappers";
import type { HandshakeCrypto } from "../../src/core/crypto.ts";
import type { Random } from "../helpers/random.ts";
import { XCHACHA } from "./twin-aead.ts";

await sodium.ready;

/** Real primitives, randomness from `random`. */
export function twinCrypto(random: Random): HandshakeCrypto {
  return {
    random: (length) => random.bytes(length),
    blake2b: (length, parts, key) => sodium.crypto_generichash(length, joined(parts), key ?? null),
    keyPair: () => {
      const secretKey = random.bytes(32);
      return { secretKey, publicKey: sodium.crypto_scalarmult_base(secretKey) };
    },
    dh: (secretKey, publicKey) =>
      valueOrUndefined(() => sodium.crypto_scalarmult(secretKey, publicKey)),
    seal: (key, nonce, ad, plaintext) =>
      sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, ad, null, nonce, key),
    open: (key, nonce, ad, sealed) =>
      valueOrUndefined(() =>
        sodium.crypto_aead_chacha20poly1305_ietf_decrypt(null, sealed, ad, nonce, key),
      ),
    sealExtended: XCHACHA.seal,
    openExtended: XCHACHA.open,
    equal: (a, b) => sodium.memcmp(a, b),
    wipe: (bytes) => {
      bytes.fill(0);
    },
  };
}

/** The parts in one array. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** libsodium throws on a bad tag and on an all-zero shared secret; both are values here. */
function valueOrUndefined(compute: () => Uint8Array): Uint8Array | undefined {
  try {
    return compute();
  } catch {
    return undefined;
  }
}
