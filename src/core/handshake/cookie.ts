/**
 * Cookies: how the sender of an INIT proves that it receives at the address it sends from (§3, rule 1).
 *
 * Nothing is stored for a challenged source: the cookie is a keyed hash of its address, and the key is
 * a random secret that is replaced every 120 s.
 */
import { type Endpoint, remoteBytes } from "../address.ts";
import { COOKIE_SECRET_MS } from "../constants.ts";
import type { HandshakeCrypto } from "../crypto.ts";
import type { Peer, Psk } from "../peers/peer.ts";
import type { Instant } from "../time.ts";
import { CHALLENGE, EXTENDED_NONCE_BYTES, INIT, newChallenge } from "../wire.ts";
import { asciiBytes } from "./noise.ts";

const COOKIE_BYTES = 16;
const SECRET_BYTES = 32;

export class CookieJar {
  readonly #crypto: HandshakeCrypto;
  #secret: Uint8Array;
  #previous: Uint8Array;
  #madeAt: Instant;
  /** The last CHALLENGE, and whose key it is under. */
  #last: { readonly message: Uint8Array; readonly peer: Peer } | undefined;

  constructor(crypto: HandshakeCrypto, now: Instant) {
    this.#crypto = crypto;
    this.#secret = crypto.random(SECRET_BYTES);
    this.#previous = crypto.random(SECRET_BYTES);
    this.#madeAt = now;
  }

  /** A 64-byte CHALLENGE that gives `source` its cookie, sealed for the sender of `init`. */
  challenge(
    init: Uint8Array,
    senderIndex: number,
    psk: Psk,
    nodeId: Uint8Array,
    source: Endpoint,
    now: Instant,
  ): Uint8Array {
    this.#rotate(now);
    const cookie = this.#cookie(this.#secret, psk, nodeId, source);
    const message = newChallenge(senderIndex);
    const nonce = this.#crypto.random(EXTENDED_NONCE_BYTES);
    const mac = init.subarray(INIT.mac, INIT.SIZE);
    message.set(nonce, CHALLENGE.nonce);
    message.set(
      this.#crypto.sealExtended(psk.ring.challenge, nonce, mac, cookie),
      CHALLENGE.sealed,
    );
    this.#last = { message, peer: psk.peer };
    return message;
  }

  /** Whether a message is the CHALLENGE that was made last, under a key of `peer`. */
  isLast(peer: Peer, message: Uint8Array): boolean {
    return this.#last?.peer === peer && this.#crypto.equal(this.#last.message, message);
  }

  /** Whether the INIT's cookie_mac was made with the cookie that `source` got from us. */
  isValid(init: Uint8Array, psk: Psk, nodeId: Uint8Array, source: Endpoint, now: Instant): boolean {
    this.#rotate(now);
    const given = init.subarray(INIT.cookieMac, INIT.mac);
    return [this.#secret, this.#previous].some((secret) => {
      const cookie = this.#cookie(secret, psk, nodeId, source);
      return this.#crypto.equal(cookieMac(this.#crypto, cookie, init), given);
    });
  }

  #cookie(secret: Uint8Array, psk: Psk, nodeId: Uint8Array, source: Endpoint): Uint8Array {
    const port = Uint8Array.of(source.port & 0xff, source.port >> 8);
    const fingerprint = asciiBytes(psk.ring.fingerprint);
    const parts = [remoteBytes(source), port, nodeId, fingerprint];
    return this.#crypto.blake2b(COOKIE_BYTES, parts, secret);
  }

  /** After a silence of two lifetimes the previous secret must be fresh too, or it would live for ever. */
  #rotate(now: Instant): void {
    const age = now - this.#madeAt;
    if (age < COOKIE_SECRET_MS) return;
    this.#crypto.wipe(this.#previous);
    if (age < 2 * COOKIE_SECRET_MS) {
      this.#previous = this.#secret;
    } else {
      this.#crypto.wipe(this.#secret);
      this.#previous = this.#crypto.random(SECRET_BYTES);
    }
    this.#secret = this.#crypto.random(SECRET_BYTES);
    this.#madeAt = now;
  }
}

/** The 16-byte cookie_mac of an INIT: over all before it, under the cookie. */
export function cookieMac(
  crypto: HandshakeCrypto,
  cookie: Uint8Array,
  init: Uint8Array,
): Uint8Array {
  return crypto.blake2b(INIT.mac - INIT.cookieMac, [init.subarray(0, INIT.cookieMac)], cookie);
}

/** The cookie inside a CHALLENGE that answers `init`, or undefined where it does not open. */
export function openChallenge(
  crypto: HandshakeCrypto,
  challenge: Uint8Array,
  init: Uint8Array,
  psk: Psk,
): Uint8Array | undefined {
  const nonce = challenge.subarray(CHALLENGE.nonce, CHALLENGE.sealed);
  const sealed = challenge.subarray(CHALLENGE.sealed, CHALLENGE.SIZE);
  return crypto.openExtended(psk.ring.challenge, nonce, init.subarray(INIT.mac, INIT.SIZE), sealed);
}
