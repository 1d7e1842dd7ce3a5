/**
 * Medians, spreads, and figures as text.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { figure, rounded, summarize } from "../../scripts/benchmark/statistics.ts";

describe("a summary", () => {
  it.each([
    [[3], { median: 3, least: 3, most: 3 }],
    [[3, 1, 2], { median: 2, least: 1, most: 3 }],
    [[4, 1, 3, 2], { median: 2.5, least: 1, most: 4 }],
    [[10, 9, 100], { median: 10, least: 9, most: 100 }],
  ])("of %j is %j", (samples, summary) => {
    expect(summarize(samples)).toEqual(summary);
  });

  it("of nothing is refused", () => {
    expect(() => summarize([])).toThrow("no samples");
  });

  it("has as many samples on either side of the median", () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (samples) => {
        const { median, least, most } = summarize(samples);
        const below = samples.filter((sample) => sample < median).length;
        const above = samples.filter((sample) => sample > median).length;
        expect(Math.max(below, above)).toBeLessThanOrEqual(samples.length / 2);
        expect(samples).toContain(least);
        expect(samples).toContain(most);
        expect(least <= median && median <= most).toBe(true);
      }),
    );
  });
});

describe("a figure", () => {
  it.each([
    [0, "0.00"],
    [0.0564, "0.0564"],
    [0.5601, "0.560"],
    [0.9996, "1.00"],
    [4.661, "4.66"],
    [9.999, "10.0"],
    [12.345, "12.3"],
    [99.96, "100"],
    [234.4, "234"],
    [1234.5, "1235"],
    [0.000_01, "0.0000"],
    [-2.3456, "-2.35"],
  ])("%d is written %s", (value, text) => {
    expect(figure(value)).toBe(text);
  });

  it("keeps four digits in files", () => {
    expect([1.23456, 123_456, 0.000123456].map(rounded)).toEqual([1.235, 123_500, 0.0001235]);
  });
});
