/**
 * Handshake messages as a holder of the pre-shared key can make them: every payload, every order.
 *
 * Offsets are those of docs/protocol.md, written out; only the Noise pattern and the key derivation are the core's. A
 * handshake that succeeds gives the sessions' keys, so that data can be forged in it.
 */
import type { HandshakeCrypto } from "../../../src/core/crypto.ts";
import {
  deriveKeyRing,
  handshakePrologue,
  type KeyRing,
  transportMaterial,
} from "../../../src/core/handshake/keys.ts";
import { NoiseInitiator, NoiseResponder } from "../../../src/core/handshake/noise.ts";
import type { Sealing } from "./holder.ts";

/** What an insider puts where a genuine side has no choice. */
export interface Choices {
  /** 32 bytes: the plaintext inside the Noise message. */
  readonly payload: Uint8Array;
  /** Turned over in the finished message but for its mac. */
  readonly flip: number;
  /** An ephemeral public key of all zeros, so that the shared secret is zero. */
  readonly isLowOrder: boolean;
}

/** An insider who starts handshakes under one key. */
export class Insider {
  readonly #crypto: HandshakeCrypto;
  readonly #ring: KeyRing;

  constructor(crypto: HandshakeCrypto, key: Uint8Array, isGroup: boolean) {
    this.#crypto = crypto;
    this.#ring = deriveKeyRing(crypto, key, isGroup);
  }

  /** An INIT and what its answer is read with. */
  init(choices: Choices): { readonly init: Uint8Array; readonly noise: NoiseInitiator } {
    const crypto = this.#crypto;
    const init = new Uint8Array(120);
    init.set([1, 1, this.#ring.hint & 0xff, this.#ring.hint >> 8]);
    init.set(crypto.random(4), 4);
    const { isGroup } = this.#ring;
    const pair = crypto.keyPair();
    const ephemeral = choices.isLowOrder ? { ...pair, publicKey: new Uint8Array(32) } : pair;
    const noise = new NoiseInitiator(
      crypto,
      this.#ring.noise,
      handshakePrologue(init, isGroup),
      ephemeral,
    );
    init.set(noise.writeFirst(choices.payload), 8);
    flip(init.subarray(0, 88), choices.flip);
    this.#macInit(init);
    return { init, noise };
  }

  /** The same INIT with the cookie of a CHALLENGE that it drew; undefined: the CHALLENGE is not for it. */
  withCookie(init: Uint8Array, challenge: Uint8Array): Uint8Array | undefined {
    const cookie = this.#crypto.openExtended(
      this.#ring.challenge,
      challenge.slice(8, 32),
      init.slice(104),
      challenge.slice(32),
    );
    if (cookie === undefined) return undefined;
    const again = init.slice();
    again.set(this.#crypto.blake2b(16, [init.subarray(0, 88)], cookie), 88);
    this.#macInit(again);
    return again;
  }

  /** The key for data to whoever sent this RESP. */
  sealing(noise: NoiseInitiator, resp: Uint8Array): Sealing | undefined {
    const read = noise.readSecond(resp.slice(12, 92));
    if (read === undefined) return undefined;
    const { initiatorToResponder, hash } = read.keys;
    const material = transportMaterial(this.#crypto, initiatorToResponder, hash);
    const { isGroup } = this.#ring;
    return { material, receiverIndex: word(resp, 4), counter: -1, accepted: new Set(), isGroup };
  }

  /** A RESP to a genuine INIT, and the key for data to its sender. */
  resp(
    init: Uint8Array,
    choices: Choices,
  ): { readonly resp: Uint8Array; readonly sealing: Sealing } | undefined {
    const crypto = this.#crypto;
    const { isGroup } = this.#ring;
    const noise = new NoiseResponder(crypto, this.#ring.noise, handshakePrologue(init, isGroup));
    if (noise.readFirst(init.slice(8, 88)) === undefined) return undefined;
    const resp = new Uint8Array(108);
    resp.set([2, 1]);
    resp.set(crypto.random(4), 4);
    resp.set(init.subarray(4, 8), 8);
    const payload = choices.payload.slice();
    // Mostly the copy of the indices is right, or nothing behind it would be read.
    if (choices.flip % 4 > 0) payload.set(resp.subarray(4, 12));
    const written = noise.writeSecond(payload);
    if (written === undefined) return undefined;
    resp.set(written.message, 12);
    if (choices.isLowOrder) resp.fill(0, 12, 44);
    if (choices.flip >= 128) flip(resp.subarray(0, 92), choices.flip);
    resp.set(crypto.blake2b(16, [resp.subarray(0, 92), init.subarray(104)], this.#ring.mac), 92);
    const { responderToInitiator, hash } = written.keys;
    const material = transportMaterial(crypto, responderToInitiator, hash);
    return {
      resp,
      sealing: {
        material,
        receiverIndex: word(init, 4),
        counter: -1,
        accepted: new Set(),
        isGroup,
      },
    };
  }

  /** A CHALLENGE to a genuine INIT with any cookie. */
  challenge(init: Uint8Array, cookie: Uint8Array): Uint8Array {
    const nonce = this.#crypto.random(24);
    const challenge = new Uint8Array(64);
    challenge.set([3, 1]);
    challenge.set(init.subarray(4, 8), 4);
    challenge.set(nonce, 8);
    const ad = init.slice(104);
    const sealed = this.#crypto.sealExtended(this.#ring.challenge, nonce, ad, cookie);
    challenge.set(sealed.subarray(0, 32), 32);
    return challenge;
  }

  #macInit(init: Uint8Array): void {
    init.set(this.#crypto.blake2b(16, [init.subarray(0, 104)], this.#ring.mac), 104);
  }
}

/** Turns a bit over; 0: none. */
function flip(bytes: Uint8Array, choice: number): void {
  if (choice < 64) return;
  const at = (choice * 37) % bytes.length;
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (choice & 7));
}

function word(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
}
