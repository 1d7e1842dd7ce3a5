/**
 * Faults that a hostile review found, each a test: one side idle or speaking only in keepalives, many
 * peers at once, an endpoint of several addresses that may not roam, answers that come too late.
 */
import { describe, expect, it } from "vitest";
import type { SocketAddress } from "../helpers/address.ts";
import { SIZE, TYPE } from "../helpers/wire-view.ts";
import { EVE } from "../sim/eve.ts";
import {
  connect,
  dropsOf,
  endpointOf,
  exchange,
  isUp,
  peerOf,
  pingLeft,
  pingRight,
} from "../sim/observe.ts";
import { addSite, LEFT, newClientPair, newPair, newWorld, RIGHT } from "../sim/pair.ts";

const DEAD: SocketAddress = { ip: "192.0.2.200", port: 1194 };
const ELSEWHERE = "192.0.2.77";
/** A path challenge or response in DATA. */
const PATH_BYTES = 41;

describe("with roaming off", () => {
  it("an endpoint of two addresses takes the one that the data comes from", () => {
    const pair = newPair({ roaming: "off", rightPeer: { endpoints: [DEAD, LEFT] } });
    const traffic = exchange(pair, 100);
    pair.world.advance(10_000);
    traffic.stop();

    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
    expect(pair.left.delivered.length).toBeGreaterThan(traffic.sent() - 20);
  });

  it("data from an address that is not configured leaves the configured one in use", () => {
    const pair = newPair({ roaming: "off", rightPeer: { endpoints: [DEAD] } });
    pair.world.until("right is up", () => isUp(pair.right), 2_000);
    expect(endpointOf(pair.right)).toBe("192.0.2.200:1194");
  });
});

describe("after a restart of the hub", () => {
  it.each([
    { sites: 80, delayMs: 300, limitMs: 5_000 },
    { sites: 200, delayMs: 50, limitMs: 5_000 },
  ])("$sites sites at $delayMs ms come back at once, without traffic", (given) => {
    const world = newWorld();
    world.network({ delayMs: given.delayMs });
    const keys = Array.from({ length: given.sites }, () => world.random.bytes(32));
    const { host: hub } = addSite(world, {
      name: "hub",
      addresses: [RIGHT.ip],
      crypto: "stub",
      limits: { handshakesPerSecondTotal: 2_000 },
      peers: keys.map((key, index) => ({
        name: `site${index}`,
        keys: [key],
        allowedIps: [`10.5.${index}.0/24`],
      })),
    });
    for (const [index, key] of keys.entries()) {
      addSite(world, {
        name: `site${index}`,
        addresses: [`203.0.113.${index + 1}`],
        crypto: "stub",
        peers: [{ name: "hub", keys: [key], endpoints: [RIGHT], allowedIps: ["10.9.0.0/16"] }],
      });
    }

    const everySite = () => keys.every((_, index) => isUp(hub, `site${index}`));
    world.until("every site is up", everySite, given.limitMs);
    expect(hub.snapshot().sessions).toBeGreaterThanOrEqual(given.sites);
  });
});

describe("a session that was confirmed by its RESP and never heard", () => {
  it("is started anew, though only the other side has something to send", () => {
    const pair = newClientPair();
    connect(pair);
    const { world, left, right } = pair;
    let isCut = false;
    world.eve.withhold = ({ by, bytes }) => by === "left" && isCut && bytes[0] === TYPE.DATA;
    right.restart();
    isCut = true;
    left.act((tunnel, now) => tunnel.rekey("right", now));
    world.advance(8_000);
    isCut = false;

    const took = world.until("right is up", () => isUp(right), 20_000);

    expect(took).toBeLessThanOrEqual(8_000);
  });

  it("is started anew, though the peer is heard on another session", () => {
    const pair = newPair({ rightPeer: { keepaliveSeconds: 10 } });
    connect(pair);
    const { world, left, right } = pair;
    world.eve.withhold = ({ by, bytes }) => by === "left" && bytes[0] === TYPE.DATA;
    left.act((tunnel, now) => tunnel.rekey("right", now));
    world.advance(100);
    right.stop();
    world.advance(2_000);
    world.eve.withhold = () => false;
    right.start();
    left.delivered.length = 0;
    const stop = world.every(1_000, () => {
      pingLeft(pair);
      pingRight(pair);
    });

    const took = world.until("left to right", () => right.delivered.length > 0, 20_000);
    stop();

    expect(took).toBeLessThanOrEqual(17_000);
  });
});

describe("a clock that fell back", () => {
  it("stops no restarted peer, though a half-open session with a later stamp waits", () => {
    const pair = newClientPair();
    const { world, left, right } = pair;
    world.network({ delayMs: 200 });
    connect(pair, 5_000);
    left.act((tunnel, now) => tunnel.rekey("right", now));
    world.advance(2_000);
    left.stop();
    left.wallOffsetMicros = -365 * 86_400e6;
    right.delivered.length = 0;
    left.start();

    const stop = world.every(100, () => pingRight(pair));
    const took = world.until("traffic", () => right.delivered.length > 0, 10_000);
    stop();

    expect(took).toBeLessThanOrEqual(3_000);
  });

  it("nor one whose clock was ahead for that one handshake only, and is right again", () => {
    const pair = newClientPair();
    const { world, left, right } = pair;
    connect(pair);
    left.wallOffsetMicros = 3_600e6;
    pingRight(pair);
    world.settle();
    world.eve.withhold = ({ by, bytes }) => by === "left" && bytes[0] === TYPE.DATA;
    left.act((tunnel, now) => tunnel.rekey("right", now));
    world.advance(2_000);
    left.stop();
    left.wallOffsetMicros = 0;
    world.eve.withhold = () => false;
    right.delivered.length = 0;
    left.start();

    const stop = world.every(100, () => pingRight(pair));
    const took = world.until("traffic", () => right.delivered.length > 0, 200_000);
    stop();

    expect(took).toBeLessThanOrEqual(12_000);
  });
});

