/** The tunnel's own part of the work: its deadline, and what an operator or the host changes while it runs. */
import { describe, expect, it } from "vitest";
import { tunnelBuffers } from "../../src/core/buffers.ts";
import { DEFAULT_LIMITS, type PeerOptions, type TunnelOptions } from "../../src/core/options.ts";
import { after, NEVER } from "../../src/core/time.ts";
import { Tunnel } from "../../src/core/tunnel.ts";
import { MESSAGE_TYPE } from "../../src/core/wire.ts";
import { endpoint, ipBytes, prefix } from "../helpers/address.ts";
import { Random } from "../helpers/random.ts";
import { TYPE } from "../helpers/wire-view.ts";
import { newGroup } from "../sim/group.ts";
import {
  connect,
  dropsOf,
  endpointOf,
  eventsOf,
  isUp,
  peerOf,
  pingLeft,
  pingRight,
} from "../sim/observe.ts";
import { newPair, type Pair, type PairOptions } from "../sim/pair.ts";
import { STUB_CIPHER, stubCrypto } from "../sim/stub-crypto.ts";
import { NonceLedger, TwinAead } from "../sim/twin-aead.ts";
import { id16, START } from "./core-fixtures.ts";

const AWAY = endpoint("203.0.113.9", 1194);

/** A tunnel without a world, and without peers. */
function newTunnel(options: Partial<TunnelOptions> = {}): Tunnel {
  const whole: TunnelOptions = {
    nodeId: id16(1),
    mtu: 1420,
    listenPort: 1194,
    ownAddresses: [],
    limits: { ...DEFAULT_LIMITS, sources: 64 },
    offloads: { joinTcp: false, joinUdp: false, runs: false },
    ...options,
  };
  const environment = {
    crypto: stubCrypto(new Random(1)),
    aead: new TwinAead(new NonceLedger(), STUB_CIPHER),
  };
  const buffers = tunnelBuffers({ mtu: 1420, superPackets: false, gro: false, rows: 4 });
  return new Tunnel(whole, environment, buffers, START);
}

function peerNamed(name: string, spec: Partial<PeerOptions> = {}): PeerOptions {
  return {
    name,
    keys: [new Uint8Array(32).fill(9).fill(1, 0, 5)],
    endpoints: [],
    hasConfiguredEndpoint: false,
    allowedIps: [prefix("10.2.0.0/16")],
    keepaliveSeconds: 0,
    roaming: "validated",
    ...spec,
  };
}

/** Types of the messages that wait to be sent. */
function takeTypes(tunnel: Tunnel): number[] {
  const { outgoing } = tunnel.buffers;
  const types: number[] = [];
  while (tunnel.pollTransmit(START) > 0) {
    for (let row = 0; row < outgoing.count; row += 1) types.push(outgoing.arena[row * 120] ?? 0);
  }
  return types;
}

function newUp(options: PairOptions = {}): Pair {
  const pair = newPair({ crypto: "stub", ...options });
  connect(pair);
  return pair;
}

/** Messages of a type that the left host sends while it does this, and at once after. */
function sentBy(pair: Pair, act: Parameters<Pair["left"]["act"]>[0], type: number): number {
  const { world, left } = pair;
  const before = world.eve.sentBy(left.name, type).length;
  left.act(act);
  world.settle();
  return world.eve.sentBy(left.name, type).length - before;
}

describe("the deadline", () => {
  it("is none without a peer that wakes, and has the reason of the timer that is due first", () => {
    const tunnel = newTunnel();
    expect([tunnel.pollTimeout(), tunnel.nextTimeout()]).toEqual([undefined, NEVER]);
    tunnel.addPeer(peerNamed("silent"), START);
    expect([tunnel.pollTimeout(), tunnel.nextTimeout()]).toEqual([undefined, NEVER]);
    tunnel.addPeer(peerNamed("other", { endpoints: [AWAY], hasConfiguredEndpoint: true }), START);
    const deadline = tunnel.pollTimeout();
    expect(deadline?.reason).toBe("handshake retry");
    expect([deadline?.at, (deadline?.at ?? 0) > START]).toEqual([tunnel.nextTimeout(), true]);
  });
});

