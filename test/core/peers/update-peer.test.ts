/** A peer whose options change while it lives: what is taken over, and that no session is lost by it. */
import { describe, expect, it } from "vitest";
import type { DropReason } from "../../../src/core/drop-reason.ts";
import type { PeerUpdate } from "../../../src/core/options.ts";
import { endpoint, prefix } from "../../helpers/address.ts";
import { udpPacket } from "../../helpers/packets.ts";
import { TYPE } from "../../helpers/wire-view.ts";
import { bringUp, forwarding, innerOf, newGroup, nodesOf, say } from "../../sim/group.ts";
import type { Host } from "../../sim/host.ts";
import {
  connect,
  dropsOf,
  endpointOf,
  isUp,
  peerOf,
  pingLeft,
  pingRight,
} from "../../sim/observe.ts";
import { INNER, NETWORKS, newPair, type Pair, type PairOptions, RIGHT } from "../../sim/pair.ts";

const AWAY_PLACE = { ip: "203.0.113.9", port: 1194 };
const AWAY = endpoint("203.0.113.9", 1194);

function newUp(options: PairOptions = {}): Pair {
  const pair = newPair({ crypto: "stub", ...options });
  connect(pair);
  return pair;
}

/** The left side's options for its peer as they were at the start, but for `changes`. */
function update(changes: Partial<PeerUpdate> = {}): PeerUpdate {
  return {
    name: "right",
    hasConfiguredEndpoint: true,
    allowedIps: NETWORKS.right.map(prefix),
    keepaliveSeconds: 0,
    roaming: "validated",
    ...changes,
  };
}

function change(host: Host, changes: Partial<PeerUpdate>): void {
  host.act((tunnel, now) => tunnel.updatePeer(update(changes), now));
}

/** The session in use, as it can be told from another. */
function sessionOf(host: Host): unknown {
  const [session] = peerOf(host).sessions;
  return { born: host.now - (session?.ageMs ?? 0), fingerprint: session?.fingerprint };
}

function udpTo(to: string): Uint8Array {
  return udpPacket(INNER.left, to, new Uint8Array(100));
}

/** Hands packets to the left side's device. */
function send({ left, world }: Pair, ...packets: readonly Uint8Array[]): void {
  left.send(...packets);
  world.settle();
}

/** Tells from now on how many packets the left side has sealed for its peer, and what it dropped. */
function watch({ left }: Pair): () => readonly [number, Partial<Record<DropReason, number>>] {
  const sealed = () => peerOf(left).counters.outboundPackets;
  const [before, dropped] = [sealed(), dropsOf(left)];
  return () => {
    const news = Object.entries(dropsOf(left)).map(
      ([reason, count]) => [reason, count - (dropped[reason as DropReason] ?? 0)] as const,
    );
    return [sealed() - before, Object.fromEntries(news.filter(([, count]) => count > 0))];
  };
}

