/**
 * Endpoints that move, and those that must not: rule 12.
 */
import { describe, expect, it } from "vitest";
import type { Roaming } from "../../src/core/options.ts";
import type { SocketAddress } from "../helpers/address.ts";
import { SIZE, TYPE } from "../helpers/wire-view.ts";
import { type Datagram, EVE } from "../sim/eve.ts";
import {
  connect,
  dropsOf,
  endpointOf,
  eventsOf,
  exchange,
  peerOf,
  pingLeft,
  pingRight,
  stateDigest,
} from "../sim/observe.ts";
import { LEFT, newClientPair, newPair, type Pair, RIGHT } from "../sim/pair.ts";

/** Bytes of a DATA datagram with a path challenge or response. */
const PATH_FRAME = 41;
const ELSEWHERE = "192.0.2.99";

describe("the initiator's address changes under traffic", () => {
  it.each<Roaming>(["validated", "on"])(
    "with roaming %s the other side follows within 1 s",
    (roaming) => {
      const pair = connected({ roaming });
      const { world, left, right } = pair;
      exchange(pair, 20);
      world.advance(500);
      left.move([ELSEWHERE]);
      left.delivered.length = 0;

      const took = world.until("traffic both ways", () => left.delivered.length > 0, 1_000);

      expect(took).toBeLessThanOrEqual(1_000);
      expect(endpointOf(right)).toBe(`${ELSEWHERE}:1194`);
      expect(peerOf(right).counters.endpointMoves).toBeGreaterThanOrEqual(1);
      expect(eventsOf(right, "endpoint").at(-1)?.to.port).toBe(1194);
    },
  );

  it("with roaming off the endpoint stays", () => {
    const pair = newPair({ roaming: "off" });
    connect(pair);
    exchange(pair, 20);
    pair.left.move([ELSEWHERE]);
    pair.left.delivered.length = 0;

    pair.world.advance(5_000);

    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
    expect(pair.left.delivered).toEqual([]);
  });

  it("the new address gets only challenges until it has answered one", () => {
    const pair = connected({ roaming: "validated" });
    const { world, left } = pair;
    exchange(pair, 20);
    world.eve.withhold = ({ from, bytes }) => from.ip === ELSEWHERE && bytes.length === PATH_FRAME;
    left.move([ELSEWHERE]);
    world.advance(3_000);

    const toNew = world.eve.sentBy("right").filter(({ to }) => to.ip === ELSEWHERE);

    expect(new Set(toNew.map(({ bytes }) => bytes.length))).toEqual(new Set([PATH_FRAME]));
    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
  });

  it("is challenged for a probe that comes in one batch behind a keepalive", () => {
    const pair = connected({ roaming: "validated", leftPeer: { keepaliveSeconds: 12 } });
    const { world, left, right } = pair;
    pingLeft(pair);
    world.advance(1_000);
    left.move([ELSEWHERE]);
    right.isFrozen = true;
    world.advance(24_000);
    right.isFrozen = false;
    const since = world.now;
    world.settle();

    const answers = world.eve.sentBy("right").filter(({ at }) => at >= since);

    expect(
      answers.filter(({ to }) => to.ip === ELSEWHERE).map(({ bytes }) => bytes.length),
    ).toEqual([PATH_FRAME]);
  });

  it("challenges go out at most once in 250 ms", () => {
    const pair = connected({ roaming: "validated" });
    const { world, left } = pair;
    exchange(pair, 10);
    world.eve.withhold = ({ from, bytes }) => from.ip === ELSEWHERE && bytes.length === PATH_FRAME;
    left.move([ELSEWHERE]);

    world.advance(5_000);

    const times = world.eve
      .sentBy("right")
      .filter(({ to }) => to.ip === ELSEWHERE)
      .map(({ at }) => at);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(times.length).toBeGreaterThan(10);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(250 - 1e-6);
  });

  it("an empty keepalive from a new address draws no challenge, because that would be longer", () => {
    const pair = connected({ roaming: "validated" });
    pingLeft(pair);
    pair.world.advance(1_000);
    pair.left.move([ELSEWHERE]);

    pair.world.advance(12_000);

    const last = pair.world.eve.sentBy("left", TYPE.DATA).at(-1);
    expect([last?.from.ip, last?.bytes.length]).toEqual([ELSEWHERE, SIZE.KEEPALIVE]);
    expect(pair.world.eve.sentBy("right").filter(({ to }) => to.ip === ELSEWHERE)).toEqual([]);
  });

  it("a configured keepalive from a new address moves the endpoint, though nothing else is sent", () => {
    const pair = connected({ roaming: "validated", leftPeer: { keepaliveSeconds: 2 } });
    pair.left.move([ELSEWHERE]);

    pair.world.advance(2_500);

    expect(endpointOf(pair.right)).toBe(`${ELSEWHERE}:1194`);
  });

  it("and the responder's too, at different times: each side follows the other", () => {
    const pair = newPair({ roaming: "validated" });
    connect(pair);
    const { world, left, right } = pair;
    exchange(pair, 20);

    left.move([ELSEWHERE]);
    world.advance(2_000);
    right.move(["198.51.100.99"]);
    world.advance(2_000);

    expect(endpointOf(left)).toBe("198.51.100.99:1194");
    expect(endpointOf(right)).toBe(`${ELSEWHERE}:1194`);
  });

  it("from IPv4 to IPv6 is followed as well", () => {
    const pair = newClientPair({
      left: { addresses: [LEFT.ip, "2001:db8:1::1"] },
      right: { addresses: [RIGHT.ip, "2001:db8:2::1"] },
    });
    connect(pair);
    exchange(pair, 20);
    pair.left.move(["2001:db8:1::1"]);
    pair.left.act((tunnel, now) =>
      tunnel.setEndpoints("right", [{ address: ipv6(), port: 1194, scope: 0 }], now),
    );

    pair.world.advance(20_000);

    expect(endpointOf(pair.right)).toBe("[2001:db8:1::1]:1194");
  });
});

