/**
 * The addon's batch cipher: rows, marks, bounds and forgery. Keys are in keys.test.ts, vectors in
 * test/crypto/aead-vectors.test.ts.
 */
import { createCipheriv } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import {
  OPEN,
  OPEN_FAILED,
  PACKET_NEEDS_CHECKSUM,
  PACKET_PART,
  SEAL,
} from "../../src/core/rows.ts";
import { CIPHER } from "../../src/io/native.ts";
import { testNative } from "./native.ts";
import {
  dataHeader,
  OVERHEAD_BYTES,
  open,
  openRows,
  randomBytes,
  randomFrom,
  seal,
  sealRows,
  sealStatus,
} from "./sealing.ts";

const native = testNative();
const random = randomFrom(2024);
const SLOTS = native.keySlots();
const [EINVAL, ENOKEY] = [-22, -126];

beforeEach(() => {
  for (let slot = 0; slot < 4; slot++) native.keyLoad(slot, randomBytes(random, 48));
});

describe.each(Object.entries(CIPHER))("seal through %s", (_, kind) => {
  beforeEach(() => {
    native.cipherKind(kind);
  });

  it("writes the header of DATA: type 4, version 1, zero, receiver index, counter", () => {
    const datagrams = new Uint8Array(100);

    seal(new Uint8Array(10), datagrams, [
      {
        IN_LENGTH: 10,
        OUT_OFFSET: 50,
        RECEIVER_INDEX: 0xdeadbeef | 0,
        COUNTER_LOW: 0x89abcdef | 0,
        COUNTER_HIGH: 0x4567,
      },
    ]);

    expect(Buffer.from(datagrams.subarray(50, 66)).toString("hex")).toBe(
      "04010000efbeaddeefcdab8967450000",
    );
    expect(datagrams.subarray(0, 50).every((byte) => byte === 0)).toBe(true);
  });

  it("is 32 bytes longer than the plaintext and writes nothing beyond", () => {
    const datagrams = new Uint8Array(100).fill(0xee);

    const rows = seal(randomBytes(random, 20), datagrams, [{ IN_LENGTH: 20 }]);

    expect(rows[SEAL.OUT_LENGTH]).toBe(52);
    expect(datagrams.subarray(52).every((byte) => byte === 0xee)).toBe(true);
  });

  it("returns the rows sealed, and takes none at all", () => {
    const [packets, datagrams] = [new Uint8Array(10), new Uint8Array(100)];
    expect(native.seal(packets, datagrams, sealRows([{}, { KEY_SLOT: -1 }, {}]), 3)).toBe(2);
    expect(native.seal(packets, datagrams, new Int32Array(0), 0)).toBe(0);
  });

  it("uses the key of each row's slot, whatever the order", () => {
    const packets = randomBytes(random, 64);
    const slots = [0, 0, 1, 0, 2, 2, 1, 1];
    const together = new Uint8Array(slots.length * 96);
    const alone = new Uint8Array(slots.length * 96);
    const list = slots.map((KEY_SLOT, index) => ({
      KEY_SLOT,
      IN_LENGTH: 64,
      OUT_OFFSET: index * 96,
      COUNTER_LOW: index,
    }));

    seal(packets, together, list);
    for (const one of list) seal(packets, alone, [one]);

    expect(together).toEqual(alone);
    expect(
      open(
        together,
        slots.map((slot, index) => [index * 96, 96, slot]),
      ),
    ).toEqual(slots.map(() => 64));
  });

  it("seals in place where the plaintext lies behind the header's room", () => {
    const packet = randomBytes(random, 40);
    const [apart, inPlace] = [new Uint8Array(72), new Uint8Array(72)];
    inPlace.set(packet, 16);

    seal(packet, apart, [{ IN_LENGTH: 40, FLAGS: PACKET_NEEDS_CHECKSUM }]);
    seal(inPlace, inPlace, [{ IN_OFFSET: 16, IN_LENGTH: 40, FLAGS: PACKET_NEEDS_CHECKSUM }]);

    expect(inPlace).toEqual(apart);
  });

  it("refuses an empty slot, so that no packet leaves under a zero key", () => {
    const datagrams = new Uint8Array(64);

    const rows = seal(new Uint8Array(4), datagrams, [{ IN_LENGTH: 4, KEY_SLOT: 7 }]);

    expect(sealStatus(rows)).toEqual([ENOKEY]);
    expect(rows[SEAL.OUT_LENGTH]).toBe(0);
    expect(datagrams.every((byte) => byte === 0)).toBe(true);
  });

  it.each([
    ["a slot before the table", { KEY_SLOT: -1 }, ENOKEY],
    ["a slot after the table", { KEY_SLOT: SLOTS }, ENOKEY],
    ["a negative input offset", { IN_OFFSET: -1 }, EINVAL],
    ["an input offset behind the arena", { IN_OFFSET: 101 }, EINVAL],
    ["an input that ends behind the arena", { IN_OFFSET: 97, IN_LENGTH: 4 }, EINVAL],
    ["a negative length", { IN_LENGTH: -1 }, EINVAL],
    ["the largest length", { IN_LENGTH: 0x7fffffff }, EINVAL],
    ["the largest length that its overhead fits", { IN_LENGTH: 0x7fffffff - 32 }, EINVAL],
    ["a negative output offset", { OUT_OFFSET: -1 }, EINVAL],
    ["an output that ends behind the arena", { OUT_OFFSET: 200 - 31, IN_LENGTH: 0 }, EINVAL],
    ["a counter of 2^48", { COUNTER_HIGH: 0x10000 }, EINVAL],
    ["a counter of 2^64 - 1", { COUNTER_HIGH: -1, COUNTER_LOW: -1 }, EINVAL],
    ["no segment", { SEGMENTS: 0 }, EINVAL],
    ["several segments of no super-packet", { SEGMENTS: 2, GSO_TYPE: 1, GSO_SIZE: 10 }, EINVAL],
    ["a negative number of segments", { SEGMENTS: -1 }, EINVAL],
  ] as const)("fails %s alone, between rows that are sealed", (_, fields, status) => {
    const good = { IN_LENGTH: 4, OUT_OFFSET: 100 };

    const rows = seal(new Uint8Array(100), new Uint8Array(200), [
      good,
      { IN_LENGTH: 4, ...fields },
      good,
    ]);

    expect(sealStatus(rows)).toEqual([0, status, 0]);
    expect(rows[16 + SEAL.OUT_LENGTH]).toBe(0);
  });

  it("fits the last byte of both arenas", () => {
    const rows = seal(new Uint8Array(100), new Uint8Array(200), [
      { IN_OFFSET: 96, IN_LENGTH: 4, OUT_OFFSET: 164 },
      { IN_OFFSET: 100, IN_LENGTH: 0, OUT_OFFSET: 168 },
    ]);
    expect(sealStatus(rows)).toEqual([0, 0]);
  });

  it("seals at the highest counter, 2^48 - 1", () => {
    const rows = seal(new Uint8Array(4), new Uint8Array(64), [
      { COUNTER_HIGH: 0xffff, COUNTER_LOW: -1 },
    ]);
    expect(sealStatus(rows)).toEqual([0]);
  });
});

