/** CoDel: when a queue that stands makes a packet pay, and how often (RFC 8289). */
import { describe, expect, it } from "vitest";
import { Codel } from "../../../src/core/pacing/codel.ts";
import { after } from "../../../src/core/time.ts";
import { START } from "../core-fixtures.ts";

/** Milliseconds from the start at which packets pay that come every `gapMs` and have waited for `waitedMs` each. */
function payments(codel: Codel, waitedMs: number, from: number, to: number, gapMs = 1): number[] {
  const times: number[] = [];
  for (let ms = from; ms < to; ms += gapMs) {
    if (codel.mustPay(waitedMs, false, after(START, ms))) times.push(ms);
  }
  return times;
}

describe("a queue", () => {
  it("in which packets wait less than 5 ms never pays", () => {
    expect(payments(new Codel(0), 4.9, 0, 10_000)).toEqual([]);
  });

  it("that stands pays after 100 ms, then the sooner the longer it stands: 100 ms over the root of how often", () => {
    const times = payments(new Codel(0), 20, 0, 400);

    const due = [100, 200, 270.7, 328.4, 378.4];
    expect(times).toHaveLength(due.length);
    for (const [index, ms] of due.entries()) {
      expect(Math.abs((times[index] ?? 0) - ms)).toBeLessThanOrEqual(1);
    }
  });

  it("that was short for one packet has 100 ms again", () => {
    const codel = new Codel(0);
    payments(codel, 20, 0, 90);
    codel.mustPay(1, false, after(START, 90));

    expect(payments(codel, 20, 91, 191)).toEqual([]);
    expect(payments(codel, 20, 191, 192)).toEqual([191]);
  });

  it("with next to nothing in it does not pay, however long that waited", () => {
    const codel = new Codel(0);
    const paid = [...Array(500).keys()].filter((ms) => codel.mustPay(50, true, after(START, ms)));
    expect(paid).toEqual([]);
  });

  it("that stands soon again pays as often as it needed to, and later anew", () => {
    const codel = new Codel(0);
    const first = payments(codel, 20, 0, 1_000);
    codel.mustPay(0, false, after(START, 1_000));
    const soon = payments(codel, 20, 1_001, 1_300);
    codel.mustPay(0, false, after(START, 1_300));
    const later = payments(codel, 20, 5_000, 5_250);

    expect(first.length).toBeGreaterThan(10);
    // 100 ms until it stands; then gaps as at the end of the first time.
    expect(soon.length).toBeGreaterThan(5);
    expect(later).toEqual([5_100, 5_200]);
  });

  it("of a slow link waits at least for a packet of its own", () => {
    const codel = new Codel(25);
    expect(payments(codel, 24, 0, 1_000)).toEqual([]);
    expect(payments(codel, 26, 1_000, 1_150).length).toBeGreaterThan(0);
  });
});
