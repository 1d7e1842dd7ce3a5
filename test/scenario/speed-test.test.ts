/** Speed tests: what they find on a path, and what they leave alone. */
import { describe, expect, it } from "vitest";
import { SPEED_MOST_WINDOW } from "../../src/core/constants.ts";
import type { SpeedOptions, SpeedRefusal, SpeedSnapshot } from "../../src/core/options.ts";
import { bringUp, newGroup, nodesOf } from "../sim/group.ts";
import type { Host } from "../sim/host.ts";
import type { LinkOptions } from "../sim/link.ts";
import { connect, exchange, peerOf, pingRight } from "../sim/observe.ts";
import { newPair, type Pair, type PairOptions } from "../sim/pair.ts";

/** What the tunnel says at once. */
function start(host: Host, options: Partial<SpeedOptions> = {}): SpeedRefusal | undefined {
  let refusal: SpeedRefusal | undefined;
  host.act((tunnel, now) => {
    const given = { peer: "right", seconds: 3, bytes: undefined, ...options };
    refusal = tunnel.startSpeedTest(given, now);
  });
  return refusal;
}

function speedOf(host: Host): SpeedSnapshot {
  const speed = host.tunnel.speedTest(host.now);
  if (speed === undefined) throw new Error(`${host.name} has no speed test`);
  return speed;
}

/** A pair that is up, with a link of this kind from left to right. */
function newLimited(link: Partial<LinkOptions>, options: PairOptions = {}): Pair {
  const pair = newPair({ crypto: "stub", ...options });
  connect(pair);
  pair.world.link(pair.left, pair.right, link);
  return pair;
}

/** Runs one to its end. */
function run(pair: Pair, options: Partial<SpeedOptions> = {}): SpeedSnapshot {
  expect(start(pair.left, options)).toBeUndefined();
  pair.world.until("it is over", () => speedOf(pair.left).phase === "over", 10_000);
  return speedOf(pair.left);
}

function megabits({ measuredAnswered, measuredMs, outerBytes }: SpeedSnapshot): number {
  return (measuredAnswered * outerBytes * 8) / measuredMs / 1_000;
}

