/**
 * Which offloads are in use, switched off or missing: each name in exactly one list, and the line of text.
 */
import { describe, expect, it } from "vitest";
import { offloadState, offloadText } from "../../../src/daemon/host/offloads.ts";

const ALL = ["tso", "uso", "gso", "gro"] as const;

describe("the state", () => {
  it("has each offload in the one list that is true of it, whatever is wished and given", () => {
    for (let wished = 0; wished < 16; wished++) {
      for (let given = 0; given < 16; given++) {
        const state = offloadState(wish(wished), some(wished & given));

        expect(state).toEqual({
          offloads: some(wished & given),
          offloadsOff: some(~wished),
          offloadsMissing: some(wished & ~given),
        });
      }
    }
  });

  it("before anything runs is what is wished", () => {
    expect(offloadState(wish(0b1011))).toEqual({
      offloads: ["tso", "uso", "gro"],
      offloadsOff: ["gso"],
      offloadsMissing: [],
    });
  });
});

describe("the text", () => {
  it.each([
    [0b1111, 0b1111, "tso, uso, gso, gro"],
    [0b1111, 0b1101, "tso, gso, gro; not in this kernel: uso"],
    [0b0011, 0b0011, "tso, uso; switched off: gso, gro"],
    [0b1011, 0b1001, "tso, gro; not in this kernel: uso; switched off: gso"],
    [0b1111, 0b0000, "none; not in this kernel: tso, uso, gso, gro"],
    [0b0000, 0b0000, "none; switched off: tso, uso, gso, gro"],
  ])("of %i wished and %i in use is one line", (wished, used, expected) => {
    expect(offloadText(offloadState(wish(wished), some(used)))).toBe(expected);
  });
});

/** The offloads whose bits are set, the first name's lowest. */
function some(bits: number) {
  return ALL.filter((_, bit) => ((bits >> bit) & 1) === 1);
}

function wish(bits: number) {
  const names = some(bits);
  return {
    tso: names.includes("tso"),
    uso: names.includes("uso"),
    gso: names.includes("gso"),
    gro: names.includes("gro"),
  };
}