describe("other prefixes", () => {
  it("are routed at once, on the same session; those that went are not", () => {
    const pair = newUp();
    const { left } = pair;
    const before = sessionOf(left);
    const seen = watch(pair);
    change(left, { allowedIps: [prefix("10.3.0.0/16"), prefix("10.9.0.2/32")] });
    send(pair, udpTo("10.3.0.1"), udpTo(INNER.right));
    expect(seen()).toEqual([2, {}]);
    send(pair, udpTo("10.2.0.1"));
    expect(seen()).toEqual([2, { no_peer: 1 }]);
    expect(sessionOf(left)).toEqual(before);
  });

  it("are where packets may come from, martian ones by name", () => {
    const pair = newUp({ leftPeer: { allowedIps: ["0.0.0.0/0"] } });
    const { left, right, world } = pair;
    const seen = watch(pair);
    const from = (source: string) => {
      right.send(udpPacket(source, INNER.left, new Uint8Array(10)));
      world.advance(100);
      return seen()[1];
    };
    right.act((tunnel, now) =>
      tunnel.updatePeer(update({ name: "left", allowedIps: [prefix("0.0.0.0/0")] }), now),
    );
    expect(from("169.254.0.1")).toEqual({ inner_martian: 1 });
    change(left, { allowedIps: [prefix("0.0.0.0/0"), prefix("169.254.0.0/16")] });
    expect(from("169.254.0.1")).toEqual({ inner_martian: 1 });
    expect(right.snapshot().peers[0]?.counters.outboundPackets).toBeGreaterThan(1);
    change(left, { allowedIps: [prefix("10.9.0.2/32")] });
    expect(from("169.254.0.1")).toEqual({ inner_martian: 1, inner_source: 1 });
  });

  it.each([["first"], ["second"]])("pass from one peer to another, the %s told first", (order) => {
    const pair = newUp();
    const { left } = pair;
    const seen = watch(pair);
    const other = { ...update({ name: "other" }), keys: [new Uint8Array(32).fill(3)] };
    const moved = prefix("10.2.0.0/16");
    left.act((tunnel, now) => {
      tunnel.addPeer({ ...other, endpoints: [], allowedIps: [prefix("10.3.0.0/16")] }, now);
      const both = [
        update({ allowedIps: [prefix("10.3.0.0/16")] }),
        { ...other, allowedIps: [moved], keys: undefined },
      ];
      for (const one of order === "first" ? both : both.toReversed()) tunnel.updatePeer(one, now);
    });
    send(pair, udpTo("10.3.0.1"));
    expect(seen()[0]).toBe(1);
    send(pair, udpTo("10.2.0.1"));
    expect(peerOf(left, "other").waitingPackets).toBe(1);
  });

  it("take packets along that wait for a session", () => {
    const pair = newPair({ crypto: "stub" });
    const { left, right, world } = pair;
    world.eve.withhold = () => true;
    send(pair, udpTo("10.2.0.1"), udpTo(INNER.right));
    const seen = watch(pair);
    expect(peerOf(left).waitingPackets).toBe(2);
    change(left, { allowedIps: [prefix("10.9.0.2/32")] });
    world.eve.withhold = () => false;
    world.advance(3_000);
    expect([isUp(right), peerOf(left).waitingPackets]).toEqual([true, 0]);
    expect(seen()).toEqual([1, expect.objectContaining({ no_peer: 1 })]);
  });
});

describe("another keepalive", () => {
  it("begins at once, and ends, without costing the session", () => {
    const pair = newUp();
    const { left, world } = pair;
    const before = sessionOf(left);
    const sentIn = (ms: number) => {
      const from = world.eve.sentBy("left", TYPE.DATA).length;
      world.advance(ms);
      return world.eve.sentBy("left", TYPE.DATA).length - from;
    };
    sentIn(20_000);
    expect(sentIn(30_000)).toBe(0);
    change(left, { keepaliveSeconds: 10 });
    expect(sentIn(30_500)).toBe(3);
    change(left, { keepaliveSeconds: 10 });
    expect(sentIn(10_000)).toBe(1);
    change(left, { keepaliveSeconds: 0 });
    expect(sentIn(15_000)).toBe(0);
    expect(sessionOf(left)).toEqual(before);
  });
});

describe("another rate", () => {
  const many = (count: number) =>
    Array.from({ length: count }, () => udpPacket(INNER.left, INNER.right, new Uint8Array(1_372)));

  it("that is the first makes packets wait, and one that goes lets all of them leave, in order", () => {
    const pair = newUp();
    const { left, right, world } = pair;
    const before = sessionOf(left);
    const seen = watch(pair);
    change(left, { rateBitsPerSecond: 1e6 });
    send(pair, ...many(20));
    expect(peerOf(left).pacing?.packets).toBeGreaterThan(10);
    change(left, { rateBitsPerSecond: undefined });
    send(pair, ...many(1));
    expect(peerOf(left).pacing).toBeUndefined();
    expect(seen()).toEqual([21, {}]);
    expect(sessionOf(left)).toEqual(before);
    world.advance(5_000);
    expect([seen(), peerOf(right).counters.inboundPackets >= 21]).toEqual([[21, {}], true]);
  });

  it("holds for what waits already, and loses nothing of it", () => {
    const pair = newUp({ leftPeer: { rateBitsPerSecond: 64_000 } });
    const { left, world } = pair;
    const seen = watch(pair);
    send(pair, ...many(10));
    world.advance(100);
    expect(seen()[0]).toBeLessThan(5);
    change(left, { rateBitsPerSecond: 100e6 });
    world.advance(10);
    expect(seen()).toEqual([10, {}]);
    expect(peerOf(left).pacing).toMatchObject({ bitsPerSecond: 100e6, packets: 0 });
  });

  it("is that of each node of a group", () => {
    const group = newGroup({ sites: 2, crypto: "stub" });
    bringUp(group);
    const { hub } = group;
    const rate = (rateBitsPerSecond: number | undefined) => {
      const options = { name: "branch", hasConfiguredEndpoint: false };
      change(hub, { ...options, allowedIps: [prefix("10.77.0.0/16")], rateBitsPerSecond });
      return nodesOf(hub).map(({ pacing }) => pacing?.bitsPerSecond);
    };
    expect([rate(5e6), rate(6e6), rate(undefined)]).toEqual([
      [5e6, 5e6],
      [6e6, 6e6],
      [undefined, undefined],
    ]);
  });
});

