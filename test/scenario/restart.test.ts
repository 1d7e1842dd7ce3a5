/**
 * Hosts that restart, sleep, or wake with a wrong clock: FAULTS.md H1, H3 and H4, claim C7.
 */
import { describe, expect, it } from "vitest";
import { seeds } from "../helpers/random.ts";
import { TYPE } from "../helpers/wire-view.ts";
import {
  connect,
  dropsOf,
  eventsOf,
  exchange,
  isUp,
  peerOf,
  percentile,
  pingLeft,
  pingRight,
  sessionIn,
} from "../sim/observe.ts";
import { newClientPair, newPair, type Pair } from "../sim/pair.ts";

const YEAR_MICROS = 365 * 86_400e6;

describe("H1 one side restarts under traffic", () => {
  it.each<[string, (seed: number) => Pair, "left" | "right", number]>([
    [
      "both know an endpoint, left restarts",
      (seed) => newPair({ seed, crypto: "stub" }),
      "left",
      1_500,
    ],
    [
      "both know an endpoint, right restarts",
      (seed) => newPair({ seed, crypto: "stub" }),
      "right",
      1_500,
    ],
    [
      "the restarted side alone knows one",
      (seed) => newClientPair({ seed, crypto: "stub" }),
      "left",
      1_500,
    ],
    [
      "only the other side knows one",
      (seed) => newClientPair({ seed, crypto: "stub" }),
      "right",
      17_000,
    ],
  ])("%s: traffic is back in time, both ways", (_, make, side, limitMs) => {
    const times = seeds(20).map((seed) => backAfterRestart(make(seed), side, true));

    expect(Math.max(...times)).toBeLessThanOrEqual(limitMs);
  });

  it.each(["left", "right"] as const)(
    "and the restarted side (%s) has nothing to send itself: pings reach it again all the same",
    (side) => {
      const times = seeds(10).map((seed) =>
        backAfterRestart(newPair({ seed, crypto: "stub" }), side, false),
      );

      expect(Math.max(...times)).toBeLessThanOrEqual(1_500);
    },
  );

  it("with 20 % loss it is still back in time in 95 of 100 runs", () => {
    const times = seeds(40).map((seed) => {
      const pair = newPair({ seed, crypto: "stub" });
      pair.world.network({ loss: 0.2, delayMs: 10 });
      return backAfterRestart(pair, "right", true);
    });

    expect(percentile(times, 0.95)).toBeLessThanOrEqual(2_500);
  });

  it("a node that lost its state is challenged and then believed", () => {
    const pair = newPair();
    connect(pair);
    pair.leftSite.forgetNodeId();
    pair.left.restart();

    expect(connect(pair)).toBeLessThan(200);
  });

  it("nothing is ever delivered twice, whoever restarts and however often", () => {
    const pair = newPair({ crypto: "stub" });
    const { world, left, right } = pair;
    world.network({ jitterMs: 40, duplicate: 0.3, loss: 0.05 });
    const sent = exchange(pair, 20);
    world.every(1_700, (index) => (index % 2 === 0 ? left : right).restart());

    world.advance(30_000);
    sent.stop();

    expect(pair.world.ledger.repeats).toEqual([]);
    for (const { delivered } of [left, right]) {
      const contents = delivered.map(({ bytes }) => Buffer.from(bytes).toString("hex"));
      expect(new Set(contents).size).toBe(contents.length);
      expect(contents.length).toBeGreaterThan(200);
    }
  });

  it("both sides restart at once and find each other", () => {
    const pair = newPair();
    connect(pair);
    pair.left.restart();
    pair.right.restart();

    expect(connect(pair)).toBeLessThan(1_500);
  });
});

