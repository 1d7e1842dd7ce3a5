/**
 * Rows F7, F9 and F10 of the fault plan: who holds a key of another peer, and who comes from everywhere.
 *
 *   left (the others) ---- right, a hub ---- attacker: the peer "rogue", nodes of a group, or nobody
 *
 * The engine's event loop is watched from inside, its heap too.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Daemon, makeKey, type PeerSettings } from "../../../scripts/netns/daemon.ts";
import { type Lab, openLab } from "../../../scripts/netns/lab.ts";
import {
  type LoopSecond,
  readLoopDelay,
  sweptHeapMiB,
  withLoopDelay,
} from "../../../scripts/netns/loop-delay.ts";
import { ROOT } from "../../../scripts/netns/process.ts";
import { drops, type Status } from "../../../scripts/netns/status.ts";
import { ADDRESSES, hostPort, PORT, STRANGER, TUN } from "../../../scripts/netns/topology.ts";
import { type FloodReport, flood } from "../../attackers/flood.ts";
import {
  besiege,
  besiegeWith,
  type FloodLab,
  openFloodLab,
  outcomeText,
  rekey,
  SECONDS,
  sentOf,
  statusOf,
} from "../../attackers/flood-lab.ts";
import type { HalfOpenReport } from "../../attackers/half-open-agent.ts";
import { openKey } from "../../attackers/insider.ts";
import { datagramFile, hintedInit, overhear } from "../../attackers/overheard.ts";
import { figure } from "../../helpers/figure.ts";
import { amount, TORTURE } from "../../helpers/full.ts";
import { slowness } from "../../helpers/slowness.ts";

const MINUTES = 60_000;
const INITS_PER_SECOND = 1_000;
const MOST_LOSS = 0.05;
const MOST_HANDSHAKE_MS = 1_000;
const HALF_OPENS = amount({ quick: 1_000, short: 3_000, full: 10_000 });
const HALF_OPENS_PER_SECOND = 500;
const MOST_HALF_OPEN = 128;
const MOST_HEAP_MIB = 4;
const SOURCES = 100_000;
const SOURCES_PER_SECOND = 20_000;
const MOST_LAG_MS = 20;
const GROUP_NETWORK = "10.78.0.0/24";
const ROGUE_INNER = "10.77.0.3";

const itInTorture = it.runIf(TORTURE !== undefined);

let lab: Lab | undefined;
let siege: FloodLab;
let rogueKey: string;
let groupKey: string;
let delayFile: string;

beforeAll(async () => {
  if (TORTURE === undefined) return;
  lab = openLab();
  delayFile = join(lab.dir, "loop-delay");
  const keyFile = await makeKey(lab.dir, "left.key");
  rogueKey = await makeKey(lab.dir, "rogue.key");
  groupKey = await makeKey(lab.dir, "group.key", ["--group"]);
  const peers: PeerSettings[] = [
    { name: "left", keyFile, allowedIps: [`${ADDRESSES.left.inner4}/32`] },
    { name: "rogue", keyFile: rogueKey, allowedIps: [`${ROGUE_INNER}/32`] },
    { name: "branch", keyFile: groupKey, learn: true, allowedIps: [GROUP_NETWORK] },
  ];
  siege = await openFloodLab(lab, {
    left: { keyFile },
    right: { settings: { peers }, wrapper: withLoopDelay(delayFile) },
  });
});
afterAll(() => lab?.close());

// First: later the hub has a peer at the attacker's address, and speaks to it.
itInTorture(
  "F10 100,000 sources with one datagram each stall nothing",
  async () => {
    const known = await overhear(siege.pair);
    const content = { prefix: hintedInit(known), least: 120, most: 120 };
    const sources = { kind: "pool", size: SOURCES } as const;
    // A little longer than they take: the attacker may be held up.
    const seconds = (SOURCES / SOURCES_PER_SECOND) * 1.2;
    const from = Date.now() / 1_000;
    const order = { ratePerSecond: SOURCES_PER_SECOND, seconds, sources, content };
    const outcome = await besiegeWith(siege, order);
    const during = secondsSince(from).map(({ p99Ms }) => p99Ms);
    const lagMs = percentile(during, 0.5);
    const tookMs = await rekey(siege.pair);

    figure(
      "F10",
      "100,000 sources, one forged INIT each, 20 kpps",
      `${outcomeText(outcome)}, loop lag p99 ${lagMs.toFixed(1)} ms, handshake after it ${tookMs.toFixed(0)} ms`,
      "others unaffected, loop lag p99 <= 20 ms",
    );
    const { loss, lossQuiet, before, after, grownMiB, reports } = outcome;
    expect(sentOf(reports).sent).toBeGreaterThanOrEqual(SOURCES);
    expect(loss - Math.max(0, lossQuiet)).toBeLessThanOrEqual(MOST_LOSS);
    expect(lagMs).toBeLessThanOrEqual(MOST_LAG_MS * slowness());
    expect(sentOf(reports).answers).toBe(0);
    expect(after.handshakeComputations - before.handshakeComputations).toBe(0);
    expect(grownMiB).toBeLessThanOrEqual(32);
    expect(tookMs).toBeLessThanOrEqual(MOST_HANDSHAKE_MS * slowness());
  },
  3 * MINUTES,
);

itInTorture(
  "F7 a peer that sends 1,000 genuine INITs a second takes nothing from the others",
  async () => {
    const file = await initFile(await rogueNodeId(), SECONDS * INITS_PER_SECOND);
    const tookMs: number[] = [];
    const outcome = await besiege(siege, async () => {
      const flooding = floodAsRogue(file, SECONDS);
      await handshakesWhile(flooding, tookMs);
      return [await flooding];
    });

    const { before, after, loss, lossQuiet } = outcome;
    const worst = percentile(tookMs, 0.99);
    figure(
      "F7",
      `a peer with 1,000 INIT a second, ${tookMs.length} handshakes of another`,
      `${outcomeText(outcome)}, the other's handshakes p99 ${worst.toFixed(0)} ms`,
      "others' loss <= 5 %, handshake p99 <= 1 s",
    );
    expect(sentOf(outcome.reports).answers).toBeGreaterThan(0);
    expect(loss - Math.max(0, lossQuiet)).toBeLessThanOrEqual(MOST_LOSS);
    expect(worst).toBeLessThanOrEqual(MOST_HANDSHAKE_MS * slowness());
    expect(drops(after, "handshake_budget")).toBeGreaterThan(drops(before, "handshake_budget"));
    // 20 a second and a burst of 5 (PROTOCOL, "Limits"), and those of the other.
    const most = 20 * (SECONDS + 2) + 5 + tookMs.length;
    expect(after.handshakeComputations - before.handshakeComputations).toBeLessThanOrEqual(most);
    expect(peerOf(after, "left").state).toBe("up");
  },
  5 * MINUTES,
);

itInTorture(
  "F9 a peer that never confirms leaves few half-open handshakes",
  async () => {
    const file = await initFile(await rogueNodeId(), HALF_OPENS);
    const seconds = HALF_OPENS / INITS_PER_SECOND;
    await halfOpen("INITs of a peer", "pair", async () => await floodAsRogue(file, seconds));
  },
  5 * MINUTES,
);

itInTorture(
  "F9 nodes of a group that prove their addresses and never confirm leave few half-open handshakes",
  async () => {
    const { attacker } = siege;
    attacker.ip("route", "add", "local", "198.18.0.0/24", "dev", "lo");
    const report = await halfOpen("nodes of a group", "node", async () => {
      const agent = join(ROOT, "test/attackers/half-open-agent.ts");
      const target = [groupKey, STRANGER.right4, String(PORT)];
      const order = [...target, String(HALF_OPENS), String(HALF_OPENS_PER_SECOND)];
      const command = [process.execPath, "--import", "tsx", agent, ...order];
      const output = await attacker.output(command, { timeoutMs: 2 * MINUTES });
      return JSON.parse(output) as HalfOpenReport;
    });
    expect(report.started).toBe(HALF_OPENS);
    expect(report.answers).toBeGreaterThan(MOST_HALF_OPEN);
  },
  5 * MINUTES,
);

/** Half-open sessions, heap, and handshakes of another while `attack` runs. */
async function halfOpen<T extends object>(
  what: string,
  kind: "pair" | "node",
  attack: () => Promise<T>,
): Promise<T> {
  const { right } = siege.pair;
  const quietMiB = await sweptHeapMiB(delayFile);
  const tookMs: number[] = [];
  const counts: number[] = [];
  const attacking = attack();
  const counting = setInterval(() => {
    void statusOf(right).then((status) => counts.push(halfOpenOf(status, kind)));
  }, 200);
  await handshakesWhile(attacking, tookMs);
  clearInterval(counting);
  const report = await attacking;
  const grownMiB = (await sweptHeapMiB(delayFile)) - quietMiB;

  const most = Math.max(...counts);
  const worst = Math.max(...tookMs);
  const heap = `heap ${grownMiB >= 0 ? "+" : ""}${grownMiB.toFixed(1)} MB`;
  figure(
    "F9",
    `${HALF_OPENS} half-opens, never confirmed: ${what}`,
    `half-open at most ${most}, ${heap}, another's handshake at most ${worst.toFixed(0)} ms (${tookMs.length}); ${JSON.stringify(report)}`,
    "half-open <= 128, heap +<= 4 MB, handshake <= 1 s",
  );
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(MOST_HALF_OPEN);
  expect(grownMiB).toBeLessThanOrEqual(MOST_HEAP_MIB);
  expect(worst).toBeLessThanOrEqual(MOST_HANDSHAKE_MS * slowness());
  expect(peerOf(await statusOf(right), "left").state).toBe("up");
  return report;
}

