/**
 * The Noise handshake `Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b` (Noise specification, revision 34).
 *
 *     -> psk, e              writeFirst   readFirst
 *     <- e, ee               readSecond   writeSecond
 *
 * This one pattern, both roles; not a general Noise library. The framing around its two messages
 * (indices, macs, cookies) is `initiate.ts` and `respond.ts`. Names follow the specification, §5.
 *
 * The trap: in this pattern every encryption comes right after a MixKey, so the nonce is always zero.
 * Encrypting twice in one state would use it twice; each write therefore works once and then throws.
 * A read that fails leaves the state as it was, because anyone can send a wrong answer first.
 */
import type { HandshakeCrypto, KeyPair } from "../crypto.ts";
import { secretBytes, secretCopy } from "../secret.ts";

/** HASHLEN of BLAKE2b (§12.8), bytes. */
const HASH_BYTES = 64;
/** BLOCKLEN of BLAKE2b (§12.8), bytes; what HMAC pads its key to. */
const BLOCK_BYTES = 128;
/** DHLEN of 25519 (§12.1), bytes; also the size of a public key. */
const DH_BYTES = 32;
/** Key bytes of ChaChaPoly (§12.3); longer HKDF outputs are cut to it. */
const CIPHER_KEY_BYTES = 32;
/** 32 zero bits and the 64-bit counter (§12.3), always 0 here: see the top of the file. */
const NONCE_ZERO = new Uint8Array(12);
const EMPTY = new Uint8Array(0);
const PROTOCOL_NAME = asciiBytes("Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b");

/** What a finished handshake leaves: `Split()` and the handshake hash. */
export interface TransportKeys {
  /** 32 bytes, for data from the initiator. */
  readonly initiatorToResponder: Uint8Array;
  /** 32 bytes, for data from the responder. */
  readonly responderToInitiator: Uint8Array;
  /** h, 64 bytes: the same on both sides only if they saw the same handshake. */
  readonly hash: Uint8Array;
}

/** The side that speaks first. */
export class NoiseInitiator {
  readonly #crypto: HandshakeCrypto;
  readonly #ephemeral: KeyPair;
  readonly #state: SymmetricState;
  #stage: "new" | "sent" | "over" = "new";

  /** `psk` is 32 bytes; `ephemeral` is given by tests only and is wiped with the rest. */
  constructor(
    crypto: HandshakeCrypto,
    psk: Uint8Array,
    prologue: Uint8Array,
    ephemeral: KeyPair = crypto.keyPair(),
  ) {
    this.#crypto = crypto;
    this.#ephemeral = ephemeral;
    this.#state = SymmetricState.start(crypto, prologue);
    this.#state.mixKeyAndHash(psk);
    this.#state.mixEphemeral(ephemeral.publicKey);
  }

  /** The public key that the first message carries, 32 bytes. */
  get ephemeral(): Uint8Array {
    return this.#ephemeral.publicKey;
  }