it("handshakes that were put off are due at once, with their reason", () => {
  const { world, hub, sites } = newGroup({ sites: 8, crypto: "stub" });
  const { tunnel } = hub;
  const poll = tunnel.pollTimeout.bind(tunnel);
  const reasons = new Set<string | undefined>();
  tunnel.pollTimeout = () => {
    const deadline = poll();
    reasons.add(deadline?.reason);
    expect(tunnel.nextTimeout()).toBe(deadline?.at ?? NEVER);
    return deadline;
  };
  world.advance(200);
  expect(reasons).toContain("handshakes put off");
  expect(sites.every(({ host }) => isUp(host))).toBe(true);
});

it("a tunnel that starts again is answered unchallenged, because its stamps follow the wall clock", () => {
  const pair = newUp({ rightPeer: { endpoints: [] } });
  const challenges = () => pair.world.eve.sentBy("right", TYPE.CHALLENGE).length;
  const before = challenges();
  pair.left.restart();
  connect(pair);
  expect([before, challenges()]).toEqual([1, 1]);
});

describe("a peer that is added", () => {
  it("is called where it was last, before it is where it is configured", () => {
    const tunnel = newTunnel();
    tunnel.addPeer(peerNamed("other", { lastEndpoint: AWAY }), START);
    expect(takeTypes(tunnel)).toEqual([MESSAGE_TYPE.INIT]);
    expect(tunnel.snapshot(START).peers[0]?.endpoint).toEqual(AWAY);
    const both = newTunnel();
    const configured = endpoint("198.51.100.1", 7);
    const options = { endpoints: [configured], hasConfiguredEndpoint: true, lastEndpoint: AWAY };
    both.addPeer(peerNamed("other", options), START);
    expect(both.snapshot(START).peers[0]?.endpoint).toEqual(AWAY);
  });

  it("is forgotten there when it stays silent", () => {
    const tunnel = newTunnel();
    tunnel.addPeer(peerNamed("other", { lastEndpoint: AWAY }), START);
    const later = after(START, 181_000);
    tunnel.handleTimeout(later);
    expect(tunnel.snapshot(later).peers[0]?.endpoint).toBeUndefined();
  });

  it("gets an INIT where it can be reached, and its keepalive is armed", () => {
    const tunnel = newTunnel();
    const options = { endpoints: [AWAY], hasConfiguredEndpoint: true, keepaliveSeconds: 7 };
    tunnel.addPeer(peerNamed("other", options), START);
    expect(takeTypes(tunnel)).toEqual([MESSAGE_TYPE.INIT]);
    const silent = newTunnel();
    silent.addPeer(peerNamed("other", { keepaliveSeconds: 7 }), START);
    expect([takeTypes(silent), silent.pollTimeout()]).toEqual([
      [],
      { at: START + 7_000, reason: "keepalive" },
    ]);
  });

  it("has other keys as a group's hub than as a pair, of one secret", () => {
    const fingerprints = (["pair", "hub", "group"] as const).map((kind) => {
      const tunnel = newTunnel();
      tunnel.addPeer(peerNamed("other", { kind }), START);
      return tunnel.snapshot(START).peers[0]?.fingerprints.join();
    });
    expect(fingerprints[1]).toBe(fingerprints[2]);
    expect(fingerprints[0]).not.toBe(fingerprints[1]);
  });

  it("needs a name of its own", () => {
    const tunnel = newTunnel();
    tunnel.addPeer(peerNamed("other"), START);
    expect(() => tunnel.addPeer(peerNamed("other"), START)).toThrow("other exists");
  });
});

describe("a peer that is removed", () => {
  it("hears of it, and its sessions, prefixes, key and timers are gone", () => {
    const pair = newUp();
    const { left, right, world } = pair;
    left.act((tunnel, now) => tunnel.removePeer("right", now));
    world.advance(50);
    expect([isUp(right), left.snapshot().peers, left.snapshot().sessions]).toEqual([false, [], 0]);
    expect([eventsOf(left, "down").length, eventsOf(right, "down").length]).toEqual([1, 1]);
    expect(left.tunnel.pollTimeout()).toBeUndefined();

    pingRight(pair);
    left.act((tunnel, now) => tunnel.rekey("right", now));
    right.act((tunnel, now) => tunnel.rekey("left", now));
    world.advance(50);
    expect(dropsOf(left)).toMatchObject({ no_peer: 1, unknown_hint: 1 });
    expect(left.snapshot().sessions).toBe(0);
  });

  it("takes the packets that wait for it, and its handshake, along", () => {
    const pair = newPair({ crypto: "stub" });
    const { left, world } = pair;
    world.eve.withhold = () => true;
    pingRight(pair);
    world.advance(10);
    expect(peerOf(left).waitingPackets).toBe(1);
    left.act((tunnel, now) => tunnel.removePeer("right", now));
    expect(left.tunnel.pollTimeout()).toBeUndefined();
    left.act((tunnel, now) => tunnel.removePeer("right", now));
    expect(left.snapshot().peers).toEqual([]);
  });

  it("as a group takes its nodes along, each of which hears of it", () => {
    const { world, hub, sites } = newGroup({ sites: 2, crypto: "stub" });
    world.advance(1_000);
    expect([hub.snapshot().sessions, sites.map(({ host }) => isUp(host))]).toEqual([
      2,
      [true, true],
    ]);
    hub.act((tunnel, now) => tunnel.removePeer("branch", now));
    expect([hub.snapshot().sessions, hub.snapshot().peers]).toEqual([0, []]);
    expect(hub.tunnel.pollTimeout()).toBeUndefined();
    world.advance(50);
    expect(sites.map(({ host }) => isUp(host))).toEqual([false, false]);
  });
});

