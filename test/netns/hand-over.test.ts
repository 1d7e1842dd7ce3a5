/**
 * A tunnel that goes on while its process is replaced, under ping at 10 ms, both ways.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../../scripts/netns/daemon.ts";
import { type Lab, openLab, withLab } from "../../scripts/netns/lab.ts";
import { ROOT, until } from "../../scripts/netns/process.ts";
import {
  ADDRESSES,
  type Pair,
  PORT,
  type SideName,
  startPair,
  TUN,
} from "../../scripts/netns/topology.ts";
import { Ping } from "../../scripts/netns/traffic.ts";
import { postTo } from "../../src/daemon/control/control-client.ts";
import { API_PATH } from "../../src/daemon/control/control-paths.ts";
import { loadNative } from "../../src/io/native.ts";
import { adoptTun } from "../../src/io/tun.ts";
import { adoptUdp } from "../../src/io/udp-open.ts";
import { figure } from "../helpers/figure.ts";
import { slowness } from "../helpers/slowness.ts";

/** The figures that must be met: pings of every 10 ms. */
const HAND_OVER_LOST = 20;
const RESTART_LOST = 60;
const EVERY_SECONDS = 0.01;

let lab: Lab;
let pair: Pair;

beforeAll(async () => {
  lab = openLab();
  pair = await startPair(lab);
});
afterAll(() => lab.close());

describe.each(["left", "right"] as const)("the process of the %s site", (side) => {
  it("hands its tunnel over to a new one, which keeps the device", async () => {
    const daemon = pair[side];
    const before = deviceIndex(daemon);
    const pings = await startPings();

    const old = await daemon.replace();
    const lost = await lostOf(pings);

    figure("hand-over", `${side} is replaced`, `${lost.join(" and ")} pings lost`, "at most 20");
    expect(old).toMatchObject({ code: 0, signal: undefined });
    expect(old.stderr).not.toMatch(/warn|error/);
    expect(daemon.log).not.toMatch(/warn|error/);
    expect(deviceIndex(daemon)).toBe(before);
    expect(Math.max(...lost)).toBeLessThanOrEqual(HAND_OVER_LOST * slowness());
  });

  it("is stopped and started again", async () => {
    const daemon = pair[side];
    const pings = await startPings();

    await daemon.stop("SIGTERM");
    daemon.spawn();
    const lost = await lostOf(pings);

    figure("hand-over", `${side} is restarted`, `${lost.join(" and ")} pings lost`, "at most 60");
    expect(Math.max(...lost)).toBeLessThanOrEqual(RESTART_LOST * slowness());
  });
});

it("a manager that keeps the descriptors starts a process anew: the device stays, with its addresses", async () => {
  await withLab(async (own) => {
    const keeper = [
      process.execPath,
      "--import",
      "tsx",
      join(ROOT, "scripts/netns/keeper-agent.ts"),
    ];
    const program = [...keeper, process.execPath, join(ROOT, "dist/main.js")];
    const { left, right } = await startPair(own, { left: { program } });
    const before = deviceIndex(left);
    const pings = await startPings({ left, right });

    left.child.signal("SIGUSR2");
    await until("restart", 20_000, () =>
      left.logLines("is up, listening").length > 1 ? 1 : undefined,
    );
    const lost = await lostOf(pings);

    figure(
      "hand-over",
      "left is restarted by a manager",
      `${lost.join(" and ")} pings lost`,
      "at most 60",
    );
    expect(deviceIndex(left)).toBe(before);
    expect(Math.max(...lost)).toBeLessThanOrEqual(RESTART_LOST * slowness());
    expect((await left.stop()).code).toBe(0);
    expect(left.host.hasDevice(TUN)).toBe(false);
  });
});

it("a process that fails on the way leaves the tunnel to the old one, as that had set it", async () => {
  await withLab(async (own) => {
    const { left, right } = await startPair(own, { left: { settings: { fwmark: 7 } } });
    const before = await setOn(left);
    const { fwmark: _, ...settings } = left.settings;
    const offload = { tso: false, uso: false, gso: false, gro: false };
    // It has switched the device's offloads and the mark off when it finds that there is no such device.
    left.configure({ ...settings, offload, outerDevice: "nothing0" });
    const pings = await startPings({ left, right });

    const { code, stderr } = await left.command(["run", "--replace", "-c", left.configFile]);
    const lost = await lostOf(pings);

    figure("hand-over", "a take-over fails", `${lost.join(" and ")} pings lost`, "at most 20");
    expect(before).toMatch(/^tx-tcp-segmentation: on$[\s\S]*fwmark:0x7 /m);
    expect(stderr.trimEnd().split("\n")).toEqual([expect.stringMatching(/error .*nothing0/)]);
    expect(code).toBe(1);
    expect(await setOn(left)).toBe(before);
    expect(left.logLines(" warn ")).toEqual([expect.stringContaining("this one goes on")]);
    expect(Math.max(...lost)).toBeLessThanOrEqual(HAND_OVER_LOST * slowness());
  });
});

