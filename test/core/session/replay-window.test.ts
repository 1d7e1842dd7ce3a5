/**
 * The replay window: a table of steps, the borders of every size involved, and a model over a Set.
 */
import { describe, expect, it } from "vitest";
import { REPLAY_WINDOW, ReplayWindow } from "../../../src/core/session/replay-window.ts";
import { figure } from "../../helpers/figure.ts";
import { Random } from "../../helpers/random.ts";

/** Counter offered and whether it must be taken; each step builds on the ones before. W is the window, 8128. */
const W = 8128;
const STEPS: readonly (readonly [counter: number, isTaken: boolean, why: string])[] = [
  [0, true, "the first packet"],
  [0, false, "again"],
  [1, true, "next"],
  [1, false, "again"],
  [9, true, "a gap of seven"],
  [8, true, "late, inside the gap"],
  [7, true, "later still"],
  [7, false, "again"],
  [31, true, "last bit of the first word"],
  [32, true, "first bit of the second word"],
  [31, false, "again, over the word border"],
  [30, true, "late, over the word border"],
  [W, true, "far ahead: 0 is exactly W behind"],
  [0, false, "seen, at the very edge"],
  [2, true, "not seen, W - 2 behind"],
  [3, true, "not seen, next to it"],
  [W + 1, true, "0 falls out"],
  [0, false, "too old by one"],
  [1, false, "seen, at the edge"],
  [W + 2, true, "1 falls out"],
  [1, false, "too old"],
  [2, false, "seen, at the edge"],
  [W + 4, true, "3 falls out"],
  [3, false, "too old"],
  [4, true, "exactly W behind, not seen"],
  [4, false, "again"],
  [8191, true, "last bit of the ring"],
  [8192, true, "first bit of the ring, second time round"],
  [8192, false, "again"],
  [8193, true, "the bit that counter 1 used"],
  [8192 - W, false, "too old by one"],
  [8193 - W, true, "exactly W behind"],
  [8192 + 31, true, "last bit of the ring's first word"],
  [8192 + 30, true, "late in it: the bit of counter 30 must be clear again"],
  [16384, true, "one ring ahead"],
  [8223, false, "seen before the leap, and too old"],
  [16383, true, "one behind, not seen"],
  [16384 - W, true, "the edge"],
  [16384 - W - 1, false, "beyond the edge"],
  [1_000_000, true, "many rings ahead: everything is clear"],
  [1_000_000 - W, true, "the edge"],
  [1_000_000 - 1, true, "one behind"],
  [1_000_000 - 8192, false, "same bit as the highest, but too old"],
  [16384, false, "long gone"],
];

describe("the table of steps", () => {
  it.each([
    ["from 0", 0],
    ["across 2^31", 2 ** 31 - 4096],
    ["across 2^32", 2 ** 32 - 4096],
    ["from 2^40", 2 ** 40],
    ["from a base that is no multiple of the ring", 123_456_789_012 * 64],
  ])("R1 holds %s", (_, base) => {
    const window = windowAt(base);
    for (const [step, [counter, isTaken, why]] of STEPS.entries()) {
      const name = `step ${step}, counter ${counter}: ${why}`;
      expect(window.check(base + counter), name).toBe(isTaken);
      expect(window.commit(base + counter), name).toBe(isTaken);
    }
  });
});

describe("borders", () => {
  it("knows its size", () => {
    expect(REPLAY_WINDOW).toBe(W);
  });

  it("has no highest counter before the first", () => {
    const window = new ReplayWindow();
    expect(window.highest).toBe(-1);
    window.commit(0);
    expect(window.highest).toBe(0);
  });

  it.each([2 ** 31, 2 ** 32, 2 ** 33, 2 ** 47])("passes %i without a step", (border) => {
    const window = new ReplayWindow();
    for (let counter = border - 100; counter < border + 100; counter++) {
      expect(window.commit(counter)).toBe(true);
      expect(window.commit(counter)).toBe(false);
      expect(window.highest).toBe(counter);
    }
    for (let counter = border - 100; counter < border + 100; counter++) {
      expect(window.check(counter)).toBe(false);
    }
    expect(window.commit(border - 101)).toBe(true);
  });

  it("does not take counters that are equal in their low 32 bits for one another", () => {
    const window = new ReplayWindow();
    expect(window.commit(5)).toBe(true);
    expect(window.commit(2 ** 32 + 5)).toBe(true);
    expect(window.commit(2 ** 33 + 5)).toBe(true);
    expect(window.commit(2 ** 33 + 5)).toBe(false);
    expect(window.commit(2 ** 32 + 5)).toBe(false);
  });

  it("takes 2^48 - 1 and nothing above", () => {
    const window = new ReplayWindow();
    expect(window.commit(2 ** 48 - 1)).toBe(true);
    expect(window.commit(2 ** 48)).toBe(false);
    expect(window.commit(2 ** 53)).toBe(false);
    expect(window.commit(Number.POSITIVE_INFINITY)).toBe(false);
    expect(window.commit(2 ** 48 - 1 - W)).toBe(true);
    expect(window.commit(2 ** 48 - 2 - W)).toBe(false);
  });

  it("takes neither negative counters nor NaN", () => {
    const window = new ReplayWindow();
    for (const counter of [-1, -8192, Number.NaN, Number.NEGATIVE_INFINITY]) {
      expect(window.check(counter)).toBe(false);
      expect(window.commit(counter)).toBe(false);
    }
    expect(window.highest).toBe(-1);
  });

  it("tolerates a packet that comes W late at every position of the ring", () => {
    for (let highest = W; highest < W + 2 * 8192; highest += 7) {
      const window = new ReplayWindow();
      window.commit(highest);
      expect(window.commit(highest - W)).toBe(true);
      expect(window.commit(highest - W - 1)).toBe(false);
      expect(window.commit(highest)).toBe(false);
    }
  });
});

