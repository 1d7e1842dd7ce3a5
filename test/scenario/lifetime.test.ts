/**
 * What happens with time alone: rekeys at 120 and 165 s, wipe at 180 s, keepalives, silent peers, close,
 * and a simulated day. Rules 8, 11, 15 and the limits of PROTOCOL section 4.
 */
import { describe, expect, it } from "vitest";
import { SIZE, TYPE, typeOf } from "../helpers/wire-view.ts";
import {
  connect,
  dropsOf,
  endpointOf,
  eventsOf,
  exchange,
  isUp,
  peerOf,
  pingLeft,
  pingRight,
  sessionIn,
  sessionOnWire,
} from "../sim/observe.ts";
import { newClientPair, newPair, type Pair } from "../sim/pair.ts";

/** A configured keepalive on the wire: a probe as long as a path challenge. */
const PROBE_BYTES = 41;

describe("a session's age", () => {
  it("of 120 s has the initiator start the next one, without a lost packet", () => {
    const pair = connected();
    const { world, left } = pair;
    const born = sessionBirth(pair);
    const traffic = exchange(pair, 100);
    const mark = world.eve.mark();

    world.advance(130_000);
    traffic.stop();
    world.advance(100);

    const inits = world.eve.since(mark, TYPE.INIT);
    expect(inits.map(({ by }) => by)).toEqual(["left"]);
    expect((inits[0]?.at ?? 0) - born).toBeGreaterThanOrEqual(120_000);
    expect((inits[0]?.at ?? 0) - born).toBeLessThan(121_000);
    expect(left.delivered).toHaveLength(traffic.sent());
    expect(pair.right.delivered).toHaveLength(traffic.sent());
  });

  it("of 165 s has the responder start one where the initiator did not", () => {
    const pair = newPair();
    connect(pair);
    pair.world.advance(5_000);
    const initiator = sessionIn(pair.left, "current")?.isInitiator ? "left" : "right";
    const born = pair.world.now - (sessionIn(pair.left, "current")?.ageMs ?? 0);
    pair.world.eve.withhold = ({ by, bytes }) => by === initiator && typeOf(bytes) === TYPE.INIT;
    exchange(pair, 500);
    const mark = pair.world.eve.mark();

    pair.world.advance(170_000);

    const inits = pair.world.eve.since(mark, TYPE.INIT).filter(({ by }) => by !== initiator);
    expect((inits[0]?.at ?? 0) - born).toBeGreaterThanOrEqual(164_900);
    expect((inits[0]?.at ?? 0) - born).toBeLessThan(166_000);
    expect(sessionOnWire(pair.world, pair.left)).toBe(sessionOnWire(pair.world, pair.right));
  });

  it("of 180 s ends it on both sides: nothing is sealed or opened any more, slots are free, both say so", () => {
    const pair = connected();
    const { world, left, right } = pair;
    const born = sessionBirth(pair);
    world.eve.withhold = ({ bytes }) => typeOf(bytes) === TYPE.INIT || typeOf(bytes) === TYPE.RESP;
    exchange(pair, 500);

    world.advance(200_000);

    const lastData = Math.max(...world.eve.since(0, TYPE.DATA).map(({ at }) => at));
    expect(lastData - born).toBeLessThan(180_000);
    expect(lastData - born).toBeGreaterThan(179_000);
    expect([peerOf(left).sessions, peerOf(right).sessions]).toEqual([[], []]);
    expect([pair.leftSite.aead().slotsInUse, pair.rightSite.aead().slotsInUse]).toEqual([0, 0]);
    expect(eventsOf(left, "down").map(({ reason }) => reason)).toEqual(["expired"]);
    expect(eventsOf(right, "down").map(({ reason }) => reason)).toEqual(["expired"]);
    expect([isUp(left), isUp(right)]).toEqual([false, false]);
  });

  it("of 180 s refuses data that was sealed in time and came late", () => {
    const pair = connected();
    const { world, right } = pair;
    const born = sessionBirth(pair);
    world.eve.withhold = () => true;
    world.advance(170_000 - (world.now - born));
    pingRight(pair);
    world.settle();
    const late = world.eve.last("left", TYPE.DATA);
    world.advance(born + 180_100 - world.now);

    world.eve.replay(late);
    world.settle();

    expect(right.delivered).toHaveLength(0);
    expect((dropsOf(right).expired_session ?? 0) + (dropsOf(right).unknown_index ?? 0)).toBe(1);
  });

  it("the previous session still opens what was under way when the new one began", () => {
    const pair = connected();
    const { world, left, right } = pair;
    world.eve.withhold = ({ by, bytes }) =>
      by === "left" && bytes.length > 100 && typeOf(bytes) === TYPE.DATA;
    pingRight(pair);
    world.settle();
    const late = world.eve.last("left", TYPE.DATA);
    world.eve.withhold = () => false;
    left.act((tunnel, now) => tunnel.rekey("right", now));
    world.advance(1_000);
    expect(sessionIn(right, "previous")).toBeDefined();

    world.eve.replay(late);
    world.settle();

    expect(right.delivered).toHaveLength(1);
  });
});