describe("other endpoints", () => {
  it("in place of the one in use are used at once, and a host there is asked for a session", () => {
    const pair = newUp();
    const { left, world } = pair;
    const before = sessionOf(left);
    const inits = world.eve.sentBy("left", TYPE.INIT).length;
    change(left, { endpoints: [AWAY] });
    expect(endpointOf(left)).toBe("203.0.113.9:1194");
    world.settle();
    expect(
      world.eve
        .sentBy("left", TYPE.INIT)
        .slice(inits)
        .map(({ to }) => to.ip),
    ).toEqual(["203.0.113.9"]);
    expect(sessionOf(left)).toEqual(before);
  });

  it("that were wrong are left for where the peer proves to be", () => {
    const pair = newUp();
    const { left, world } = pair;
    change(left, { endpoints: [AWAY] });
    pingLeft(pair);
    world.advance(100);
    expect([endpointOf(left), isUp(left)]).toEqual([`${RIGHT.ip}:${RIGHT.port}`, true]);
  });

  it("beside the one in use leave it", () => {
    const pair = newUp();
    const { left } = pair;
    const right = endpoint(RIGHT.ip, RIGHT.port);
    change(left, { endpoints: [right, AWAY] });
    expect(endpointOf(left)).toBe(`${RIGHT.ip}:${RIGHT.port}`);
    change(left, { endpoints: [], hasConfiguredEndpoint: false });
    expect(endpointOf(left)).toBe(`${RIGHT.ip}:${RIGHT.port}`);
    expect([isUp(left), peerOf(left).isEndpointConfigured]).toEqual([true, false]);
  });

  it("are called at once where there is no session, also in the middle of an attempt", () => {
    const pair = newPair({
      crypto: "stub",
      leftPeer: { endpoints: [AWAY_PLACE] },
      rightPeer: { endpoints: [] },
    });
    const { left, world } = pair;
    world.advance(100);
    expect(isUp(left)).toBe(false);
    change(left, { endpoints: [endpoint(RIGHT.ip, RIGHT.port)] });
    world.advance(100);
    expect(isUp(left)).toBe(true);
  });

  it("are not touched where they are not told", () => {
    const pair = newUp();
    change(pair.left, { keepaliveSeconds: 5 });
    pair.world.advance(200);
    pingRight(pair);
    pair.world.advance(100);
    expect([endpointOf(pair.left), isUp(pair.left)]).toEqual([`${RIGHT.ip}:${RIGHT.port}`, true]);
  });
});

describe("roaming that is switched off", () => {
  it("takes the answer to a challenge that is on its way no more", () => {
    const pair = newUp({ leftPeer: { endpoints: [] } });
    const { left, right, world } = pair;
    world.advance(100);
    const before = endpointOf(left);
    right.move(["198.51.100.77"]);
    pingLeft(pair);
    world.advance(15);
    expect(world.eve.sentBy("left").at(-1)?.to.ip).toBe("198.51.100.77");
    change(left, { hasConfiguredEndpoint: true, roaming: "off" });
    world.advance(100);
    expect(endpointOf(left)).toBe(before);
  });
});

describe("a group's other prefixes", () => {
  it("take addresses back from nodes that held them outside, and leave the others", () => {
    const group = newGroup({ sites: 2, crypto: "stub" });
    bringUp(group);
    const { hub, sites, world } = group;
    forwarding(group);
    const [first, second] = sites;
    if (first === undefined || second === undefined) throw new Error("no sites");
    for (const site of sites) say(site, innerOf(sites.indexOf(site)));
    world.advance(50);
    const held = () => nodesOf(hub).map(({ addresses }) => addresses.length);
    const before = held();
    expect(before.every((count) => count > 0)).toBe(true);
    const options = { name: "branch", hasConfiguredEndpoint: false };
    change(hub, { ...options, allowedIps: [prefix(`${innerOf(0)}/32`)] });
    expect(held().toSorted()).toEqual([0, 1]);
    expect(sites.every(({ host }) => isUp(host))).toBe(true);
  });
});

it("a peer that is not there changes nothing", () => {
  const { left } = newUp();
  const before = peerOf(left);
  change(left, { name: "nobody", allowedIps: [] });
  expect(peerOf(left)).toEqual(before);
});
