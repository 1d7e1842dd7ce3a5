/**
 * The Noise handshake: the published vector, an independent implementation in both roles, and failures.
 */
import NoiseState from "noise-handshake";
import { describe, expect, it } from "vitest";
import type { HandshakeCrypto, KeyPair } from "../../../src/core/crypto.ts";
import { asciiBytes, NoiseInitiator, NoiseResponder } from "../../../src/core/handshake/noise.ts";
import { loadSodium } from "../../../src/crypto/sodium.ts";
import { fromHex, readVectors, toHex } from "../../vectors/vectors.ts";

const crypto = await loadSodium();
const INTEROP_ROUNDS = 150;
const psk = crypto.random(32);
const prologue = asciiBytes("iptun/1");
const hello = asciiBytes("hello");
const world = asciiBytes("world");

describe("the published vector", () => {
  const vector = readVectors<NoiseVector>("noise-nnpsk0.json");
  const [first, second, ...transport] = vector.messages;

  it("comes out byte for byte, transport messages included", () => {
    const initiator = new NoiseInitiator(
      crypto,
      fromHex(vector.psk),
      fromHex(vector.prologue),
      pairOf(vector.initiatorEphemeral),
    );
    const responder = new NoiseResponder(
      crypto,
      fromHex(vector.psk),
      fromHex(vector.prologue),
      pairOf(vector.responderEphemeral),
    );

    const message = initiator.writeFirst(fromHex(first.payload));
    expect(toHex(message)).toBe(first.ciphertext);
    expect(toHex(must(responder.readFirst(message)))).toBe(first.payload);
    const answer = must(responder.writeSecond(fromHex(second.payload)));
    expect(toHex(answer.message)).toBe(second.ciphertext);
    const opened = must(initiator.readSecond(answer.message));
    expect(toHex(opened.payload)).toBe(second.payload);

    expect(opened.keys).toEqual(answer.keys);
    for (const [index, { payload, ciphertext }] of transport.entries()) {
      const { initiatorToResponder, responderToInitiator } = opened.keys;
      const key = index % 2 === 0 ? initiatorToResponder : responderToInitiator;
      const sealed = crypto.seal(key, counterNonce(index >> 1), asciiBytes(""), fromHex(payload));
      expect(toHex(sealed)).toBe(ciphertext);
    }
    expect(transport).toHaveLength(4);
  });
});

describe("against the npm package noise-handshake", () => {
  it(`agrees as initiator, ${INTEROP_ROUNDS} random rounds`, () => {
    for (let round = 0; round < INTEROP_ROUNDS; round++) {
      const { key, text, payloads } = randomRound(round);
      const theirs = new NoiseState("NNpsk0", false, null, { psk: key.slice() });
      theirs.initialise(text);
      const ours = new NoiseInitiator(crypto, key, text);

      const received = theirs.recv(ours.writeFirst(payloads[0]));
      const answered = must(ours.readSecond(theirs.send(payloads[1])));

      expect(toHex(received)).toBe(toHex(payloads[0]));
      expect(toHex(answered.payload)).toBe(toHex(payloads[1]));
      expect(toHex(answered.keys.initiatorToResponder)).toBe(toHex(theirs.rx));
      expect(toHex(answered.keys.responderToInitiator)).toBe(toHex(theirs.tx));
      expect(toHex(answered.keys.hash)).toBe(toHex(theirs.hash));
    }
  });

  it(`agrees as responder, ${INTEROP_ROUNDS} random rounds`, () => {
    for (let round = 0; round < INTEROP_ROUNDS; round++) {
      const { key, text, payloads } = randomRound(round);
      const theirs = new NoiseState("NNpsk0", true, null, { psk: key.slice() });
      theirs.initialise(text);
      const ours = new NoiseResponder(crypto, key, text);

      const received = must(ours.readFirst(theirs.send(payloads[0])));
      const answer = must(ours.writeSecond(payloads[1]));
      const answered = theirs.recv(answer.message);

      expect(toHex(received)).toBe(toHex(payloads[0]));
      expect(toHex(answered)).toBe(toHex(payloads[1]));
      expect(toHex(answer.keys.initiatorToResponder)).toBe(toHex(theirs.tx));
      expect(toHex(answer.keys.responderToInitiator)).toBe(toHex(theirs.rx));
      expect(toHex(answer.keys.hash)).toBe(toHex(theirs.hash));
    }
  });
});