describe("an endpoint does not move", () => {
  it.each<Roaming>(["validated", "on"])(
    "for a replay from another address (roaming %s)",
    (roaming) => {
      const pair = connected({ roaming });
      const traffic = exchange(pair, 20);
      pair.world.advance(1_000);
      traffic.stop();
      pair.world.advance(100);
      const digests = [stateDigest(pair.left), stateDigest(pair.right)];
      const mark = pair.world.eve.mark();

      for (const datagram of pair.world.eve.seen.slice()) pair.world.eve.replay(datagram, EVE);
      pair.world.settle();

      expect([stateDigest(pair.left), stateDigest(pair.right)]).toEqual(digests);
      expect(pair.world.eve.since(mark, TYPE.DATA)).toEqual([]);
    },
  );

  it("validated: for a fresh datagram that Eve took and sent on from her own address", () => {
    const pair = connected({ roaming: "validated" });
    relayThrough(pair, EVE);

    exchange(pair, 20);
    pair.world.advance(5_000);

    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
    const toEve = pair.world.eve.sentBy("right").filter(({ to }) => to.ip === EVE.ip);
    expect(toEve.length).toBeGreaterThan(0);
    expect(new Set(toEve.map(({ bytes }) => bytes.length))).toEqual(new Set([PATH_FRAME]));
  });

  it.each<[string, SocketAddress]>([
    ["port 0", { ip: "203.0.113.7", port: 0 }],
    ["the unspecified address", { ip: "0.0.0.0", port: 1194 }],
    ["the unspecified IPv6 address", { ip: "::", port: 1194 }],
    ["a multicast address", { ip: "224.0.0.5", port: 1194 }],
    ["an IPv6 multicast address", { ip: "ff02::1", port: 1194 }],
    ["the host's own listening address", RIGHT],
  ])("to %s, even where roaming is on", (_, source) => {
    const pair = connected({ roaming: "on" });
    relayThrough(pair, source);

    for (let sequence = 0; sequence < 20; sequence += 1) pingRight(pair, sequence);
    pair.world.advance(1_000);

    expect(pair.right.delivered).toHaveLength(20);
    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
  });

  it("back for a datagram that was delayed on the old path", () => {
    const pair = connected({ roaming: "on" });
    const { world, left, right } = pair;
    const late: Datagram[] = [];
    world.eve.withhold = (datagram) => {
      if (datagram.by !== "left" || late.length > 0) return false;
      late.push(datagram);
      return true;
    };
    pingRight(pair, 1);
    world.settle();
    left.move([ELSEWHERE]);
    pingRight(pair, 2);
    world.advance(50);
    const [delayed] = late;
    if (delayed === undefined) throw new Error("nothing was delayed");

    world.eve.replay(delayed);
    world.settle();

    expect(right.delivered).toHaveLength(2);
    expect(endpointOf(right)).toBe(`${ELSEWHERE}:1194`);
  });

  it("for late data of the previous session, though it was that session's highest", () => {
    const pair = connected({ roaming: "on" });
    const { world, left, right } = pair;
    world.eve.withhold = ({ by, bytes }) => by === "left" && bytes.length > PATH_FRAME;
    pingRight(pair);
    world.settle();
    const late = world.eve.last("left", TYPE.DATA);
    world.eve.withhold = () => false;
    left.act((tunnel, now) => tunnel.rekey("right", now));
    world.advance(1_000);

    world.eve.replay(late, EVE);
    world.settle();

    expect(right.delivered).toHaveLength(1);
    expect(endpointOf(right)).toBe("192.0.2.1:1194");
  });

  it("for a path response that comes from another address than the challenged one", () => {
    const pair = connected({ roaming: "validated" });
    const { world, left, right } = pair;
    exchange(pair, 20);
    world.eve.withhold = (datagram) => {
      const isResponse = datagram.from.ip === ELSEWHERE && datagram.bytes.length === PATH_FRAME;
      if (isResponse) world.eve.replay(datagram, EVE);
      return isResponse;
    };
    left.move([ELSEWHERE]);

    world.advance(3_000);

    expect(
      world.eve.sentBy("left").filter(({ bytes }) => bytes.length === PATH_FRAME).length,
    ).toBeGreaterThan(3);
    expect(endpointOf(right)).toBe("192.0.2.1:1194");
  });

  it("for handshake messages: a copy of a fresh INIT from Eve changes nothing for the peer", () => {
    const pair = connected({ roaming: "on" });
    const { world } = pair;
    world.eve.withhold = (datagram) => {
      if (datagram.by !== "left" || datagram.bytes[0] !== TYPE.INIT) return false;
      world.eve.replay(datagram, EVE);
      return true;
    };
    pair.left.act((tunnel, now) => tunnel.rekey("right", now));

    world.advance(3_000);

    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
  });
});