describe("new addresses of a peer", () => {
  it("are tried at once where none was known, though an attempt waits", () => {
    const options = { endpoints: [], hasConfiguredEndpoint: true };
    const pair = newPair({ crypto: "stub", leftPeer: options, rightPeer: { endpoints: [] } });
    pair.world.advance(100);
    expect(pair.world.eve.sentBy("left")).toEqual([]);
    const act = (given: readonly ReturnType<typeof endpoint>[]) =>
      sentBy(pair, (tunnel, now) => tunnel.setEndpoints("right", given, now), TYPE.INIT);
    expect([act([]), act([AWAY]), act([AWAY])]).toEqual([0, 1, 0]);
  });

  it("are asked for at once where another is in use, which stays until they answer", () => {
    const pair = newUp();
    const before = endpointOf(pair.left);
    pair.left.tunnel.setEndpoints("right", [AWAY], pair.left.now);
    expect(pair.left.tunnel.pollTimeout()).toEqual({
      at: pair.left.now,
      reason: "preferred endpoint",
    });
    expect(sentBy(pair, () => undefined, TYPE.DATA)).toBe(1);
    expect(peerOf(pair.left).state).toBe("up");
    expect(pair.world.eve.sentBy("left", TYPE.INIT).at(-1)?.to.ip).not.toBe("203.0.113.9");
    expect(pair.world.eve.sentBy("left").at(-1)?.to.ip).toBe("203.0.113.9");
    expect(endpointOf(pair.left)).toBe(before);
  });

  it("are kept until others are known, and nobody else's", () => {
    const tunnel = newTunnel();
    tunnel.addPeer(peerNamed("other", {}), START);
    tunnel.setEndpoints("nobody", [AWAY], START);
    tunnel.setEndpoints("other", [AWAY], START);
    expect(tunnel.snapshot(START).peers[0]?.endpoint).toEqual(AWAY);
    expect(tunnel.pollTimeout()).toBeUndefined();
    tunnel.setEndpoints("other", [], START);
    expect(tunnel.snapshot(START).peers[0]?.endpoint).toEqual(AWAY);
  });
});

describe("the host's links", () => {
  it("of another MTU have each path searched at once, and of the same one none", () => {
    const site = { pathMtu: { linkMtu: 1400 } };
    const pair = newUp({ left: site, right: site });
    const { left, world } = pair;
    world.advance(5_000);
    expect(peerOf(left).pathMtu).toBe(1400);
    const act = (mtu: number) =>
      sentBy(pair, (tunnel, now) => tunnel.setLinkMtu(mtu, now), TYPE.DATA);
    expect(act(1400)).toBe(0);
    expect(act(1300)).toBeGreaterThan(0);
    world.advance(5_000);
    expect(peerOf(left).pathMtu).toBe(1300);
  });

  it("that changed are announced to each peer by one probe, where there is a session", () => {
    const pair = newUp();
    const announce = () => sentBy(pair, (tunnel, now) => tunnel.announce(now), TYPE.DATA);
    expect(announce()).toBe(1);
    const idle = newPair({ crypto: "stub" });
    expect(sentBy(idle, (tunnel, now) => tunnel.announce(now), TYPE.DATA)).toBe(0);
    pair.left.act((tunnel, now) => tunnel.close(now));
    pair.world.settle();
    expect(announce()).toBe(0);
  });

  it("have no address that a peer could have, too", () => {
    for (const [own, end] of [
      ["203.0.113.5", "198.51.100.1:1194"],
      ["203.0.113.6", "203.0.113.5:1194"],
    ] as const) {
      const pair = newUp();
      pair.left.tunnel.setOwnAddresses([ipBytes(own).slice()]);
      pair.right.move(["203.0.113.5"]);
      pingLeft(pair);
      pair.world.advance(500);
      expect(endpointOf(pair.left)).toBe(end);
    }
  });

  it("and what they lose are counted", () => {
    const tunnel = newTunnel();
    tunnel.countDrop("udp_send", 3);
    tunnel.countDrop("tun_write", 2);
    expect(tunnel.snapshot(START).drops).toMatchObject({ udp_send: 3, tun_write: 2 });
  });
});

