/**
 * The addon's watches, and two threads with it, in a process of their own.
 *
 * What each fact was made with stands in watch-scenarios.ts.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { type Facts, run, runIsolated } from "./isolated.ts";
import { ADDON_PATH } from "./native.ts";

let facts: Facts<typeof import("./watch-scenarios.ts")>;

beforeAll(async () => {
  facts = await runIsolated(new URL("./watch-scenarios.ts", import.meta.url));
}, 60_000);

describe("watch", () => {
  it("fires while readable, is silent while paused, fires once resumed, and ends", () => {
    expect(facts.lifeCycle).toMatchObject({
      fired: [1],
      paused: 0,
      whilePaused: 1,
      total: 2,
      unwatched: 0,
    });
  });

  it("knows an ended watch no longer", () => {
    expect(facts.lifeCycle).toMatchObject({ twice: "EBADF", events: "EBADF" });
  });

  it("brings readable and writable in one call", () => {
    expect(facts.writable.seen).toEqual([3]);
  });

  it("refuses a second watch of a descriptor, unknown events and a closed descriptor", () => {
    expect(facts.refused).toMatchObject({ twice: "EEXIST", badEvents: "EINVAL", closed: "EBADF" });
  });

  it("throws a TypeError for a callback that is no function", () => {
    expect(facts.refused.callback).toBe("watch: argument 3 must be a function");
  });

  it("holds 64 watches a thread and takes their places again", () => {
    expect(facts.refused).toMatchObject({ opened: 64, last: "EMFILE", isReusable: true });
  });

  it("may be ended inside its own callback, and its descriptor's number used again", () => {
    expect(facts.endInside.seen).toEqual(["first", "same descriptor", "second"]);
  });

  it("lets promises run after each callback", () => {
    expect(facts.microtasks.order).toEqual(["callback", "promise", "callback", "promise"]);
  });
});

describe("an exception in a callback", () => {
  it("becomes the main thread's uncaught exception, and the watch goes on", () => {
    expect(facts.exceptions.caught).toEqual(["thrown 1", "thrown 2"]);
  });

  it("ends a worker with that error", () => {
    expect(facts.exceptionInWorker.error).toBe("Error: thrown in the worker");
  });

  it("ends a process that has no handler, with code 1 and its message", async () => {
    const ended = await run(process.execPath, ["-e", script(`throw new Error("nobody listens");`)]);
    expect(ended.ending).toBe("code 1");
    expect(ended.errors).toContain("nobody listens");
  });
});

describe("a device that changes", () => {
  it("calls back once with a negative number when deleted, and again only when started anew", () => {
    expect(facts.deletedDevice).toEqual({ first: "EBADF", calls: 1, restarted: 0 });
  });

  it("does not call back while the link is down", () => {
    expect(facts.downDevice.calls).toBe(0);
  });
});

describe("threads", () => {
  it("end with open watches under traffic: terminated, by process.exit, and in a busy callback", () => {
    expect(facts.terminated.endings).toEqual([1, 3, 1, 1, 3, 1, 1, 3, 1, 1, 3, 1]);
  });

  it("have key tables of their own", () => {
    expect(facts.ownKeys).toEqual({ inWorker: "ENOKEY", here: 0 });
  });

  it("let the process exit with an open watch and loaded keys", async () => {
    const ended = await run(process.execPath, ["-e", script("process.exit(7);")]);
    expect(ended.ending).toBe("code 7");
    expect(ended.errors).toBe("");
  });
});

/** A program that loads the addon and a key, and runs `body` in a callback. */
function script(body: string): string {
  return `
    const native = require(${JSON.stringify(ADDON_PATH)});
    const any = new Uint8Array(16);
    const fd = native.udpOpen(any, 0, 0, "", 0, new Int32Array(4));
    native.keyLoad(0, new Uint8Array(48).fill(1));
    native.watch(fd, 2, () => { ${body} });
  `;
}
