/** Timer tables and the heap over them, held against sorting. */
import { describe, expect, it } from "vitest";
import {
  DeadlineHeap,
  NOT_IN_HEAP,
  type Sleeper,
  TIMERS,
  type Timer,
  TimerTable,
} from "../../src/core/deadlines.ts";
import { type Instant, NEVER } from "../../src/core/time.ts";
import { Random } from "../helpers/random.ts";

const at = (ms: number): Instant => ms as Instant;

describe("a timer table", () => {
  it("holds a slot for every timer of the list", () => {
    const table = new TimerTable(() => undefined);
    const names = Object.keys(TIMERS) as Timer[];
    for (const [index, name] of names.entries()) table.set(name, at(100 + index));
    for (const [index, name] of names.entries()) {
      expect(table.takeDue(name, at(99 + index))).toBe(false);
      expect(table.takeDue(name, at(100 + index))).toBe(true);
      expect(table.isSet(name)).toBe(false);
    }
  });

  it("tells its owner only when the wake-up moves to an earlier instant", () => {
    let told = 0;
    const table = new TimerTable(() => {
      told += 1;
    });
    table.set("retry", at(100));
    table.set("rekey", at(200));
    table.set("retry", at(300));
    table.set("expire", at(50));
    expect(told).toBe(2);
  });

  it("keeps a wake-up that came too early until it is settled", () => {
    const table = new TimerTable(() => undefined);
    table.set("retry", at(100));
    table.set("retry", at(300));
    expect(table.wakeAt).toBe(100);
    table.settle();
    expect(table.wakeAt).toBe(300);
  });

  it("names the earliest timer, and none when all are clear", () => {
    const table = new TimerTable(() => undefined);
    expect(table.earliest()).toBeUndefined();
    table.set("rekey", at(20));
    table.set("stale", at(10));
    expect(table.earliest()).toEqual({ at: 10, timer: "stale" });
    table.clear("stale");
    table.clear("rekey");
    table.settle();
    expect(table.wakeAt).toBe(NEVER);
  });
});

describe("the heap of deadlines", () => {
  it("always shows the sleeper that wakes first, as sorting would", () => {
    const random = new Random(7);
    const heap = new DeadlineHeap<TestSleeper>();
    const sleepers = Array.from({ length: 200 }, () => newSleeper(heap));
    for (let step = 0; step < 5_000; step += 1) {
      const sleeper = sleepers[random.uint32() % sleepers.length];
      if (sleeper === undefined) throw new Error("no sleeper");
      disturb(heap, sleeper, random);
      expect(heap.first()?.timers.wakeAt).toBe(earliestOf(sleepers));
    }
  });

  it("lets go of a sleeper that never wakes, and takes it back", () => {
    const heap = new DeadlineHeap<TestSleeper>();
    const sleeper = newSleeper(heap);
    sleeper.timers.set("retry", at(5));
    sleeper.timers.clear("retry");
    sleeper.timers.settle();
    heap.update(sleeper);
    expect([heap.first(), sleeper.heapIndex]).toEqual([undefined, NOT_IN_HEAP]);
    sleeper.timers.set("retry", at(6));
    expect(heap.first()).toBe(sleeper);
    heap.remove(sleeper);
    heap.remove(sleeper);
    expect(heap.first()).toBeUndefined();
  });
});

type TestSleeper = Sleeper;

function newSleeper(heap: DeadlineHeap<TestSleeper>): TestSleeper {
  const sleeper: TestSleeper = {
    timers: new TimerTable(() => heap.update(sleeper)),
    heapIndex: NOT_IN_HEAP,
  };
  return sleeper;
}

/** Sets a timer, settles, or takes out, with the chances of real use. */
function disturb(heap: DeadlineHeap<TestSleeper>, sleeper: TestSleeper, random: Random): void {
  const choice = random.uint32() % 10;
  if (choice < 6) sleeper.timers.set("retry", at(random.uint32() % 100_000));
  else if (choice < 8) sleeper.timers.clear("retry");
  sleeper.timers.settle();
  if (choice === 9) {
    sleeper.timers.clear("retry");
    sleeper.timers.settle();
    heap.remove(sleeper);
  } else {
    heap.update(sleeper);
  }
}

function earliestOf(sleepers: readonly TestSleeper[]): number | undefined {
  const times = sleepers
    .filter(({ heapIndex }) => heapIndex !== NOT_IN_HEAP)
    .map(({ timers }) => timers.wakeAt);
  return times.length === 0 ? undefined : Math.min(...times);
}
