/**
 * H6: each error that a send can meet, provoked by routes, rules, queues and devices: the process stays, counts it, and
 * traffic is back within a second once the cause is gone, or has changed its address.
 *
 * What no kernel here can be made to say (ENOBUFS, ECONNREFUSED on an unconnected socket) is injected in test/io/udp.test.ts.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Daemon } from "../../../scripts/netns/daemon.ts";
import { addAddress, type Host, type Lab, openLab } from "../../../scripts/netns/lab.ts";
import { pause, until } from "../../../scripts/netns/process.ts";
import { ADDRESSES, type Pair, startPair } from "../../../scripts/netns/topology.ts";
import { Ping } from "../../../scripts/netns/traffic.ts";
import { startSender } from "../../../scripts/netns/udp-sender.ts";
import { figure } from "../../helpers/figure.ts";
import { TORTURE } from "../../helpers/full.ts";
import { slowness } from "../../helpers/slowness.ts";

const { left: LEFT, right: RIGHT } = ADDRESSES;
const FAULT_MS = 1_000;
const BACK_MS = 1_000;
const TO_RIGHT = `${RIGHT.outer4}/32`;

interface Cause {
  /** The error that must be counted; undefined: it is the kernel's affair. */
  readonly errno: string | undefined;
  readonly what: string;
  readonly begin: (host: Host) => Promise<void> | void;
  readonly end: (host: Host) => Promise<void> | void;
}

const nft = async (host: Host, rules: string) => {
  await host.output(["nft", rules]);
};
const route = (kind: string, errno: string): Cause => ({
  errno,
  what: `route of type ${kind}`,
  begin: (host) => void host.ip("route", "add", kind, TO_RIGHT),
  end: (host) => void host.ip("route", "del", kind, TO_RIGHT),
});
const tc = (host: Host, ...words: readonly string[]) => host.output(["tc", "qdisc", ...words]);

const CAUSES: readonly Cause[] = [
  {
    errno: "EPERM",
    what: "a firewall drops what goes out",
    begin: (host) =>
      nft(
        host,
        "add table inet t; add chain inet t o { type filter hook output priority 0; }; add rule inet t o udp dport 1194 drop",
      ),
    end: (host) => nft(host, "delete table inet t"),
  },
  route("unreachable", "EHOSTUNREACH"),
  route("prohibit", "EACCES"),
  route("blackhole", "EINVAL"),
  {
    errno: "ENETUNREACH",
    what: "the route is gone",
    begin: (host) => void host.ip("route", "del", "192.0.2.0/24", "dev", "eth0"),
    end: (host) => void host.ip("route", "add", "192.0.2.0/24", "dev", "eth0", "src", LEFT.outer4),
  },
  {
    errno: undefined,
    what: "the device is down",
    begin: (host) => void host.ip("link", "set", "eth0", "down"),
    end: (host) => void host.ip("link", "set", "eth0", "up"),
  },
  {
    errno: "EAGAIN",
    what: "the send buffer is full behind a queue that hardly moves",
    begin: async (host) => {
      await tc(
        host,
        "add",
        "dev",
        "eth0",
        "root",
        "tbf",
        "rate",
        "8kbit",
        "burst",
        "2kb",
        "limit",
        "100mb",
      );
    },
    end: async (host) => {
      await tc(host, "del", "dev", "eth0", "root");
    },
  },
];

let lab: Lab;
let pair: Pair;

beforeAll(async () => {
  lab = openLab();
  pair = await startPair(lab, { left: { peer: { keepalive: 1 } } });
});
afterAll(() => lab.close());

