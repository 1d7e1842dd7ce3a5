/**
 * The twins of cryptography that the simulations stand on: they agree with themselves, refuse every
 * changed bit, and the ledger notices a nonce that came twice.
 */
import { describe, expect, it } from "vitest";
import type { HandshakeCrypto, KeySlot } from "../../src/core/crypto.ts";
import {
  OPEN,
  OPEN_FAILED,
  OPEN_FIELDS,
  PACKET_NEEDS_CHECKSUM,
  SEAL,
  SEAL_FIELDS,
} from "../../src/core/rows.ts";
import { Random } from "../helpers/random.ts";
import { flipBit } from "../helpers/wire-view.ts";
import { digest, STUB_CIPHER, stubCrypto } from "./stub-crypto.ts";
import { type Cipher, NonceLedger, TwinAead, XCHACHA } from "./twin-aead.ts";
import { twinCrypto } from "./twin-crypto.ts";

const CIPHERS: [string, Cipher][] = [
  ["xchacha", XCHACHA],
  ["stub", STUB_CIPHER],
];
const MATERIAL = new Random(1).bytes(48);

describe.each(CIPHERS)("the batch cipher over %s", (_, cipher) => {
  it.each([0, 1, 63, 64, 84, 1_420])("opens %i bytes that it sealed, in place", (length) => {
    const plaintext = new Random(2).bytes(length);
    const { aead, slot } = loaded(cipher);

    const datagram = sealOne(aead, slot, plaintext, 5);

    expect(datagram.length).toBe(length + 32);
    expect(openOne(aead, slot, datagram)).toEqual(plaintext);
  });

  it("writes the header of PROTOCOL section 3", () => {
    const { aead, slot } = loaded(cipher);

    const datagram = sealOne(aead, slot, Uint8Array.of(0x45), 2 ** 32 + 7);

    expect([...datagram.subarray(0, 16)]).toEqual([
      4, 1, 0, 0, 0x44, 0x33, 0x22, 0x11, 7, 0, 0, 0, 1, 0, 0, 0,
    ]);
  });

  it("refuses every single changed bit", () => {
    const { aead, slot } = loaded(cipher);
    const datagram = sealOne(aead, slot, new Random(3).bytes(20), 9);

    for (let bit = 0; bit < datagram.length * 8; bit += 1) {
      expect(openOne(aead, slot, flipBit(datagram, bit)), `bit ${bit}`).toBeUndefined();
    }
    expect(openOne(aead, slot, datagram)).toBeDefined();
  });

  it("refuses under another key", () => {
    const { aead, slot } = loaded(cipher);
    const other = aead.load(new Random(4).bytes(48));
    if (other === undefined) throw new Error("no slot");

    expect(openOne(aead, other, sealOne(aead, slot, new Uint8Array(20), 1))).toBeUndefined();
  });

  it("sets bit 7 of the first byte of a packet whose checksum is partial", () => {
    const { aead, slot } = loaded(cipher);

    const datagram = sealOne(aead, slot, Uint8Array.of(0x45, 1), 1, PACKET_NEEDS_CHECKSUM);

    expect(openOne(aead, slot, datagram)).toEqual(Uint8Array.of(0xc5, 1));
  });

  it("seals a forged datagram under the session that sealed last", () => {
    const { aead, slot } = loaded(cipher);
    sealOne(aead, slot, new Uint8Array(20), 3);

    const forged = aead.forge(Uint8Array.of(0x03, 1), 100);

    expect(openOne(aead, slot, forged)).toEqual(Uint8Array.of(0x03, 1));
    expect(new DataView(forged.buffer).getUint32(8, true)).toBe(103);
  });
});

describe("the ledger", () => {
  it("notes a nonce that seals twice, also through another table with the same key", () => {
    const ledger = new NonceLedger();
    const first = loaded(XCHACHA, ledger);
    const second = loaded(XCHACHA, ledger);
    sealOne(first.aead, first.slot, new Uint8Array(1), 1);
    sealOne(first.aead, first.slot, new Uint8Array(1), 2);
    expect(ledger.repeats).toEqual([]);

    sealOne(second.aead, second.slot, new Uint8Array(1), 2);

    expect(ledger.repeats).toHaveLength(1);
    expect(ledger).toMatchObject({ size: 3, keys: 1 });
  });
});

