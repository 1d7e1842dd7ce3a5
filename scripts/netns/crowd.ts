/**
 * A hub with very many sites, which start at once: pairs with keys of their own, and one group.
 *
 *   hub eth0 192.0.2.1 ---- 192.0.2.2 eth0 crowd    198.18.0.0/16 is the crowd's, an address for each site
 *
 * The first pair is a real iptun on a host of its own, so that a ping tells what the others do to it.
 */
import { randomBytes } from "node:crypto";
import { get } from "node:http";
import { join } from "node:path";
import { Daemon, makeKey, type PeerSettings } from "./daemon.ts";
import { type Host, type Lab, wire } from "./lab.ts";
import { type LoopDelay, readLoopDelay, withLoopDelay } from "./loop-delay.ts";
import { residentMiB } from "./proc.ts";
import { type Child, pause, ROOT, until } from "./process.ts";
import { PORT, TUN } from "./topology.ts";
import { Ping, percentileMs } from "./traffic.ts";

const HUB = "192.0.2.1";
const OUTER = "198.18.0.0/16";
const NETWORK = "10.80.0.0/16";
const HUB_INNER = "10.80.255.1";
const CANARY_INNER = "10.80.255.2";
/** Processes that share the sites: handshakes cost a site as much as the hub, and one core is too little for all. */
const AGENTS = 2;

export interface CrowdSite {
  /** Base64 without what makes a group's key one. */
  readonly key: string;
  readonly isInGroup: boolean;
  readonly outer: string;
  readonly inner: string;
}

/** What the agent is told. */
export interface CrowdOrder {
  readonly hub: { readonly address: string; readonly port: number; readonly network: string };
  readonly sites: readonly CrowdSite[];
}

/** What it says. */
export interface CrowdReport {
  /** Sites with a session. */
  readonly up: number;
}

export interface CrowdFigures {
  /** From the start of the sites until all of them have a session, milliseconds. */
  readonly upMs: number;
  /** Pings at 10 ms through the hub's engine meanwhile. */
  readonly pingP50Ms: number;
  readonly pingP99Ms: number;
  readonly lostPings: number;
  /** How late the event loop of the hub's engine is meanwhile. */
  readonly loopDelay: LoopDelay;
  readonly hubMiB: number;
  /** Inner addresses that the hub has learned. */
  readonly addresses: number;
  /** Pings beside questions to the hub, in the order of QUESTIONS; none unless asked for. */
  readonly asked: readonly AskedFigures[];
}

/** Pings at 10 ms through the hub's engine while it is asked something. */
export interface AskedFigures {
  readonly what: string;
  readonly answers: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly lost: number;
}

/** What the hub is asked by so many at a time, each again after a pause. */
const QUESTIONS = [
  { what: "nothing", path: undefined, clients: 0, pauseMs: 0 },
  { what: "a status a second", path: "/v1/status", clients: 1, pauseMs: 1_000 },
  { what: "a scrape a second", path: "/v1/metrics", clients: 1, pauseMs: 1_000 },
  { what: "history, by 8 without a pause", path: "/v1/history", clients: 8, pauseMs: 0 },
  {
    what: "a peer's hour, by 8 without a pause",
    path: "/v1/history?peer=canary&seconds=3600",
    clients: 8,
    pauseMs: 0,
  },
] as const;

/**
 * Starts `pairs` sites with a key each and `nodes` of one group, all at once. Then asks the hub each of QUESTIONS for
 * `askSeconds`.
 */
