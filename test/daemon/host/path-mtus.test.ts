/** Which MTU the device and its routes get from what the peers' paths carry. */
import { describe, expect, it } from "vitest";
import type { TunnelEvent } from "../../../src/core/options.ts";
import type { DeviceMtu } from "../../../src/daemon/host/network-plan.ts";
import { GATHER_MS, PathMtus } from "../../../src/daemon/host/path-mtus.ts";
import { prefix } from "../config.ts";
import { ManualTimers } from "../timers.ts";

const PEERS = [
  { name: "a", allowedIps: [prefix("10.1.0.0/16"), prefix("fd01::/64")] },
  { name: "b", allowedIps: [prefix("10.2.0.0/16")] },
  { name: "sites", allowedIps: [prefix("10.3.0.0/16")] },
];

function setUp() {
  const timers = new ManualTimers();
  const told: DeviceMtu[] = [];
  const mtus = new PathMtus(PEERS, timers.start, (mtu) => told.push(mtu));
  const found = (peer: string, mtu: number) => mtus.event(mtuEvent(peer, mtu));
  return { timers, told, mtus, found };
}

function mtuEvent(peer: string, mtu: number): TunnelEvent {
  return { kind: "mtu", peer, from: 1280, mtu, pathMtu: mtu + 60 };
}

function down(peer: string): TunnelEvent {
  return { kind: "down", peer, reason: "closed" };
}

describe("the MTU", () => {
  it("is the least that every link has to carry while no path is known", () => {
    expect(setUp().mtus.wanted()).toEqual({ mtu: 1280, routeMtus: new Map() });
  });

  it("of the device is the least of all paths, of a route its own peer's where that is larger", () => {
    const { mtus, found } = setUp();
    found("a", 1440);
    expect(mtus.wanted()).toEqual({ mtu: 1440, routeMtus: new Map() });
    found("b", 1340);
    expect(mtus.wanted()).toEqual({
      mtu: 1340,
      routeMtus: new Map([
        ["10.1.0.0/16", 1440],
        ["fd01::/64", 1440],
      ]),
    });
  });

  it("counts a site of a group for the device only, and only while it is there", () => {
    const { mtus, found } = setUp();
    found("a", 1440);
    found("sites/ab12", 1300);
    expect(mtus.wanted().mtu).toBe(1300);
    mtus.event(down("sites/ab12"));
    expect(mtus.wanted()).toEqual({ mtu: 1440, routeMtus: new Map() });
  });

  it("keeps what is known of a configured peer that is down", () => {
    const { mtus, found } = setUp();
    found("a", 1340);
    mtus.event(down("a"));
    expect(mtus.wanted().mtu).toBe(1340);
  });
});

describe("changes", () => {
  it("are gathered for a moment and told once", async () => {
    const { timers, told, found } = setUp();
    found("a", 1440);
    found("b", 1340);
    expect(told).toEqual([]);
    await timers.fire(GATHER_MS);
    expect(told.map(({ mtu }) => mtu)).toEqual([1340]);
    found("b", 1440);
    await timers.fire(GATHER_MS);
    expect(told.map(({ mtu }) => mtu)).toEqual([1340, 1440]);
  });

  it("of nothing that matters are not told, nor any after the end", () => {
    const { timers, mtus, found } = setUp();
    mtus.event(down("a"));
    mtus.event(down("sites/none"));
    mtus.event({ kind: "lost", count: 1 });
    expect(timers.delays()).toEqual([]);
    found("a", 1440);
    expect(timers.delays()).toEqual([GATHER_MS]);
    mtus.close();
    expect(timers.delays()).toEqual([]);
  });
});

describe("other peers", () => {
  it("count from then on, and what is known of those that stay still holds", () => {
    const { mtus, found } = setUp();
    found("a", 1400);
    found("b", 1300);
    found("sites/1", 1290);
    mtus.setPeers([{ name: "a", allowedIps: [prefix("10.5.0.0/16")] }], true);
    expect(mtus.wanted()).toEqual({ mtu: 1400, routeMtus: new Map() });
    mtus.setPeers(PEERS, true);
    found("b", 1300);
    expect(mtus.wanted().routeMtus.get("10.1.0.0/16")).toBe(1400);
  });

  it("are known anew where their paths are asked anew", () => {
    const { mtus, found } = setUp();
    found("a", 1400);
    mtus.setPeers(PEERS, false);
    expect(mtus.wanted().mtu).toBe(1280);
  });
});
