/** Costly work in turns, with a rest after each piece. */
import { describe, expect, it } from "vitest";
import { MOST_WAITING, Pace } from "../../../src/daemon/control/pace.ts";
import { ManualTimers, settle } from "../timers.ts";

describe("work at a pace", () => {
  it("rests three times as long as a piece took before the next one", async () => {
    const { pace, timers, work } = rig();
    const done: string[] = [];
    for (const name of ["a", "b", "c"]) {
      void pace.run(work(name, 5)).then((one) => done.push(one));
    }
    await settle();
    expect([done, timers.delays()]).toEqual([["a"], [15]]);

    await timers.fire(15);
    expect([done, timers.delays()]).toEqual([["a", "b"], [15]]);

    await timers.fire(15);
    await timers.fire(15);
    expect([done, timers.delays()]).toEqual([["a", "b", "c"], []]);
    expect(await pace.run(work("d", 0))).toBe("d");
    expect(await pace.run(work("e", 0))).toBe("e");
  });

  it("refuses more than can wait, and goes on after one that fails", async () => {
    const { pace, timers, work } = rig();
    const failing = pace.run(() => {
      work("", 1)();
      throw new Error("no");
    });
    const waiting = Array.from({ length: MOST_WAITING }, () => pace.run(work("x", 1)));

    await expect(pace.run(work("y", 1))).rejects.toMatchObject({ code: 429 });

    await expect(failing).rejects.toThrow("no");
    while (timers.delays().length > 0) await timers.fire(3);
    expect(await Promise.all(waiting)).toEqual(Array(MOST_WAITING).fill("x"));
  });
});

function rig() {
  const timers = new ManualTimers();
  const pace = new Pace({ startTimer: timers.start, nowMs: () => timers.nowMs });
  /** A piece that takes so many milliseconds. */
  const work = (name: string, ms: number) => () => {
    timers.nowMs += ms;
    return name;
  };
  return { pace, timers, work };
}
