/** Welch's t-test against values that were worked out by hand, and the crop that finds a small difference. */
import { describe, expect, it } from "vitest";
import { Random } from "./random.ts";
import { largestT, T_LIMIT, welch } from "./welch.ts";

describe("welch", () => {
  it("gives t of two small samples", () => {
    // Means 2 and 6, variances 1 and 4, of 3 each: -4 / sqrt(5 / 3).
    expect(welch([1, 2, 3], [4, 6, 8])).toBeCloseTo(-3.0984, 4);
  });

  it("gives 0 where nothing varies, and no number where only the means do", () => {
    expect(welch([1, 1], [1, 1])).toBe(0);
    expect(welch([1, 1], [2, 2])).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe("largestT", () => {
  const random = new Random(1);
  const samples = (more: number) =>
    Array.from({ length: 20_000 }, () => {
      const slow = random.below(20) === 0 ? 100 * random.fraction() : 0;
      return 10 + random.fraction() + slow + more;
    });

  it("finds no difference where there is none", () => {
    expect(largestT([samples(0), samples(0), samples(0)])).toBeLessThan(T_LIMIT);
  });

  it("finds one of a tenth of the noise, which slow samples would hide", () => {
    const kinds = [samples(0), samples(0.1)] as const;
    expect(Math.abs(welch(...kinds))).toBeLessThan(T_LIMIT);
    expect(largestT(kinds)).toBeGreaterThan(T_LIMIT);
  });
});
