/**
 * The live stream: silent while nobody listens, once a second for all who do.
 */
import { describe, expect, it } from "vitest";
import type { Sink } from "../../../src/daemon/control/control-answer.ts";
import { LIVE_MS, Live } from "../../../src/daemon/web/live.ts";
import { ManualTimers, settle } from "../timers.ts";

describe("the live stream", () => {
  it("reads nothing while nobody listens", async () => {
    const { timers, live, readings } = rig();
    await settle();
    expect([readings(), timers.delays()]).toEqual([0, []]);

    const sink = new FakeSink();
    live.listen(sink);
    await settle();
    sink.close();
    await timers.fire(LIVE_MS);

    expect([readings(), timers.delays()]).toEqual([1, []]);
  });

  it("tells the first at once, and all of them every second what was read once", async () => {
    const { timers, live, readings } = rig();
    const [first, second] = [new FakeSink(), new FakeSink()];
    live.listen(first);
    await settle();
    live.listen(second);
    expect(first.texts).toEqual(['data: {"reading":1}\n\n']);

    await timers.fire(LIVE_MS);

    expect(first.texts.at(-1)).toBe('data: {"reading":2}\n\n');
    expect(second.texts).toEqual(['data: {"reading":2}\n\n']);
    expect(readings()).toBe(2);
  });

  it("goes on after a reading that failed", async () => {
    const { timers, live, failures, fail } = rig();
    const sink = new FakeSink();
    fail(true);
    live.listen(sink);
    await settle();
    expect([sink.texts, failures]).toEqual([[], ["no answer"]]);
    fail(false);

    await timers.fire(LIVE_MS);

    expect(sink.texts).toEqual(['data: {"reading":2}\n\n']);
  });

  it("begins anew for who comes after the last has left", async () => {
    const { timers, live } = rig();
    const sink = new FakeSink();
    live.listen(sink);
    await settle();
    sink.close();
    await timers.fire(LIVE_MS);
    const next = new FakeSink();

    live.listen(next);
    await settle();

    expect(next.texts).toEqual(['data: {"reading":2}\n\n']);
  });

  it("starts no timer when it is closed while it reads", async () => {
    const { timers, live } = rig();
    live.listen(new FakeSink());

    live.close();
    await settle();

    expect(timers.delays()).toEqual([]);
  });

  it("ends its listeners and its timer when it is closed", async () => {
    const { timers, live } = rig();
    const sink = new FakeSink();
    live.listen(sink);
    await settle();

    live.close();

    expect([sink.isEnded, timers.delays()]).toEqual([true, []]);
  });
});

class FakeSink implements Sink {
  readonly texts: string[] = [];
  isEnded = false;
  close: () => void = () => undefined;
  readonly write = (text: string): void => {
    this.texts.push(text);
  };
  readonly end = (): void => {
    this.isEnded = true;
  };
  readonly closed = (action: () => void): void => {
    this.close = action;
  };
}

function rig() {
  const timers = new ManualTimers();
  const failures: string[] = [];
  let [count, isFailing] = [0, false];
  const read = async () => {
    count += 1;
    if (isFailing) throw new Error("no answer");
    return { reading: count };
  };
  const live = new Live(read, timers.start, (error) =>
    failures.push(String((error as Error).message)),
  );
  const fail = (is: boolean) => {
    isFailing = is;
  };
  return { timers, live, failures, fail, readings: () => count };
}
