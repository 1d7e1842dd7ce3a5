/**
 * T1: a long time under mixed load: TCP, pings, reloads, rekeys, questions to the control socket and to the metrics, and now
 * and then a restart of the other end. Outside of those no packet is lost, and neither memory nor descriptors grow.
 *
 * The heap is what a full collection leaves of it (heap-watch.mjs), of the end that is never restarted. The trap: a slope over
 * minutes says nothing of a day, so the short run allows more; what it finds is printed either way.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Daemon } from "../../../scripts/netns/daemon.ts";
import type { Host } from "../../../scripts/netns/lab.ts";
import { withLab } from "../../../scripts/netns/lab.ts";
import { withPreload } from "../../../scripts/netns/preload.ts";
import { residentMiB } from "../../../scripts/netns/proc.ts";
import { expectSuccess, pause } from "../../../scripts/netns/process.ts";
import {
  ADDRESSES,
  bringUp,
  makePair,
  type Pair,
  startDaemons,
} from "../../../scripts/netns/topology.ts";
import { Ping, tcpThroughput } from "../../../scripts/netns/traffic.ts";
import { figure } from "../../helpers/figure.ts";
import { amount, TORTURE } from "../../helpers/full.ts";

const { left: LEFT, right: RIGHT } = ADDRESSES;
const PERIODS = amount({ quick: 0, short: 3, full: 12 });
const PERIOD_SECONDS = amount({ quick: 0, short: 45, full: 300 });
/** Heap that may be gained in an hour, MB; over two minutes the compiler's own growth shows. */
const MOST_SLOPE = amount({ quick: 0, short: 30, full: 1 });
/** Of the whole time, before the slope is taken. */
const WARM_UP = 0.25;
const METRICS = "127.0.0.1:9586";
const LOAD_BITS = 50e6;

interface Sample {
  readonly seconds: number;
  readonly heapUsed: number;
  readonly external: number;
}

it.runIf(TORTURE !== undefined)(
  `T1 ${(PERIODS * PERIOD_SECONDS) / 60} minutes of mixed load: no packet lost, nothing grows`,
  async () => {
    await withLab(async (lab) => {
      const file = join(lab.dir, "heap");
      const wrapper = withPreload("heap-watch.mjs", { IPTUN_HEAP_WATCH: file });
      const settings = { metrics: { listen: METRICS, page: true } };
      const pair = await makePair(lab, { left: { wrapper, settings } });
      await startDaemons(pair);
      await pause(5_000);
      const [descriptors, memory] = [descriptorsOf(pair), residentMiB(pair.left.child.pid)];
      let [sent, lost] = [0, 0];

      for (let period = 0; period < PERIODS; period += 1) {
        const result = await onePeriod(pair);
        sent += result.sent;
        lost += result.lost;
        await pair.right.stop(period % 2 === 0 ? "SIGKILL" : "SIGTERM");
        await pair.right.start();
        await bringUp(pair);
      }

      await pause(5_000);
      const after = descriptorsOf(pair);
      const [main, engine] = [slopeOf(`${file}.main`), slopeOf(`${file}.engine`)];
      const grown = residentMiB(pair.left.child.pid) - memory;
      report({ sent, lost, main, engine, grown, before: descriptors, after });
      expect(lost).toBe(0);
      expect(after).toBe(descriptors);
      expect(main).toBeLessThanOrEqual(MOST_SLOPE);
      expect(engine).toBeLessThanOrEqual(MOST_SLOPE);
    });
  },
  7_200_000,
);

/** Load and pings both ways until the period is over; counts the pings. */
async function onePeriod(pair: Pair): Promise<{ readonly sent: number; readonly lost: number }> {
  const until = performance.now() + PERIOD_SECONDS * 1_000;
  const pings = [
    new Ping(pair.left.host, RIGHT.inner4, 0.05),
    new Ping(pair.right.host, LEFT.inner6, 0.05),
  ];
  await Promise.all([carryUntil(pair, until), disturbUntil(pair, until)]);
  const results = await Promise.all(pings.map((one) => one.stop()));
  return {
    sent: results.reduce((sum, one) => sum + one.sent, 0),
    lost: results.reduce((sum, one) => sum + one.sent - one.received, 0),
  };
}