/** New sessions of the left site, one after another, until `attack` is over. */
async function handshakesWhile(attack: Promise<unknown>, tookMs: number[]): Promise<void> {
  let isOver = false;
  const ending = attack.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    tookMs.push(await rekey(siege.pair));
  }
  await ending;
}

async function floodAsRogue(file: string, seconds: number): Promise<FloodReport> {
  const { attacker, pair } = siege;
  const count = seconds * INITS_PER_SECOND;
  return await flood(attacker, pair.right.host, {
    ratePerSecond: INITS_PER_SECOND,
    seconds: seconds + 1,
    sources: { kind: "one", address: STRANGER.outer4, port: PORT },
    content: { file, count },
  });
}

/** Fresh INITs of the rogue, in a file. */
async function initFile(nodeId: Uint8Array, count: number): Promise<string> {
  const key = await openKey(rogueKey);
  const file = join(siege.attacker.dir, "inits");
  writeFileSync(file, datagramFile(Array.from({ length: count }, () => key.init(nodeId))));
  return file;
}

/** The rogue has been a genuine peer: the hub knows its node, and its stamps need no cookie. */
async function rogueNodeId(): Promise<Uint8Array> {
  const daemon = new Daemon(siege.attacker, {
    device: TUN,
    addresses: [`${ROGUE_INNER}/24`],
    listen: `0.0.0.0:${PORT}`,
    peers: [
      {
        name: "right",
        keyFile: rogueKey,
        endpoint: hostPort(STRANGER.right4),
        allowedIps: [`${ADDRESSES.right.inner4}/32`],
        keepalive: 1,
      },
    ],
  });
  await daemon.start();
  await daemon.waitUp();
  const isUp = (status: Status) => peerOf(status, "rogue").state === "up";
  await siege.pair.right.waitForStatus("the rogue", isUp);
  await daemon.stop("SIGKILL");
  const text = readFileSync(join(siege.attacker.dir, "iptun/state", `${TUN}.id`), "latin1");
  return Buffer.from(text.trim(), "hex");
}

function peerOf(status: Status, name: string): Status["peers"][number] {
  const found = status.peers.find((peer) => peer.name === name);
  if (found === undefined) throw new Error(`no peer ${name}`);
  return found;
}

function halfOpenOf({ peers }: Status, kind: "pair" | "node"): number {
  const sessions = peers.filter((peer) => peer.kind === kind).flatMap((peer) => peer.sessions);
  return sessions.filter(({ slot }) => slot === "next").length;
}

function secondsSince(from: number): readonly LoopSecond[] {
  return readLoopDelay(delayFile).seconds.filter(({ at }) => at > from);
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