describe("a site that only sends keepalives", () => {
  it("is followed when its NAT gives it another port", () => {
    const world = newWorld();
    const nat = world.nat({ ip: "203.0.113.1" });
    const pair = newClientPair({
      world,
      left: { addresses: ["10.0.0.1"], nat },
      leftPeer: { keepaliveSeconds: 25 },
    });
    connect(pair);
    nat.rebind();
    const stop = world.every(1_000, () => pingLeft(pair));
    world.advance(100);
    pair.left.delivered.length = 0;

    const took = world.until("right to left", () => pair.left.delivered.length > 0, 60_000);
    stop();

    expect(took).toBeLessThanOrEqual(26_000);
  });

  it("finds a hub again that restarted without a word", () => {
    const pair = newClientPair({ leftPeer: { keepaliveSeconds: 5 } });
    connect(pair);
    const { world, left, right } = pair;
    right.restart();
    const stop = world.every(1_000, () => pingLeft(pair));

    const took = world.until("right to left", () => left.delivered.length > 0, 60_000);
    stop();

    expect(took).toBeLessThanOrEqual(22_000);
  });
});

describe("a racing copy of an INIT, with junk from the peer's address", () => {
  it("does not keep the peer out", () => {
    const pair = newPair({ rightPeer: { endpoints: [LEFT] } });
    connect(pair);
    const { world, left, right } = pair;
    const stopJunk = world.every(10, () => {
      for (let copy = 0; copy < 100; copy += 1) world.eve.inject(RIGHT, new Uint8Array(40), LEFT);
    });
    world.eve.withhold = (datagram) => {
      const { by, bytes } = datagram;
      if (by === "left" && bytes[0] === TYPE.INIT) world.eve.replay(datagram, EVE);
      return false;
    };
    left.restart();
    right.delivered.length = 0;
    const stop = world.every(100, () => pingRight(pair));

    const took = world.until("left to right", () => right.delivered.length > 0, 12_000);
    stop();
    stopJunk();

    expect(took).toBeLessThanOrEqual(2_000);
  });
});

describe("an endpoint that moved stays", () => {
  it("when the RESP to an INIT from before the move comes late", () => {
    const pair = newPair();
    connect(pair);
    const { world, left, right } = pair;
    world.eve.withhold = ({ by, bytes }) => by === "left" && bytes[0] === TYPE.RESP;
    right.act((tunnel, now) => tunnel.rekey("left", now));
    world.advance(100);
    const resp = world.eve.last("left", TYPE.RESP);
    left.move([ELSEWHERE]);
    const stop = world.every(50, () => pingRight(pair));
    world.until("the move", () => endpointOf(right) === `${ELSEWHERE}:1194`, 2_000);

    world.eve.replay(resp, EVE);
    world.settle();
    stop();

    expect(endpointOf(right)).toBe(`${ELSEWHERE}:1194`);
  });

  it("when the answer to a path challenge comes after the peer moved back", () => {
    const pair = newPair();
    connect(pair);
    const { world, left, right } = pair;
    world.eve.withhold = ({ by, bytes }) => by === "left" && bytes.length === PATH_BYTES;
    left.move([ELSEWHERE]);
    pingRight(pair);
    world.advance(100);
    const answer = world.eve
      .sentBy("left", TYPE.DATA)
      .filter(({ bytes }) => bytes.length === PATH_BYTES)
      .at(-1);
    if (answer === undefined) throw new Error("no answer to the challenge");
    left.move([LEFT.ip]);
    pingRight(pair);
    world.advance(100);

    world.eve.replay(answer);
    world.settle();

    expect(endpointOf(right)).toBe("192.0.2.1:1194");
  });
});

describe("a peer whose address may not be followed", () => {
  it("is not held to the limit of forged packets", () => {
    const pair = newPair({ roaming: "off" });
    connect(pair);
    const { world, left, right } = pair;
    left.move([ELSEWHERE]);
    right.delivered.length = 0;
    const stop = world.every(10, () => {
      for (let count = 0; count < 90; count += 1) pingRight(pair);
    });
    world.advance(3_000);
    stop();

    expect(right.delivered.length).toBeGreaterThan(26_000);
    expect(dropsOf(right).open_limited).toBeUndefined();
  });
});

describe("a rekey that came due in an attempt that failed", () => {
  it("starts again when the attempt is given up", () => {
    const pair = newClientPair();
    connect(pair);
    const { world, left } = pair;
    world.advance(39_000);
    world.eve.withhold = ({ bytes }) => bytes[0] === TYPE.INIT;
    left.act((tunnel, now) => tunnel.rekey("right", now));
    world.advance(92_000);
    world.eve.withhold = () => false;
    const { sessions } = peerOf(left).counters;

    const took = world.until("a session", () => peerOf(left).counters.sessions > sessions, 20_000);

    expect(took).toBeLessThanOrEqual(2_000);
  });
});

describe("the configured keepalive", () => {
  it("is as long as a path challenge, and its answer is shorter", () => {
    const pair = newClientPair({ leftPeer: { keepaliveSeconds: 5 } });
    connect(pair);
    const mark = pair.world.eve.mark();
    pair.world.advance(6_000);

    expect(pair.world.eve.since(mark).map(({ by, bytes }) => [by, bytes.length])).toEqual([
      ["left", PATH_BYTES],
      ["right", SIZE.KEEPALIVE + 5],
    ]);
  });
});
