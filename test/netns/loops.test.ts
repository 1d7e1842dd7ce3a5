/**
 * Routes that lead a tunnel's datagrams back into a tunnel (FAULTS.md I3): into itself, into another whose
 * own come back, and packets that two tunnels pass round.
 *
 * Egress is what the busiest tunnel sent in datagrams, as WireGuard's own test of such a ring counts it.
 */
import { describe, expect, it } from "vitest";
import type { Daemon } from "../../scripts/netns/daemon.ts";
import { type Host, type Lab, withLab } from "../../scripts/netns/lab.ts";
import { cpuShare } from "../../scripts/netns/proc.ts";
import { pause } from "../../scripts/netns/process.ts";
import { NOWHERE, ringOfPeers, ringOfProcesses } from "../../scripts/netns/rings.ts";
import type { Status } from "../../scripts/netns/status.ts";
import { ADDRESSES, startPair, TUN } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";
import { figure } from "../helpers/figure.ts";

const { right } = ADDRESSES;
const PINGS = 10;
/** What the pings may cost a tunnel: bytes, and a share of one CPU. */
const MOST_EGRESS = 70_000;
const MOST_CPU = 0.2;
/** Bytes that a datagram adds to a packet. */
const DATA_OVERHEAD = 32;

describe("a route that leads the endpoint into its own tunnel", () => {
  it("I3 pings to the endpoint, and to what is behind the tunnel, end at once as loops", async () => {
    await withLab(async (lab) => {
      const left = await startSwallowed(lab);

      const toEndpoint = await tenPings(left.host, right.outer4, [left]);
      const toInner = await tenPings(left.host, right.inner4, [left]);

      expectSmall("inner destination is the outer endpoint", toEndpoint, "loop", PINGS);
      expectSmall("tunnel in itself", toInner, "loop", PINGS);
    });
  });
});

describe("two tunnels in a ring", () => {
  it("I3 of two processes: packets that go round end by their hop limit, datagrams are dropped as a ring", async () => {
    await withLab(async (lab) => {
      const { left, right: far, sender, target, daemons, close } = await ringOfProcesses(lab);
      const before = await expiredPackets([left, far]);

      const passedRound = await tenPings(sender, NOWHERE, daemons);
      const expired = (await expiredPackets([left, far])) - before;
      close();
      const nested = await tenPings(left, target, daemons);

      expectSmall(`packets passed round, ${expired} counted by the kernel`, passedRound);
      expect(expired).toBe(PINGS);
      expectSmall("two tunnels in a ring, two processes", nested, "ring", PINGS);
    });
  });

  it("I3 of one process, to two peers: datagrams are dropped as a ring", async () => {
    await withLab(async (lab) => {
      const { left, target, daemons, close } = await ringOfPeers(lab);
      close();

      const nested = await tenPings(left, target, daemons);

      expectSmall("two tunnels in a ring, one process", nested, "ring", PINGS);
    });
  });
});

/** A tunnel that is up, whose peer covers everything; and then a route into it that covers the endpoint. */
async function startSwallowed(lab: Lab): Promise<Daemon> {
  const everything = { peer: { allowedIps: ["0.0.0.0/0"] }, settings: { routes: false } };
  const { left } = await startPair(lab, { left: everything });
  left.host.ip("route", "add", `${right.outer4}/32`, "dev", TUN);
  return left;
}

/** What ten pings cost. */
interface Load {
  /** Bytes of the busiest tunnel. */
  readonly egress: number;
  /** Of the busiest process. */
  readonly cpu: number;
  /** Drops of all together. */
  readonly drops: Readonly<Record<string, number>>;
}

/** Pings, and watches the tunnels for two seconds. */
async function tenPings(host: Host, target: string, daemons: readonly Daemon[]): Promise<Load> {
  const statuses = () => Promise.all(daemons.map((daemon) => daemon.status()));
  const before = await statuses();
  const shares = daemons.map(({ child }) => cpuShare(child.pid, () => pause(2_000)));
  await ping(host, target, PINGS);
  const cpu = Math.max(...(await Promise.all(shares)));
  const after = await statuses();
  const egresses = after.map((status, at) => egressOf(status) - egressOf(before[at]));
  const drops: Record<string, number> = {};
  for (const [at, status] of after.entries()) {
    for (const [reason, count] of Object.entries(status.drops)) {
      drops[reason] = (drops[reason] ?? 0) + count - (before[at]?.drops[reason] ?? 0);
    }
  }
  return { egress: Math.max(...egresses), cpu, drops };
}

/** Bytes of the busiest peer's datagrams. */
function egressOf(status: Status | undefined): number {
  const peers = status?.peers ?? [];
  const bytes = peers.map(
    ({ counters }) => counters.outboundBytes + counters.outboundPackets * DATA_OVERHEAD,
  );
  return Math.max(0, ...bytes);
}

/** Holds the load against the plan; `reason` names the loop and was counted at least so often. */
function expectSmall(what: string, { egress, cpu, drops }: Load, reason = "", atLeast = 0): void {
  const named = reason === "" ? "" : `, ${reason} ${drops[reason]}`;
  const measured = `${egress} B, CPU ${(cpu * 100).toFixed(1)} %${named}`;
  figure("I3", `${what}, ${PINGS} pings`, measured, "<= 70,000 B, CPU <= 20 %, named");
  expect(egress).toBeLessThanOrEqual(MOST_EGRESS);
  expect(cpu).toBeLessThanOrEqual(MOST_CPU);
  if (reason !== "") expect(drops[reason]).toBeGreaterThanOrEqual(atLeast);
}

/** Packets that the kernels dropped because their hop limit ran out (IPSTATS_MIB_INHDRERRORS of ip_forward). */
async function expiredPackets(hosts: readonly Host[]): Promise<number> {
  let sum = 0;
  for (const host of hosts) {
    const lines = (await host.output(["cat", "/proc/net/snmp"])).split("\n");
    const [names = [], values = []] = lines
      .filter((line) => line.startsWith("Ip:"))
      .map((line) => line.split(" "));
    sum += Number(values[names.indexOf("InHdrErrors")]);
  }
  return sum;
}
