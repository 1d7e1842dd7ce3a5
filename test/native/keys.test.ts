/**
 * The addon's key table, and calls of it and of the cipher that do not fit.
 *
 * Where keys lie in memory is in memory.test.ts.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { testNative } from "./native.ts";
import { open, randomBytes, randomFrom, seal, sealRows, sealStatus } from "./sealing.ts";

const native = testNative();
const random = randomFrom(2025);
const SLOTS = native.keySlots();
const [EIO, EINVAL, ENOKEY] = [-5, -22, -126];

beforeEach(() => {
  for (let slot = 0; slot < 4; slot++) native.keyLoad(slot, randomBytes(random, 48));
});

describe("the key table", () => {
  it("has 16,384 slots, and the first and the last work", () => {
    const last = SLOTS - 1;
    const sealed = new Uint8Array(36);
    expect(SLOTS).toBe(16_384);
    expect(native.keyLoad(last, randomBytes(random, 48))).toBe(0);
    seal(Uint8Array.of(1, 2, 3, 4), sealed, [{ IN_LENGTH: 4, KEY_SLOT: last }]);
    expect(open(sealed, [[0, 36, last]])).toEqual([4]);
    expect(native.keyWipe(last)).toBe(0);
  });

  it.each([-1, SLOTS, 0x7fffffff, -0x80000000])("has no slot %i", (slot) => {
    expect(native.keyLoad(slot, new Uint8Array(48))).toBe(EINVAL);
    expect(native.keyWipe(slot)).toBe(EINVAL);
  });

  it.each([0, 47, 49])("refuses material of %i bytes", (length) => {
    expect(native.keyLoad(0, new Uint8Array(length))).toBe(EINVAL);
  });

  it("empties a wiped slot for both directions and keeps its neighbours", () => {
    const sealed = new Uint8Array(48);
    seal(randomBytes(random, 16), sealed, [{ IN_LENGTH: 16, KEY_SLOT: 1 }]);

    native.keyWipe(1);

    expect(open(sealed.slice(), [[0, 48, 1]])).toEqual([ENOKEY]);
    expect(sealStatus(seal(new Uint8Array(4), sealed, [{ KEY_SLOT: 1 }]))).toEqual([ENOKEY]);
    expect(sealStatus(seal(new Uint8Array(4), sealed, [{ KEY_SLOT: 2 }]))).toEqual([0]);
  });

  it("may be wiped twice, and loaded anew", () => {
    const material = randomBytes(random, 48);
    const [before, after] = [new Uint8Array(36), new Uint8Array(36)];
    native.keyLoad(3, material);
    seal(new Uint8Array(4), before, [{ IN_LENGTH: 4, KEY_SLOT: 3 }]);
    expect([native.keyWipe(3), native.keyWipe(3), native.keyLoad(3, material)]).toEqual([0, 0, 0]);
    seal(new Uint8Array(4), after, [{ IN_LENGTH: 4, KEY_SLOT: 3 }]);
    expect(after).toEqual(before);
  });
});

describe("calls that do not fit", () => {
  it("refuse a count that the array does not hold", () => {
    const [bytes, rows] = [new Uint8Array(100), new Int32Array(32)];
    expect(native.seal(bytes, bytes, rows, 3)).toBe(EINVAL);
    expect(native.seal(bytes, bytes, rows, -1)).toBe(EINVAL);
    expect(native.open(bytes, rows, 5)).toBe(EINVAL);
    expect(native.open(bytes, rows, -1)).toBe(EINVAL);
  });

  it("throw a TypeError for a wrong type", () => {
    const rows = new Int32Array(16);
    expect(() => native.seal(rows as never, new Uint8Array(1), rows, 1)).toThrow(
      "seal: argument 1 must be a Uint8Array",
    );
    expect(() => native.open(new Uint8Array(1), "x" as never, 1)).toThrow(
      "open: argument 2 must be an Int32Array",
    );
    expect(() => native.keyLoad(0, [] as never)).toThrow(
      "keyLoad: argument 2 must be a Uint8Array",
    );
  });

  it("take no bytes from an array whose memory was given away", () => {
    const [packets, datagrams] = [new Uint8Array(100), new Uint8Array(100)];
    structuredClone(packets.buffer, { transfer: [packets.buffer] });
    const rows = sealRows([{ IN_LENGTH: 4 }]);
    native.seal(packets, datagrams, rows, 1);
    expect(sealStatus(rows)).toEqual([EINVAL]);
  });

  it("name an errno of either sign, and number those without a name", () => {
    expect([EIO, 5, -77, ENOKEY, -4000].map((errno) => native.errnoName(errno))).toEqual([
      "EIO",
      "EIO",
      "EBADFD",
      "ENOKEY",
      "errno 4000",
    ]);
  });

  it("name the least number there is, which has no positive form", () => {
    expect(native.errnoName(-(2 ** 31))).toBe("errno 2147483648");
  });
});
