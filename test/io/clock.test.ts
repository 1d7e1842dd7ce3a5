/** The clocks and the one timer, on a boot-time clock that the test moves and fake Node timers. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { after, type Instant, NEVER } from "../../src/core/time.ts";
import { createClock, MAX_SLEEP_MS } from "../../src/io/clock.ts";

let bootMs = 1_000;
const native = { clock: () => bootMs };

beforeEach(() => {
  bootMs = 1_000;
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("now", () => {
  it("is the boot-time clock", () => {
    expect(createClock(native).now()).toBe(1_000);
  });

  it("never runs backwards", () => {
    const clock = createClock(native);
    const readings = [1_000, 999, 0, 1_000.5, 1_000.4].map((ms) => {
      bootMs = ms;
      return clock.now();
    });
    expect(readings).toEqual([1_000, 1_000, 1_000, 1_000.5, 1_000.5]);
  });
});

describe("wallMicros", () => {
  it("is the wall clock in microseconds, and follows its steps back", () => {
    const clock = createClock(native);
    vi.setSystemTime(5_000);
    expect(clock.wallMicros()).toBe(5_000_000);
    vi.setSystemTime(4_000);
    expect(clock.wallMicros()).toBe(4_000_000);
  });
});

describe("armTimer", () => {
  it("calls once, at the deadline and not before", () => {
    const { clock, calls } = armedAt(100);
    pass(99);
    expect(calls()).toBe(0);
    pass(1);
    expect(calls()).toBe(1);
    pass(10_000);
    expect(calls()).toBe(1);
    expect(clock.now()).toBe(11_100);
  });

  it("calls at the next turn when the deadline has passed", () => {
    const { calls } = armedAt(-50);
    expect(calls()).toBe(0);
    pass(1);
    expect(calls()).toBe(1);
  });

  it("rounds a fraction up, so that the call is not early", () => {
    const { calls } = armedAt(10.2);
    pass(10);
    expect(calls()).toBe(0);
    pass(1);
    expect(calls()).toBe(1);
  });

  it("moves to an earlier deadline", () => {
    const { clock, rearm, calls } = armedAt(500);
    rearm(after(clock.now(), 20));
    pass(20);
    expect(calls()).toBe(1);
    pass(1_000);
    expect(calls()).toBe(1);
  });

  it("is armed again for the same deadline without a new Node timer, fraction or not", () => {
    const { clock, rearm, calls } = armedAt(50.25);
    const deadline = after(clock.now(), 50.25);
    const set = vi.spyOn(globalThis, "setTimeout");
    for (let turn = 1; turn <= 40; turn++) {
      pass(1);
      rearm(deadline);
    }
    expect(set).not.toHaveBeenCalled();
    pass(10);
    expect(calls()).toBe(0);
    pass(1);
    expect(calls()).toBe(1);
  });

  it("moves to a later deadline without a new Node timer", () => {
    const { clock, rearm, calls } = armedAt(50);
    const set = vi.spyOn(globalThis, "setTimeout");
    for (let turn = 1; turn <= 30; turn++) {
      pass(1);
      rearm(after(clock.now(), 50));
    }
    expect(set).not.toHaveBeenCalled();
    pass(49);
    expect(calls()).toBe(0);
    pass(1);
    expect(calls()).toBe(1);
    set.mockRestore();
  });

  it("calls the latest callback only", () => {
    const { clock, calls } = armedAt(50);
    const other = vi.fn();
    clock.armTimer(after(clock.now(), 50), other);
    pass(50);
    expect(calls()).toBe(0);
    expect(other).toHaveBeenCalledTimes(1);
  });

  it("may be armed again from the callback", () => {
    const clock = createClock(native);
    const calls: number[] = [];
    const tick = () => {
      calls.push(clock.now());
      if (calls.length < 3) clock.armTimer(after(clock.now(), 10), tick);
    };
    clock.armTimer(after(clock.now(), 10), tick);
    pass(10);
    pass(10);
    pass(10);
    pass(10);
    expect(calls).toEqual([1_010, 1_020, 1_030]);
  });

  it("forgets its deadline at NEVER and when disarmed", () => {
    const first = armedAt(10);
    first.rearm(NEVER);
    const second = armedAt(10);
    second.clock.disarmTimer();
    second.clock.disarmTimer();
    pass(100);
    expect([first.calls(), second.calls()]).toEqual([0, 0]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("sleeps in steps towards a deadline of months", () => {
    const days = 90 * 24 * 3_600_000;
    const { calls } = armedAt(days);
    bootMs += days - MAX_SLEEP_MS;
    vi.advanceTimersByTime(MAX_SLEEP_MS);
    expect(calls()).toBe(0);
    pass(MAX_SLEEP_MS);
    expect(calls()).toBe(1);
  });

  it("notices a deadline that passed in suspend soon after waking", () => {
    const { calls } = armedAt(3_600_000);
    bootMs += 3_600_001;
    vi.advanceTimersByTime(MAX_SLEEP_MS);
    expect(calls()).toBe(1);
  });

  it("does not call when Node's timer fires early", () => {
    const { calls } = armedAt(10);
    bootMs += 9.2;
    vi.advanceTimersByTime(10);
    expect(calls()).toBe(0);
    bootMs += 0.8;
    vi.advanceTimersByTime(1);
    expect(calls()).toBe(1);
  });
});

/** A clock with a counting callback armed `ms` from its start. */
function armedAt(ms: number) {
  const clock = createClock(native);
  const callback = vi.fn();
  const rearm = (at: Instant) => clock.armTimer(at, callback);
  rearm(after(clock.now(), ms));
  return { clock, rearm, calls: () => callback.mock.calls.length };
}

/** Both clocks go on by `ms`, the boot-time clock first. */
function pass(ms: number): void {
  bootMs += ms;
  vi.advanceTimersByTime(ms);
}
