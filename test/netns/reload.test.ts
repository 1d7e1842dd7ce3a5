/**
 * A configuration that is read anew while packets flow: nothing is lost, sessions stay, and what was not confirmed
 * comes back by itself. Figures are printed; the left host has 200 peers, of which one is there.
 */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon, PeerSettings, Settings } from "../../scripts/netns/daemon.ts";
import { makeKey } from "../../scripts/netns/daemon.ts";
import { type Lab, openLab } from "../../scripts/netns/lab.ts";
import { until } from "../../scripts/netns/process.ts";
import { ADDRESSES, hostPort, type Pair, startPair } from "../../scripts/netns/topology.ts";
import { longestGapMs, Ping, tcpThroughput } from "../../scripts/netns/traffic.ts";
import { figure } from "../helpers/figure.ts";

const { right: RIGHT } = ADDRESSES;
const PEERS = 200;

let lab: Lab;
let pair: Pair;
let left: Daemon;

beforeAll(async () => {
  lab = openLab();
  pair = await startPair(lab, { left: { settings: { peers: peersOf(await keyOf()) } } });
  left = pair.left;
}, 120_000);
afterAll(() => lab.close());

let linkKey = "";
async function keyOf(): Promise<string> {
  linkKey = `${lab.dir}/link.key`;
  return linkKey;
}

const others: readonly PeerSettings[] = Array.from({ length: PEERS - 1 }, (_, index) => ({
  name: `site-${index}`,
  key: randomBytes(32).toString("base64"),
  allowedIps: [`10.80.${index}.0/24`],
}));

/** The peer that is there, and 199 that are not. */
function peersOf(keyFile: string, changes: Partial<PeerSettings> = {}): readonly PeerSettings[] {
  const live = {
    name: "right",
    keyFile,
    endpoint: hostPort(RIGHT.outer4),
    allowedIps: [`${RIGHT.inner4}/32`, `${RIGHT.inner6}/128`],
  };
  return [{ ...live, ...changes }, ...others];
}

function settings(peers: readonly PeerSettings[], more: Partial<Settings> = {}): Settings {
  return { ...left.settings, peers, ...more };
}

/** The session with the peer that is there, as it can be told from another. */
async function sessionOf() {
  const [peer] = (await left.status()).peers;
  const [session] = peer?.sessions ?? [];
  return { sessions: peer?.counters.sessions, fingerprint: session?.fingerprint };
}

/** Takes these settings over and returns the changes. */
async function reloadTo(given: Settings): Promise<readonly string[]> {
  left.configure(given);
  const answer = await left.reload();
  if (answer.outcome !== "applied") throw new Error(JSON.stringify(answer));
  return answer.changes;
}

describe("a reload under traffic", () => {
  it("loses no ping at 10 ms beside TCP, and no session, whatever of a peer changes", async () => {
    const before = await sessionOf();
    const traffic = tcpThroughput(left.host, pair.right.host, RIGHT.inner4, {
      seconds: 8,
      bitsPerSecond: 1e9,
    });
    await sleep(1_000);
    const pings = new Ping(left.host, RIGHT.inner4, 0.01);
    await until("a first answer", 5_000, () => pings.replies.at(-1));
    const wide = { allowedIps: [`${RIGHT.inner4}/32`, `${RIGHT.inner6}/128`, "10.99.0.0/24"] };
    const [first, ...rest] = others;
    const steps: readonly (readonly [string, Settings])[] = [
      [
        "peer site-0: allowed_ips + 10.90.0.0/24",
        settings([
          ...peersOf(linkKey).slice(0, 1),
          { ...(first as PeerSettings), allowedIps: ["10.80.0.0/24", "10.90.0.0/24"] },
          ...rest,
        ]),
      ],
      ["peer right: allowed_ips + 10.99.0.0/24", settings(peersOf(linkKey, wide))],
      ["peer right: rate none -> 4000mbit", settings(peersOf(linkKey, { ...wide, rate: "4gbit" }))],
      ["peer right: rate 4000mbit -> none", settings(peersOf(linkKey, wide))],
      ["log: level info -> debug", settings(peersOf(linkKey, wide), { logLevel: "debug" })],
      ["peer right: keepalive 0 -> 25", settings(peersOf(linkKey, { ...wide, keepalive: 25 }))],
    ];
    const tookMs: number[] = [];
    for (const [line, given] of steps) {
      const startedAt = performance.now();
      expect(await reloadTo(given)).toContain(line);
      tookMs.push(Math.round(performance.now() - startedAt));
      await sleep(300);
    }
    const result = await pings.stop();
    const { bitsPerSecond } = await traffic;
    const lost = result.sent - result.received;
    figure(
      "reload",
      `${steps.length} reloads of ${PEERS} peers, TCP at ${Math.round(bitsPerSecond / 1e6)} Mbit/s, ping at 10 ms`,
      `${lost} of ${result.sent} lost, longest gap ${Math.round(longestGapMs(result.replies))} ms; reloads took ${tookMs.join(", ")} ms`,
      "0 lost",
    );
    expect(lost).toBe(0);
    expect(await sessionOf()).toEqual(before);
    expect(left.host.ip("route", "show", "dev", "iptun0")).toContain("10.99.0.0/24");
    await reloadTo(settings(peersOf(linkKey)));
    expect(left.host.ip("route", "show", "dev", "iptun0")).not.toContain("10.99.0.0/24");
  }, 60_000);
});

