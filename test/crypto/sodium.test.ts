/**
 * The handshake primitives against published vectors, and what they answer to hostile input.
 */
import fc from "fast-check";
import sodium from "libsodium-wrappers";
import { describe, expect, it, vi } from "vitest";
import { INIT } from "../../src/core/wire.ts";
import { loadSodium } from "../../src/crypto/sodium.ts";
import { fromHex, readVectors, toHex } from "../vectors/vectors.ts";

const crypto = await loadSodium();
const NONE = new Uint8Array(0);

describe("X25519", () => {
  const vectors = readVectors<X25519Vectors>("x25519.json");

  it.each(vectors.multiplications)("multiplies $scalar as RFC 7748 §5.2 says", (vector) => {
    expect(dh(vector.scalar, vector.point)).toBe(vector.result);
  });

  it.each(vectors.iterations)("gives RFC 7748's value after $count iterations", (vector) => {
    let scalar = fromHex(`09${"00".repeat(31)}`);
    let point = scalar;
    for (let round = 0; round < vector.count; round++) {
      const product = crypto.dh(scalar, point);
      if (product === undefined) throw new Error("zero product");
      [scalar, point] = [product, scalar];
    }
    expect(toHex(scalar)).toBe(vector.result);
  });

  it("agrees on RFC 7748 §6.1's shared secret from both sides", () => {
    const { aliceSecret, alicePublic, bobSecret, bobPublic, shared } = vectors.exchange;
    const base = `09${"00".repeat(31)}`;
    expect(dh(aliceSecret, base)).toBe(alicePublic);
    expect(dh(bobSecret, base)).toBe(bobPublic);
    expect(dh(aliceSecret, bobPublic)).toBe(shared);
    expect(dh(bobSecret, alicePublic)).toBe(shared);
  });

  it.each(vectors.lowOrder)("gives undefined for the low-order point %s", (point) => {
    expect(crypto.dh(crypto.random(32), fromHex(point))).toBeUndefined();
  });

  it("throws on a public key of wrong length: that is a mistake, not an attack", () => {
    expect(() => crypto.dh(crypto.random(32), crypto.random(31))).toThrow("public key of 31 bytes");
  });

  it("makes key pairs that agree, each time others", () => {
    const a = crypto.keyPair();
    const b = crypto.keyPair();
    expect(crypto.dh(a.secretKey, b.publicKey)).toEqual(crypto.dh(b.secretKey, a.publicKey));
    expect(a.secretKey).not.toEqual(b.secretKey);
    expect([a.secretKey.length, a.publicKey.length]).toEqual([32, 32]);
  });

  function dh(scalar: string, point: string): string {
    const shared = crypto.dh(fromHex(scalar), fromHex(point));
    return shared === undefined ? "zero" : toHex(shared);
  }
});

describe.each([
  { name: "chacha20poly1305", seal: crypto.seal, open: crypto.open },
  { name: "xchacha20poly1305", seal: crypto.sealExtended, open: crypto.openExtended },
] as const)("$name", ({ name, seal, open }) => {
  const vector = readVectors<Record<typeof name, AeadVector>>("aead.json")[name];
  const key = fromHex(vector.key);
  const nonce = fromHex(vector.nonce);
  const ad = fromHex(vector.ad);
  const plaintext = fromHex(vector.plaintext);
  const sealed = fromHex(vector.sealed);

  it(`seals and opens the vector of ${vector.source}`, () => {
    expect(toHex(seal(key, nonce, ad, plaintext))).toBe(vector.sealed);
    expect(toHex(open(key, nonce, ad, sealed) ?? NONE)).toBe(vector.plaintext);
  });

  it("gives undefined for every single-bit flip of ciphertext, tag and associated data", () => {
    for (const flipped of bitFlips(sealed)) expect(open(key, nonce, ad, flipped)).toBeUndefined();
    for (const flipped of bitFlips(ad)) expect(open(key, nonce, flipped, sealed)).toBeUndefined();
  });

  it("gives undefined for everything shorter than a tag and for every cut", () => {
    for (let length = 0; length < sealed.length; length++) {
      expect(open(key, nonce, ad, sealed.subarray(0, length))).toBeUndefined();
    }
  });

  it("opens what it sealed, whatever the sizes, and adds 16 bytes", () => {
    const anyBytes = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(anyBytes, anyBytes, (text, anyAd) => {
        const box = seal(key, nonce, anyAd, text);
        expect(box.length).toBe(text.length + 16);
        expect(open(key, nonce, anyAd, box)).toEqual(text);
      }),
      { numRuns: 200 },
    );
  });

  it("throws on a nonce or key of wrong length", () => {
    expect(() => open(key, nonce.subarray(1), ad, sealed)).toThrow("nonce of");
    expect(() => seal(key.subarray(1), nonce, ad, sealed)).toThrow("key of 31 bytes");
  });
});

describe("BLAKE2b", () => {
  const vectors = readVectors<Record<"plain" | "keyed", Blake2bVector>>("blake2b.json");

  it.each(Object.values(vectors))("gives the value of $source", ({ message, key, hash }) => {
    const keyBytes = key === undefined ? undefined : fromHex(key);
    expect(toHex(crypto.blake2b(64, [fromHex(message)], keyBytes))).toBe(hash);
  });

  it("hashes parts as if they were one message, at any cut", () => {
    const message = crypto.random(300);
    const whole = crypto.blake2b(32, [message]);
    for (const cut of [0, 1, 127, 128, 129, 256, 300]) {
      const parts = [message.subarray(0, cut), NONE, message.subarray(cut)];
      expect(crypto.blake2b(32, parts)).toEqual(whole);
    }
  });

  it("hashes no parts as the empty message", () => {
    expect(crypto.blake2b(64, [])).toEqual(crypto.blake2b(64, [NONE]));
  });

  it("depends on the output length, not only in its cut", () => {
    const long = crypto.blake2b(64, [NONE]);
    expect(crypto.blake2b(32, [NONE])).not.toEqual(long.subarray(0, 32));
  });
});