export async function startCrowd(
  lab: Lab,
  pairs: number,
  nodes: number,
  askSeconds = 0,
): Promise<CrowdFigures> {
  const [host, crowd, other] = [lab.addHost("hub"), lab.addHost("crowd"), lab.addHost("canary")];
  wire(
    { host, device: "eth0", addresses: [`${HUB}/24`] },
    { host: crowd, device: "eth0", addresses: ["192.0.2.2/24"] },
  );
  wire(
    { host, device: "eth1", addresses: ["203.0.113.1/24"] },
    { host: other, device: "eth0", addresses: ["203.0.113.2/24"] },
  );
  crowd.ip("route", "add", "local", OUTER, "dev", "lo");
  host.ip("route", "add", OUTER, "via", "192.0.2.2");
  const groupKey = randomBytes(32).toString("base64");
  const sites = makeSites(pairs, nodes, groupKey);
  const canaryKey = await makeKey(host.dir);
  const delayFile = join(host.dir, "loop-delay");
  const { hub, canary } = daemons(host, other, canaryKey, groupKey, sites, delayFile);
  await hub.start();
  await canary.start();
  await canary.waitUp();

  const agents = await Promise.all(Array.from({ length: AGENTS }, () => startAgent(crowd)));
  const ping = new Ping(other, HUB_INNER, 0.01);
  const started = performance.now();
  const areUp = agents.map((agent, index) => {
    const own = sites.filter((_, site) => site % AGENTS === index);
    const order: CrowdOrder = { hub: { address: HUB, port: PORT, network: NETWORK }, sites: own };
    agent.process.send(order);
    return Promise.race([allUp(agent, own.length), agent.ended]);
  });
  await Promise.all(areUp);
  const upMs = performance.now() - started;
  // A site believes its RESP; the hub has the last word. Not in the time: so large a status takes a second.
  const { sent, received, replies } = await ping.stop();
  const loopDelay = readLoopDelay(delayFile);
  const status = await until(
    "every site is up",
    60_000,
    async () => {
      const { peers } = await hub.status();
      const up = peers.filter(({ state }) => state === "up").length;
      return up === sites.length + 1 ? await hub.status() : undefined;
    },
    1000,
  );
  return {
    upMs,
    pingP50Ms: percentileMs(replies, 0.5),
    pingP99Ms: percentileMs(replies, 0.99),
    lostPings: sent - received,
    loopDelay,
    hubMiB: residentMiB(hub.child.pid),
    addresses: status.peers.flatMap(({ addresses }) => addresses).length,
    asked: askSeconds > 0 ? await askAll(hub, other, askSeconds) : [],
  };
}

function makeSites(pairs: number, nodes: number, groupKey: string): readonly CrowdSite[] {
  return Array.from({ length: pairs + nodes }, (_, index) => ({
    key: index < pairs ? randomBytes(32).toString("base64") : groupKey,
    isInGroup: index >= pairs,
    outer: `198.18.${index >> 8}.${index & 0xff}`,
    inner: `10.80.${index >> 8}.${index & 0xff}`,
  }));
}

async function askAll(hub: Daemon, other: Host, seconds: number): Promise<readonly AskedFigures[]> {
  const figures: AskedFigures[] = [];
  for (const { what, path, clients, pauseMs } of QUESTIONS) {
    const endsAt = performance.now() + seconds * 1_000;
    const ping = new Ping(other, HUB_INNER, 0.01);
    let answers = 0;
    const client = async () => {
      while (path !== undefined && performance.now() < endsAt) {
        await answerTo(hub.socketPath, path);
        answers += 1;
        await pause(pauseMs);
      }
    };
    await Promise.all([pause(seconds * 1_000), ...Array.from({ length: clients }, client)]);
    const { sent, received, replies } = await ping.stop();
    const at = (share: number) => percentileMs(replies, share);
    const pings = { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1), lost: sent - received };
    figures.push({ what, answers, ...pings });
  }
  return figures;
}

/** Takes an answer of whatever form, and throws it away. */
function answerTo(socketPath: string, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = get({ socketPath, path, agent: false }, (response) => {
      response.resume().on("end", resolve).on("error", reject);
    });
    call.on("error", reject);
  });
}

async function startAgent(crowd: Host): Promise<Child> {
  const script = join(ROOT, "scripts/netns/crowd-agent.ts");
  const agent = crowd.start([process.execPath, "--import", "tsx", script], { hasChannel: true });
  await new Promise((resolve) => agent.process.once("message", resolve));
  return agent;
}

function allUp(agent: Child, count: number): Promise<void> {
  return new Promise((resolve) => {
    agent.process.on("message", ({ up }: CrowdReport) => {
      if (up === count) resolve();
    });
  });
}

function daemons(
  host: Daemon["host"],
  other: Daemon["host"],
  canaryKey: string,
  groupKey: string,
  sites: readonly CrowdSite[],
  delayFile: string,
): { readonly hub: Daemon; readonly canary: Daemon } {
  const common = { device: TUN, listen: `0.0.0.0:${PORT}` };
  const pairs = sites.filter(({ isInGroup }) => !isInGroup);
  const peers: PeerSettings[] = [
    { name: "canary", keyFile: canaryKey, allowedIps: [`${CANARY_INNER}/32`] },
    { name: "branch", key: `group:${groupKey}`, learn: true, allowedIps: [NETWORK] },
    ...pairs.map(({ key, inner }, index) => {
      return { name: `site${index}`, key, allowedIps: [`${inner}/32`] };
    }),
  ];
  const endpoint = `203.0.113.1:${PORT}`;
  const hubPeer = { name: "hub", keyFile: canaryKey, endpoint, allowedIps: [NETWORK] };
  return {
    hub: new Daemon(
      host,
      { ...common, addresses: [`${HUB_INNER}/16`], peers },
      { wrapper: withLoopDelay(delayFile) },
    ),
    canary: new Daemon(other, {
      ...common,
      addresses: [`${CANARY_INNER}/16`],
      peers: [hubPeer],
    }),
  };
}