describe("sizes and freshness", () => {
  it.each([0, 1, 32, 1000])("adds 48 bytes to a payload of %i", (length) => {
    const { initiator, responder } = newPair();
    const message = initiator.writeFirst(crypto.random(length));
    expect(message.length).toBe(length + 48);
    expect(responder.readFirst(message)?.length).toBe(length);
    expect(responder.writeSecond(crypto.random(length))?.message.length).toBe(length + 48);
  });

  it("puts its ephemeral key first, in the clear", () => {
    const { initiator } = newPair();
    expect(initiator.writeFirst(hello).subarray(0, 32)).toEqual(initiator.ephemeral);
  });

  it("gives each handshake keys of its own, 32 bytes each and a 64-byte hash", () => {
    const keys = [runHandshake(), runHandshake()];
    const texts = keys.flatMap((one) => [
      toHex(one.initiatorToResponder),
      toHex(one.responderToInitiator),
      toHex(one.hash),
    ]);
    expect(new Set(texts).size).toBe(6);
    expect(texts.map((text) => text.length)).toEqual([64, 64, 128, 64, 64, 128]);
  });
});

describe("a recorded handshake", () => {
  it("needs the pre-shared key also where both ephemeral secrets are known", () => {
    const [mine, theirs] = [crypto.keyPair(), crypto.keyPair()];
    const copy = ({ publicKey, secretKey }: KeyPair) => ({
      publicKey,
      secretKey: secretKey.slice(),
    });
    const initiator = new NoiseInitiator(crypto, psk, prologue, copy(mine));
    const responder = new NoiseResponder(crypto, psk, prologue, copy(theirs));
    responder.readFirst(initiator.writeFirst(hello));
    const { message, keys } = must(responder.writeSecond(world));
    const later = (key: Uint8Array) => {
      const again = new NoiseInitiator(crypto, key, prologue, copy(mine));
      again.writeFirst(hello);
      return again.readSecond(message)?.keys;
    };

    expect(later(psk)).toEqual(keys);
    expect(later(crypto.random(32))).toBeUndefined();
  });
});

describe("a first message that is not genuine", () => {
  it("gives undefined for every single-bit flip and every cut, and the genuine one still opens", () => {
    const { initiator, responder } = newPair();
    const message = initiator.writeFirst(hello);
    for (const bad of [...bitFlips(message), ...cuts(message)]) {
      expect(responder.readFirst(bad)).toBeUndefined();
    }
    expect(responder.readFirst(message)).toEqual(hello);
  });

  it("gives undefined under another psk or another prologue", () => {
    const message = new NoiseInitiator(crypto, psk, prologue).writeFirst(hello);
    const otherPsk = new NoiseResponder(crypto, crypto.random(32), prologue);
    const otherText = new NoiseResponder(crypto, psk, asciiBytes("iptun/1 group"));
    expect(otherPsk.readFirst(message)).toBeUndefined();
    expect(otherText.readFirst(message)).toBeUndefined();
  });

  it("costs no scalar multiplication, and neither does a genuine one until it is answered", () => {
    const counted = countingCrypto();
    const responder = new NoiseResponder(counted.crypto, psk, prologue);
    const message = new NoiseInitiator(crypto, psk, prologue).writeFirst(hello);
    responder.readFirst(message.slice().reverse());
    responder.readFirst(message);
    expect(counted.multiplications()).toBe(0);
    responder.writeSecond(world);
    expect(counted.multiplications()).toBe(2);
  });
});