describe("the mark of an unfinished checksum", () => {
  it("sets bit 7 of the first byte in what is sealed, and in nothing else", () => {
    const packet = Uint8Array.of(0x45, 1, 2, 3);
    const datagram = new Uint8Array(36);

    seal(packet, datagram, [{ IN_LENGTH: 4, FLAGS: PACKET_NEEDS_CHECKSUM }]);

    expect(packet).toEqual(Uint8Array.of(0x45, 1, 2, 3));
    expect(open(datagram, [[0, 36, 0]])).toEqual([4]);
    expect(datagram.subarray(16, 20)).toEqual(Uint8Array.of(0xc5, 1, 2, 3));
  });

  it("stays away without the flag, and from an empty packet", () => {
    const packet = Uint8Array.of(0x45);
    const datagrams = new Uint8Array(65);

    seal(packet, datagrams, [
      { IN_LENGTH: 1, FLAGS: PACKET_PART },
      { IN_LENGTH: 0, OUT_OFFSET: 33, FLAGS: PACKET_NEEDS_CHECKSUM },
    ]);

    expect(
      open(datagrams, [
        [0, 33, 0],
        [33, 32, 0],
      ]),
    ).toEqual([1, 0]);
    expect(datagrams[16]).toBe(0x45);
    expect(packet).toEqual(Uint8Array.of(0x45));
  });
});