it.runIf(TORTURE !== undefined).each(CAUSES)(
  "H6 $errno, $what: stays, counts, and is back at once",
  async (cause) => {
    const { left } = pair;
    const pings = new Ping(left.host, RIGHT.inner4, 0.01);
    await until("answers", 10_000, () => pings.replies[5]);
    const before = await errorsOf(left);

    await cause.begin(left.host);
    await (cause.errno === "EAGAIN" ? fillBuffer(left) : pause(FAULT_MS));
    await cause.end(left.host);
    const endedAt = Date.now() / 1_000;
    const first = await until("an answer", 30_000, () =>
      pings.replies.find(({ at, rttMs }) => at - rttMs / 1_000 > endedAt),
    );
    await pings.stop();
    const after = await errorsOf(left);
    const backMs = Math.max(0, Math.round((first.at - endedAt) * 1_000));
    const counted = Object.entries(after)
      .map(([errno, count]) => [errno, count - (before[errno] ?? 0)] as const)
      .filter(([, count]) => count > 0);

    const errors = counted.map(([errno, count]) => `${errno} ${count}`).join(", ") || "none";
    figure(
      "H6",
      cause.what,
      `counted: ${errors}; back after ${backMs} ms`,
      "stays, counted, <= 1,000 ms",
    );
    expect(left.child.isRunning).toBe(true);
    if (cause.errno !== undefined) expect(counted.map(([errno]) => errno)).toContain(cause.errno);
    expect(backMs).toBeLessThan(BACK_MS * slowness());
  },
);

it.runIf(TORTURE !== undefined)(
  "H6 EADDRNOTAVAIL, the local address is replaced: goes on from the new one within a second",
  async () => {
    const { left } = pair;
    const pings = new Ping(left.host, RIGHT.inner4, 0.01);
    await until("answers", 10_000, () => pings.replies[5]);

    const changedAt = Date.now() / 1_000;
    addAddress(left.host, "eth0", "192.0.2.77/24");
    left.host.ip("address", "del", `${LEFT.outer4}/24`, "dev", "eth0");
    // With its first address a network's further ones may go too.
    if (!left.host.ip("address", "show", "dev", "eth0").includes("192.0.2.77"))
      addAddress(left.host, "eth0", "192.0.2.77/24");
    const first = await until("an answer", 30_000, () =>
      pings.replies.find(({ at, rttMs }) => at - rttMs / 1_000 > changedAt + 0.05),
    );
    await pings.stop();
    const backMs = Math.round((first.at - changedAt) * 1_000);

    figure("H6", "the local address is replaced", `answers after ${backMs} ms`, "<= 1,000 ms");
    expect(backMs).toBeLessThan(BACK_MS * slowness());
  },
);

it.runIf(TORTURE !== undefined)(
  "H6 EMSGSIZE, the link's MTU falls to 1,280: the path's estimate follows, never below 1,280",
  async () => {
    const { left } = pair;
    const big = ["-s", "1380", "-M", "dont"];
    for (const host of [left.host, pair.right.host]) host.ip("link", "set", "eth0", "mtu", "1280");
    const pings = new Ping(left.host, RIGHT.inner4, 0.05, big);
    const started = performance.now();
    const { peers } = await left.waitForStatus(
      "a smaller path",
      ({ peers: [peer] }) => (peer?.pathMtu ?? 9_999) <= 1_280,
      30_000,
    );
    const tookMs = Math.round(performance.now() - started);
    await pings.stop();
    const small = new Ping(left.host, RIGHT.inner4, 0.05, ["-s", "1100", "-c", "10"]);
    const { received } = await small.finish();

    const found = peers[0]?.pathMtu ?? 0;
    figure(
      "H6",
      "link MTU 1,500 to 1,280",
      `path ${found} after ${tookMs} ms, ${received} of 10 pings of 1,100`,
      ">= 1,280, stays up",
    );
    expect(found).toBeGreaterThanOrEqual(1_280);
    expect(received).toBe(10);
    expect(left.child.isRunning).toBe(true);
  },
);

/** More than the socket's buffer of 7 MB (twice that as the kernel counts), through the tunnel. */
async function fillBuffer({ host }: Daemon): Promise<void> {
  const sender = await startSender(host);
  await sender.flood({
    address: RIGHT.inner4,
    port: 9,
    ratePerSecond: 8_000,
    seconds: 3,
    bytes: 1_300,
  });
  await sender.close();
}

async function errorsOf(daemon: Daemon): Promise<Readonly<Record<string, number>>> {
  return (await daemon.waitForStatus("a status", () => true)).engine.udpErrors;
}
