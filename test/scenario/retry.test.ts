/**
 * The initiator's patience: retries (rule 5), challenges (rule 4), and confirmation (rule 6).
 */
import { describe, expect, it } from "vitest";
import { SIZE, TYPE } from "../helpers/wire-view.ts";
import {
  connect,
  eventsOf,
  exchange,
  isUp,
  pingLeft,
  pingRight,
  sessionIn,
} from "../sim/observe.ts";
import { addSite, NETWORKS, newClientPair, newWorld, RIGHT } from "../sim/pair.ts";

describe("retries", () => {
  it("come after 0.3, 0.3, 0.6 s, every second until 30 s, every 5 s until 90 s, each with up to 20 % more", () => {
    const pair = newClientPair();
    pair.world.eve.withhold = () => true;
    pingRight(pair);

    pair.world.advance(200_000);

    const times = pair.world.eve.sentBy("left", TYPE.INIT).map(({ at }) => at);
    expect(times[0]).toBe(0);
    for (const [index, time] of times.entries()) {
      if (index === 0) continue;
      const before = times[index - 1] ?? 0;
      const planned = [300, 300, 600][index - 1] ?? (before < 30_000 ? 1_000 : 5_000);
      expect(time - before, `wait ${index}`).toBeGreaterThanOrEqual(planned - 1e-6);
      expect(time - before, `wait ${index}`).toBeLessThanOrEqual(planned * 1.2 + 1e-6);
    }
    expect(times.at(-1)).toBeGreaterThan(80_000);
    expect(times.at(-1)).toBeLessThanOrEqual(90_000);
  });

  it("are each a fresh INIT: no two share index or ephemeral", () => {
    const pair = newClientPair();
    pair.world.eve.withhold = () => true;
    pingRight(pair);

    pair.world.advance(30_000);

    const inits = pair.world.eve.sentBy("left", TYPE.INIT).map(({ bytes }) => bytes);
    const indices = new Set(
      inits.map((bytes) => Buffer.from(bytes.subarray(4, 8)).toString("hex")),
    );
    const ephemerals = new Set(
      inits.map((bytes) => Buffer.from(bytes.subarray(8, 40)).toString("hex")),
    );
    expect(inits.length).toBeGreaterThan(10);
    expect(indices.size).toBe(inits.length);
    expect(ephemerals.size).toBe(inits.length);
  });

  it("start again with traffic after an attempt was given up", () => {
    const pair = newClientPair();
    pair.world.eve.withhold = () => true;
    pingRight(pair);
    pair.world.advance(120_000);
    const mark = pair.world.eve.mark();
    pair.world.advance(120_000);
    expect(pair.world.eve.since(mark)).toHaveLength(0);
    pair.world.eve.withhold = () => false;

    expect(connect(pair)).toBeLessThan(100);
  });

  it("go on by the keepalive timer without traffic", () => {
    const pair = newClientPair({ leftPeer: { keepaliveSeconds: 25 } });
    pair.world.eve.withhold = () => true;
    pair.world.advance(200_000);
    pair.world.eve.withhold = () => false;

    pair.world.advance(60_000);

    expect(isUp(pair.left)).toBe(true);
  });

  it("report that they go unanswered, so that a name can be resolved again", () => {
    const pair = newClientPair();
    pair.world.eve.withhold = () => true;
    pingRight(pair);

    pair.world.advance(80_000);

    const events = eventsOf(pair.left, "unanswered");
    expect(events.length).toBeGreaterThanOrEqual(1);
    expect(events.length).toBeLessThanOrEqual(10);
  });

  it("alternate between the configured addresses of a peer", () => {
    const elsewhere = { ip: "198.51.100.200", port: 1194 };
    const pair = newClientPair({ leftPeer: { endpoints: [elsewhere, RIGHT] } });

    expect(connect(pair, 5_000)).toBeLessThan(1_000);
    expect(new Set(pair.world.eve.sentBy("left", TYPE.INIT).map(({ to }) => to.ip))).toEqual(
      new Set([elsewhere.ip, RIGHT.ip]),
    );
  });

  it("alternate between the last confirmed and the configured endpoint", () => {
    const pair = newClientPair();
    connect(pair);
    pair.right.move(["198.51.100.9"]);
    pingLeft(pair);
    pair.world.advance(2_000);
    pingLeft(pair);
    pair.world.advance(2_000);
    pair.right.stop();
    const mark = pair.world.eve.mark();
    const stop = pair.world.every(1_000, () => pingRight(pair));

    pair.world.advance(40_000);
    stop();

    const targets = pair.world.eve.since(mark, TYPE.INIT).map(({ to }) => to.ip);
    expect(targets.filter((ip) => ip === RIGHT.ip).length).toBeGreaterThan(3);
    expect(targets.filter((ip) => ip === "198.51.100.9").length).toBeGreaterThan(3);
  });
});

