/**
 * The token bucket: a table of takes, and that neither fine steps nor a backward clock give extra tokens.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Instant } from "../../src/core/time.ts";
import { TokenBucket } from "../../src/core/token-bucket.ts";

describe("a bucket of 10 tokens a second and 3 at once", () => {
  it.each([
    { at: [0, 0, 0, 0], taken: [true, true, true, false], why: "three at once, not four" },
    { at: [0, 0, 0, 99, 100], taken: [true, true, true, false, true], why: "one after 100 ms" },
    { at: [0, 0, 0, 100, 199], taken: [true, true, true, true, false], why: "not two" },
    { at: [0, 0, 0, 200, 200, 200], taken: [true, true, true, true, true, false], why: "two" },
    {
      at: [0, 60_000, 60_000, 60_000, 60_000],
      taken: [true, true, true, true, false],
      why: "full",
    },
    { at: [0, 50, 100, 150, 200, 250], taken: [true, true, true, true, true, false], why: "half" },
  ])("takes $taken at $at ms: $why", ({ at, taken }) => {
    const bucket = new TokenBucket(10, 3, at0);
    expect(at.map((ms) => bucket.take(instant(ms)))).toEqual(taken);
  });
});

describe("any bucket", () => {
  it.each([1, 3, 7, 20, 100, 200, 5000])("gives exactly %i a second in the long run", (rate) => {
    const bucket = new TokenBucket(rate, rate, at0);
    while (bucket.take(at0));
    const step = 1000 / rate / 4;
    let taken = 0;
    const seconds = 50_000 / rate;
    for (let count = 1; count <= seconds * rate * 4; count++) {
      if (bucket.take(instant(count * step))) taken++;
    }
    expect(Math.abs(taken - seconds * rate)).toBeLessThanOrEqual(1);
  });

  it("gives the same however late in the machine's life it is made", () => {
    for (const origin of [0, 1e6, 1e9, 1e12]) {
      const bucket = new TokenBucket(100, 200, instant(origin));
      let taken = 0;
      for (let ms = 0; ms <= 10_000; ms++) if (bucket.take(instant(origin + ms))) taken++;
      expect(taken).toBe(200 + 1000);
    }
  });

  it("gives no token for time that ran backwards and came again", () => {
    const bucket = new TokenBucket(10, 2, instant(1000));
    expect([bucket.take(instant(1000)), bucket.take(instant(1000))]).toEqual([true, true]);
    expect(bucket.take(instant(500))).toBe(false);
    expect(bucket.take(instant(0))).toBe(false);
    expect(bucket.take(instant(1000))).toBe(false);
    expect(bucket.take(instant(1100))).toBe(true);
  });

  it("never gives more than burst + rate * time, whatever the pattern", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.double({ min: 0, max: 500, noNaN: true }), { maxLength: 200 }),
        (rate, burst, waits) => {
          const bucket = new TokenBucket(rate, burst, at0);
          let ms = 0;
          let taken = 0;
          for (const wait of waits) {
            ms += wait;
            if (bucket.take(instant(ms))) taken++;
          }
          expect(taken).toBeLessThanOrEqual(burst + (ms * rate) / 1000 + 1e-6);
        },
      ),
    );
  });
});

const at0 = instant(0);

function instant(ms: number): Instant {
  return ms as Instant;
}