/** TCP in turns, in both directions, one and several connections. */
async function carryUntil(pair: Pair, until: number): Promise<void> {
  for (let turn = 0; performance.now() < until - 10_000; turn += 1) {
    await tcpThroughput(pair.left.host, pair.right.host, RIGHT.inner4, {
      seconds: 5,
      isReverse: turn % 2 === 1,
      streams: turn % 3 === 2 ? 4 : 1,
      bitsPerSecond: LOAD_BITS / (turn % 3 === 2 ? 4 : 1),
    });
    await pause(2_000);
  }
  await pause(Math.max(0, until - performance.now()));
}

/** Reloads, rekeys and questions, one each second or two. */
async function disturbUntil({ left }: Pair, until: number): Promise<void> {
  const [peer, ...others] = left.settings.peers;
  if (peer === undefined) throw new Error("no peer");
  for (let turn = 0; performance.now() < until; turn += 1) {
    if (turn % 15 === 7) {
      left.configure({
        ...left.settings,
        peers: [{ ...peer, keepalive: 20 + (turn % 5) }, ...others],
      });
      await left.reload();
    }
    if (turn % 20 === 13) await mustRun(left, ["rekey", peer.name]);
    if (turn % 10 === 3) await mustRun(left, ["ping", "-c", "2", peer.name]);
    await left.waitForStatus("a status", () => true);
    await scrape(left.host);
    await pause(1_000);
  }
}

async function mustRun(daemon: Daemon, words: readonly string[]): Promise<void> {
  expectSuccess(await daemon.command(words), words);
}

async function scrape(host: Host): Promise<void> {
  const program = `fetch("http://${METRICS}/metrics").then((r) => r.text()).then((t) => { if (!t.includes("iptun_")) throw new Error(t); })`;
  await host.output([process.execPath, "-e", program]);
}

function descriptorsOf({ left }: Pair): number {
  return readdirSync(`/proc/${left.child.pid}/fd`).length;
}

/** MB an hour that the heap and what it holds outside gain, by least squares, after the warm-up. */
function slopeOf(file: string): number {
  const all = readFileSync(file, "utf8").trim().split("\n");
  const samples = all.map((line) => JSON.parse(line) as Sample);
  const used = samples.slice(Math.floor(samples.length * WARM_UP));
  const xs = used.map(({ seconds }) => seconds / 3_600);
  const ys = used.map(({ heapUsed, external }) => (heapUsed + external) / 1e6);
  const [x, y] = [mean(xs), mean(ys)];
  const covariance = xs.reduce((sum, value, at) => sum + (value - x) * ((ys[at] ?? y) - y), 0);
  return covariance / xs.reduce((sum, value) => sum + (value - x) ** 2, 0);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function report(found: {
  readonly sent: number;
  readonly lost: number;
  readonly main: number;
  readonly engine: number;
  readonly grown: number;
  readonly before: number;
  readonly after: number;
}): void {
  const { sent, lost, main, engine, grown, before, after } = found;
  const heap = `heap ${main.toFixed(2)} (control) and ${engine.toFixed(2)} (engine) MB/h`;
  const rest = `resident memory ${grown.toFixed(1)} MiB more, descriptors ${before} and ${after}`;
  figure(
    "T1",
    `${(PERIODS * PERIOD_SECONDS) / 60} minutes of TCP, pings, reloads, rekeys, ${PERIODS} restarts of the other end`,
    `${lost} of ${sent} pings lost outside of the restarts; ${heap}; ${rest}`,
    `0 lost, heap <= ${MOST_SLOPE} MB/h, descriptors the same`,
  );
}