describe("a challenge", () => {
  it("is answered at most 3 times an attempt where a translator changes the port of every datagram", () => {
    const world = newWorld();
    const nat = world.nat({ ip: "203.0.113.1", isFresh: true, filtering: "endpoint" });
    const key = world.random.bytes(32);
    const left = addSite(world, {
      name: "left",
      addresses: ["10.0.0.2"],
      nat,
      peers: [{ name: "right", keys: [key], endpoints: [RIGHT], allowedIps: NETWORKS.right }],
    });
    addSite(world, {
      name: "right",
      addresses: [RIGHT.ip],
      peers: [{ name: "left", keys: [key], allowedIps: NETWORKS.left }],
    });
    left.host.act((tunnel, now) => tunnel.rekey("right", now));

    world.advance(20_000);

    const inits = world.eve.sentBy("left", TYPE.INIT);
    const resent = inits.filter(({ bytes }) => bytes.subarray(88, 104).some((byte) => byte !== 0));
    const fresh = new Set(
      inits.map(({ bytes }) => Buffer.from(bytes.subarray(8, 40)).toString("hex")),
    );
    expect(inits.length - fresh.size).toBeLessThanOrEqual(3);
    expect(resent.length).toBeGreaterThan(0);
    expect(inits.length).toBeLessThan(30);
  });
});

describe("confirmation", () => {
  it("the initiator repeats its keepalive after 0.3, 1, 3 and 7 s until it hears anything", () => {
    const pair = newClientPair();
    const { world } = pair;
    world.eve.withhold = ({ by, bytes }) => by === "right" && bytes[0] === TYPE.DATA;
    pair.left.act((tunnel, now) => tunnel.rekey("right", now));
    world.until("RESP", () => world.eve.sentBy("right", TYPE.RESP).length > 0, 1_000);
    const confirmedAt = world.eve.last("right", TYPE.RESP).at + 10;

    world.advance(14_000);

    const keepalives = world.eve
      .sentBy("left", TYPE.DATA)
      .map(({ at }) => Math.round(at - confirmedAt));
    expect(keepalives).toEqual([0, 300, 1_000, 3_000, 7_000]);
  });

  it("the responder sends nothing on the session before the first data, and answers that with one keepalive", () => {
    const pair = newClientPair();
    const { world } = pair;
    world.eve.withhold = ({ by, bytes }) => by === "left" && bytes[0] === TYPE.DATA;
    pair.left.act((tunnel, now) => tunnel.rekey("right", now));
    const stop = world.every(100, () => pingLeft(pair));
    world.advance(2_000);
    stop();
    expect(world.eve.sentBy("right", TYPE.DATA)).toHaveLength(0);
    expect(sessionIn(pair.right, "next")).toBeDefined();
    expect(isUp(pair.right)).toBe(false);

    world.eve.withhold = () => false;
    world.advance(4_000);

    const [first] = world.eve.sentBy("right", TYPE.DATA);
    expect(first).toBeDefined();
    expect(isUp(pair.right)).toBe(true);
    const keepalives = world.eve
      .sentBy("right", TYPE.DATA)
      .filter(({ bytes }) => bytes.length === SIZE.KEEPALIVE);
    expect(keepalives.length).toBeLessThanOrEqual(1);
  });

  it("a lost RESP costs nothing: the old session carries on until the new one is confirmed", () => {
    const pair = newClientPair();
    connect(pair);
    pair.world.eve.withhold = ({ bytes }) => bytes[0] === TYPE.RESP;
    pair.left.act((tunnel, now) => tunnel.rekey("right", now));

    const traffic = exchange(pair, 100);
    pair.world.advance(5_000);
    traffic.stop();
    pair.world.advance(100);

    expect(pair.left.delivered).toHaveLength(traffic.sent());
    expect(pair.right.delivered).toHaveLength(traffic.sent());
  });
});