  /** The first message: 32 + payload + 16 bytes. */
  writeFirst(payload: Uint8Array): Uint8Array {
    if (this.#stage !== "new") throw new Error("first Noise message written twice");
    this.#stage = "sent";
    return concat(this.#ephemeral.publicKey, this.#state.encryptAndHash(payload));
  }

  /** Payload and keys of the answer, or undefined where it is forged, cut or of zero DH: then another can be tried. */
  readSecond(message: Uint8Array): { payload: Uint8Array; keys: TransportKeys } | undefined {
    if (this.#stage !== "sent") throw new Error("Noise answer read in the wrong stage");
    if (message.length < DH_BYTES) return undefined;
    const remote = message.subarray(0, DH_BYTES);
    const trial = this.#state.clone();
    try {
      trial.mixEphemeral(remote);
      if (!trial.mixDh(this.#ephemeral.secretKey, remote)) return undefined;
      const payload = trial.decryptAndHash(message.subarray(DH_BYTES));
      return payload && { payload, keys: trial.split() };
    } finally {
      trial.wipe();
    }
  }

  /** Overwrites the ephemeral secret and the state; the object is not usable afterwards. */
  wipe(): void {
    this.#stage = "over";
    this.#crypto.wipe(this.#ephemeral.secretKey);
    this.#state.wipe();
  }
}

/** The side that answers. */
export class NoiseResponder {
  readonly #crypto: HandshakeCrypto;
  /** Made only in writeSecond: it costs a scalar multiplication, which a replayed first message must not. */
  #ephemeral: KeyPair | undefined;
  #remote: Uint8Array = EMPTY;
  #state: SymmetricState;
  #stage: "new" | "read" | "over" = "new";

  /** `psk` is 32 bytes; `ephemeral` is given by tests only and is wiped with the rest. */
  constructor(crypto: HandshakeCrypto, psk: Uint8Array, prologue: Uint8Array, ephemeral?: KeyPair) {
    this.#crypto = crypto;
    this.#ephemeral = ephemeral;
    this.#state = SymmetricState.start(crypto, prologue);
    this.#state.mixKeyAndHash(psk);
  }

  /** Payload of the first message, or undefined where it is forged or cut: then another can be tried. No Diffie-Hellman. */
  readFirst(message: Uint8Array): Uint8Array | undefined {
    if (this.#stage !== "new") throw new Error("first Noise message read twice");
    if (message.length < DH_BYTES) return undefined;
    const trial = this.#state.clone();
    trial.mixEphemeral(message.subarray(0, DH_BYTES));
    const payload = trial.decryptAndHash(message.subarray(DH_BYTES));
    if (payload === undefined) {
      trial.wipe();
      return undefined;
    }
    this.#state.wipe();
    this.#state = trial;
    this.#remote = message.slice(0, DH_BYTES);
    this.#stage = "read";
    return payload;
  }

  /** The answer, 32 + payload + 16 bytes, and the keys; undefined where the DH output is zero. Works once. */
  writeSecond(payload: Uint8Array): { message: Uint8Array; keys: TransportKeys } | undefined {
    if (this.#stage !== "read") throw new Error("Noise answer written in the wrong stage");
    this.#stage = "over";
    this.#ephemeral ??= this.#crypto.keyPair();
    const { publicKey, secretKey } = this.#ephemeral;
    this.#state.mixEphemeral(publicKey);
    if (!this.#state.mixDh(secretKey, this.#remote)) return undefined;
    const message = concat(publicKey, this.#state.encryptAndHash(payload));
    return { message, keys: this.#state.split() };
  }

  /** Overwrites the ephemeral secret and the state; the object is not usable afterwards. */
  wipe(): void {
    this.#stage = "over";
    if (this.#ephemeral) this.#crypto.wipe(this.#ephemeral.secretKey);
    this.#state.wipe();
  }
}

/** SymmetricState (§5.2) with its CipherState folded in: ck, h and k. */
class SymmetricState {
  readonly #crypto: HandshakeCrypto;
  #chainingKey: Uint8Array;
  #hash: Uint8Array;
  #key: Uint8Array;

  private constructor(
    crypto: HandshakeCrypto,
    chainingKey: Uint8Array,
    hash: Uint8Array,
    key: Uint8Array,
  ) {
    this.#crypto = crypto;
    this.#chainingKey = chainingKey;
    this.#hash = hash;
    this.#key = key;
  }

  /** InitializeSymmetric: a name shorter than HASHLEN is padded with zeros, and ck = h. */
  static start(crypto: HandshakeCrypto, prologue: Uint8Array): SymmetricState {
    const name = new Uint8Array(HASH_BYTES);
    name.set(PROTOCOL_NAME);
    const state = new SymmetricState(crypto, name, name.slice(), EMPTY);
    state.#mixHash(prologue);
    return state;
  }

  clone(): SymmetricState {
    return new SymmetricState(
      this.#crypto,
      secretCopy(this.#chainingKey),
      secretCopy(this.#hash),
      secretCopy(this.#key),
    );
  }

  mixKeyAndHash(material: Uint8Array): void {
    const [chainingKey, hashed, key] = hkdf(this.#crypto, this.#chainingKey, material);
    this.#replaceKeys(chainingKey, key);
    this.#mixHash(hashed);
    this.#crypto.wipe(hashed);
  }

  /** Token "e" in a psk handshake (§9.2): the public key goes into h and into ck. */
  mixEphemeral(publicKey: Uint8Array): void {
    this.#mixHash(publicKey);
    this.#mixKey(publicKey);
  }

  /** Token "ee"; false, and nothing mixed, where the shared secret is all zero. */
  mixDh(secretKey: Uint8Array, publicKey: Uint8Array): boolean {
    const shared = this.#crypto.dh(secretKey, publicKey);
    if (shared === undefined) return false;
    this.#mixKey(shared);
    this.#crypto.wipe(shared);
    return true;
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const ciphertext = this.#crypto.seal(this.#key, NONCE_ZERO, this.#hash, plaintext);
    this.#mixHash(ciphertext);
    return ciphertext;
  }

  decryptAndHash(ciphertext: Uint8Array): Uint8Array | undefined {
    const plaintext = this.#crypto.open(this.#key, NONCE_ZERO, this.#hash, ciphertext);
    if (plaintext !== undefined) this.#mixHash(ciphertext);
    return plaintext;
  }

  split(): TransportKeys {
    const [first, second, unused] = hkdf(this.#crypto, this.#chainingKey, EMPTY);
    const keys = {
      initiatorToResponder: secretCopy(first, CIPHER_KEY_BYTES),
      responderToInitiator: secretCopy(second, CIPHER_KEY_BYTES),
      hash: secretCopy(this.#hash),
    };
    for (const bytes of [first, second, unused]) this.#crypto.wipe(bytes);
    return keys;
  }

  wipe(): void {
    for (const bytes of [this.#chainingKey, this.#hash, this.#key]) this.#crypto.wipe(bytes);
  }

  #mixHash(data: Uint8Array): void {
    this.#hash = this.#crypto.blake2b(HASH_BYTES, [this.#hash, data]);
  }

  #mixKey(material: Uint8Array): void {
    const [chainingKey, key, unused] = hkdf(this.#crypto, this.#chainingKey, material);
    this.#replaceKeys(chainingKey, key);
    this.#crypto.wipe(unused);
  }

  /** Takes over both arrays; the cipher key is the first 32 bytes of its HKDF output. */
  #replaceKeys(chainingKey: Uint8Array, key: Uint8Array): void {
    this.#crypto.wipe(this.#chainingKey);
    this.#crypto.wipe(this.#key);
    this.#chainingKey = chainingKey;
    this.#key = secretCopy(key, CIPHER_KEY_BYTES);
    this.#crypto.wipe(key);
  }
}

/** HKDF (§4.3), always all three outputs: the first two do not depend on whether a third is asked for. */
function hkdf(
  crypto: HandshakeCrypto,
  chainingKey: Uint8Array,
  material: Uint8Array,
): [Uint8Array, Uint8Array, Uint8Array] {
  const temporary = hmac(crypto, chainingKey, [material]);
  const first = hmac(crypto, temporary, [Uint8Array.of(1)]);
  const second = hmac(crypto, temporary, [first, Uint8Array.of(2)]);
  const third = hmac(crypto, temporary, [second, Uint8Array.of(3)]);
  crypto.wipe(temporary);
  return [first, second, third];
}

/** HMAC-BLAKE2b (RFC 2104), not BLAKE2b's own keyed mode; `key` is at most one block. */
function hmac(crypto: HandshakeCrypto, key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const inner = paddedKey(key, 0x36);
  const outer = paddedKey(key, 0x5c);
  const digest = crypto.blake2b(HASH_BYTES, [inner, ...parts]);
  const tag = crypto.blake2b(HASH_BYTES, [outer, digest]);
  for (const bytes of [inner, outer, digest]) crypto.wipe(bytes);
  return tag;
}

function paddedKey(key: Uint8Array, pad: number): Uint8Array {
  const block = secretBytes(BLOCK_BYTES).fill(pad);
  for (let index = 0; index < key.length; index++) block[index] = (key[index] ?? 0) ^ pad;
  return block;
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/** The bytes of a text of ASCII characters; core has no TextEncoder. */
export function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
