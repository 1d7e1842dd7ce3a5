/** Speed tests on the control socket: started, looked at, ended, and left alone. */
import { describe, expect, it } from "vitest";
import {
  SPEED_SECONDS,
  SpeedTests,
  UNWATCHED_MS,
} from "../../../src/daemon/control/speed-tests.ts";
import { EngineLink } from "../../../src/daemon/engine-link.ts";
import { FakeEngine } from "../fake-engine.ts";
import { FEATURES, speedSnapshot } from "../snapshot.ts";
import { ManualTimers } from "../timers.ts";

function setUp() {
  const engine = new FakeEngine();
  const timers = new ManualTimers();
  const cpu = { ms: 5_000 };
  const ignore = () => undefined;
  const link = new EngineLink(engine, {
    event: ignore,
    link: ignore,
    runRefused: ignore,
    ended: ignore,
  });
  const tests = new SpeedTests(() => ({ link, features: FEATURES }), {
    startTimer: timers.start,
    nowMs: () => timers.nowMs,
    cpuMs: () => cpu.ms,
  });
  const ask = (method: string, path: string, query: Record<string, string> = {}) => {
    const found = tests.resources().find((one) => one.method === method && one.path === path);
    if (found === undefined) throw new Error(`there is no ${method} ${path}`);
    return found.answer(new URLSearchParams(query));
  };
  return {
    ...{ engine, timers, cpu, tests },
    start: (query: Record<string, string> = { peer: "b" }) => ask("POST", "/v1/speedtest", query),
    look: () => ask("GET", "/v1/speedtest"),
    stop: () => ask("POST", "/v1/speedtest/stop"),
  };
}

describe("a speed test", () => {
  it("is started with what is asked for, or the usual", async () => {
    const { engine, start } = setUp();
    await start();
    await start({ peer: "b", seconds: "60", size: "64" });

    expect(engine.commands).toEqual([
      { kind: "speed", id: 1, order: { peer: "b", seconds: SPEED_SECONDS, bytes: undefined } },
      { kind: "speed", id: 2, order: { peer: "b", seconds: 60, bytes: 64 } },
    ]);
  });

  it("has rates of what was answered in the measured time, CPU and offloads", async () => {
    const { timers, cpu, start, look } = setUp();
    await start();
    timers.nowMs += 2_000;
    cpu.ms += 2_600;

    expect(await look()).toMatchObject({
      ...{ bitsPerSecond: 12e6, innerBitsPerSecond: 11.52e6 },
      ...{ cpu: 1.3, offloads: ["gso", "gro"], phase: "load" },
    });
  });

  it("keeps the CPU of its load when it is over, and no timer", async () => {
    const { engine, timers, cpu, start, look } = setUp();
    await start();
    timers.nowMs += 1_000;
    cpu.ms += 500;
    await look();
    engine.speed = speedSnapshot({ phase: "over", measuredAnswered: 0 });
    timers.nowMs += 9_000;

    expect(await look()).toMatchObject({ cpu: 0.5, bitsPerSecond: null, innerBitsPerSecond: null });
    expect(timers.delays()).toEqual([]);
  });

  it("ends where nobody looks at it any more", async () => {
    const { engine, timers, start, look } = setUp();
    await start();
    await look();
    expect(timers.delays()).toEqual([UNWATCHED_MS]);
    await timers.fire(UNWATCHED_MS);

    expect(engine.commands.at(-1)).toEqual({ kind: "speed", id: 3, order: "stop" });
  });

  it("ends when it is told to, and with the daemon", async () => {
    const { engine, timers, tests, start, stop } = setUp();
    await start();
    engine.speed = speedSnapshot({ phase: "over" });
    expect(await stop()).toMatchObject({ phase: "over", bitsPerSecond: 12e6 });

    engine.speed = speedSnapshot();
    await start();
    tests.close();
    expect(timers.delays()).toEqual([]);
  });

  it.each([
    [{}, 400, "peer is missing; expected the name of a peer"],
    [{ peer: "b", seconds: "61" }, 400, 'seconds is "61"; expected a whole number, 1 to 60'],
    [{ peer: "b", size: "63" }, 400, 'size is "63"; expected a whole number, 64 to 9188'],
    [{ peer: "x" }, 404, 'no peer is named "x"'],
  ])("of %j is refused with %d", async (query, code, message) => {
    await expect(setUp().start(query)).rejects.toMatchObject({ code, message });
  });

  it.each([
    ["busy", "a speed test runs: one at a time"],
    ["too-long", "the path to b does not carry datagrams of this size: iptun status has its MTU"],
  ] as const)("that cannot be started (%s) is refused with 409", async (refusal, message) => {
    const { engine, start } = setUp();
    engine.refusal = refusal;

    await expect(start()).rejects.toMatchObject({ code: 409, message });
  });

  it("that was never started is not found", async () => {
    const { engine, look } = setUp();
    engine.speed = undefined;

    await expect(look()).rejects.toMatchObject({ code: 404, message: "no speed test was started" });
  });
});