it("a process that comes too late finds what it has set undone", async () => {
  await withLab(async (own) => {
    const { left, right } = await startPair(own, { left: { settings: { fwmark: 7 } } });
    const before = await setOn(left);
    const native = loadNative();
    const path = join(own.dir, "late");
    const listener = native.notifyListen(new TextEncoder().encode(path));
    await postTo(left.socketPath, `${API_PATH.handOver}?to=${encodeURIComponent(path)}`);
    const descriptors = new Int32Array(2);
    native.notifyReceive(listener, new Uint8Array(1), descriptors);
    await left.child.waitForOutput(/did not: this one goes on/);
    const [tun = -1, udp = -1] = descriptors;
    const off = { tso: false, uso: false };
    adoptTun(native, tun, TUN, off);
    const address = new Uint8Array(16);
    adoptUdp(native, udp, { address, port: PORT, wish: { gso: false, gro: false } });
    const between = await setOn(left);

    await expect(postTo(left.socketPath, `${API_PATH.handOverDone}?of=1`)).rejects.toThrow(
      "too late",
    );

    await until("what was set", 5_000, async () =>
      (await setOn(left)) === before ? true : undefined,
    );
    for (const one of [listener, tun, udp]) native.close(one);
    expect(between).toMatch(/^tx-tcp-segmentation: off$/m);
    expect(between).not.toMatch(/fwmark/);
    await lostOf(await startPings({ left, right }));
  });
});

it("a process that is asked for its tunnel and hears no more goes on with it", async () => {
  const socket = pair.left.socketPath;
  const path = join(lab.dir, "nobody");
  const taker = loadNative();
  const listener = taker.notifyListen(new TextEncoder().encode(path));
  await postTo(socket, `${API_PATH.handOver}?to=${encodeURIComponent(path)}`);
  const pings = await startPings();

  const lost = await lostOf(pings);
  taker.close(listener);

  expect(pair.left.child.isRunning).toBe(true);
  expect(pair.left.log).toContain("did not: this one goes on");
  expect(lost.every((count) => count <= RESTART_LOST)).toBe(true);
});

/** From each side to the other, answered. */
async function startPings({ left, right }: Pick<Pair, SideName> = pair): Promise<readonly Ping[]> {
  const pings = [
    new Ping(left.host, ADDRESSES.right.inner4, EVERY_SECONDS),
    new Ping(right.host, ADDRESSES.left.inner4, EVERY_SECONDS),
  ];
  await untilAnswered(pings);
  return pings;
}

/** Until each has an answer to a request of now. */
async function untilAnswered(pings: readonly Ping[]): Promise<void> {
  const from = Date.now() / 1000;
  const isLater = ({ at }: { readonly at: number }) => at > from;
  for (const ping of pings) {
    await until("answer", 20_000, () => ping.replies.find(isLater));
  }
}

/** How many each lost until it was answered again. */
async function lostOf(pings: readonly Ping[]): Promise<readonly number[]> {
  await untilAnswered(pings);
  const results = await Promise.all(pings.map((ping) => ping.stop()));
  return results.map(({ sent, received }) => sent - received);
}

/** What is set on the shared device and socket, as ethtool(8) and ss(8) tell it. */
async function setOn({ host }: Daemon): Promise<string> {
  const offloads = (await host.output(["ethtool", "-k", TUN])).replaceAll("\t", "");
  const sockets = await host.output(["ss", "-uanHe", "sport", "=", `:${PORT}`]);
  return `${offloads}${sockets.replace(/^\S+ +\d+ +\d+ /, "")}`;
}

/** Index of the tunnel's device: another one has another. */
function deviceIndex(daemon: Daemon): string | undefined {
  return daemon.host.ip("-o", "link", "show", TUN).split(":")[0];
}