describe("keepalives", () => {
  it("data in one direction draws one 10 s later, and no handshake", () => {
    const pair = connected();
    const { world } = pair;
    world.advance(20_000);
    const mark = world.eve.mark();
    const start = world.now;
    const stop = world.every(1_000, () => pingRight(pair));

    world.advance(60_000);
    stop();

    const fromRight = world.eve.since(mark, TYPE.DATA).filter(({ by }) => by === "right");
    expect(fromRight.every(({ bytes }) => bytes.length === SIZE.KEEPALIVE)).toBe(true);
    expect(Math.round((fromRight[0]?.at ?? 0) - start)).toBe(10_010);
    expect(fromRight.length).toBeGreaterThanOrEqual(5);
    expect(fromRight.length).toBeLessThanOrEqual(6);
    expect(world.eve.since(mark, TYPE.INIT)).toEqual([]);
  });

  it("answer no keepalive: one packet ends in two datagrams and silence", () => {
    const pair = connected();
    const mark = pair.world.eve.mark();
    pingRight(pair);

    pair.world.advance(100_000);

    expect(pair.world.eve.since(mark).map(({ by, bytes }) => [by, bytes.length])).toEqual([
      ["left", 116],
      ["right", SIZE.KEEPALIVE],
    ]);
  });

  it("data sent and nothing heard for 15 s starts a handshake", () => {
    const pair = connected();
    const { world } = pair;
    world.eve.withhold = ({ by }) => by === "right";
    const mark = world.eve.mark();
    const start = world.now;
    const stop = world.every(1_000, () => pingRight(pair));

    world.advance(16_000);
    stop();

    const [first] = world.eve.since(mark, TYPE.INIT);
    expect(Math.round((first?.at ?? 0) - start)).toBe(15_000);
  });

  it("a configured keepalive that is not answered for 15 s starts one too", () => {
    const pair = connected({ keepaliveSeconds: 5 });
    const { world } = pair;
    world.eve.withhold = ({ by }) => by === "right";
    const mark = world.eve.mark();

    world.advance(21_000);

    const [first] = world.eve.since(mark, TYPE.DATA);
    const [init] = world.eve.since(mark, TYPE.INIT);
    expect(Math.round((init?.at ?? 0) - (first?.at ?? 0))).toBe(15_000);
  });

  it("of 25 s go out every 25 s while nothing else does, and not while something does", () => {
    const pair = connected({ keepaliveSeconds: 25 });
    const { world } = pair;
    const count = (mark: number): number =>
      world.eve
        .since(mark, TYPE.DATA)
        .filter(({ by, bytes }) => by === "left" && bytes.length === PROBE_BYTES).length;
    const idle = world.eve.mark();
    world.advance(100_000);
    const whileIdle = count(idle);
    const busy = world.eve.mark();
    const stop = world.every(1_000, () => pingRight(pair));
    world.advance(15_000);
    stop();

    expect(whileIdle).toBeGreaterThanOrEqual(3);
    expect(whileIdle).toBeLessThanOrEqual(5);
    expect(count(busy)).toBe(0);
    expect(peerOf(pair.left).counters.keepalivesSent).toBeGreaterThanOrEqual(whileIdle);
    expect(peerOf(pair.right).remoteKeepaliveSeconds).toBe(25);
  });
});

describe("a silent peer", () => {
  it("is stale after 180 s: its learned endpoint is forgotten, and both things are reported", () => {
    const pair = connected();
    const { world, left, right } = pair;
    pingRight(pair);
    world.advance(50);
    const start = world.now;
    left.stop();

    world.advance(179_000);
    expect(endpointOf(right)).toBe("192.0.2.1:1194");
    world.advance(2_000);

    expect(endpointOf(right)).toBe("none");
    const [stale] = eventsOf(right, "stale");
    expect(stale).toMatchObject({ peer: "left", endpointForgotten: true });
    expect((stale?.seenAt ?? 0) - start).toBeGreaterThan(179_900);
    expect((stale?.seenAt ?? 0) - start).toBeLessThan(180_100);
    expect(eventsOf(right, "down")).toHaveLength(1);
    expect(peerOf(right).sessions).toEqual([]);
  });

  it("with a configured endpoint keeps that, in the place of one that it had moved to", () => {
    const pair = connected();
    const { world, left, right } = pair;
    exchange(pair, 100);
    right.move(["198.51.100.99"]);
    world.advance(3_000);
    expect(endpointOf(left)).toBe("198.51.100.99:1194");
    right.stop();

    world.advance(200_000);

    expect(eventsOf(left, "stale")).toMatchObject([{ peer: "right" }]);
    expect(["198.51.100.1:1194", "none"]).toContain(endpointOf(left));
    const mark = world.eve.mark();
    world.advance(10_000);
    expect(world.eve.since(mark, TYPE.INIT).map(({ to }) => to.ip)).toContain("198.51.100.1");
  });

  it("is reported once, not again and again", () => {
    const pair = connected();
    pair.left.stop();

    pair.world.advance(2_000_000);

    expect(eventsOf(pair.right, "stale")).toHaveLength(1);
  });

  it("that talks again is learned again", () => {
    const pair = connected();
    pair.left.stop();
    pair.world.advance(400_000);
    pair.left.start();

    expect(connect(pair)).toBeLessThan(200);
    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
  });
});

