/** What holds for all peers and changes while the tunnel runs: limits, inner addresses, the MTU, the DSCP. */
import { describe, expect, it } from "vitest";
import { setLimits, setMtu } from "../../src/core/change-settings.ts";
import { LARGEST_INNER_MTU, LEAST_INNER_MTU } from "../../src/core/constants.ts";
import { DEFAULT_LIMITS } from "../../src/core/options.ts";
import { after } from "../../src/core/time.ts";
import { ipBytes } from "../helpers/address.ts";
import { udpPacket } from "../helpers/packets.ts";
import { bringUp, HUB_INNER, holder, innerOf, newGroup, say } from "../sim/group.ts";
import { connect, isUp, peerOf } from "../sim/observe.ts";
import { INNER, newPair, type Pair, type PairOptions } from "../sim/pair.ts";
import { addNode, addPeer, id16, newCore, rowFrom, START, udp } from "./core-fixtures.ts";

function newUp(options: PairOptions = {}): Pair {
  const pair = newPair({ crypto: "stub", ...options });
  connect(pair);
  return pair;
}

describe("other limits", () => {
  const limits = { ...DEFAULT_LIMITS, sources: 64, handshakesPerSecond: 1, handshakeBurst: 2 };

  it("hold for every peer and node at once, but a group's newcomers keep their own", () => {
    const state = newCore();
    const { peer } = addPeer(state);
    const group = addPeer(state, { name: "group", kind: "group", allowed: ["10.5.0.0/16"] });
    const node = addNode(state, group.psk, id16(9));
    const newcomers = group.peer.handshakeBudget;
    setLimits(state, limits, START);
    for (const one of [peer, node]) {
      const taken = [1, 2, 3].map(() => one.handshakeBudget.take(START));
      expect(taken).toEqual([true, true, false]);
    }
    expect([1, 2, 3].map(() => peer.reservedLane.take(START))).toEqual([true, true, false]);
    expect(group.peer.handshakeBudget).toBe(newcomers);
    expect(addPeer(state, { name: "late" }).peer.handshakeBudget.take(START)).toBe(true);
  });

  it("hold for sources and for all handshakes together", () => {
    const state = newCore();
    const { rows, base } = rowFrom(udp("192.0.2.7"));
    setLimits(state, { ...limits, sourceBurst: 1, handshakesPerSecondTotal: 100 }, START);
    const charge = () => state.sources.charge(rows, base, START);
    expect([charge(), charge()]).toEqual([true, false]);
    const drawn = (bucket: { take: (now: typeof START) => boolean }) => {
      let count = 0;
      while (bucket.take(START)) count += 1;
      return count;
    };
    const { all, reserved } = state.handshakes;
    expect(drawn(all) + drawn(reserved)).toBe(100);
  });
});

describe("another MTU", () => {
  it("that is fixed holds for every peer at once, and longer packets are refused", () => {
    const { left, right, world } = newUp();
    const send = (bytes: number) => {
      left.send(udpPacket(INNER.left, INNER.right, new Uint8Array(bytes - 28)));
      world.advance(50);
      return peerOf(right).counters.inboundPackets;
    };
    const before = send(1_400);
    left.act((tunnel, now) => tunnel.setMtu(1_300, undefined, now));
    expect([peerOf(left).mtu, send(1_400), send(1_300)]).toEqual([1_300, before, before + 1]);
    left.act((tunnel, now) => tunnel.setMtu(1_420, undefined, now));
    expect([peerOf(left).mtu, send(1_400), isUp(left)]).toEqual([1_420, before + 2, true]);
  });

  it("that is found out from now on begins at the least and is searched at once", () => {
    const { left, world } = newUp({ right: { pathMtu: {} } });
    const pathMtu = { linkMtu: 1_500, raiseMs: 600_000 };
    left.act((tunnel, now) => tunnel.setMtu(LARGEST_INNER_MTU, pathMtu, now));
    expect(peerOf(left).mtu).toBe(LEAST_INNER_MTU);
    world.advance(3_000);
    expect([peerOf(left).pathMtu, isUp(left)]).toEqual([1_500, true]);
    left.act((tunnel, now) => tunnel.setMtu(1_400, undefined, now));
    expect([peerOf(left).mtu, peerOf(left).pathMtu]).toEqual([1_400, undefined]);
    world.advance(3_000);
    expect(peerOf(left).mtu).toBe(1_400);
  });

  it("that stays found out keeps what is known, and asks again when the new time has come", () => {
    const state = newCore({ pathMtu: { linkMtu: 1_500, raiseMs: 600_000 } });
    const { peer } = addPeer(state);
    const { path } = peer;
    setMtu(state, LARGEST_INNER_MTU, { linkMtu: 1_500, raiseMs: 5_000 }, START);
    expect([peer.path === path, peer.timers.isSet("raise")]).toEqual([true, false]);
    peer.timers.set("raise", after(START, 600_000));
    setMtu(state, LARGEST_INNER_MTU, { linkMtu: 1_500, raiseMs: 7_000 }, START);
    expect(peer.timers.earliest()).toEqual({ at: after(START, 7_000), timer: "raise" });
  });
});

describe("other inner addresses", () => {
  it("are told to the hub, which finds the site under them", () => {
    const group = newGroup({ sites: 1, crypto: "stub" });
    bringUp(group);
    const { hub, sites, world } = group;
    const [site] = sites;
    const fresh = innerOf(200);
    expect(holder(hub, fresh)).toBe("nobody");
    site?.host.act((tunnel, now) => tunnel.setInnerAddresses([ipBytes(fresh).slice(12)], now));
    world.advance(50);
    expect(holder(hub, fresh)).not.toBe("nobody");
  });

  it("of the hub are taken back from a site that held one", () => {
    const group = newGroup({ sites: 1, crypto: "stub" });
    bringUp(group);
    const { hub, sites, world } = group;
    const [site] = sites;
    if (site === undefined) throw new Error("no site");
    const taken = innerOf(77);
    say(site, taken);
    world.advance(50);
    expect(holder(hub, taken)).not.toBe("nobody");
    const own = [HUB_INNER, taken].map((ip) => ipBytes(ip).slice(12));
    hub.act((tunnel, now) => tunnel.setInnerAddresses(own, now));
    expect(holder(hub, taken)).toBe("nobody");
    expect(isUp(site.host)).toBe(true);
  });
});

it("a DSCP is copied from the moment that it is asked for", () => {
  const { left, world } = newUp();
  const tosOf = () => {
    const packet = udpPacket(INNER.left, INNER.right, new Uint8Array(10));
    packet[1] = 0xb8;
    left.send(packet);
    world.settle();
    return world.eve.sentBy("left").at(-1)?.tos;
  };
  const before = tosOf();
  left.act((tunnel) => tunnel.setCopyDscp(true));
  expect([before, tosOf()]).toEqual([0, 0xb8]);
  left.act((tunnel) => tunnel.setCopyDscp(false));
  expect(tosOf()).toBe(0);
});
