/** Link quality: what a side learns of its path, what does not count, and what it costs (rule 20). */
import { describe, expect, it } from "vitest";
import { connect, exchange, peerOf, pingRight } from "../sim/observe.ts";
import { newPair, type Pair, type PairOptions, RIGHT, type SiteSpec } from "../sim/pair.ts";

/** Bytes of IPv4 and UDP header around a datagram. */
const OUTER_BYTES = 28;

function newMeasured({ left, right, ...options }: PairOptions = {}): Pair {
  const site: Partial<SiteSpec> = { measuresQuality: true };
  return newPair({ ...options, left: { ...site, ...left }, right: { ...site, ...right } });
}

describe("the round-trip time", () => {
  it("is measured every second while packets flow, with its least, p95 and jitter", () => {
    const pair = newMeasured();
    connect(pair);
    const { stop } = exchange(pair, 100);
    pair.world.advance(20_000);
    const even = peerOf(pair.left).quality.roundTrip;
    pair.world.link(pair.left, pair.right, { jitterMs: 40 });
    // Until none of the even ones is left.
    pair.world.advance(70_000);
    stop();

    expect(even).toEqual({ smoothed: 20, min: 20, p95: 20, jitter: 0 });
    const uneven = peerOf(pair.right).quality.roundTrip;
    expect(uneven?.min).toBeGreaterThanOrEqual(20);
    expect(uneven?.min).toBeLessThan(25);
    expect(uneven?.smoothed).toBeGreaterThan(28);
    expect(uneven?.p95).toBeGreaterThan(50);
    expect(uneven?.p95).toBeLessThanOrEqual(60);
    // Of two even spread numbers the mean difference is a third of the range; of 64 it may be 5 off.
    expect(Math.abs((uneven?.jitter ?? 0) - 40 / 3)).toBeLessThan(6);
  });

  it("of another path is not mixed with that of the path before", () => {
    const pair = newMeasured();
    connect(pair);
    const { stop } = exchange(pair, 100);
    pair.world.advance(10_000);
    pair.right.addresses = ["198.51.100.77"];
    pair.world.link(pair.right, pair.left, { delayMs: 90 });
    pair.world.advance(10_000);
    stop();

    expect(peerOf(pair.left).quality.roundTrip?.min).toBe(100);
  });
});

describe("loss", () => {
  it("of each direction is what the path lost, within 0.3 points, through new sessions", () => {
    const pair = newMeasured({ left: { pathMtu: { linkMtu: 9000 } } });
    pair.world.link(pair.left, pair.right, { mtu: 1500 });
    connect(pair);
    // So that the sessions are replaced in the minute that is looked at.
    pair.world.advance(85_000);
    const there = pair.world.link(pair.left, pair.right, { loss: 0.02, mtu: 1500 });
    const back = pair.world.link(pair.right, pair.left, { loss: 0.05 });
    const { stop } = exchange(pair, 5);
    pair.world.advance(60_000);
    stop();
    pair.world.advance(2_000);

    expect(there.counts.entered).toBeGreaterThan(10_000);
    const lost = [there, back].map(({ counts }) => counts.lost / counts.entered);
    for (const [site, out, into] of [
      [pair.left, 0, 1],
      [pair.right, 1, 0],
    ] as const) {
      const { outboundLoss, inboundLoss } = peerOf(site).quality;
      expect(Math.abs((outboundLoss ?? 1) - (lost[out] ?? 0))).toBeLessThan(0.003);
      expect(Math.abs((inboundLoss ?? 1) - (lost[into] ?? 0))).toBeLessThan(0.003);
    }
    expect(peerOf(pair.left).counters.sessions).toBeGreaterThan(1);
  });

  it("is none where only the probes for a larger path were lost", () => {
    const pair = newMeasured({ left: { pathMtu: { linkMtu: 9000 } } });
    const link = pair.world.link(pair.left, pair.right, { mtu: 1400 });
    connect(pair);
    const { stop } = exchange(pair, 1_000);
    pair.world.advance(20_000);
    stop();
    pair.world.advance(2_000);

    expect(link.counts.tooLarge).toBeGreaterThan(10);
    expect(peerOf(pair.left).quality).toMatchObject({ outboundLoss: 0, inboundLoss: 0 });
    expect(peerOf(pair.right).quality).toMatchObject({ outboundLoss: 0, inboundLoss: 0 });
  });

  it("is no more where packets came late, which are counted", () => {
    const pair = newMeasured();
    connect(pair);
    pair.world.link(pair.left, pair.right, { reorder: 0.1, reorderMs: 30 });
    const { stop, sent } = exchange(pair, 5);
    pair.world.advance(20_000);
    stop();
    pair.world.advance(2_000);

    const { counters, quality } = peerOf(pair.right);
    expect(quality.inboundLoss).toBeLessThan(0.001);
    expect(Math.abs(counters.reorderedDatagrams / sent() - 0.1)).toBeLessThan(0.02);
    expect(peerOf(pair.left).counters.reorderedDatagrams).toBe(0);
  });

  it("of traffic in one direction is known to both sides", () => {
    const pair = newMeasured();
    connect(pair);
    const there = pair.world.link(pair.left, pair.right, { loss: 0.1 });
    const stop = pair.world.every(10, () => pingRight(pair));
    pair.world.advance(30_000);
    stop();
    pair.world.advance(2_000);

    const lost = there.counts.lost / there.counts.entered;
    expect(Math.abs((peerOf(pair.left).quality.outboundLoss ?? 1) - lost)).toBeLessThan(0.003);
    expect(Math.abs((peerOf(pair.right).quality.inboundLoss ?? 1) - lost)).toBeLessThan(0.003);
  });
});

