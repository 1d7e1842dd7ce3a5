/**
 * The two ways to compute the cipher: both are the same cipher, and each can be asked for.
 *
 * EVP is the plain twin of the primitives' composition. That one of them is the published cipher stands in
 * test/crypto/aead-vectors.test.ts, in which the primitives are used where this node has them. Which one
 * is used where they are missing is in cipher-fallback.test.ts.
 */
import sodium from "libsodium-wrappers";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { OPEN_FAILED } from "../../src/core/rows.ts";
import { CIPHER } from "../../src/io/native.ts";
import { Random } from "../helpers/random.ts";
import { testNative } from "./native.ts";
import { dataHeader, extendedNonce, OVERHEAD_BYTES, open, seal } from "./sealing.ts";

const native = testNative();
const KINDS = Object.entries(CIPHER);
const MOST_BYTES = 65_503;
/** Lengths round which the composition takes another way. */
const EDGES = [0, 15, 64, 112, 960, 1984, 2048, 4096];
const ownOpenSsl = !process.config.variables.node_shared_openssl;

beforeAll(() => sodium.ready);

beforeEach(() => {
  native.cipherKind(CIPHER.PRIMITIVES);
});

describe("cipherKind", () => {
  it("has the primitives in a node with OpenSSL inside, and EVP in any other", () => {
    expect(native.cipherKind(0)).toBe(ownOpenSsl ? CIPHER.PRIMITIVES : CIPHER.EVP);
  });

  it("changes nothing for a number that names none", () => {
    native.cipherKind(CIPHER.EVP);
    expect([0, -1, 3, 0x7fffffff].map((wanted) => native.cipherKind(wanted))).toEqual(
      Array.from({ length: 4 }, () => CIPHER.EVP),
    );
  });

  it("goes from one to the other and back under the same key", () => {
    const packet = new Random(1).bytes(100);
    native.keyLoad(0, new Random(2).bytes(48));
    const sealed = [CIPHER.EVP, CIPHER.PRIMITIVES, CIPHER.EVP].map((kind) =>
      sealWith(kind, packet, 5),
    );
    expect(sealed[1]).toEqual(sealed[0]);
    expect(sealed[2]).toEqual(sealed[0]);
  });
});

describe("the primitives and EVP", () => {
  it("seal the same bytes and open each other's, 10,000 times, 0 to 65,503 bytes", () => {
    const random = new Random(0xc1f3);
    const bytes = random.bytes(2 * MOST_BYTES);
    let failures = 0;
    for (let round = 0; round < 10_000; round++) {
      if (round % 100 === 0) native.keyLoad(0, random.bytes(48));
      const start = random.below(MOST_BYTES);
      const packet = bytes.subarray(start, start + randomLength(random));
      const counter = random.below(0x10000) * 2 ** 32 + random.uint32();
      if (!agree(packet, counter)) failures++;
    }
    expect(failures).toBe(0);
  }, 60_000);

  it("agree in place", () => {
    native.keyLoad(0, new Random(3).bytes(48));
    for (const length of EDGES) {
      const packet = new Random(length).bytes(length);
      const arena = new Uint8Array(length + OVERHEAD_BYTES);
      arena.set(packet, 16);
      seal(arena, arena, [{ IN_OFFSET: 16, IN_LENGTH: length, COUNTER_LOW: 9 }]);
      expect(Buffer.compare(arena, sealWith(CIPHER.EVP, packet, 9))).toBe(0);
    }
  });
});

