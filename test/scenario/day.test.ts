/**
 * H12: a day in virtual time for one core: 720 rekeys, 10,000 moves of its host, 1,000 restarts of its peer, packets both
 * ways all the time. What a full collection leaves of the heap must not grow, nor what the core counts of itself.
 *
 * The simulation keeps records of its own, which are switched off or emptied, for they would grow. The trap: the code itself
 * is compiled on the way, so the first hours are left out.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { figure } from "../helpers/figure.ts";
import { amount } from "../helpers/full.ts";
import { connect, pingLeft, pingRight } from "../sim/observe.ts";
import { newClientPair, type Pair } from "../sim/pair.ts";

const HOURS = amount({ quick: 8, short: 24, full: 24 });
const WARM_UP_HOURS = amount({ quick: 3, short: 6, full: 6 });
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MOVES_A_DAY = 10_000;
/** The simulation keeps something for each address that it ever saw. */
const ADDRESSES = 250;
const RESTARTS_A_DAY = 1_000;
const REKEYS_A_DAY = 720;
const PING_MS = 2_000;
/** MB a day; two hours of the quick run say less, and are given more. */
const MOST_SLOPE = amount({ quick: 24, short: 1, full: 1 });

it(`H12 ${HOURS} hours of rekeys, moves and restarts of the peer: heap and tables do not grow`, {
  timeout: 1_800_000,
}, () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const pair = newClientPair({ crypto: "stub" });
  connect(pair);
  const delivered = withoutRecords(pair);
  const counts = disturb(pair);
  const heaps: number[] = [];
  const tables: string[] = [];

  for (let hour = 0; hour < HOURS; hour += 1) {
    pair.world.advance(HOUR_MS);
    for (const { events, icmp } of [pair.left, pair.right]) {
      events.length = 0;
      icmp.length = 0;
    }
    collect();
    heaps.push(process.memoryUsage().heapUsed / 1e6);
    tables.push(tablesOf(pair));
  }

  const slope = slopePerHour(heaps.slice(WARM_UP_HOURS)) * 24;
  const most = [...tables].sort().at(-1);
  const { moves, restarts, rekeys } = counts;
  const measured = `heap ${slope.toFixed(2)} MB/day (${heaps.at(-1)?.toFixed(1)} MB), at most ${most}; ${delivered.count} packets delivered`;
  const what = `${HOURS} h, ${rekeys} rekeys, ${moves} moves, ${restarts} restarts of the peer`;
  figure("H12", what, measured, `heap <= ${MOST_SLOPE} MB/day, tables as large as at first`);
  expect(slope).toBeLessThanOrEqual(MOST_SLOPE);
  for (const table of tables) expect(table).toMatch(/^[1-6] slots, [1-3] sessions$/);
  expect(delivered.count).toBeGreaterThan((HOURS * HOUR_MS) / PING_MS);
});

/** Switches off all that the simulation would keep; counts deliveries. */
function withoutRecords({ world, left, right }: Pair): { count: number } {
  const delivered = { count: 0 };
  world.eve.isRecording = false;
  world.ledger.record = () => undefined;
  for (const host of [left, right]) {
    host.onDelivered = () => {
      delivered.count += 1;
    };
  }
  return delivered;
}

/** Everything that happens, spread evenly over the day. */
function disturb(pair: Pair): { moves: number; restarts: number; rekeys: number } {
  const { world, left, right } = pair;
  const counts = { moves: 0, restarts: 0, rekeys: 0 };
  world.every(PING_MS, (index) => {
    pingRight(pair, index);
    pingLeft(pair, index);
  });
  world.every(DAY_MS / MOVES_A_DAY, (index) => {
    counts.moves += 1;
    left.move([`10.0.${index % ADDRESSES}.1`]);
  });
  world.every(DAY_MS / RESTARTS_A_DAY, () => {
    counts.restarts += 1;
    right.restart();
  });
  world.every(DAY_MS / REKEYS_A_DAY, () => {
    counts.rekeys += 1;
    left.act((tunnel, now) => tunnel.rekey("right", now));
  });
  return counts;
}

/** Of the host that is never restarted. */
function tablesOf({ left, leftSite }: Pair): string {
  const sessions = left.snapshot().peers.flatMap((peer) => peer.sessions).length;
  return `${leftSite.aead().slotsInUse} slots, ${sessions} sessions`;
}

/** By least squares. */
function slopePerHour(values: readonly number[]): number {
  const x = (values.length - 1) / 2;
  const y = values.reduce((sum, value) => sum + value, 0) / values.length;
  const covariance = values.reduce((sum, value, at) => sum + (at - x) * (value - y), 0);
  return covariance / values.reduce((sum, _, at) => sum + (at - x) ** 2, 0);
}
