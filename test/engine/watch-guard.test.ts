/**
 * The guard against a descriptor that calls and brings nothing.
 */
import { describe, expect, it } from "vitest";
import { type Instant, NEVER } from "../../src/core/time.ts";
import {
  FIRST_PAUSE_MS,
  FRUITLESS_CALLS,
  LONGEST_PAUSE_MS,
  WatchGuard,
} from "../../src/engine/watch-guard.ts";
import { FakeWatch } from "./fakes.ts";

const START = 0 as Instant;

describe("a watch", () => {
  it("pauses for 100 ms, doubling to 1 s, while it brings nothing", () => {
    const { guard } = guarded();
    let now = START;

    const pauses = Array.from({ length: 6 }, () => {
      guard.pause(now);
      const pause = guard.resumeAt - now;
      now = guard.resumeAt;
      guard.handleTimeout(now);
      return pause;
    });

    expect(pauses).toEqual([FIRST_PAUSE_MS, 200, 400, 800, LONGEST_PAUSE_MS, LONGEST_PAUSE_MS]);
  });

  it("is prompt again after one row", () => {
    const { guard } = guarded();
    guard.pause(START);
    guard.handleTimeout(guard.resumeAt);

    guard.served(1, at(500));
    guard.pause(at(500));

    expect(guard.resumeAt).toBe(500 + FIRST_PAUSE_MS);
  });

  it("counts fruitless calls in a row only", () => {
    const { guard, watch } = guarded();
    for (let call = 0; call < FRUITLESS_CALLS; call += 1) guard.served(0, START);
    guard.served(3, START);

    for (let call = 0; call < FRUITLESS_CALLS; call += 1) guard.served(0, START);

    expect(watch.isPaused).toBe(false);
  });

  it("stays paused until its time", () => {
    const { guard, watch } = guarded();
    guard.pause(START);

    guard.handleTimeout(at(FIRST_PAUSE_MS - 1));
    const before = watch.isPaused;
    guard.handleTimeout(at(FIRST_PAUSE_MS));

    expect([before, watch.isPaused, guard.resumeAt]).toEqual([true, false, NEVER]);
  });

  it("that is paused twice keeps its first time", () => {
    const { guard } = guarded();
    guard.pause(START);

    guard.pause(at(50));

    expect(guard.resumeAt).toBe(FIRST_PAUSE_MS);
  });

  it("that was never paused is not resumed by time", () => {
    const { guard, watch } = guarded();
    watch.isPaused = true;

    guard.handleTimeout(at(1e9));

    expect(watch.isPaused).toBe(true);
  });

  it("that is held stays so, whatever its pauses were, until it is released", () => {
    const { guard, watch } = guarded();
    guard.pause(START);

    guard.hold();
    guard.handleTimeout(at(10_000));

    expect([watch.isPaused, guard.resumeAt]).toEqual([true, NEVER]);
    guard.release();
    expect(watch.isPaused).toBe(false);
  });
});

function at(ms: number): Instant {
  return ms as Instant;
}

function guarded(): { readonly guard: WatchGuard; readonly watch: FakeWatch } {
  const watch = new FakeWatch();
  return { guard: new WatchGuard(watch), watch };
}