describe("an answer that is not genuine", () => {
  it("gives undefined for every single-bit flip and every cut, and the genuine one still opens", () => {
    const { initiator, responder } = newPair();
    responder.readFirst(initiator.writeFirst(hello));
    const answer = must(responder.writeSecond(world));
    for (const bad of [...bitFlips(answer.message), ...cuts(answer.message)]) {
      expect(initiator.readSecond(bad)).toBeUndefined();
    }
    expect(initiator.readSecond(answer.message)).toEqual({ payload: world, keys: answer.keys });
  });

  it("gives undefined for the answer to another handshake under the same psk", () => {
    const { initiator, responder } = newPair();
    const other = new NoiseInitiator(crypto, psk, prologue);
    initiator.writeFirst(hello);
    responder.readFirst(other.writeFirst(hello));
    const answer = must(responder.writeSecond(world));
    expect(initiator.readSecond(answer.message)).toBeUndefined();
    expect(other.readSecond(answer.message)?.payload).toEqual(world);
  });

  it("gives undefined for its own first message reflected", () => {
    const { initiator } = newPair();
    expect(initiator.readSecond(initiator.writeFirst(hello))).toBeUndefined();
  });
});

describe("a low-order ephemeral from a holder of the psk", () => {
  const { lowOrder } = readVectors<{ lowOrder: string[] }>("x25519.json");

  it.each(lowOrder)("makes the responder give up on %s", (point) => {
    const forged = { publicKey: fromHex(point), secretKey: crypto.random(32) };
    const initiator = new NoiseInitiator(crypto, psk, prologue, forged);
    const responder = new NoiseResponder(crypto, psk, prologue);
    expect(responder.readFirst(initiator.writeFirst(hello))).toEqual(hello);
    expect(responder.writeSecond(world)).toBeUndefined();
  });

  it.each(lowOrder)("makes the initiator refuse %s and wait on", (point) => {
    const { initiator, responder } = newPair();
    responder.readFirst(initiator.writeFirst(hello));
    const answer = must(responder.writeSecond(world));
    const forged = answer.message.slice();
    forged.set(fromHex(point));
    expect(initiator.readSecond(forged)).toBeUndefined();
    expect(initiator.readSecond(answer.message)?.payload).toEqual(world);
  });
});

describe("wrong use", () => {
  it("throws where a state would encrypt twice", () => {
    const { initiator, responder } = newPair();
    responder.readFirst(initiator.writeFirst(hello));
    responder.writeSecond(world);
    expect(() => initiator.writeFirst(hello)).toThrow("twice");
    expect(() => responder.writeSecond(world)).toThrow("stage");
  });

  it("throws where a step is taken too early or after the end", () => {
    const { initiator, responder } = newPair();
    expect(() => initiator.readSecond(world)).toThrow("stage");
    expect(() => responder.writeSecond(world)).toThrow("stage");
    initiator.wipe();
    responder.wipe();
    expect(() => initiator.writeFirst(hello)).toThrow();
    expect(() => responder.readFirst(hello)).toThrow();
  });

  it("wipes the ephemeral secrets of both sides", () => {
    const pairs = [crypto.keyPair(), crypto.keyPair()] as const;
    const initiator = new NoiseInitiator(crypto, psk, prologue, pairs[0]);
    const responder = new NoiseResponder(crypto, psk, prologue, pairs[1]);
    responder.readFirst(initiator.writeFirst(hello));
    const answer = must(responder.writeSecond(world));
    const { keys } = must(initiator.readSecond(answer.message));
    const before = toHex(keys.initiatorToResponder);
    initiator.wipe();
    responder.wipe();
    for (const pair of pairs) expect(toHex(pair.secretKey)).toBe("00".repeat(32));
    expect(toHex(keys.initiatorToResponder)).toBe(before);
  });

  it("leaves no key in memory but the transport keys, of failed tries neither", () => {
    const watched = watchingCrypto();
    const initiator = new NoiseInitiator(watched.crypto, psk, prologue);
    const responder = new NoiseResponder(watched.crypto, psk, prologue);
    const message = initiator.writeFirst(hello);
    responder.readFirst(message.slice().reverse());
    responder.readFirst(message);
    const answer = must(responder.writeSecond(world));
    initiator.readSecond(answer.message.slice().reverse());
    must(initiator.readSecond(answer.message));
    initiator.wipe();
    responder.wipe();

    expect(watched.secrets.size).toBeGreaterThan(50);
    expect([...watched.secrets].filter((bytes) => bytes.some((byte) => byte !== 0))).toEqual([]);
  });
});

