/**
 * H1: one end dies without a word (SIGKILL) under traffic and starts again, many times: the time from the start of the
 * new process to packets both ways, as an operator would see it.
 */
import { expect, it } from "vitest";
import { readDatagrams, startCapture } from "../../../scripts/netns/capture.ts";
import { type Lab, withLab } from "../../../scripts/netns/lab.ts";
import { pause, until } from "../../../scripts/netns/process.ts";
import {
  ADDRESSES,
  hostPort,
  type Pair,
  type PairOptions,
  startPair,
} from "../../../scripts/netns/topology.ts";
import { Ping, type PingReply } from "../../../scripts/netns/traffic.ts";
import { KEEP_AFTER_MS } from "../../../src/daemon/succession/endpoint-keeper.ts";
import { figure } from "../../helpers/figure.ts";
import { amount, TORTURE } from "../../helpers/full.ts";
import { slowness } from "../../helpers/slowness.ts";
import { receiverIndex, TYPE, typeOf } from "../../helpers/wire-view.ts";

const { left: LEFT, right: RIGHT } = ADDRESSES;
const RESTARTS = amount({ quick: 0, short: 6, full: 60 });
const SLOW_RESTARTS = amount({ quick: 0, short: 2, full: 12 });
/** Milliseconds until a running tunnel has written where its peer is. */
const KEPT_MS = KEEP_AFTER_MS + 1_000;
const BOTH: PairOptions = { right: { endpoint: hostPort(LEFT.outer4) } };

interface Case {
  readonly what: string;
  readonly options: PairOptions;
  readonly side: "left" | "right";
  readonly count: number;
  /** How long it is up before it is killed. */
  readonly upMs?: number;
  readonly limitMs: number;
}

const CASES: readonly Case[] = [
  {
    what: "the restarted end knows the endpoint",
    ...{ options: {}, side: "left", count: RESTARTS, limitMs: 1_500 },
  },
  {
    what: "both ends know one",
    ...{ options: BOTH, side: "right", count: RESTARTS, limitMs: 1_500 },
  },
  {
    what: "only the other end knows it",
    ...{ options: {}, side: "right", count: SLOW_RESTARTS, limitMs: 16_000 },
  },
  {
    what: "only the other end knows it, and the one before was up for six seconds",
    ...{ options: {}, side: "right", count: SLOW_RESTARTS, upMs: KEPT_MS, limitMs: 1_500 },
  },
];

it.runIf(TORTURE !== undefined).each(CASES)(
  "H1 restart, $what: traffic is back in time",
  async ({ what, options, side, count, upMs = 0, limitMs }) => {
    await withLab(async (lab: Lab) => {
      const pair = await startPair(lab, options);
      const tookMs: number[] = [];
      for (let turn = 0; turn < count; turn += 1) {
        await pause(upMs);
        tookMs.push(await restart(pair, side));
      }
      const { old, stale } = await underOldKeys(pair, side);

      const slower = slowness();
      const sorted = tookMs.sort((a, b) => a - b);
      const p95 = Math.round(sorted[Math.ceil(0.95 * count) - 1] ?? Number.NaN);
      const median = Math.round(sorted[count >> 1] ?? Number.NaN);
      const measured = `${count} restarts: median ${median}, p95 ${p95} ms (machine ${slower.toFixed(1)} times slower than usual); ${old} datagrams under old keys, ${stale} delivered`;
      figure("H1", what, measured, `p95 <= ${limitMs} ms, 0 delivered`);
      expect(p95).toBeLessThan(limitMs * slower);
      expect(old).toBeGreaterThan(0);
      expect(stale).toBe(0);
    });
  },
  1_200_000,
);

/** Milliseconds from the new process to a ping of each direction that was sent and answered after it began. */
async function restart(pair: Pair, side: "left" | "right"): Promise<number> {
  const pings = [
    new Ping(pair.left.host, RIGHT.inner4, 0.02),
    new Ping(pair.right.host, LEFT.inner4, 0.02),
  ];
  await until("answers", 20_000, () => pings.every(({ replies }) => replies[2]) || undefined);
  await pair[side].stop("SIGKILL");
  const startedAt = Date.now() / 1_000;
  pair[side].spawn();
  const isFresh = ({ at, rttMs }: PingReply) => at - rttMs / 1_000 > startedAt;
  const first = await Promise.all(
    pings.map((one) => until("an answer", 40_000, () => one.replies.find(isFresh))),
  );
  await Promise.all(pings.map((one) => one.stop()));
  return (Math.max(...first.map(({ at }) => at)) - startedAt) * 1_000;
}

/**
 * One more restart, with the wire watched: datagrams that came to the new process in a session of the one before, and
 * packets that it delivered beyond those of its own sessions.
 */
async function underOldKeys(pair: Pair, side: "left" | "right") {
  const daemon = pair[side];
  const own = Buffer.from(ADDRESSES[side].outer4.split(".").map(Number));
  const capture = await startCapture(daemon.host, "eth0", { filter: "udp" });
  const from = pair[side === "left" ? "right" : "left"].host;
  const pings = new Ping(from, ADDRESSES[side].inner4, 0.02);
  await until("answers", 20_000, () => pings.replies[20]);
  await daemon.stop("SIGKILL");
  const killedAt = Date.now() / 1_000;
  await daemon.start();
  await until("an answer", 40_000, () => pings.replies.find(({ at }) => at > killedAt));
  await pings.stop();
  const delivered = (await daemon.status()).peers[0]?.counters.inboundPackets ?? Number.NaN;
  await capture.stop();
  const towards = readDatagrams(capture.file).filter(
    ({ destination, payload }) => own.equals(destination) && typeOf(payload) === TYPE.DATA,
  );
  const [before, after] = [
    towards.filter(({ at }) => at < killedAt),
    towards.filter(({ at }) => at >= killedAt),
  ];
  const known = new Set(before.map(({ payload }) => receiverIndex(payload)));
  const old = after.filter(({ payload }) => known.has(receiverIndex(payload))).length;
  return { old, stale: Math.max(0, delivered - (after.length - old)) };
}