describe("the loss of a path that died", () => {
  it("is not told of the one that is used in its place", () => {
    const second = "203.0.113.1";
    const pair = newMeasured({
      right: { addresses: [RIGHT.ip, second] },
      leftPeer: { endpoints: [RIGHT, { ip: second, port: 1194 }] },
      rightPeer: { endpoints: [] },
    });
    connect(pair);
    const { stop } = exchange(pair, 20);
    pair.world.advance(10_000);
    pair.world.eve.withhold = ({ from, to }) => from.ip === RIGHT.ip || to.ip === RIGHT.ip;
    pair.world.advance(10_000);
    stop();

    expect(peerOf(pair.left).counters.endpointMoves).toBe(1);
    expect(peerOf(pair.left).quality).toMatchObject({ outboundLoss: 0, inboundLoss: 0 });
  });
});

describe("reports", () => {
  it("are one a second and side, on a session that was replaced none any more", () => {
    const pair = newMeasured();
    connect(pair);
    const { stop } = exchange(pair, 100);
    pair.world.advance(125_000);
    expect(peerOf(pair.left).sessions.map(({ slot }) => slot)).toEqual(["current", "previous"]);
    const mark = pair.world.eve.mark();
    pair.world.advance(20_000);
    stop();

    const reports = pair.world.eve.seen.slice(mark).filter((one) => one.bytes.length === 53);
    expect(reports).toHaveLength(2 * 20);
  });
});

describe("an idle tunnel", () => {
  it.each([0, 25])(
    "with a keepalive of %i s sends no more for it, under 200 bit/s in all",
    (seconds) => {
      const [measured, other] = [true, false].map((measuresQuality) => {
        const site = { measuresQuality };
        const peer = { keepaliveSeconds: seconds };
        const pair = newPair({ left: site, right: site, leftPeer: peer, rightPeer: peer });
        connect(pair);
        pair.world.advance(30_000);
        return bitsPerSecond(pair, 3_600_000);
      });

      expect(measured).toBe(other);
      expect(measured).toBeLessThan(200);
    },
  );
});

/** What both sides send together, outer headers included. */
function bitsPerSecond({ world }: Pair, ms: number): number {
  const before = world.eve.seen.length;
  world.advance(ms);
  const seen = world.eve.seen.slice(before);
  const bytes = seen.reduce((sum, one) => sum + one.bytes.length + OUTER_BYTES, 0);
  return (bytes * 8) / (ms / 1_000);
}