describe.each(Object.entries(CIPHER))("open through %s", (_, kind) => {
  beforeEach(() => {
    native.cipherKind(kind);
  });

  it("leaves the plaintext behind the header and the caller's field alone", () => {
    const packet = randomBytes(random, 84);
    const datagrams = new Uint8Array(200);
    seal(packet, datagrams, [{ IN_LENGTH: 84, OUT_OFFSET: 50, COUNTER_LOW: 9 }]);
    const rows = openRows([[50, 116, 0]]);

    const opened = native.open(datagrams, rows, 1);

    expect(opened).toBe(1);
    expect(rows[OPEN.STATUS]).toBe(84);
    expect(rows[OPEN.MESSAGE]).toBe(678);
    expect(datagrams.subarray(66, 150)).toEqual(packet);
  });

  it("opens a keepalive, which has no plaintext", () => {
    const datagram = new Uint8Array(32);
    seal(new Uint8Array(1), datagram, [{ IN_LENGTH: 0 }]);
    expect(open(datagram, [[0, 32, 0]])).toEqual([0]);
  });

  it("refuses every flipped bit of a keepalive and of a sealed 84-byte packet", () => {
    for (const length of [0, 84]) {
      const sealed = new Uint8Array(length + OVERHEAD_BYTES);
      seal(randomBytes(random, 84), sealed, [{ IN_LENGTH: length, COUNTER_LOW: 77 }]);
      expect(openedFlips(sealed)).toEqual([]);
    }
  });

  it("refuses every other length of the same datagram", () => {
    const sealed = new Uint8Array(116);
    seal(randomBytes(random, 84), sealed, [{ IN_LENGTH: 84 }]);
    const lengths = Array.from({ length: 84 }, (_, index) => 32 + index);
    const copies = Buffer.concat(lengths.map(() => sealed));

    const status = open(
      copies,
      lengths.map((length, index) => [index * 116, length, 0]),
    );

    expect(new Set(status)).toEqual(new Set([OPEN_FAILED]));
  });

  it("refuses the key of another slot, and a key that took its place", () => {
    const sealed = new Uint8Array(48);
    seal(randomBytes(random, 16), sealed, [{ IN_LENGTH: 16 }]);
    expect(open(sealed.slice(), [[0, 48, 1]])).toEqual([OPEN_FAILED]);
    native.keyLoad(0, randomBytes(random, 48));
    expect(open(sealed.slice(), [[0, 48, 0]])).toEqual([OPEN_FAILED]);
  });

  it("opens what follows a forged datagram in the same batch", () => {
    const datagrams = new Uint8Array(3 * 48);
    seal(
      randomBytes(random, 16),
      datagrams,
      [0, 1, 2].map((n) => ({
        IN_LENGTH: 16,
        OUT_OFFSET: n * 48,
        COUNTER_LOW: n,
      })),
    );
    datagrams[48 + 20] = (datagrams[48 + 20] ?? 0) ^ 1;

    const status = open(datagrams, [
      [0, 48, 0],
      [48, 48, 0],
      [96, 48, 0],
    ]);

    expect(status).toEqual([16, OPEN_FAILED, 16]);
  });

  it.each([
    ["an empty slot", [0, 48, 9], ENOKEY],
    ["a slot before the table", [0, 48, -1], ENOKEY],
    ["a slot after the table", [0, 48, SLOTS], ENOKEY],
    ["a datagram of 31 bytes", [0, 31, 0], EINVAL],
    ["a negative length", [0, -1, 0], EINVAL],
    ["the smallest number as length", [0, -0x80000000, 0], EINVAL],
    ["a negative offset", [-1, 48, 0], EINVAL],
    ["an end behind the arena", [53, 48, 0], EINVAL],
    ["the largest offset", [0x7fffffff, 48, 0], EINVAL],
    ["the largest length", [0, 0x7fffffff, 0], EINVAL],
  ] as const)("refuses %s", (_, row, status) => {
    expect(open(new Uint8Array(100), [row])).toEqual([status]);
  });

  it("leaves nothing in OpenSSL's error queue, where node's own ciphers would meet it", () => {
    open(new Uint8Array(48), [[0, 48, 0]]);

    const cipher = createCipheriv("chacha20-poly1305", new Uint8Array(32), new Uint8Array(12), {
      authTagLength: 16,
    });

    expect(cipher.update(new Uint8Array(4))).toHaveLength(4);
    cipher.final();
    expect(cipher.getAuthTag()).toHaveLength(16);
  });
});

describe("the header", () => {
  it("is what PROTOCOL says, byte for byte", () => {
    const datagram = new Uint8Array(32);
    seal(new Uint8Array(1), datagram, [
      { IN_LENGTH: 0, RECEIVER_INDEX: 0x01020304, COUNTER_LOW: 5, COUNTER_HIGH: 6 },
    ]);
    expect(datagram.subarray(0, 16)).toEqual(dataHeader(0x01020304, 6 * 2 ** 32 + 5));
  });
});

/** The bits whose flip was not noticed. */
function openedFlips(sealed: Uint8Array): number[] {
  const bits = Array.from({ length: sealed.length * 8 }, (_, bit) => bit);
  const copies = new Uint8Array(bits.length * sealed.length);
  for (const bit of bits) {
    const at = bit * sealed.length;
    copies.set(sealed, at);
    copies[at + (bit >> 3)] = (sealed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  }
  const status = open(
    copies,
    bits.map((bit) => [bit * sealed.length, sealed.length, 0]),
  );
  return bits.filter((bit) => status[bit] !== OPEN_FAILED);
}