describe("check", () => {
  it("changes nothing, however often it is asked", () => {
    const window = new ReplayWindow();
    window.commit(100);
    for (let counter = 0; counter < 20_000; counter++) window.check(counter);
    expect(window.highest).toBe(100);
    expect(window.check(100)).toBe(false);
    expect(window.check(99)).toBe(true);
    expect(window.commit(101)).toBe(true);
  });

  it("passes two copies in one batch, of which commit then takes one", () => {
    const window = new ReplayWindow();
    expect([window.check(7), window.check(7)]).toEqual([true, true]);
    expect([window.commit(7), window.commit(7)]).toEqual([true, false]);
  });
});

describe("a run", () => {
  it.each([0, 31, 32, 8190, 2 ** 31 - 3, 2 ** 32 - 40, 2 ** 47])(
    "of counters from %i on is what its counters are one by one",
    (base) => {
      for (const count of [1, 2, 31, 32, 33, 64, 100, 128]) {
        const [window, plain] = [new ReplayWindow(), new ReplayWindow()];
        for (const one of [window, plain]) one.commit(base);
        expect(window.commitRun(base + 3, count)).toBe(true);
        for (let at = 0; at < count; at++) plain.commit(base + 3 + at);
        expect(window.highest).toBe(plain.highest);
        const around = Array.from({ length: 400 }, (_, at) => base + at - 200);
        const seen = around.map((counter) => window.check(counter));
        expect(seen).toEqual(around.map((counter) => plain.check(counter)));
      }
    },
  );

  it("is refused whole, and nothing changes, where it is not all above the highest", () => {
    const window = new ReplayWindow();
    window.commit(100);
    expect(window.commitRun(100, 5)).toBe(false);
    expect(window.commitRun(98, 5)).toBe(false);
    expect(window.highest).toBe(100);
    expect([99, 101, 102].map((counter) => window.check(counter))).toEqual([true, true, true]);
  });

  it("ends at 2^48 - 1", () => {
    const window = new ReplayWindow();
    expect(window.commitRun(2 ** 48 - 4, 5)).toBe(false);
    expect(window.highest).toBe(-1);
    expect(window.commitRun(2 ** 48 - 4, 4)).toBe(true);
    expect(window.commitRun(Number.NaN, 4)).toBe(false);
  });
});

describe("against a model that remembers everything", () => {
  it.each([1, 2, 3, 4])("R1 agrees on 250,000 random counters, seed %i", (seed) => {
    const random = new Random(seed);
    const start = [0, 2 ** 31 - 20_000, 2 ** 32 - 20_000, 2 ** 47][seed - 1] ?? 0;
    const window = new ReplayWindow();
    const seen = new Set<number>();
    let highest = -1;
    let disagreements = 0;
    for (let round = 0; round < 250_000; round++) {
      const counter = nextCounter(random, highest, start);
      const isNew = !seen.has(counter) && highest - counter <= W;
      const isChecked = window.check(counter);
      const run = counter > highest && random.chance(0.02) ? 1 + random.below(150) : 1;
      const isTaken = run > 1 ? window.commitRun(counter, run) : window.commit(counter);
      if (isChecked !== isNew || isTaken !== isNew) disagreements++;
      for (let at = 0; isNew && at < run; at++) seen.add(counter + at);
      if (isNew) highest = Math.max(highest, counter + run - 1);
    }
    const measured = `${disagreements} disagreements, ${seen.size} taken`;
    figure("R1", `250,000 counters from ${start}, W = ${W}`, measured, "equal to the model");
    expect(disagreements).toBe(0);
    expect(window.highest).toBe(highest);
    expect(seen.size).toBeGreaterThan(50_000);
  });
});

/** A window whose past is empty but whose highest counter is just below the base. */
function windowAt(base: number): ReplayWindow {
  const window = new ReplayWindow();
  if (base > 0) window.commit(base - 1);
  return window;
}

/** Mostly the next counter; often one a little or a whole window late; now and then a leap. */
function nextCounter(random: Random, highest: number, start: number): number {
  const dice = random.fraction();
  if (highest < 0) return start;
  if (dice < 0.5) return highest + 1;
  if (dice < 0.8) return Math.max(0, highest - random.below(200));
  if (dice < 0.97) return Math.max(0, highest - random.below(W + 100));
  if (dice < 0.999) return highest + random.below(300);
  return highest + random.below(20_000);
}