interface NoiseVector {
  readonly prologue: string;
  readonly psk: string;
  readonly initiatorEphemeral: string;
  readonly responderEphemeral: string;
  readonly messages: readonly [NoiseMessage, NoiseMessage, ...NoiseMessage[]];
}

interface NoiseMessage {
  readonly payload: string;
  readonly ciphertext: string;
}

function newPair(): { initiator: NoiseInitiator; responder: NoiseResponder } {
  return {
    initiator: new NoiseInitiator(crypto, psk, prologue),
    responder: new NoiseResponder(crypto, psk, prologue),
  };
}

function runHandshake() {
  const { initiator, responder } = newPair();
  responder.readFirst(initiator.writeFirst(hello));
  const answer = must(responder.writeSecond(world));
  return must(initiator.readSecond(answer.message)).keys;
}

function randomRound(round: number) {
  const payloads = [crypto.random(round % 70), crypto.random((round * 7) % 70)] as const;
  return { key: crypto.random(32), text: crypto.random(round % 40), payloads };
}

function pairOf(secret: string): KeyPair {
  const base = fromHex(`09${"00".repeat(31)}`);
  const secretKey = fromHex(secret);
  return { secretKey, publicKey: must(crypto.dh(secretKey, base)) };
}

function counterNonce(counter: number): Uint8Array {
  const nonce = new Uint8Array(12);
  nonce[4] = counter;
  return nonce;
}

function countingCrypto(): { crypto: HandshakeCrypto; multiplications: () => number } {
  let count = 0;
  const counting: HandshakeCrypto = {
    ...crypto,
    keyPair: () => {
      count++;
      return crypto.keyPair();
    },
    dh: (secretKey, publicKey) => {
      count++;
      return crypto.dh(secretKey, publicKey);
    },
  };
  return { crypto: counting, multiplications: () => count };
}

/** Notes every array that holds something secret: what goes in and out of HMAC, keys of the cipher, shared secrets. */
function watchingCrypto(): { crypto: HandshakeCrypto; secrets: ReadonlySet<Uint8Array> } {
  const secrets = new Set<Uint8Array>();
  const noted = <T extends Uint8Array | undefined>(bytes: T): T => {
    if (bytes !== undefined) secrets.add(bytes);
    return bytes;
  };
  const watching: HandshakeCrypto = {
    ...crypto,
    dh: (secretKey, publicKey) => noted(crypto.dh(noted(secretKey), publicKey)),
    seal: (key, ...rest) => crypto.seal(noted(key), ...rest),
    open: (key, ...rest) => crypto.open(noted(key), ...rest),
    blake2b: (length, parts, key) => {
      const hashed = crypto.blake2b(length, parts, key);
      // A block of BLAKE2b begins what HMAC hashes; all else is the hash of what was sent.
      if (parts[0]?.length !== 128) return hashed;
      noted(parts[0]);
      return noted(hashed);
    },
  };
  return { crypto: watching, secrets };
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("expected a value");
  return value;
}

function bitFlips(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: bytes.length * 8 }, (_, bit) => {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    return flipped;
  });
}

function cuts(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: bytes.length }, (_, length) => bytes.slice(0, length));
}
