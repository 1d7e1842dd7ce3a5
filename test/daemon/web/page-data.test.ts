/**
 * What the status page computes by itself: words for numbers, and the points, scale and path of a line.
 */
import { describe, expect, it } from "vitest";
import { areaPath, linePath, points, scaleTop } from "../../../src/daemon/web/page/chart-data.ts";
import {
  ageText,
  agoText,
  bytesText,
  countText,
  millisecondsText,
  rateText,
  shareText,
} from "../../../src/daemon/web/page/words.ts";

describe("words", () => {
  it.each([
    [rateText(0), "0 bit/s"],
    [rateText(124), "992 bit/s"],
    [rateText(125), "1.00 kbit/s"],
    [rateText(1_234_567), "9.88 Mbit/s"],
    [rateText(124_990_000), "1.00 Gbit/s"],
    [rateText(null), "–"],
    [bytesText(999), "999 B"],
    [bytesText(20_500_000), "20.5 MB"],
    [millisecondsText(0.456), "0.46 ms"],
    [millisecondsText(23.04), "23.0 ms"],
    [millisecondsText(1_500), "1.50 s"],
    [shareText(0), "0 %"],
    [shareText(0.0052), "0.52 %"],
    [shareText(1), "100 %"],
    [shareText(null), "–"],
    [ageText(119), "119 s"],
    [ageText(120), "2 min"],
    [ageText(7_200), "2 h"],
    [ageText(172_800), "2 d"],
    [agoText(null), "never"],
    [countText(1_234_567), "1\u202f234\u202f567"],
    [countText(123), "123"],
  ])("%j is %j", (text, expected) => {
    expect(text).toBe(expected);
  });
});

describe("points", () => {
  it("are the last seconds as they are where there are few", () => {
    expect(points([1, 2, null, 4], 3, 10, "mean")).toEqual([2, null, 4]);
  });

  it("have a gap where the series is shorter than the time", () => {
    expect(points([7], 3, 10, "mean")).toEqual([null, null, 7]);
  });

  it("join seconds by their mean, or by the greatest", () => {
    const series = Array.from({ length: 600 }, (_, second) => second % 2);

    expect(new Set(points(series, 600, 599, "mean"))).toEqual(new Set([0.5]));
    expect(new Set(points(series, 600, 599, "max"))).toEqual(new Set([1]));
  });

  it("stay what they are when a second goes by, but for both ends", () => {
    const hour = Array.from({ length: 3_601 }, (_, second) => (second * 37) % 101);

    const before = points(hour.slice(0, -1), 3_600, 3_599, "mean");
    const after = points(hour.slice(1), 3_600, 3_600, "mean");

    expect(after.slice(1, -2)).toEqual(before.slice(1, -1));
  });
});

describe("a scale", () => {
  it.each([
    [[[0.4]], 1, 1, 1],
    [[[1.1]], 1, 1, 2],
    [[[3, null], [4.9]], 1, 1, 5],
    [[[51]], 1, 1, 100],
    [[[100]], 1, 1, 100],
    [[], 1, 1, 1],
    [[[130]], 1, 8, 250],
  ])("over %j, of %d at least, times %d, ends at %d", (lines, least, factor, expected) => {
    expect(scaleTop(lines, least, factor)).toBeCloseTo(expected, 9);
  });
});

describe("a path", () => {
  it("goes from the left below to the right above", () => {
    expect(linePath([0, 5, 10], 10, 100, 50)).toBe("M0.0 50.0L50.0 25.0L100.0 0.0");
  });

  it("is open where nothing is known, and a dot where its neighbours are not", () => {
    expect(linePath([1, null, 2, 2], 2, 30, 10)).toBe("M0.0 5.0h0M20.0 0.0L30.0 0.0");
  });

  it("has an area below each of its parts", () => {
    expect(areaPath([1, 1, null, 2, 2], 2, 40, 10)).toBe(
      "M0.0 5.0L10.0 5.0L10.0 10L0.0 10ZM30.0 0.0L40.0 0.0L40.0 10L30.0 10Z",
    );
    expect(areaPath([null, 3, null], 2, 40, 10)).toBe("");
  });
});
