/**
 * Faults of the device and the process: each ends cleanly or is waited out, none is a busy loop.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readDatagrams, startCapture } from "../../scripts/netns/capture.ts";
import { type Host, type Lab, openLab } from "../../scripts/netns/lab.ts";
import { cpuShare } from "../../scripts/netns/proc.ts";
import { finish, pause } from "../../scripts/netns/process.ts";
import { ADDRESSES, bringUp, type Pair, startPair, TUN } from "../../scripts/netns/topology.ts";
import { Ping, ping } from "../../scripts/netns/traffic.ts";

const { left, right } = ADDRESSES;
/** A close frame in DATA: 32 bytes and the frame's two. */
const CLOSE_BYTES = 34;

/** A network behind the right site, for the routes. */
const BEHIND = { four: "10.88.0.0/16", six: "fd88::/48" } as const;
const OURS = /10\.[78]|fd[78]/;

let lab: Lab;
let pair: Pair;

// One tunnel for all: each case leaves it up, or starts again what it ended.
beforeAll(async () => {
  lab = openLab();
  const allowedIps = ["10.77.0.2/32", "fd77::2/128", BEHIND.four, BEHIND.six];
  pair = await startPair(lab, { left: { peer: { allowedIps } } });
});
afterAll(() => lab.close());

describe("H15 SIGUSR1", () => {
  it("opens no debugger and disturbs nothing", async () => {
    const { host, child } = pair.left;

    child.signal("SIGUSR1");
    await pause(500);

    expect(await host.output(["ss", "-ltnH"])).toBe("");
    expect((await ping(host, right.inner4, 5)).received).toBe(5);
  });
});

describe("H2 SIGKILL", () => {
  it("leaves no device and no route, and nothing that stops the next start", async () => {
    const { host } = pair.left;
    expectDeviceAndRoutes(host);

    await pair.left.stop("SIGKILL");

    expectNothingOfOurs(host);
    await pair.left.start();
    expectDeviceAndRoutes(host);
    expect((await ping(host, right.inner4, 20, 0.1)).received).toBeGreaterThan(15);
    expect((await ping(pair.right.host, left.inner4, 5)).received).toBe(5);
  });
});

describe("H15 SIGTERM", () => {
  it("says good-bye, removes device and routes, and exits 0 within a second", async () => {
    const { host } = pair.left;
    expectDeviceAndRoutes(host);
    const capture = await startCapture(pair.right.host, "eth0", { filter: "udp" });

    const start = performance.now();
    const { code } = await pair.left.stop("SIGTERM");
    const takenMs = performance.now() - start;

    expect(code).toBe(0);
    expect(takenMs).toBeLessThan(1000);
    expectNothingOfOurs(host);
    await pair.right.waitForStatus("end of the session", ({ peers }) => peers[0]?.state !== "up");
    await capture.stop();
    const lengths = readDatagrams(capture.file).map(({ payload }) => payload.length);
    expect(lengths).toContain(CLOSE_BYTES);
    await pair.left.start();
    await bringUp(pair);
  });
});

describe("H5 the device", () => {
  it("set down: is waited out without work, and traffic goes on when it is up", async () => {
    const { host, child } = pair.right;
    const beside = new Ping(pair.left.host, right.inner4, 0.01);

    host.ip("link", "set", TUN, "down");
    const share = await cpuShare(child.pid, () => pause(3000));
    host.ip("link", "set", TUN, "up");
    await beside.stop();

    expect(share).toBeLessThan(0.05);
    expect(child.isRunning).toBe(true);
    expect(pair.right.logLines("down").length).toBeLessThanOrEqual(3);
    const after = await ping(pair.left.host, right.inner4, 10);
    expect(after.received).toBe(10);
  });

  it("deleted: ends with one line and exit code 1", async () => {
    const daemon = pair.left;
    const linesBefore = daemon.log.split("\n").length;

    daemon.host.ip("link", "delete", TUN);
    const { code } = await finish(daemon.child, 5000);

    expect(code).toBe(1);
    expect(daemon.log.split("\n").length - linesBefore).toBe(1);
    expect(daemon.log.trimEnd().split("\n").at(-1)).toContain(TUN);
  });
});

function expectDeviceAndRoutes(host: Host): void {
  expect(host.hasDevice(TUN)).toBe(true);
  expect(host.ip("route")).toContain(`${BEHIND.four} dev ${TUN}`);
  expect(host.ip("-6", "route")).toContain(`${BEHIND.six} dev ${TUN}`);
}

function expectNothingOfOurs(host: Host): void {
  expect(host.hasDevice(TUN)).toBe(false);
  expect(`${host.ip("route")}${host.ip("-6", "route")}`).not.toMatch(OURS);
}