describe("a peer without endpoint", () => {
  it("is learned from its first data, never from its handshake", () => {
    const pair = newClientPair();
    pair.world.eve.withhold = ({ by, bytes }) => by === "left" && bytes[0] === TYPE.DATA;
    pair.left.act((tunnel, now) => tunnel.rekey("right", now));
    pair.world.until("RESP", () => pair.world.eve.sentBy("right", TYPE.RESP).length > 0, 1_000);
    pair.world.advance(100);
    expect(endpointOf(pair.right)).toBe("none");
    pair.world.eve.withhold = () => false;

    connect(pair, 5_000);

    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
    expect(eventsOf(pair.right, "endpoint")).toMatchObject([{ peer: "left", from: undefined }]);
  });

  it("is learned with roaming off, too", () => {
    const pair = newClientPair({ roaming: "off" });

    connect(pair);

    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
  });

  it("is learned anew from each new session with roaming off, and never in the middle of one", () => {
    const pair = newClientPair({ roaming: "off" });
    connect(pair);
    const { world, left, right } = pair;
    left.move([ELSEWHERE]);
    left.delivered.length = 0;
    exchange(pair, 20);
    expect(endpointOf(right)).toBe("192.0.2.1:1194");

    const took = world.until("a packet from the hub", () => left.delivered.length > 0, 30_000);

    expect(took).toBeLessThanOrEqual(17_000);
    expect(endpointOf(right)).toBe(`${ELSEWHERE}:1194`);
  });

  it("counts packets for it as having no endpoint before", () => {
    const pair = newClientPair();
    pair.left.stop();
    pingLeft(pair);

    pair.world.advance(100_000);

    expect(pair.world.eve.sentBy("right")).toEqual([]);
    expect(dropsOf(pair.right)).toEqual({ no_endpoint: 1 });
  });
});

it("replies leave from the address that was addressed", () => {
  const pair = newClientPair({
    right: { addresses: ["198.51.100.77", RIGHT.ip] },
  });

  connect(pair);

  expect(new Set(pair.world.eve.sentBy("right").map(({ from }) => from.ip))).toEqual(
    new Set([RIGHT.ip]),
  );
});

it("a host whose own address went away does not insist on sending from it for long", () => {
  const pair = newPair();
  connect(pair);
  exchange(pair, 20);
  pair.world.advance(500);
  pair.left.move([ELSEWHERE]);
  pair.world.advance(2_000);
  const early = pair.left.counts.relocated;

  pair.world.advance(5_000);

  expect(pair.left.counts.relocated).toBe(early);
});

it("a changed name moves a configured endpoint, and an empty answer keeps it", () => {
  const pair = newClientPair({ leftPeer: { endpoints: [{ ip: "198.51.100.200", port: 1194 }] } });
  pingRight(pair);
  pair.world.advance(5_000);
  pair.left.act((tunnel, now) => tunnel.setEndpoints("right", [], now));
  pair.world.advance(5_000);
  expect(pair.world.eve.last("left", TYPE.INIT).to.ip).toBe("198.51.100.200");

  pair.left.act((tunnel, now) =>
    tunnel.setEndpoints("right", [{ address: rightBytes(), port: RIGHT.port, scope: 0 }], now),
  );

  expect(connect(pair, 5_000)).toBeLessThan(3_000);
});

function connected(options: { roaming: Roaming; leftPeer?: { keepaliveSeconds: number } }): Pair {
  const pair = newClientPair(options);
  connect(pair);
  return pair;
}

/** From here on Eve takes all of left's datagrams and sends them on from another address. */
function relayThrough({ world }: Pair, source: SocketAddress): void {
  world.eve.withhold = (datagram) => {
    if (datagram.by === "left") world.eve.replay(datagram, source);
    return datagram.by === "left";
  };
}

function ipv6(): Uint8Array {
  return Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
}

function rightBytes(): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 1);
}