describe("a reload that is not confirmed", () => {
  it("comes back on time by itself, though it cut the peer off, and the next one works", async () => {
    const other = await makeKey(lab.dir, "other.key");
    await reloadTo(settings(peersOf(linkKey)));
    const pings = new Ping(left.host, RIGHT.inner4, 0.05);
    await until("a first answer", 5_000, () => pings.replies.at(-1));

    left.configure(settings(peersOf(other)));
    const done = await left.command(["reload", "-i", "iptun0", "--confirm", "3"]);
    const cutAt = Date.now();
    expect([done.code, done.stdout]).toEqual([0, expect.stringMatching(/key - [0-9a-f]{8}/)]);
    expect((await left.status()).confirmSecondsLeft).toBeGreaterThan(0);
    const again = await left.reload();
    expect(again).toMatchObject({ outcome: "refused" });

    await left.waitForStatus(
      "the key before",
      ({ confirmSecondsLeft }) => confirmSecondsLeft === null,
    );
    const backAt = Date.now();
    const first = await until("an answer", 10_000, () =>
      pings.replies.find(({ at }) => at * 1_000 > backAt - 100),
    );
    figure(
      "reload",
      "--confirm 3 with another key, not confirmed",
      `rolled back after ${backAt - cutAt} ms, first answer after ${Math.round(first.at * 1_000 - cutAt)} ms`,
      "3 s and a handshake",
    );
    expect(backAt - cutAt).toBeLessThan(4_500);
    expect(first.at * 1_000 - cutAt).toBeLessThan(6_000);
    expect(left.logLines("ROLLED BACK")).toHaveLength(1);
    await pings.stop();
    expect(await reloadTo(settings(peersOf(linkKey, { keepalive: 7 })))).toEqual([
      "peer right: keepalive 0 -> 7",
    ]);
  }, 60_000);

  it("stays where it is confirmed", async () => {
    left.configure(settings(peersOf(linkKey, { keepalive: 9 })));
    expect((await left.command(["reload", "--confirm", "2"])).code).toBe(0);
    const confirmed = await left.command(["confirm"]);
    expect([confirmed.code, confirmed.stdout]).toEqual([0, "confirmed\n"]);
    await sleep(2_500);
    expect(await left.reload()).toMatchObject({ outcome: "applied", changes: [] });
    expect((await left.command(["confirm"])).code).toBe(1);
  }, 60_000);
});

describe("a file that cannot be taken over", () => {
  it("changes nothing: all problems are printed, as check does, and SIGHUP logs them", async () => {
    const before = await sessionOf();
    writeFileSync(left.configFile, "[interface]\nmtu = 5\n[log]\nlevel = 7\n", { mode: 0o600 });
    const done = await left.command(["reload"]);
    expect(done.code).toBe(78);
    expect(done.stderr).toMatch(/mtu.*\n.*level/s);
    left.child.signal("SIGHUP");
    await until("log", 5_000, () => left.logLines("reload: the configuration stays")[0]);
    expect(left.logLines("error reload:").length).toBeGreaterThan(2);
    left.configure(settings(peersOf(linkKey), { listen: "[::]:1195", device: "other0" }));
    const refused = await left.command(["reload"]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/interface.name .*\n.*interface.listen /);
    expect(await sessionOf()).toEqual(before);
  }, 60_000);
});

describe("a storm of reloads", () => {
  it("of 100 signals and 20 requests is a few readings, and no ping is lost", async () => {
    const before = await sessionOf();
    await reloadTo(settings(peersOf(linkKey), { logLevel: "debug" }));
    const begun = () => left.logLines("reload begins").length;
    const from = begun();
    const pings = new Ping(left.host, RIGHT.inner4, 0.01);
    await until("a first answer", 5_000, () => pings.replies.at(-1));
    left.configure(settings(peersOf(linkKey, { keepalive: 11 }), { logLevel: "debug" }));
    for (let count = 0; count < 100; count += 1) left.child.signal("SIGHUP");
    const answers = await Promise.allSettled(Array.from({ length: 20 }, () => left.reload()));
    const applied = answers.filter(
      (answer) => answer.status === "fulfilled" && answer.value.outcome === "applied",
    );
    await sleep(500);
    const result = await pings.stop();
    const readings = begun() - from;
    figure(
      "reload",
      "100 SIGHUPs and 20 requests at once",
      `${readings} readings, ${applied.length} requests answered, ${20 - applied.length} closed; ${result.sent - result.received} of ${result.sent} pings lost`,
      "0 lost",
    );
    expect(applied.length).toBeGreaterThanOrEqual(10);
    expect(readings).toBeLessThan(60);
    expect(
      left.logLines("keepalive 9 -> 11").length + left.logLines("-> 11").length,
    ).toBeGreaterThan(0);
    expect(result.sent - result.received).toBe(0);
    expect(await sessionOf()).toEqual(before);
  }, 60_000);
});
