/** Timer tables and the heap over them, held against sorting. */
import { describe, expect, it } from "vitest";
import {
  DeadlineHeap,
  NOT_IN_HEAP,
  type Sleeper,
  TIMERS,
  type Timer,
  TimerTable,
} from "../../../src/core/session/deadlines.ts";
import { type Instant, NEVER } from "../../../src/core/time.ts";
import { Random } from "../../helpers/random.ts";

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

  it("clears every timer at once, and is told of one that is due at this very instant", () => {
    const table = new TimerTable(() => undefined);
    table.set("retry", at(10));
    table.set("stale", at(20));
    expect([table.takeDue("retry", at(9)), table.takeDue("retry", at(10))]).toEqual([false, true]);
    table.set("rekey", at(30));
    table.clearAll();
    expect([table.wakeAt, table.earliest(), table.isSet("rekey")]).toEqual([
      NEVER,
      undefined,
      false,
    ]);
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

  it("gives out sleepers in the order in which they wake, wherever one is taken out", () => {
    for (let without = 0; without < 7; without += 1) {
      const heap = new DeadlineHeap<TestSleeper>();
      const times = [40, 10, 60, 20, 50, 70, 30];
      const sleepers = times.map((time) => {
        const sleeper = newSleeper(heap);
        sleeper.timers.set("retry", at(time));
        return sleeper;
      });
      const gone = sleepers[without];
      if (gone !== undefined) heap.remove(gone);
      expect(gone?.heapIndex).toBe(NOT_IN_HEAP);
      const left = times.filter((time) => time !== gone?.timers.wakeAt).sort((a, b) => a - b);
      expect(drained(heap)).toEqual(left);
    }
  });

  it("moves a sleeper that puts its wake-up off", () => {
    const heap = new DeadlineHeap<TestSleeper>();
    const times = [10, 20, 30, 40, 50, 60];
    const sleepers = times.map((time) => {
      const sleeper = newSleeper(heap);
      sleeper.timers.set("retry", at(time));
      return sleeper;
    });
    const [first] = sleepers;
    first?.timers.set("retry", at(45));
    first?.timers.settle();
    if (first !== undefined) heap.update(first);
    expect(sleepers.map(({ heapIndex }) => heapIndex).sort()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(drained(heap)).toEqual([20, 30, 40, 45, 50, 60]);
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
    const other = newSleeper(heap);
    other.timers.set("retry", at(7));
    heap.remove(sleeper);
    expect(heap.first()).toBe(other);
  });
});

type TestSleeper = Sleeper;

/** Takes the first out again and again; returns when each wakes. */
function drained(heap: DeadlineHeap<TestSleeper>): number[] {
  const order: number[] = [];
  for (let first = heap.first(); first !== undefined; first = heap.first()) {
    order.push(first.timers.wakeAt);
    heap.remove(first);
  }
  return order;
}

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
