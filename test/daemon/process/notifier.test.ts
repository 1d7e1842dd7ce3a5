/**
 * What the service manager is told, and when.
 */
import { describe, expect, it } from "vitest";
import type { TunnelEvent } from "../../../src/core/options.ts";
import {
  Notifier,
  type ServiceManager,
  STATUS_GATHER_MS,
  takeServiceManager,
} from "../../../src/daemon/process/notifier.ts";
import { setUp } from "../control-rig.ts";
import { memoryLog } from "../log.ts";
import { peerSnapshot, tunnelSnapshot } from "../snapshot.ts";
import { ManualTimers, settle } from "../timers.ts";

const WATCHDOG_MS = 10_000;
const DOWN: TunnelEvent = { kind: "down", peer: "b", reason: "closed" };

describe("the manager's variables", () => {
  it("are taken out of the environment, whoever they are for", () => {
    const env = { NOTIFY_SOCKET: "/run/s", WATCHDOG_USEC: "5000", WATCHDOG_PID: "7", HOME: "/" };
    expect(takeServiceManager(env, 7)).toEqual({ path: "/run/s", watchdogMs: 5 });
    expect(env).toEqual({ HOME: "/" });
  });

  it.each([
    ["none", {}, undefined],
    ["an empty path", { NOTIFY_SOCKET: "" }, undefined],
    ["no watchdog", { NOTIFY_SOCKET: "@s" }, { path: "@s", watchdogMs: undefined }],
    [
      "another process's watchdog",
      { NOTIFY_SOCKET: "@s", WATCHDOG_USEC: "5000", WATCHDOG_PID: "8" },
      { path: "@s", watchdogMs: undefined },
    ],
    [
      "a watchdog that is no number",
      { NOTIFY_SOCKET: "@s", WATCHDOG_USEC: "soon" },
      { path: "@s", watchdogMs: undefined },
    ],
  ])("may be %s", (_what, env, expected) => {
    expect(takeServiceManager({ ...env }, 7)).toEqual(expected);
  });
});

describe("the manager is told", () => {
  it("nothing where there is none", async () => {
    const { notifier, told, kept, timers } = rig(undefined);
    notifier.ready(TUNNEL);
    notifier.event(DOWN);
    notifier.stopping();
    expect([told, kept.size]).toEqual([[], 0]);
    expect(timers.delays()).toEqual([]);
  });

  it("that the tunnel is ready, and its status, once in a while however much changes", async () => {
    const { notifier, told, timers } = rig({ path: "/s", watchdogMs: undefined });
    notifier.ready(TUNNEL);
    for (let count = 0; count < 100; count += 1) notifier.event(DOWN);
    expect(timers.delays()).toEqual([STATUS_GATHER_MS]);
    await timers.fire(STATUS_GATHER_MS);
    expect(told).toEqual(["READY=1", "STATUS=1 of 2 peers up"]);
    expect(timers.delays()).toEqual([]);
  });

  it("to keep the device and the socket for the next process, also while the device is down", () => {
    const { notifier, kept } = rig({ path: "/s", watchdogMs: undefined });
    notifier.ready(TUNNEL);
    expect([...kept]).toEqual([
      ["FDSTORE=1\nFDPOLL=0\nFDNAME=iptun-tun", [20]],
      ["FDSTORE=1\nFDPOLL=0\nFDNAME=iptun-udp", [21]],
    ]);
  });

  it("that it lives, at half the time, only once the engine has answered", async () => {
    const { notifier, told, timers } = rig({ path: "/s", watchdogMs: WATCHDOG_MS });
    const answers: (() => void)[] = [];
    const ping = () => new Promise<void>((resolve) => answers.push(resolve));
    notifier.ready({ ...TUNNEL, engine: { ...engine(), ping } });
    await timers.fire(WATCHDOG_MS / 2);
    expect(told).toEqual(["READY=1"]);
    // No further question while one is open: a hung engine keeps the manager waiting.
    expect(timers.delays()).not.toContain(WATCHDOG_MS / 2);
    answers.shift()?.();
    await settle();
    expect(told).toEqual(["READY=1", "WATCHDOG=1"]);
    expect(timers.delays()).toContain(WATCHDOG_MS / 2);
  });

  it("of a reload with the time of its begin", () => {
    const { notifier, told } = rig({ path: "/s", watchdogMs: undefined });
    notifier.reloading(true);
    notifier.reloading(false);
    expect(told).toEqual(["RELOADING=1\nMONOTONIC_USEC=1234567", "READY=1"]);
  });

  it("that it stops, and nothing after that", async () => {
    const { notifier, told, timers } = rig({ path: "/s", watchdogMs: WATCHDOG_MS });
    notifier.ready(TUNNEL);
    notifier.stopping();
    notifier.event(DOWN);
    expect(told).toEqual(["READY=1", "STOPPING=1"]);
    expect(timers.delays()).toEqual([]);
  });

  it("nothing that matters to the tunnel where it does not listen", () => {
    const { notifier, log } = rig({ path: "/s", watchdogMs: undefined }, -11);
    notifier.ready(TUNNEL);
    expect(log.lines.at(-1)).toBe("debug telling the service manager READY=1: errno -11");
  });

  it("ready after the device has its addresses, and stopping first of all", async () => {
    const { side, told, ip } = setUp({ manager: { path: "/s", watchdogMs: WATCHDOG_MS } });
    let addressesBefore = 0;
    const length = () => ip.filter((line) => line.includes("addr add")).length;
    await side.start().then(() => {
      addressesBefore = length();
    });
    await side.stop();
    expect(addressesBefore).toBe(1);
    expect(told).toEqual(["READY=1", "STOPPING=1"]);
  });
});

const DESCRIPTORS = { tun: 20, udp: 21 };
const TUNNEL = { engine: engine(), descriptors: DESCRIPTORS, mtu: 1420 };

function rig(manager: ServiceManager | undefined, status = 0) {
  const [told, timers, log] = [[] as string[], new ManualTimers(), memoryLog()];
  /** What it is to keep, by its lines. */
  const kept = new Map<string, readonly number[]>();
  const native = {
    notify: (_path: Uint8Array, text: Uint8Array, descriptors: Int32Array) => {
      const words = new TextDecoder().decode(text);
      if (descriptors.length > 0) kept.set(words, [...descriptors]);
      else told.push(words);
      return status;
    },
    errnoName: (number: number) => `errno ${number}`,
  };
  const setting = { manager, native, startTimer: timers.start, log };
  const notifier = new Notifier({ ...setting, monotonicMicros: () => 1_234_567n });
  return { notifier, told, kept, timers, log };
}

function engine() {
  const peers = [
    peerSnapshot({ name: "hub", kind: "group", state: "idle" }),
    peerSnapshot({ name: "a", state: "up" }),
    peerSnapshot({ name: "b", state: "connecting" }),
  ];
  return { ping: async () => {}, snapshot: async () => ({ snapshot: tunnelSnapshot({ peers }) }) };
}