describe("the key table", () => {
  it("refuses when full, and after a wipe has room again", () => {
    const aead = new TwinAead(new NonceLedger(), XCHACHA, 1);
    const slot = aead.load(MATERIAL);
    expect(aead.load(MATERIAL)).toBeUndefined();

    aead.wipe(slot as KeySlot);

    expect(aead.slotsInUse).toBe(0);
    expect(aead.load(MATERIAL)).toBeDefined();
  });

  it("fails loudly on a slot wiped twice and on the use of a wiped one", () => {
    const { aead, slot } = loaded(XCHACHA);
    aead.wipe(slot);

    expect(() => aead.wipe(slot)).toThrow("wiped twice");
    expect(() => sealOne(aead, slot, new Uint8Array(1), 1)).toThrow("is not loaded");
  });
});

describe.each<[string, (random: Random) => HandshakeCrypto]>([
  ["twin", twinCrypto],
  ["stub", stubCrypto],
])("the %s primitives", (_, make) => {
  it("give the same from the same seed", () => {
    expect(make(new Random(5)).keyPair()).toEqual(make(new Random(5)).keyPair());
  });

  it("agree on a shared secret, and have none with an all-zero key", () => {
    const crypto = make(new Random(6));
    const [a, b] = [crypto.keyPair(), crypto.keyPair()];

    expect(crypto.dh(a.secretKey, b.publicKey)).toEqual(crypto.dh(b.secretKey, a.publicKey));
    expect(crypto.dh(a.secretKey, new Uint8Array(32))).toBeUndefined();
  });

  it("hash all parts under the key", () => {
    const crypto = make(new Random(7));
    const parts = [Uint8Array.of(1), Uint8Array.of(2)];
    const plain = crypto.blake2b(16, parts);

    expect(plain).toHaveLength(16);
    expect(crypto.blake2b(16, parts)).toEqual(plain);
    expect(crypto.blake2b(16, parts, new Uint8Array(32))).not.toEqual(plain);
    expect(crypto.blake2b(16, [Uint8Array.of(1, 3)])).not.toEqual(plain);
  });

  it("open what they sealed and nothing else", () => {
    const crypto = make(new Random(8));
    const key = crypto.random(32);
    const nonce = new Uint8Array(12);
    const sealed = crypto.seal(key, nonce, Uint8Array.of(1), Uint8Array.of(2, 3));

    expect(crypto.open(key, nonce, Uint8Array.of(1), sealed)).toEqual(Uint8Array.of(2, 3));
    expect(crypto.open(key, nonce, Uint8Array.of(2), sealed)).toBeUndefined();
    expect(crypto.equal(sealed, sealed.slice())).toBe(true);
    expect(crypto.equal(sealed, flipBit(sealed, 3))).toBe(false);
    crypto.wipe(key);
    expect(key).toEqual(new Uint8Array(32));
  });
});

it("the stub's hash has no collision among 100,000 near inputs", () => {
  const seen = new Set<string>();
  for (let value = 0; value < 100_000; value += 1) {
    const input = new Uint8Array(8);
    new DataView(input.buffer).setUint32(0, value);
    seen.add(Buffer.from(digest(8, [input])).toString("hex"));
  }

  expect(seen.size).toBe(100_000);
});

function loaded(cipher: Cipher, ledger = new NonceLedger()): { aead: TwinAead; slot: KeySlot } {
  const aead = new TwinAead(ledger, cipher);
  const slot = aead.load(MATERIAL);
  if (slot === undefined) throw new Error("no slot");
  return { aead, slot };
}

function sealOne(
  aead: TwinAead,
  slot: KeySlot,
  plaintext: Uint8Array,
  counter: number,
  flags = 0,
): Uint8Array {
  const rows = new Int32Array(SEAL_FIELDS);
  rows[SEAL.IN_LENGTH] = plaintext.length;
  rows[SEAL.KEY_SLOT] = slot;
  rows[SEAL.RECEIVER_INDEX] = 0x11223344;
  rows[SEAL.COUNTER_LOW] = (counter % 2 ** 32) | 0;
  rows[SEAL.COUNTER_HIGH] = Math.floor(counter / 2 ** 32);
  rows[SEAL.SEGMENTS] = 1;
  rows[SEAL.FLAGS] = flags;
  const out = new Uint8Array(plaintext.length + 32);
  aead.seal(plaintext, out, rows, 1);
  expect(rows[SEAL.OUT_LENGTH]).toBe(out.length);
  return out;
}

function openOne(aead: TwinAead, slot: KeySlot, datagram: Uint8Array): Uint8Array | undefined {
  const arena = datagram.slice();
  const rows = new Int32Array(OPEN_FIELDS);
  rows[OPEN.LENGTH] = arena.length;
  rows[OPEN.KEY_SLOT] = slot;
  aead.open(arena, rows, 1);
  const status = rows[OPEN.STATUS] ?? OPEN_FAILED;
  return status === OPEN_FAILED ? undefined : arena.slice(16, 16 + status);
}