describe.each(KINDS)("%s", (_, kind) => {
  it("is libsodium's XChaCha20-Poly1305 at every length from 0 to 600", () => {
    const random = new Random(kind);
    const material = random.bytes(48);
    native.keyLoad(0, material);
    const differences = Array.from({ length: 601 }, (__, length) => length).filter((length) => {
      const packet = random.bytes(length);
      return Buffer.compare(sealWith(kind, packet, length), sodiumSeal(material, packet, length));
    });
    expect(differences).toEqual([]);
  });

  it("opens nothing with a flipped bit in header, ciphertext, tag or at an edge between them", () => {
    const random = new Random(77);
    native.keyLoad(0, random.bytes(48));
    for (const length of EDGES) {
      const sealed = sealWith(kind, random.bytes(length), 1);
      const spots = [0, 5, 15, 16, length + 15, length + 16, length + 31].map((byte) => byte * 8);
      const anywhere = Array.from({ length: 40 }, () => random.below(sealed.length * 8));
      for (const bit of [...spots, ...anywhere])
        expect(opensFlipped(kind, sealed, bit)).toBe(false);
    }
  });

  it("writes nothing outside the datagram, wherever it lies", () => {
    native.keyLoad(0, new Random(4).bytes(48));
    for (const length of EDGES) {
      const arena = new Uint8Array(length + OVERHEAD_BYTES + 300).fill(0xee);
      const at = 7 + (length % 93);
      native.cipherKind(kind);
      seal(new Uint8Array(length), arena, [{ IN_LENGTH: length, OUT_OFFSET: at }]);
      expect(open(arena, [[at, length + OVERHEAD_BYTES, 0]])).toEqual([length]);
      const around = [...arena.subarray(0, at), ...arena.subarray(at + length + OVERHEAD_BYTES)];
      expect(around.every((byte) => byte === 0xee)).toBe(true);
    }
  });
});

describe.runIf(ownOpenSsl)("PRIMITIVES", () => {
  it("leave a datagram that does not open as it came", () => {
    native.keyLoad(0, new Random(5).bytes(48));
    for (const length of EDGES) {
      const sealed = sealWith(CIPHER.PRIMITIVES, new Uint8Array(length), 1);
      sealed[length + 20] = (sealed[length + 20] ?? 0) ^ 1;
      const before = sealed.slice();
      expect(open(sealed, [[0, sealed.length, 0]])).toEqual([OPEN_FAILED]);
      expect(Buffer.compare(sealed, before)).toBe(0);
    }
  });
});

/** Mostly what a tunnel carries, often at an edge, now and then anything that fits a datagram. */
function randomLength(random: Random): number {
  if (random.chance(0.02)) return random.below(MOST_BYTES + 1);
  if (random.chance(0.3))
    return Math.max(0, (EDGES[random.below(EDGES.length)] ?? 0) + random.below(5) - 2);
  return random.below(1600);
}

/** Whether both seal the same, and each opens it. */
function agree(packet: Uint8Array, counter: number): boolean {
  const composed = sealWith(CIPHER.PRIMITIVES, packet, counter);
  const evp = sealWith(CIPHER.EVP, packet, counter);
  if (Buffer.compare(composed, evp) !== 0) return false;
  return opens(CIPHER.EVP, composed, packet) && opens(CIPHER.PRIMITIVES, evp, packet);
}

function opens(kind: number, sealed: Uint8Array, packet: Uint8Array): boolean {
  native.cipherKind(kind);
  const [status] = open(sealed, [[0, sealed.length, 0]]);
  const text = sealed.subarray(16, 16 + packet.length);
  return status === packet.length && Buffer.compare(text, packet) === 0;
}

function opensFlipped(kind: number, sealed: Uint8Array, bit: number): boolean {
  const copy = sealed.slice();
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  native.cipherKind(kind);
  return open(copy, [[0, copy.length, 0]])[0] !== OPEN_FAILED;
}

function sealWith(kind: number, packet: Uint8Array, counter: number): Uint8Array {
  const datagram = new Uint8Array(packet.length + OVERHEAD_BYTES);
  native.cipherKind(kind);
  const [COUNTER_LOW, COUNTER_HIGH] = [counter | 0, Math.floor(counter / 2 ** 32)];
  seal(packet, datagram, [{ IN_LENGTH: packet.length, COUNTER_LOW, COUNTER_HIGH }]);
  return datagram;
}

function sodiumSeal(material: Uint8Array, packet: Uint8Array, counter: number): Uint8Array {
  const header = dataHeader(0, counter);
  const sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
    packet,
    header,
    null,
    extendedNonce(material, counter),
    material.subarray(0, 32),
  );
  return Uint8Array.of(...header, ...sealed);
}
