/**
 * Random schedules: the core against the plain model, all rules at every step.
 *
 * A few hundred here; `scripts/schedules` runs as many as there is time for. A seed that fails is played again
 * by `scripts/schedules --show SEED`, and what it shows becomes a named test of test/scenario, because a seed
 * means another schedule as soon as an event changes.
 */
import { describe, expect, it } from "vitest";
import { SELDOM } from "./model/tally.ts";
import { type Crypto, RECOVERY_MS, runSeed } from "./run.ts";
import { Summary } from "./summary.ts";

const { IPTUN_SCHEDULES } = process.env;
const STUB_SCHEDULES = Number(IPTUN_SCHEDULES ?? 600);
const REAL_SCHEDULES = Math.ceil(STUB_SCHEDULES / 20);
/** Schedules of one test. */
const PART = 200;
/** A schedule takes some 10 ms, and 16 with real primitives; the machine may be busy with other tests. */
const TIMEOUT_MS = 120_000;

const summary = new Summary();

describe.each<{ readonly crypto: Crypto; readonly count: number }>([
  { crypto: "stub", count: STUB_SCHEDULES },
  { crypto: "real", count: REAL_SCHEDULES },
])("schedules with $crypto primitives", ({ crypto, count }) => {
  it.each(parts(count))(
    "keep every rule: seeds %i to %i",
    (first, last) => {
      for (let seed = first; seed <= last; seed += 1) summary.add(seed, runSeed(seed, crypto));
      expect(summary.failures).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

describe("all of them together", () => {
  it.runIf(STUB_SCHEDULES >= 600)("reached every state that must be reached", () => {
    expect(summary.unreached().filter((state) => !SELDOM.has(state))).toEqual([]);
  });

  it("healed within the time that the retry rules allow", () => {
    expect(summary.longestRecoveryMs).toBeLessThanOrEqual(RECOVERY_MS);
  });
});

/** First and last seeds of runs of PART. */
function parts(count: number): [number, number][] {
  return Array.from({ length: Math.ceil(count / PART) }, (_, index) => [
    index * PART + 1,
    Math.min((index + 1) * PART, count),
  ]);
}