describe("close", () => {
  it("ends the session on the other side at once and keeps the endpoint", () => {
    const pair = connected();
    const { world, left, right } = pair;
    left.act((tunnel, now) => tunnel.close(now));
    world.advance(0);
    left.stop();

    world.advance(100);

    expect(peerOf(right).sessions).toEqual([]);
    expect(endpointOf(right)).toBe("192.0.2.1:1194");
    expect(eventsOf(right, "down")).toMatchObject([{ peer: "left", reason: "closed" }]);
  });

  it("starts anew when there is traffic to send", () => {
    const pair = newPair();
    connect(pair);
    pair.world.advance(5_000);
    pair.left.act((tunnel, now) => tunnel.close(now));
    pair.world.advance(100);
    pair.right.delivered.length = 0;
    pair.left.delivered.length = 0;

    pingLeft(pair);
    const took = pair.world.until("delivery", () => pair.left.delivered.length === 1, 2_000);

    expect(took).toBeLessThan(500);
  });

  it("of a replaced session does not end the present one", () => {
    const pair = connected();
    const { world, left, right } = pair;
    world.eve.withhold = () => true;
    const closer = pair.leftSite.aead().forge(Uint8Array.of(0x03, 1), 50);
    world.eve.withhold = () => false;
    left.act((tunnel, now) => tunnel.rekey("right", now));
    world.advance(1_000);

    world.eve.inject(right.address, closer, left.address);
    world.settle();

    expect(isUp(right)).toBe(true);
    expect(sessionIn(right, "current")).toBeDefined();
    expect(sessionIn(right, "previous")).toBeUndefined();
    expect(eventsOf(right, "down")).toEqual([]);
  });

  it("of a peer that was killed before leaves nothing of its first life", () => {
    const pair = connected();
    const { world, left, right } = pair;
    left.restart();
    pingRight(pair);
    world.advance(1_000);
    expect(peerOf(right).sessions).toHaveLength(2);

    left.act((tunnel, now) => tunnel.close(now));
    world.advance(100);

    expect(peerOf(right).sessions).toEqual([]);
    expect(eventsOf(right, "down")).toMatchObject([{ reason: "closed" }]);
  });

  it("wiping frees every key slot", () => {
    const pair = connected();
    pair.left.act((tunnel, now) => tunnel.rekey("right", now));
    pair.world.advance(1_000);
    pair.left.act((tunnel, now) => tunnel.close(now));
    pair.world.advance(10);
    const [tunnel, aead] = [pair.left.tunnel, pair.leftSite.aead()];
    tunnel.wipe();

    expect(aead.slotsInUse).toBe(0);
  });

  it("of a removed peer: told to the other side, forgotten here, its data means nothing any more", () => {
    const pair = connected();
    const { world, left, right } = pair;
    left.act((tunnel, now) => tunnel.removePeer("right", now));
    world.advance(100);

    expect(left.snapshot().peers).toEqual([]);
    expect(pair.leftSite.aead().slotsInUse).toBe(0);
    expect(eventsOf(right, "down")).toMatchObject([{ reason: "closed" }]);
    pingRight(pair);
    pingLeft(pair);
    world.advance(1_000);
    expect(dropsOf(left).no_peer).toBe(1);
    expect(left.delivered).toEqual([]);
  });
});

describe("long runs", () => {
  it("after a day of silence the first packet arrives within 2 round trips and a bit", () => {
    const pair = newClientPair({ crypto: "stub" });
    connect(pair);
    pair.world.advance(86_400_000);

    expect(connect(pair)).toBeLessThan(100);
  });

  it("a day of little traffic: 720 rekeys, no packet lost, no slot and no session left over", {
    timeout: 60_000,
  }, () => {
    const pair = newClientPair({ crypto: "stub" });
    const { world, left, right } = pair;
    connect(pair);
    world.eve.isRecording = false;
    const traffic = exchange(pair, 30_000);

    world.advance(86_400_000);
    traffic.stop();
    world.advance(100);

    expect(peerOf(left).counters.sessions).toBeGreaterThan(700);
    expect(peerOf(left).counters.sessions).toBeLessThan(740);
    expect([left.delivered.length, right.delivered.length]).toEqual([
      traffic.sent(),
      traffic.sent(),
    ]);
    expect(pair.leftSite.aead().slotsInUse).toBeLessThanOrEqual(6);
    expect(pair.rightSite.aead().slotsInUse).toBeLessThanOrEqual(6);
    expect(world.ledger.repeats).toEqual([]);
    expect(left.counts.turns).toBeLessThan(60_000);
  });
});

function connected(leftPeer: { keepaliveSeconds?: number } = {}): Pair {
  const pair = newClientPair({ leftPeer });
  connect(pair);
  return pair;
}

/** When the left side sent the INIT of its current session. */
function sessionBirth({ world, left }: Pair): number {
  return world.now - (sessionIn(left, "current")?.ageMs ?? Number.NaN);
}
