/**
 * The search that the demo's claim of secrecy rests on: it must find whatever is there.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countNeedles, samples } from "../../scripts/netns/search.ts";

describe("countNeedles", () => {
  it("finds needles at the beginning, in the middle, at the end and overlapping", () => {
    const haystack = Buffer.from("abcdabcdXabcd");

    expect(countNeedles(haystack, [Buffer.from("abcd")])).toBe(3);
    expect(countNeedles(haystack, [Buffer.from("abcdX"), Buffer.from("abcda")])).toBe(2);
    expect(countNeedles(haystack, [Buffer.from("cdab"), Buffer.from("bcda")])).toBe(2);
  });

  it("finds nothing where only the first bytes agree", () => {
    expect(countNeedles(Buffer.from("abcdeabcd"), [Buffer.from("abcdx")])).toBe(0);
  });

  it("agrees with Buffer.indexOf on any input", () => {
    const byte = fc.integer({ min: 0, max: 2 });
    const bytes = (min: number, max: number) => fc.array(byte, { minLength: min, maxLength: max });
    fc.assert(
      fc.property(bytes(0, 200), bytes(4, 6), (haystack, needle) => {
        expect(countNeedles(Buffer.from(haystack), [Buffer.from(needle)])).toBe(
          countPlainly(Buffer.from(haystack), Buffer.from(needle)),
        );
      }),
    );
  });
});

describe("samples", () => {
  it("takes 16 bytes at every step and none beyond the end", () => {
    const content = Buffer.from(Array.from({ length: 100 }, (_, index) => index));

    const taken = samples(content, 40);

    expect(taken.map((sample) => [sample[0], sample.length])).toEqual([
      [0, 16],
      [40, 16],
      [80, 16],
    ]);
  });
});

function countPlainly(haystack: Buffer, needle: Buffer): number {
  let count = 0;
  for (let at = haystack.indexOf(needle); at !== -1; at = haystack.indexOf(needle, at + 1)) count++;
  return count;
}