describe("the small ones", () => {
  it("compares arrays of equal length by content and never takes different lengths for equal", () => {
    const a = crypto.random(16);
    expect(crypto.equal(a, a.slice())).toBe(true);
    for (const flipped of bitFlips(a)) expect(crypto.equal(a, flipped)).toBe(false);
    expect(crypto.equal(a, a.subarray(1))).toBe(false);
    expect(crypto.equal(NONE, NONE)).toBe(true);
  });

  it("wipes in place, and only the view it was given", () => {
    const bytes = Uint8Array.of(1, 2, 3, 4);
    crypto.wipe(bytes.subarray(1, 3));
    expect(bytes).toEqual(Uint8Array.of(1, 0, 0, 4));
  });

  it("draws random bytes of the length asked for", () => {
    expect(crypto.random(0).length).toBe(0);
    expect(crypto.random(33).length).toBe(33);
    expect(crypto.random(16)).not.toEqual(crypto.random(16));
  });
});

describe("libsodium's own memory", () => {
  const { libsodium } = sodium as unknown as {
    readonly libsodium: {
      readonly HEAPU8: Uint8Array;
      readonly _crypto_generichash: (...words: readonly number[]) => number;
    };
  };

  it("is where the search finds a key that libsodium-wrappers was given", () => {
    const key = crypto.random(32);
    sodium.crypto_generichash(32, NONE, key);
    expect(piecesOf(key)).toBeGreaterThan(0);
  });

  it.each([
    ["a hash", (secret: Uint8Array) => [secret, crypto.blake2b(64, [secret])]],
    ["a keyed hash", (secret: Uint8Array) => [secret, crypto.blake2b(48, [NONE], secret)]],
    ["a mac", (secret: Uint8Array) => [secret, macBy(secret)]],
    ["a multiplication", (secret: Uint8Array) => [secret, sharedOf(secret)]],
    ["a seal", (secret: Uint8Array) => [secret, sealedBy(secret, crypto.seal, 12)]],
    [
      "an extended seal",
      (secret: Uint8Array) => [secret, sealedBy(secret, crypto.sealExtended, 24)],
    ],
    ["an open", (secret: Uint8Array) => [secret, openedBy(secret, crypto.open, 12)]],
    [
      "an extended open",
      (secret: Uint8Array) => [secret, openedBy(secret, crypto.openExtended, 24)],
    ],
    ["a wrong length", (secret: Uint8Array) => [secret, refused(secret)]],
  ])("holds nothing of a secret after %s", (_, use) => {
    const secrets = use(crypto.random(32));
    expect(secrets.map(piecesOf)).toEqual(secrets.map(() => 0));
  });

  it("holds nothing of a key pair's secret", () => {
    expect(piecesOf(crypto.keyPair().secretKey)).toBe(0);
  });

  it("costs a mac one hash, for every forged INIT costs one", () => {
    const hash = vi.spyOn(libsodium, "_crypto_generichash");
    macBy(crypto.random(32));
    expect(hash).toHaveBeenCalledTimes(1);
    hash.mockRestore();
  });

  /** How many eighths of a secret lie in it. */
  function piecesOf(secret: Uint8Array): number {
    const memory = Buffer.from(libsodium.HEAPU8.buffer);
    const bytes = Buffer.from(secret);
    let found = 0;
    for (let at = 0; at + 8 <= secret.length; at += 8) {
      if (memory.includes(bytes.subarray(at, at + 8))) found++;
    }
    return found;
  }

  function macBy(key: Uint8Array): Uint8Array {
    crypto.blake2b(16, [new Uint8Array(INIT.mac)], key);
    return NONE;
  }

  function sharedOf(secret: Uint8Array): Uint8Array {
    return crypto.dh(secret, crypto.keyPair().publicKey) ?? NONE;
  }

  function sealedBy(key: Uint8Array, seal: typeof crypto.seal, nonceBytes: number): Uint8Array {
    seal(key, crypto.random(nonceBytes), NONE, crypto.random(32));
    return NONE;
  }

  function openedBy(key: Uint8Array, open: typeof crypto.open, nonceBytes: number): Uint8Array {
    const nonce = crypto.random(nonceBytes);
    const seal = nonceBytes === 12 ? crypto.seal : crypto.sealExtended;
    expect(open(key, nonce, NONE, seal(key, nonce, NONE, nonce))).toEqual(nonce);
    return NONE;
  }

  function refused(secret: Uint8Array): Uint8Array {
    expect(() => crypto.blake2b(65, [NONE], secret)).toThrow("refuses");
    expect(() => crypto.blake2b(32, [crypto.random(5000)], secret)).toThrow(RangeError);
    return NONE;
  }
});

interface X25519Vectors {
  readonly multiplications: readonly { scalar: string; point: string; result: string }[];
  readonly iterations: readonly { count: number; result: string }[];
  readonly exchange: Record<
    "aliceSecret" | "alicePublic" | "bobSecret" | "bobPublic" | "shared",
    string
  >;
  readonly lowOrder: readonly string[];
}

interface AeadVector {
  readonly source: string;
  readonly key: string;
  readonly nonce: string;
  readonly ad: string;
  readonly plaintext: string;
  readonly sealed: string;
}

interface Blake2bVector {
  readonly source: string;
  readonly message: string;
  readonly key?: string;
  readonly hash: string;
}

function* bitFlips(bytes: Uint8Array): Generator<Uint8Array> {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    yield flipped;
  }
}
