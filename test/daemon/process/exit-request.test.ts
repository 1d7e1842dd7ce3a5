/** Signals and exceptions as one wish to end. */
import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { listenForExit } from "../../../src/daemon/process/exit-request.ts";
import { memoryLog } from "../log.ts";

describe("a signal", () => {
  it.each(["SIGTERM", "SIGINT", "SIGQUIT"])("%s asks for an end with code 0", async (signal) => {
    const { process, request, log } = setUp();

    process.emit(signal, signal);

    expect(await request.requested).toBe(0);
    expect(process.exits).toEqual([]);
    expect(log.lines).toEqual([`info ${signal}: stopping`]);
  });

  it("that comes again changes nothing", async () => {
    const { process, request, log } = setUp();

    for (const signal of ["SIGINT", "SIGTERM", "SIGTERM"]) process.emit(signal, signal);

    expect(await request.requested).toBe(0);
    expect(process.exits).toEqual([]);
    expect(log.lines).toEqual([
      "info SIGINT: stopping",
      "debug SIGTERM: already stopping",
      "debug SIGTERM: already stopping",
    ]);
  });

  it("SIGHUP has the configuration read anew, each time", async () => {
    const { process, log, reloads } = setUp();

    process.emit("SIGHUP", "SIGHUP");
    process.emit("SIGHUP", "SIGHUP");

    expect(reloads).toEqual(["reload", "reload"]);
    expect(log.lines[0]).toBe("info SIGHUP: reading the configuration anew");
    expect(process.exits).toEqual([]);
  });

  it.each(["SIGHUP", "SIGUSR1", "SIGUSR2"])("%s is logged and ends nothing", async (signal) => {
    const { process, request, log } = setUp();

    process.emit(signal, signal);
    expect(log.lines).toHaveLength(1);
    process.emit("SIGTERM", "SIGTERM");

    expect(await request.requested).toBe(0);
    expect(process.exits).toEqual([]);
  });

  it("SIGUSR1 has a listener, or Node would open its debugger", () => {
    const { process } = setUp();

    expect(process.listenerCount("SIGUSR1")).toBe(1);
  });
});

describe("an exception that nobody handled", () => {
  it.each(["uncaughtException", "unhandledRejection"])(
    "(%s) is one line, its stack at debug level, and asks for an end with code 1",
    async (event) => {
      const { process, request, log } = setUp();
      const error = new Error("boom");
      error.stack = "Error: boom\n    at somewhere";

      process.emit(event, error);

      expect(await request.requested).toBe(1);
      expect(log.lines).toEqual([
        "error internal error: boom",
        "debug Error: boom\n    at somewhere",
      ]);
    },
  );

  it("while ending ends at once", () => {
    const { process } = setUp();
    process.emit("SIGTERM", "SIGTERM");

    process.emit("uncaughtException", "not even an error");

    expect(process.exits).toEqual([1]);
  });

  it("sets a code that a later signal does not change", async () => {
    const { process, request } = setUp();

    process.emit("uncaughtException", new Error("boom"));
    process.emit("SIGTERM", "SIGTERM");

    expect(await request.requested).toBe(1);
    expect(process.exits).toEqual([]);
  });

  it("is not also handled by who listened before", () => {
    const { process, earlier } = setUp();

    process.emit("uncaughtException", new Error("boom"));

    expect(earlier).toEqual([]);
  });
});

it("released, the listeners of before are back", () => {
  const { process, request, earlier, log } = setUp();

  request.release();
  process.emit("uncaughtException", "late");
  process.emit("SIGTERM", "SIGTERM");

  expect(earlier).toEqual(["late"]);
  expect(log.lines).toEqual([]);
});

it("a signal has a listener at every moment, or it would end the process", () => {
  const process = new FakeProcess();
  process.on("SIGTERM", () => {});
  const counts: number[] = [];
  process.on("removeListener", () => counts.push(process.listenerCount("SIGTERM")));

  const request = listenForExit(memoryLog(), process, () => undefined);
  request.release();

  expect(counts.length).toBeGreaterThan(1);
  expect(Math.min(...counts)).toBe(1);
});

class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

function setUp() {
  const process = new FakeProcess();
  const earlier: unknown[] = [];
  process.on("uncaughtException", (error) => earlier.push(error));
  const log = memoryLog();
  const reloads: string[] = [];
  return {
    ...{ process, log, earlier, reloads },
    request: listenForExit(log, process, () => reloads.push("reload")),
  };
}
