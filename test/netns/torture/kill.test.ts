/**
 * H2: SIGKILL at random moments, of a client whose default route leads through its tunnel: device, addresses, rules, a
 * routing table, a firewall table, a sysctl and files are what it could leave behind.
 *
 * The moments are chosen by kind: while it starts (with and without its state directory, so that it is written), around
 * the first handshake, at a rekey, and at a reload. After each kill it starts anew and must come up with exactly the network that
 * the first start made; at the end it stops in order and must leave none.
 */
import { readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import type { Daemon, Settings } from "../../../scripts/netns/daemon.ts";
import { hostState, makeDefaultRouteLab } from "../../../scripts/netns/default-route.ts";
import { type Host, withLab } from "../../../scripts/netns/lab.ts";
import { pause } from "../../../scripts/netns/process.ts";
import { postTo } from "../../../src/daemon/control/control-client.ts";
import { API_PATH } from "../../../src/daemon/control/control-paths.ts";
import { figure } from "../../helpers/figure.ts";
import { amount } from "../../helpers/full.ts";
import { Random } from "../../helpers/random.ts";

const KILLS = amount({ quick: 3, short: 30, full: 1_000 });
const KINDS = ["handshake", "reload", "first start", "rekey", "start"] as const;
/** What is done to the network after the start's last step shows: routes, files, the doctor's warnings. */
const SETTLE_MS = 2_000;
const SETTLES_WITHIN_MS = 10_000;
type Kind = (typeof KINDS)[number];

it(`H2 SIGKILL at ${KILLS} moments: each time it comes up again, and nothing is left at the end`, async () => {
  await withLab(async (lab) => {
    const { client, tunnel } = await makeDefaultRouteLab(lab);
    const random = new Random(2);
    const before = await comparable(client);
    const startedMs = await timed(() => tunnel.start());
    await tunnel.waitUp();
    await pause(SETTLE_MS);
    const during = await comparable(client);
    const descriptors = descriptorsOf(tunnel);
    const wrong: string[] = [];
    const upMs: number[] = [];
    let slowest: { readonly ms: number; readonly at: string } = { ms: 0, at: "" };

    for (let kill = 0; kill < KILLS; kill += 1) {
      const kind = KINDS[kill % KINDS.length] ?? "start";
      await killAt(tunnel, kind, startedMs, random);
      const ms = Math.round(await timed(() => startUp(tunnel)));
      upMs.push(ms);
      if (ms > slowest.ms) slowest = { ms, at: `kill ${kill}, ${kind}` };
      if (!(await settles(async () => (await comparable(client)) === during)))
        wrong.push(`${kill}, ${kind}: ${difference(during, await comparable(client))}`);
      if (!(await settles(async () => descriptorsOf(tunnel) === descriptors)))
        wrong.push(`${kill}, ${kind}: ${descriptorsOf(tunnel)} descriptors, not ${descriptors}`);
    }
    await tunnel.stop();
    const after = await comparable(client);
    const files = readdirSync(stateDir(tunnel)).sort();

    const median = upMs.toSorted((a, b) => a - b)[KILLS >> 1];
    const measured = `${KILLS - wrong.length} of ${KILLS} recovered (up after ${median} ms, longest ${slowest.ms}: ${slowest.at}); ${after === before ? "nothing" : "something"} left behind; state: ${files.join(", ")}`;
    figure("H2", `SIGKILL at ${KILLS} moments`, measured, "all recover, nothing left behind");
    expect(wrong).toEqual([]);
    expect(after).toBe(before);
    expect(files.every((name) => /^iptun0\.(id|endpoints)$/.test(name))).toBe(true);
  });
}, 7_200_000);

/** The host's network without the link-local address of the device, which is another each time, and in one order. */
async function comparable(client: Host): Promise<string> {
  const lines = (await hostState(client)).split("\n");
  return lines
    .filter((line) => !/fe80::[0-9a-f:]+ dev iptun0/.test(line))
    .sort()
    .join("\n");
}

/** Lines that one has and the other has not. */
function difference(wanted: string, found: string): string {
  const [have, had] = [found.split("\n"), wanted.split("\n")];
  const more = have.filter((line) => !had.includes(line)).map((line) => `+ ${line.trim()}`);
  const less = had.filter((line) => !have.includes(line)).map((line) => `- ${line.trim()}`);
  return [...more, ...less].join("; ");
}

async function settles(holds: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + SETTLES_WITHIN_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) return false;
    await pause(50);
  }
  return true;
}

/** Brings a tunnel that is up to a moment of this kind, and kills it there. */
async function killAt(
  tunnel: Daemon,
  kind: Kind,
  startedMs: number,
  random: Random,
): Promise<void> {
  if (kind === "rekey") {
    void postTo(tunnel.socketPath, API_PATH.rekey, 5_000).catch(() => undefined);
    await pause(random.between(0, 40));
  } else if (kind === "reload") {
    tunnel.configure(changed(tunnel.settings, random));
    void tunnel.reload().catch(() => undefined);
    await pause(random.between(0, 60));
  } else {
    // What is not undone is written down in there, so it goes only where nothing is left to undo.
    const isFirst = kind === "first start";
    await tunnel.stop(isFirst || random.chance(0.5) ? "SIGTERM" : "SIGKILL");
    if (isFirst) rmSync(stateDir(tunnel), { recursive: true, force: true });
    tunnel.spawn();
    const [from, to] = kind === "handshake" ? [0.7, 1.5] : [0.2, 1];
    await pause(startedMs * random.between(from, to));
  }
  await tunnel.stop("SIGKILL");
}

/** Starts with the first configuration and waits until packets could flow. */
async function startUp(tunnel: Daemon): Promise<void> {
  tunnel.configure(tunnel.settings);
  await tunnel.start();
  await tunnel.waitUp();
}

/** Another keepalive, and now and then another network of the peer. */
function changed(settings: Settings, random: Random): Settings {
  const [peer, ...others] = settings.peers;
  if (peer === undefined) throw new Error("no peer");
  const network = `10.99.${random.below(256)}.0/24`;
  const allowedIps = [...(peer.allowedIps ?? []), ...(random.chance(0.5) ? [network] : [])];
  return {
    ...settings,
    peers: [{ ...peer, keepalive: 2 + random.below(60), allowedIps }, ...others],
  };
}

function stateDir(tunnel: Daemon): string {
  return join(dirname(tunnel.configFile), "state");
}

function descriptorsOf(tunnel: Daemon): number {
  return readdirSync(`/proc/${tunnel.child.pid}/fd`).length;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}