describe("a speed test", () => {
  it.each([
    { megabit: 2, delayMs: 30 },
    { megabit: 20, delayMs: 5 },
    { megabit: 50, delayMs: 0.2 },
    { megabit: 100, delayMs: 40 },
  ])("finds $megabit Mbit/s within 5 % at $delayMs ms, with a short queue", (link) => {
    const pair = newLimited({ bitsPerSecond: link.megabit * 1e6, delayMs: link.delayMs });
    const idleMs = 10 + link.delayMs;
    const speed = run(pair);

    expect(megabits(speed) / link.megabit).toBeGreaterThan(0.95);
    expect(megabits(speed) / link.megabit).toBeLessThan(1.02);
    expect(speed.idleRoundTripMs).toBeGreaterThanOrEqual(idleMs);
    expect(speed.idleRoundTripMs).toBeLessThan(idleMs + 7);
    // Twice the round trip and 5 ms are on their way; the least that may be takes its time at 2 Mbit/s.
    expect(speed.loadedRoundTripMs).toBeLessThan(2 * idleMs + 5 + 8 * 6);
    expect(speed.sent).toBe(speed.answered + speed.lost);
  });

  it.each([0.01, 0.1])("finds the rate where the path itself loses a share of %d", (loss) => {
    const pair = newLimited({ bitsPerSecond: 20e6, loss });
    const speed = run(pair);

    expect(megabits(speed) / 20).toBeGreaterThan(0.93);
    expect(Math.abs(speed.lost / speed.sent - loss)).toBeLessThan(0.015);
  });

  it("finds the rate of a link that drops what waits for more than 5 ms, and does not flood it", () => {
    const pair = newLimited({ bitsPerSecond: 50e6, queueMs: 5, delayMs: 20 });
    const speed = run(pair);

    expect(megabits(speed) / 50).toBeGreaterThan(0.85);
    expect(speed.lost / speed.sent).toBeLessThan(0.12);
  });

  it("does not take reordered answers for lost ones", () => {
    const pair = newLimited({ bitsPerSecond: 20e6, reorder: 0.1, reorderMs: 30 });
    const speed = run(pair);

    expect(speed.lost).toBe(0);
    expect(megabits(speed) / 20).toBeGreaterThan(0.9);
  });

  it("never has more on its way than its bound, whatever the path takes", () => {
    const pair = newLimited({ delayMs: 100 });
    expect(start(pair.left, { seconds: 1.5 })).toBeUndefined();
    let most = 0;
    for (let ms = 0; ms < 3_500; ms += 20) {
      pair.world.advance(20);
      const { sent, answered, lost } = speedOf(pair.left);
      most = Math.max(most, sent - answered - lost);
    }

    expect(most).toBeGreaterThan(SPEED_MOST_WINDOW / 4);
    expect(most).toBeLessThanOrEqual(SPEED_MOST_WINDOW);
  });

  it("is of the size that is asked for, else of the longest datagram", () => {
    const pair = newLimited({ bitsPerSecond: 5e6 }, { left: { mtu: 1420 } });

    expect(run(pair, { seconds: 1 })).toMatchObject({
      ...{ datagramBytes: 1452, outerBytes: 1480, innerBytes: 1420 },
    });
    expect(run(pair, { seconds: 1, bytes: 500 })).toMatchObject({ datagramBytes: 500 });
    expect(start(pair.left, { bytes: 1453 })).toBe("too-long");
    expect(start(pair.left, { bytes: 63 })).toBe("too-long");
  });

  it("runs alone, and says why it does not run", () => {
    const pair = newLimited({ bitsPerSecond: 5e6 });
    expect(start(pair.left, { peer: "x" })).toBe("no-peer");
    expect(start(pair.left)).toBeUndefined();
    expect(start(pair.left)).toBe("busy");
    pair.world.advance(1_000);
    pair.left.act((tunnel, now) => tunnel.stopSpeedTest(now));
    const { phase, sent } = speedOf(pair.left);
    pair.world.advance(1_000);

    expect([phase, speedOf(pair.left).sent]).toEqual(["over", sent]);
    expect(start(pair.left)).toBeUndefined();
  });

  it("ends in time where the path breaks in the middle, and at once where nothing is answered", () => {
    const pair = newLimited({ bitsPerSecond: 5e6 });
    expect(start(pair.left)).toBeUndefined();
    pair.world.advance(1_500);
    pair.world.link(pair.left, pair.right, { loss: 1 });
    pair.world.advance(3_700);
    expect(speedOf(pair.left)).toMatchObject({ phase: "over" });
    expect(speedOf(pair.left).lost).toBeGreaterThan(0);

    expect(start(pair.left)).toBeUndefined();
    pair.world.advance(1_100);
    expect(speedOf(pair.left)).toMatchObject({ phase: "over", sent: 0, idleRoundTripMs: null });
  });

  it("reaches a node of a group by its name", () => {
    const group = newGroup({ sites: 1, crypto: "stub" });
    bringUp(group);
    const [site] = group.sites;
    if (site !== undefined) group.world.link(group.hub, site.host, { bitsPerSecond: 5e6 });
    const [node] = nodesOf(group.hub);

    expect(start(group.hub, { peer: "branch" })).toBe("group");
    expect(start(group.hub, { peer: node?.name ?? "", seconds: 1 })).toBeUndefined();
    group.world.advance(3_000);
    expect(speedOf(group.hub).answered).toBeGreaterThan(100);
  });

  it("goes on where its session is replaced", () => {
    const pair = newLimited({ bitsPerSecond: 5e6 });
    expect(start(pair.left)).toBeUndefined();
    pair.world.advance(1_000);
    pair.left.act((tunnel, now) => tunnel.rekey("right", now));
    pair.world.advance(4_000);

    expect(megabits(speedOf(pair.left)) / 5).toBeGreaterThan(0.95);
    // Those of the start, which finds the end of the queue.
    expect(speedOf(pair.left).lost).toBeLessThan(20);
  });
});

describe("what a speed test leaves alone", () => {
  it("is link quality, the path MTU and the other side's limiter", () => {
    const site = { measuresQuality: true, pathMtu: {} };
    const pair = newLimited({ bitsPerSecond: 20e6 }, { left: site, right: site });
    const { stop } = exchange(pair, 50);
    pair.world.advance(5_000);
    const lookAt = () =>
      [pair.left, pair.right].map((host) => {
        const { sources, drops } = host.snapshot();
        return [peerOf(host).pathMtu, sources, drops];
      });
    const before = lookAt();
    run(pair);
    pair.world.advance(3_000);
    stop();
    pair.world.advance(1_000);

    for (const host of [pair.left, pair.right]) {
      expect(peerOf(host).quality).toMatchObject({ outboundLoss: 0, inboundLoss: 0 });
    }
    expect(lookAt()).toEqual(before);
  });

  it("is packets: each still arrives, behind a short queue", () => {
    const pair = newLimited({ bitsPerSecond: 20e6 });
    expect(start(pair.left)).toBeUndefined();
    pair.world.advance(1_500);
    pair.right.delivered.length = 0;
    const sentAt: number[] = [];
    const stop = pair.world.every(10, (index) => {
      sentAt.push(pair.right.now);
      pingRight(pair, index);
    });
    pair.world.advance(1_000);
    stop();
    pair.world.advance(200);

    expect(pair.right.delivered.length).toBe(sentAt.length);
    expect(speedOf(pair.left).phase).toBe("load");
  });
});