describe("packets that wait", () => {
  const numbers = Array.from({ length: 11 }, (_, index) => index);

  it.each([1, 2, 128])("for a session all leave with it, in order, %i rows a batch", (rows) => {
    const pair = newPair({ crypto: "stub", left: { rows } });
    for (const sequence of numbers) pingRight(pair, sequence);
    pair.world.advance(500);
    expect(sequencesOf(pair)).toEqual(numbers);
  });

  it.each([1, 2, 128])("for a rate all leave at it, in order, %i rows a batch", (rows) => {
    const pair = newUp({ left: { rows }, leftPeer: { rateBitsPerSecond: 1e9 } });
    for (const sequence of numbers) pingRight(pair, sequence);
    pair.world.settle();
    pair.world.advance(10);
    expect(sequencesOf(pair)).toEqual(numbers);
  });

  it("for a rate too long are counted", () => {
    const pair = newUp({ leftPeer: { rateBitsPerSecond: 1e6 } });
    const { left, world } = pair;
    for (const sequence of new Array<number>(200).keys()) pingRight(pair, sequence);
    world.advance(250);
    const dropped = peerOf(left).pacing?.dropped ?? 0;
    expect(dropped).toBeGreaterThan(0);
    expect(dropsOf(left).rate_queue).toBe(dropped);
  });
});

/** Sequence numbers of the pings that arrived at the right. */
function sequencesOf({ right }: Pair): number[] {
  return right.delivered.map(({ bytes }) => ((bytes[26] ?? 0) << 8) | (bytes[27] ?? 0));
}

describe("an end", () => {
  it("closes the session in use, and with it the one before, and each side knows", () => {
    const pair = newUp();
    const { left, right, world } = pair;
    left.act((tunnel, now) => tunnel.rekey("right", now));
    world.advance(100);
    expect(left.snapshot().sessions).toBe(2);
    expect(sentBy(pair, (tunnel, now) => tunnel.close(now), TYPE.DATA)).toBe(1);
    world.advance(50);
    expect([left.snapshot().sessions, right.snapshot().sessions]).toEqual([0, 0]);
    expect([isUp(left), isUp(right)]).toEqual([false, false]);
  });

  it("wipes every key, of handshakes under way too", () => {
    const pair = newUp({ rightPeer: { endpoints: [] } });
    const { left, leftSite, right, world } = pair;
    expect(leftSite.aead().slotsInUse).toBe(2);
    left.act((tunnel, now) => tunnel.rekey("right", now));
    left.tunnel.wipe();
    expect([left.snapshot().sessions, leftSite.aead().slotsInUse]).toEqual([0, 0]);
    right.act((tunnel, now) => tunnel.rekey("left", now));
    world.advance(50);
    // The answer to its own INIT, and the other side's INIT: of both the keys are gone.
    expect(dropsOf(left)).toMatchObject({ unexpected_response: 1, unknown_hint: 1 });
  });

  it("wipes the keys of a group's nodes once", () => {
    const { world, hub, hubSite } = newGroup({ sites: 2, crypto: "stub" });
    world.advance(1_000);
    hub.tunnel.wipe();
    expect([hub.snapshot().sessions, hubSite.aead().slotsInUse]).toEqual([0, 0]);
  });
});

it("a tunnel whose place is taken closes the sessions of a group's nodes, and no other", () => {
  const { world, hub, sites } = newGroup({ sites: 2, crypto: "stub" });
  world.advance(1_000);
  const before = sites.map(({ host }) => isUp(host));
  hub.act((tunnel, now) => tunnel.closeNodes(now));
  world.settle();
  const pair = newUp();
  pair.left.act((tunnel, now) => tunnel.closeNodes(now));
  pair.world.settle();
  expect(before).toEqual([true, true]);
  expect(hub.tunnel.snapshot(world.now).sessions).toBe(0);
  expect(isUp(pair.right)).toBe(true);
});
