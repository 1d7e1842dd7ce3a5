/**
 * The tests: what is run through an open tunnel, and which figures come of it.
 *
 * iperf3 and ping are the distribution's and the same for every subject; iperf3 takes its share of the
 * CPUs and is a bottleneck of small packets. CPU time of a tunnel is that of its processes at both ends,
 * with the kernel's work on their behalf, without what the kernel does in interrupts.
 */
import { cpuSeconds, peakMiB, residentMiB } from "../netns/proc.ts";
import type { Child } from "../netns/process.ts";
import {
  type Flood,
  type FloodOptions,
  Ping,
  percentileMs,
  ping,
  tcpThroughput,
  udpFlood,
} from "../netns/traffic.ts";
import type { Figures, MetricName } from "./metrics.ts";
import type { OpenSubject } from "./subjects.ts";

/** How much is done in one test. */
export interface Effort {
  /** Seconds of traffic. */
  readonly seconds: number;
  /** Pings of the idle tunnel. */
  readonly pings: number;
}

/** One test. */
interface Test {
  /** Seconds that it takes, with its start and end. */
  readonly seconds: (effort: Effort) => number;
  /** `earlier` has what the same round found before on the same tunnel. */
  readonly run: (subject: OpenSubject, effort: Effort, earlier: Figures) => Promise<Figures>;
}

const IPERF_STARTS = 0.6;
const PING_INTERVAL_SECONDS = 0.01;
const FIRST_PORT = 5201;
const LARGE = 1300;
const SMALL = 64;

/** Every test, in the order in which a round runs them. Memory is last: it is what the others left. */
export const TESTS = {
  "tcp-1": tcp(1, false),
  "tcp-1-back": tcp(1, true),
  "tcp-4": tcp(4, false),
  "tcp-4-back": tcp(4, true),
  "udp-1300": udp("udp-1300", LARGE),
  "udp-half": { seconds: withIperf, run: floodHalf },
  "udp-double": udp("udp-double", LARGE, 2),
  "udp-64": udp("udp-64", SMALL),
  "ping-idle": { seconds: ({ pings }) => pings * PING_INTERVAL_SECONDS + 0.5, run: pingIdle },
  "ping-loaded": { seconds: withIperf, run: pingLoaded },
  memory: { seconds: () => 0, run: async (subject) => memory(subject.processes) },
} as const satisfies Readonly<Record<string, Test>>;

type FloodName = "udp-1300" | "udp-half" | "udp-double" | "udp-64";
/** Name of a test. */
export type TestName = keyof typeof TESTS;

/** Lets what is compiled while it runs be compiled: a second of TCP, whose figures nobody reads. */
export async function warmUp({ hosts, address }: OpenSubject): Promise<void> {
  await tcpThroughput(hosts.left, hosts.right, address, { seconds: 1 });
}

function withIperf({ seconds }: Effort): number {
  return seconds + IPERF_STARTS;
}

function tcp(streams: 1 | 4, isReverse: boolean): Test {
  const name = `tcp-${streams}` as const;
  const metric: MetricName = isReverse ? `${name}-back` : name;
  return {
    seconds: withIperf,
    run: async ({ hosts, address, processes }, { seconds }) => {
      const before = totalCpuSeconds(processes);
      const options = { seconds, isReverse, streams };
      const carried = await tcpThroughput(hosts.left, hosts.right, address, options);
      const cpu = totalCpuSeconds(processes) - before;
      const gbit = (carried.bytes * 8) / 1e9;
      const speed: Figures[number] = [metric, carried.bitsPerSecond / 1e9];
      if (processes.length === 0) return [speed];
      return [speed, [`${name}-per-cpu`, gbit / cpu], [`${name}-cpu`, cpu / gbit]];
    },
  };
}

function udp(name: FloodName, bytes: number, senders = 1): Test {
  return {
    seconds: withIperf,
    run: async (subject, { seconds }) => await flood(name, subject, { seconds, bytes }, senders),
  };
}

/** UDP from so many senders, each with a receiver of its own. */
async function flood(
  name: FloodName,
  subject: OpenSubject,
  options: FloodOptions,
  senders = 1,
): Promise<Figures> {
  const { hosts, address } = subject;
  const before = await unread(subject);
  const floods = await Promise.all(
    Array.from({ length: senders }, async (_, index) => {
      const port = FIRST_PORT + index;
      return await udpFlood(hosts.left, hosts.right, address, { ...options, port });
    }),
  );
  const lost = (await unread(subject)) - before;
  const kpps = (pick: (one: Flood) => number) =>
    floods.reduce((sum, one) => sum + pick(one), 0) / 1000;
  return [
    [name, kpps((one) => one.deliveredPerSecond)],
    [`${name}-unread`, lost / options.seconds / 1000],
    [`${name}-offered`, kpps((one) => one.offeredPerSecond)],
  ];
}

/** Half of what the same round offered at full rate. */
async function floodHalf(
  subject: OpenSubject,
  { seconds }: Effort,
  earlier: Figures,
): Promise<Figures> {
  const offered = earlier.find(([metric]) => metric === "udp-1300-offered")?.[1];
  if (offered === undefined) throw new Error("nothing was offered at full rate");
  const ratePerSecond = (offered * 1000) / 2;
  return await flood("udp-half", subject, { seconds, bytes: LARGE, ratePerSecond });
}

/** Datagrams that arrived at the right host and found the receiver's socket full, until now. */
async function unread({ hosts }: OpenSubject): Promise<number> {
  const lines = (await hosts.right.output(["cat", "/proc/net/snmp"])).split("\n");
  const [names = [], values = []] = lines
    .filter((line) => line.startsWith("Udp:"))
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("RcvbufErrors")]);
}

async function pingIdle({ hosts, address }: OpenSubject, { pings }: Effort): Promise<Figures> {
  const { replies } = await ping(hosts.left, address, pings, PING_INTERVAL_SECONDS);
  return [["ping-idle", averageMs(replies)]];
}

async function pingLoaded({ hosts, address }: OpenSubject, { seconds }: Effort): Promise<Figures> {
  const beside = new Ping(hosts.left, address, PING_INTERVAL_SECONDS);
  const load = await Promise.allSettled([
    tcpThroughput(hosts.left, hosts.right, address, { seconds }),
  ]);
  const { sent, received, replies } = await beside.stop();
  if (load[0].status === "rejected") throw load[0].reason;
  return [
    ["ping-loaded", averageMs(replies)],
    ["ping-loaded-p99", percentileMs(replies, 0.99)],
    ["ping-loaded-lost", ((sent - received) / sent) * 100],
  ];
}

function averageMs(replies: readonly { readonly rttMs: number }[]): number {
  if (replies.length === 0) throw new Error("no ping was answered");
  return replies.reduce((sum, { rttMs }) => sum + rttMs, 0) / replies.length;
}

function memory([left]: readonly Child[]): Figures {
  if (left === undefined) return [];
  return [
    ["memory-peak", peakMiB(left.pid)],
    ["memory-resident", residentMiB(left.pid)],
  ];
}

function totalCpuSeconds(processes: readonly Child[]): number {
  return processes.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
}
