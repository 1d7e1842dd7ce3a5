/**
 * Observers as one: a fault of one of them stays its own.
 */
import { describe, expect, it } from "vitest";
import { type Observer, type ReadyTunnel, together } from "../../src/daemon/observers.ts";
import { memoryLog } from "./log.ts";
import { tunnelSnapshot } from "./snapshot.ts";

const TUNNEL: ReadyTunnel = {
  engine: { ping: async () => {}, snapshot: async () => ({ snapshot: tunnelSnapshot() }) },
  descriptors: { tun: 3, udp: 4 },
  mtu: 1420,
};

describe("an observer that throws", () => {
  it("is logged, and the others are told", async () => {
    const told: string[] = [];
    const log = memoryLog();
    const all = together([observer(fail), observer((what) => told.push(what))], log);

    all.ready(TUNNEL);
    all.event({ kind: "down", peer: "b", reason: "closed" });
    all.reloading?.(true);
    await all.stopping(false);

    expect(told).toEqual(["ready", "event", "reloading", "stopping"]);
    expect(log.lines).toEqual(told.map((what) => `error telling of the tunnel failed: no ${what}`));
  });

  it("holds up no stop, also where it fails later, and the others have their time", async () => {
    const log = memoryLog();
    let end: () => void = () => undefined;
    let isOver = false;
    const slow = new Promise<void>((resolve) => {
      end = resolve;
    });
    const waiting = (wait: Promise<void>): Observer => ({
      ...observer(() => undefined),
      stopping: () => wait,
    });
    const all = together([waiting(Promise.reject(new Error("late"))), waiting(slow)], log);

    const stopped = all.stopping(false)?.then(() => {
      isOver = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    const early = isOver;
    end();
    await stopped;

    expect([early, isOver]).toEqual([false, true]);
    expect(log.lines).toEqual(["error telling of the tunnel failed: late"]);
  });
});

/** Says what it is told. */
function observer(say: (what: string) => void): Observer {
  return {
    ready: () => say("ready"),
    event: () => say("event"),
    reloading: () => say("reloading"),
    stopping: () => {
      say("stopping");
      return undefined;
    },
  };
}

function fail(what: string): void {
  throw new Error(`no ${what}`);
}
