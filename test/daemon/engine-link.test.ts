/**
 * The control side's end of the messages: answers find their requests, and an end refuses them all.
 */
import { describe, expect, it } from "vitest";
import { EngineLink } from "../../src/daemon/engine-link.ts";
import { FakeEngine } from "./fake-engine.ts";
import { COUNTERS, FEATURES, tunnelSnapshot } from "./snapshot.ts";

describe("the start", () => {
  it("gives the features", async () => {
    const { engine, link } = linked();
    const ready = link.ready();

    engine.report({ kind: "ready", features: FEATURES });

    expect(await ready).toBe(FEATURES);
  });

  it("is refused with the engine's own line and exit code", async () => {
    const { engine, link } = linked();
    const ready = link.ready();

    engine.report({ kind: "fatal", message: "cannot open TUN", exitCode: 4, detail: undefined });

    await expect(ready).rejects.toMatchObject({ message: "cannot open TUN", exitCode: 4 });
  });

  it("is refused when the thread dies", async () => {
    const { engine, link } = linked();
    const ready = link.ready();

    engine.die("the engine ended with code 1");

    await expect(ready).rejects.toMatchObject({ exitCode: 1 });
  });
});

describe("requests", () => {
  it("are answered by id, in whatever order", async () => {
    const { engine, link } = linked();
    const first = link.trace();
    const second = link.trace();

    engine.report({ kind: "trace", id: 2, lines: [], suppressed: 22 });
    engine.report({ kind: "trace", id: 1, lines: [], suppressed: 11 });

    expect([(await first).suppressed, (await second).suppressed]).toEqual([11, 22]);
  });

  it("whether the engine's loop turns are answered when it does", async () => {
    const { engine, link } = linked();
    let hasAnswered = false;
    const ping = link.ping().then(() => {
      hasAnswered = true;
    });
    await Promise.resolve();
    expect(hasAnswered).toBe(false);

    engine.report({ kind: "pong", id: 1 });

    await ping;
    expect(engine.commands).toEqual([{ kind: "ping", id: 1 }]);
  });

  it("for a snapshot at the same time share one, and later ones ask anew", async () => {
    const { engine, link } = linked();
    const [first, second] = [link.snapshot(), link.snapshot()];
    engine.report({ kind: "snapshot", id: 1, snapshot: tunnelSnapshot(), counters: COUNTERS });
    await Promise.all([first, second]);

    const third = link.snapshot();
    engine.report({ kind: "snapshot", id: 2, snapshot: tunnelSnapshot(), counters: COUNTERS });

    expect((await third).counters).toEqual(COUNTERS);
    expect(engine.commands).toEqual([
      { kind: "snapshot", id: 1 },
      { kind: "snapshot", id: 2 },
    ]);
  });

  it("for a sample get it", async () => {
    const { engine, link } = linked();
    const asked = link.sample();
    const sample = { names: ["b"], figures: new Float64Array(5) };

    engine.report({ kind: "sample", id: 1, sample });

    expect(await asked).toBe(sample);
  });

  it("that get another kind of answer fail", async () => {
    const { engine, link } = linked();
    const trace = link.trace();

    engine.report({ kind: "snapshot", id: 1, snapshot: tunnelSnapshot(), counters: COUNTERS });

    await expect(trace).rejects.toThrow("the engine answered 'snapshot' out of turn");
  });

  it("are refused at the end, those before and those after", async () => {
    const { engine, link, ends } = linked();
    const before = link.snapshot();

    engine.report({ kind: "fatal", message: "TUN device x is gone", exitCode: 1, detail: "why" });

    await expect(before).rejects.toThrow("TUN device x is gone");
    await expect(link.trace()).rejects.toThrow("TUN device x is gone");
    expect(engine.commands).toHaveLength(1);
    expect(ends).toEqual(["TUN device x is gone: why"]);
  });
});

describe("events", () => {
  it("are handed over in order, then acknowledged once", () => {
    const { engine, events } = linked();

    engine.report({
      kind: "events",
      events: [
        { kind: "lost", count: 1 },
        { kind: "lost", count: 2 },
      ],
    });

    expect(events).toEqual(["lost 1", "lost 2"]);
    expect(engine.commands).toEqual([{ kind: "acknowledge" }]);
  });

  it("of the link are handed over", () => {
    const { engine, events } = linked();

    engine.report({ kind: "link", isUp: false });

    expect(events).toEqual(["link false"]);
  });
});

describe("the stop", () => {
  it("waits until the engine has stopped", async () => {
    const { engine, link } = linked();
    let isStopped = false;
    const stop = link.stop().then(() => {
      isStopped = true;
    });
    const before = isStopped;

    engine.report({ kind: "stopped" });
    await stop;

    expect([before, isStopped]).toEqual([false, true]);
    expect(engine.commands).toEqual([{ kind: "stop" }]);
  });

  it("makes the thread's end no failure", async () => {
    const { engine, link, ends } = linked();
    const stop = link.stop();
    engine.report({ kind: "stopped" });
    await stop;

    engine.die("the engine ended with code 0");
    link.apply([]);

    expect(ends).toEqual([]);
    expect(engine.commands).toEqual([{ kind: "stop" }]);
  });

  it("after the engine's own end does nothing", async () => {
    const { engine, link } = linked();
    engine.die("the engine ended with code 1");

    await link.stop();

    expect(engine.commands).toEqual([]);
  });
});

it("only the first of several ends is told", () => {
  const { engine, ends } = linked();

  engine.report({ kind: "fatal", message: "TUN device x is gone", exitCode: 1, detail: undefined });
  engine.die("the engine ended with code 1");

  expect(ends).toEqual(["TUN device x is gone: undefined"]);
});

it("a refused run is passed on, and not acknowledged", () => {
  const { engine, events } = linked();

  engine.report({ kind: "gso-refused", remote: Uint8Array.of(1, 2), errno: "EIO" });

  expect(events).toEqual(["refused 1.2 EIO"]);
  expect(engine.commands).toEqual([]);
});

it("changes are passed on", () => {
  const { engine, link } = linked();

  link.apply([{ kind: "remove-peer", name: "b" }]);

  expect(engine.commands).toEqual([
    { kind: "apply", changes: [{ kind: "remove-peer", name: "b" }] },
  ]);
});

function linked() {
  const engine = new FakeEngine();
  engine.answers = false;
  const events: string[] = [];
  const ends: string[] = [];
  const link = new EngineLink(engine, {
    event: (event) => events.push(`${event.kind} ${"count" in event ? event.count : ""}`),
    link: (isUp) => events.push(`link ${isUp}`),
    runRefused: (remote, errno) => events.push(`refused ${remote.join(".")} ${errno}`),
    ended: (error, detail) => ends.push(`${error.message}: ${detail}`),
  });
  return { engine, link, events, ends };
}
