/**
 * Columns, ages and sizes for people.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ageText,
  amountText,
  bytesText,
  columns,
  countText,
  rateText,
  shortAgeText,
} from "../../src/cli/layout.ts";

describe("columns", () => {
  it("are as wide as their longest cell, without spaces at line ends", () => {
    expect(columns([["a", "bbb", "c"], ["aaaa", "b", "cc"], ["a"]])).toBe(
      "a     bbb  c\naaaa  b    cc\na\n",
    );
  });

  it("are indented", () => {
    expect(columns([["a", "b"]], 2)).toBe("  a  b\n");
  });

  it("of no rows are nothing", () => {
    expect(columns([])).toBe("");
  });

  it("cannot be broken by a cell", () => {
    expect(columns([["a\nb\u001b[2J", "c"]])).toBe("a\\u000ab\\u001b[2J  c\n");
  });
});

describe("an age", () => {
  it.each([
    [0, "0 s"],
    [0.04, "0 s"],
    [0.25, "0.3 s"],
    [9.94, "9.9 s"],
    [9.96, "10 s"],
    [59.4, "59 s"],
    [59.5, "1 min 0 s"],
    [125, "2 min 5 s"],
    [3599.4, "59 min 59 s"],
    [3600, "1 h 0 min"],
    [86_399, "23 h 59 min"],
    [86_400, "1 d 0 h"],
    [1e8, "1157 d 9 h"],
  ])("of %f seconds is %s", (seconds, expected) => {
    expect(ageText(seconds)).toBe(expected);
  });
});

describe("a size", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1536, "1.5 KiB"],
    [1_048_576, "1.0 MiB"],
    [20 * 1024 ** 3, "20.0 GiB"],
    [1024 ** 4, "1.0 TiB"],
    [5000 * 1024 ** 5, "5000.0 PiB"],
  ])("of %i bytes is %s", (bytes, expected) => {
    expect(bytesText(bytes)).toBe(expected);
  });

  it("is never off by more than a twentieth", () => {
    const units: Readonly<Record<string, number>> = {
      B: 1,
      KiB: 2 ** 10,
      MiB: 2 ** 20,
      GiB: 2 ** 30,
      TiB: 2 ** 40,
      PiB: 2 ** 50,
    };
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        const [value = "", unit = ""] = bytesText(bytes).split(" ");
        expect(Math.abs(Number(value) * (units[unit] ?? Number.NaN) - bytes)).toBeLessThanOrEqual(
          bytes / 20,
        );
      }),
    );
  });
});

describe("a count", () => {
  it.each([
    [0, "0 packets"],
    [1, "1 packet"],
    [2, "2 packets"],
  ])("of %i is %s", (count, expected) => {
    expect(countText(count, "packet")).toBe(expected);
  });
});

it.each([
  [999, "999 bit/s"],
  [64e3, "64 kbit/s"],
  [1.5e6, "1.5 Mbit/s"],
  [45e6, "45 Mbit/s"],
  [100e9, "100 Gbit/s"],
])("a rate of %i bits a second is %s", (bits, expected) => {
  expect(rateText(bits)).toBe(expected);
});

it.each([
  [0.4, "0 s"],
  [59.9, "59 s"],
  [60, "1 min"],
  [3_600, "1 h"],
  [86_400, "1 d"],
])("%f seconds in short are %s", (seconds, expected) => {
  expect(shortAgeText(seconds)).toBe(expected);
});

it.each([
  [0, "0"],
  [0.4, "0"],
  [999, "999"],
  [1_000, "1.0k"],
  [9_949, "9.9k"],
  [9_951, "10k"],
  [999_499, "999k"],
  [999_501, "1.0M"],
  [3.74e9, "3.7G"],
  [2e18, "2000P"],
])("%d in few characters is %s", (amount, expected) => {
  expect(amountText(amount)).toBe(expected);
});