describe("H4 a wrong wall clock", () => {
  it.each([
    ["a year ahead", YEAR_MICROS],
    ["a year behind", -YEAR_MICROS],
  ])(
    "%s does not disturb a live session, and the next handshake takes at most 2 round trips and 1 s",
    (_, offset) => {
      const pair = newClientPair();
      const { world, left } = pair;
      connect(pair);
      left.wallOffsetMicros = offset;
      const traffic = exchange(pair, 100);
      world.advance(2_000);
      const mark = world.eve.mark();

      left.act((tunnel, now) => tunnel.rekey("right", now));
      world.until("a new session", () => peerOf(left).counters.sessions === 2, 1_040);
      traffic.stop();
      world.advance(100);

      expect(world.eve.since(mark, TYPE.RESP)).toHaveLength(1);
      expect(pair.right.delivered).toHaveLength(traffic.sent());
      expect(pair.left.delivered).toHaveLength(traffic.sent());
    },
  );

  it("after a restart with a clock a year behind, the challenge lets the host in", () => {
    const pair = newClientPair();
    connect(pair);
    pair.left.stop();
    pair.left.wallOffsetMicros = -YEAR_MICROS;
    pair.left.start();
    const mark = pair.world.eve.mark();

    expect(connect(pair, 1_040)).toBeLessThanOrEqual(1_040);
    expect(pair.world.eve.since(mark, TYPE.CHALLENGE).length).toBeGreaterThan(0);
  });

  it("that is wrong by a year on both sides, in opposite directions, lets them rekey for ten minutes without loss", () => {
    const pair = newPair({ crypto: "stub" });
    pair.left.wallOffsetMicros = YEAR_MICROS;
    pair.right.wallOffsetMicros = -YEAR_MICROS;
    connect(pair);
    const traffic = exchange(pair, 500);

    pair.world.advance(600_000);
    traffic.stop();
    pair.world.advance(100);

    expect(pair.left.delivered).toHaveLength(traffic.sent());
    expect(peerOf(pair.left).counters.sessions).toBeGreaterThanOrEqual(5);
  });

  it("that steps every second costs no packet", () => {
    const pair = newPair({ crypto: "stub" });
    connect(pair);
    const traffic = exchange(pair, 200);
    pair.world.every(1_000, (index) => {
      pair.left.wallOffsetMicros = (index % 7) * 1e6 - 3e6;
    });

    pair.world.advance(400_000);
    traffic.stop();
    pair.world.advance(100);

    expect(pair.right.delivered).toHaveLength(traffic.sent());
    expect(pair.left.delivered).toHaveLength(traffic.sent());
  });
});

describe("H3 a host that sleeps", () => {
  it.each([1_000, 60_000, 200_000, 600_000])(
    "for %i ms recovers within 2 s and a round trip, under no old key",
    (ms) => {
      const pair = newPair({ crypto: "stub" });
      const { world, left, right } = pair;
      connect(pair);
      const traffic = exchange(pair, 100);
      world.advance(5_000);
      left.isFrozen = true;
      world.advance(ms);
      left.isFrozen = false;
      const mark = right.delivered.length;

      const took = world.until("traffic again", () => right.delivered.length > mark, 20_000);

      traffic.stop();
      expect(took).toBeLessThanOrEqual(2_020);
      expect(sessionIn(left, "current")?.ageMs).toBeLessThan(180_000);
      expect(isUp(left)).toBe(true);
      expect(world.ledger.repeats).toEqual([]);
    },
  );

  it("longer than a key lives opens nothing that was sealed under it", () => {
    const pair = newPair();
    const { world, left } = pair;
    connect(pair);
    left.isFrozen = true;
    pingLeft(pair);
    world.advance(181_000);
    left.isFrozen = false;
    world.advance(0);

    expect(left.delivered).toHaveLength(0);
    expect(
      (dropsOf(left).expired_session ?? 0) + (dropsOf(left).unknown_index ?? 0),
    ).toBeGreaterThan(0);
  });
});

it("a host says that it comes up, once a start", () => {
  const pair = newPair();
  connect(pair);
  pair.right.restart();
  pair.right.events.length = 0;
  connect(pair);

  expect(eventsOf(pair.right, "session").filter(({ isNew }) => isNew)).toHaveLength(1);
});

/** Milliseconds from the restart until packets sent after it arrive again in every direction that has traffic. */
function backAfterRestart(pair: Pair, side: "left" | "right", isBothWays: boolean): number {
  const { world, left, right } = pair;
  const [restarted, other] = side === "left" ? [left, right] : [right, left];
  const [towards, away] = side === "left" ? [pingLeft, pingRight] : [pingRight, pingLeft];
  connect(pair, 10_000);
  const stop = world.every(20, (index) => {
    towards(pair, index);
    if (isBothWays) away(pair, index);
  });
  world.advance(500);
  restarted.restart();
  world.advance(25);
  restarted.delivered.length = 0;
  other.delivered.length = 0;
  const took = world.until(
    "traffic again",
    () => restarted.delivered.length > 0 && (!isBothWays || other.delivered.length > 0),
    30_000,
  );
  stop();
  return took + 25;
}
