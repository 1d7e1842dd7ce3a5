/** The free list of key slots, and the addon behind core's `Aead`. */
import { describe, expect, it } from "vitest";
import type { KeySlot } from "../../src/core/crypto.ts";
import { SEAL } from "../../src/core/rows.ts";
import { type NativeCipher, nativeAead } from "../../src/crypto/aead.ts";
import { testNative } from "../native/native.ts";
import { openRows, openStatus, randomBytes, randomFrom, sealRows } from "../native/sealing.ts";

const MATERIAL = new Uint8Array(48).fill(1);

describe("nativeAead over the addon", () => {
  it("seals under one slot what opens under another with the same key", () => {
    const random = randomFrom(7);
    const aead = nativeAead(testNative());
    const material = randomBytes(random, 48);
    const [sending, receiving] = [aead.load(material), aead.load(material)];
    const packet = randomBytes(random, 100);
    const datagram = new Uint8Array(132);
    const rows = sealRows([{ IN_LENGTH: 100, KEY_SLOT: Number(sending) }]);

    aead.seal(packet, datagram, rows, 1);
    const opening = openRows([[0, 132, Number(receiving)]]);
    aead.open(datagram, opening, 1);

    expect(rows[SEAL.OUT_LENGTH]).toBe(132);
    expect(openStatus(opening)).toEqual([100]);
    expect(datagram.subarray(16, 116)).toEqual(packet);
  });

  it("hands out every slot of the table, then none, then what was freed", () => {
    const native = testNative();
    const aead = nativeAead(native);
    const slots = Array.from({ length: native.keySlots() }, () => aead.load(MATERIAL));

    expect(new Set(slots).size).toBe(native.keySlots());
    expect(slots).not.toContain(undefined);
    expect(aead.load(MATERIAL)).toBeUndefined();
    aead.wipe(slotOf(slots[77]));
    expect(aead.load(MATERIAL)).toBe(slots[77]);
    expect(aead.load(MATERIAL)).toBeUndefined();
    for (const slot of slots) aead.wipe(slotOf(slot));
  });
});

describe("nativeAead", () => {
  it("wipes the slot in the addon before it hands it out again", () => {
    const { aead, calls } = recorded();
    const slot = slotOf(aead.load(MATERIAL));
    aead.wipe(slot);
    aead.load(MATERIAL);
    expect(calls).toEqual(["load 0", "wipe 0", "load 0"]);
  });

  it("throws when a slot is wiped twice or was never loaded", () => {
    const { aead } = recorded();
    const slot = slotOf(aead.load(MATERIAL));
    aead.wipe(slot);
    expect(() => aead.wipe(slot)).toThrow("key slot 0 is not in use");
    expect(() => aead.wipe(3 as KeySlot)).toThrow("key slot 3 is not in use");
    expect(() => aead.wipe(-1 as KeySlot)).toThrow("key slot -1 is not in use");
  });

  it("does not lose the slot of a load that failed", () => {
    const { aead, fail } = recorded();
    fail("keyLoad");
    expect(() => aead.load(MATERIAL)).toThrow("keyLoad failed: E22");
    fail(undefined);
    expect([aead.load(MATERIAL), aead.load(MATERIAL), aead.load(MATERIAL)]).toEqual([
      0,
      1,
      undefined,
    ]);
  });

  it.each(["seal", "open", "keyWipe"] as const)("throws when %s as a whole fails", (call) => {
    const { aead, fail } = recorded();
    const slot = slotOf(aead.load(MATERIAL));
    fail(call);
    const run = {
      seal: () => aead.seal(MATERIAL, MATERIAL, new Int32Array(16), 1),
      open: () => aead.open(MATERIAL, new Int32Array(8), 1),
      keyWipe: () => aead.wipe(slot),
    };
    expect(run[call]).toThrow(`${call} failed: E22`);
  });
});

/** A cipher of two slots over functions that note their calls, and fail on demand. */
function recorded() {
  const calls: string[] = [];
  let failing: keyof NativeCipher | undefined;
  const result = (name: keyof NativeCipher) => (failing === name ? -22 : 0);
  const aead = nativeAead({
    keySlots: () => 2,
    keyLoad: (slot) => {
      calls.push(`load ${slot}`);
      return result("keyLoad");
    },
    keyWipe: (slot) => {
      calls.push(`wipe ${slot}`);
      return result("keyWipe");
    },
    seal: () => result("seal"),
    open: () => result("open"),
    errnoName: (errno) => `E${-errno}`,
  });
  const fail = (name: keyof NativeCipher | undefined) => {
    failing = name;
  };
  return { aead, calls, fail };
}

function slotOf(slot: KeySlot | undefined): KeySlot {
  if (slot === undefined) throw new Error("no slot");
  return slot;
}
