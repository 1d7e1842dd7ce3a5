/**
 * Tunnel datagrams that come back from the device (rule 16): a tunnel routed into itself, tunnels inside
 * tunnels, and tunnels whose routes lead in a ring. FAULTS.md I3, in process; test/netns/loops.test.ts has
 * real routes.
 *
 * A kernel that routes a datagram into the tunnel is played by taking it from Eve and handing it to the TUN
 * as the packet that the kernel would make of it.
 */
import { describe, expect, it } from "vitest";
import type { SocketAddress } from "../helpers/address.ts";
import { figure } from "../helpers/figure.ts";
import { buildPacket, type PacketSpec } from "../helpers/packet-builder.ts";
import { tcpPacket, udpPacket } from "../helpers/packets.ts";
import { SIZE, TYPE, typeOf } from "../helpers/wire-view.ts";
import type { Datagram } from "../sim/eve.ts";
import type { Host } from "../sim/host.ts";
import { connect, dropsOf, peerOf, pingLeft, pingRight } from "../sim/observe.ts";
import {
  addSite,
  INNER,
  LEFT,
  newClientPair,
  newPair,
  newWorld,
  type Pair,
  RIGHT,
} from "../sim/pair.ts";
import type { World } from "../sim/world.ts";

/** The other side's outer address lies in the tunnel, as with a default route without an exception. */
const SWALLOWED = { leftPeer: { allowedIps: ["0.0.0.0/0", "::/0"] } };
const RIGHT6: SocketAddress = { ip: "2001:db8::2", port: 1194 };
const LEFT6: SocketAddress = { ip: "2001:db8::1", port: 1194 };

describe("a datagram of the tunnel's own", () => {
  const OWN: [string, (pair: Pair) => Datagram][] = [
    ["INIT", (pair) => heldInit(pair)],
    ["RESP", (pair) => heldAnswer(pair, TYPE.RESP)],
    ["CHALLENGE", (pair) => heldAnswer(pair, TYPE.CHALLENGE)],
    ["DATA", (pair) => heldData(pair)],
    ["DATA of the session before", (pair) => heldBeforeRekey(pair)],
    ["keepalive", (pair) => heldKeepalive(pair)],
  ];
  it.each(OWN)(
    "I3 %s that a route leads back is dropped as a loop, whatever the family",
    (_, hold) => {
      for (const to of [RIGHT, RIGHT6]) {
        const pair = newPair(SWALLOWED);
        const datagram = hold(pair);
        const { left, world } = pair;
        const mark = world.eve.mark();
        const before = dropsOf(left).loop ?? 0;

        left.send(routed(datagram, { to }), firstFragment(routed(datagram, { to, spare: 1_000 })));
        world.settle();

        expect((dropsOf(left).loop ?? 0) - before).toBe(2);
        expect(world.eve.since(mark)).toEqual([]);
        expect(peerOf(left).waitingPackets).toBe(0);
      }
    },
  );

  it("I3 that went round starts no handshake and waits for none", () => {
    const pair = newClientPair(SWALLOWED);
    const { left, world } = pair;
    swallow(world, left, [RIGHT.ip]);
    pingRight(pair);

    world.advance(600_000);

    // One attempt of 90 s, started by the ping: the INITs that came back were nothing to send.
    expect(peerOf(left).counters.handshakesStarted).toBeLessThanOrEqual(60);
    expect(dropsOf(left).loop).toBe(world.eve.sentBy("left", TYPE.INIT).length);
    expect(dropsOf(left)).toEqual({ loop: dropsOf(left).loop, queue_timeout: 1 });
  });
});

it("a handshake with one peer goes through another where a route says so", () => {
  const { world, left } = ringOfTwo();
  world.eve.withhold = ({ by, to }) => by === "left" && to.ip === RIGHT.ip;
  left.act((tunnel, now) => tunnel.rekey("a", now));
  world.settle();
  const init = world.eve.last("left", TYPE.INIT);
  const before = peerOf(left, "b").counters.outboundPackets;

  left.send(routed(init));
  world.settle();

  expect(dropsOf(left)).toEqual({});
  expect(peerOf(left, "b").counters.outboundPackets).toBe(before + 1);
});

describe("a packet that is no datagram of this tunnel", () => {
  const payload = (bytes: readonly number[], length = 100): Uint8Array => {
    const whole = new Uint8Array(length).fill(7);
    whole.set(bytes);
    return whole;
  };
  it.each<[string, Uint8Array]>([
    ["DATA of another version", udpPacket(INNER.left, INNER.right, payload([4, 2, 0, 0]))],
    ["DATA with reserved bytes", udpPacket(INNER.left, INNER.right, payload([4, 1, 0, 1]))],
    ["a type without a name", udpPacket(INNER.left, INNER.right, payload([5, 1, 0, 0]))],
    ["DATA cut short", udpPacket(INNER.left, INNER.right, payload([4, 1, 0, 0], 31))],
    ["TCP that begins like DATA", tcpPacket(INNER.left, INNER.right, 9, payload([4, 1, 0, 0]))],
    ["a later fragment", laterFragment(udpPacket(INNER.left, INNER.right, payload([4, 1, 0, 0])))],
    ["an INIT of a tunnel inside", udpPacket(INNER.left, INNER.right, payload([1, 1, 9, 9], 120))],
    ["UDP over IPv6", udpPacket(INNER.left6, INNER.right6, payload([9, 9, 9, 9]))],
  ])("%s goes out with the kernel's own hop limit", (_, packet) => {
    const pair = connected();
    const mark = pair.world.eve.mark();
    pair.left.send(packet);

    pair.world.settle();

    expect(pair.world.eve.since(mark).map(({ hops }) => hops)).toEqual([0]);
    expect(dropsOf(pair.left)).toEqual({});
  });
});

describe("a datagram of a tunnel inside this one", () => {
  it.each([
    [255, 239],
    [64, 48],
    [48, 32],
    [17, 1],
  ])("with hop limit %i leaves with %i, and arrives whole", (hopLimit, hops) => {
    const pair = connected();
    const packets = [dataPacket({ hopLimit }), dataPacket6({ hopLimit })];
    const mark = pair.world.eve.mark();
    pair.left.send(...packets);

    pair.world.advance(50);

    expect(pair.world.eve.since(mark, TYPE.DATA).map((sent) => sent.hops)).toEqual([hops, hops]);
    expect(pair.right.delivered.map(({ bytes }) => bytes)).toEqual(packets);
  });

  it.each([16, 1, 0])("with hop limit %i is dropped as part of a ring", (hopLimit) => {
    const pair = connected();
    const mark = pair.world.eve.mark();
    const packets = [dataPacket({ hopLimit }), dataPacket6({ hopLimit })];
    pair.left.send(...packets, ...packets.map(firstFragment));

    pair.world.settle();

    expect(dropsOf(pair.left)).toEqual({ ring: 4 });
    expect(pair.world.eve.since(mark)).toEqual([]);
  });

  it("shares no run with packets that have another hop limit", () => {
    const pair = connected();
    const mark = pair.world.eve.mark();
    const plain = dataPacket({ payload: new Uint8Array(100).fill(9) });
    pair.left.send(plain, dataPacket({}), dataPacket({}), plain);

    pair.world.settle();

    const sent = pair.world.eve.since(mark, TYPE.DATA);
    expect(sent.map(({ hops }) => hops)).toEqual([0, 48, 48, 0]);
    expect(pair.left.batches.longestSent).toBe(2);
  });
});

it("I3 two tunnels whose routes lead into each other: a ping ends after four rounds, and its counter names the ring", () => {
  const { world, left } = ringOfTwo();
  const before = ["a", "b"].map((name) => peerOf(left, name).counters.outboundBytes);
  swallow(world, left, [RIGHT.ip, "198.51.100.2"]);

  for (let ping = 0; ping < 10; ping += 1) {
    left.send(buildPacket({ protocol: "udp", isPartial: false, ...TO_A, payload: PING }).bytes);
    world.advance(100);
  }

  const after = ["a", "b"].map((name) => peerOf(left, name).counters.outboundBytes);
  const bytes = after.map((total, index) => total - (before[index] ?? 0));
  const measured = `${bytes.join(" and ")} B sent, ring ${dropsOf(left).ring}`;
  figure("I3", "two tunnels of one host in a ring, 10 pings", measured, "<= 70,000 B each, named");
  expect(dropsOf(left)).toEqual({ ring: 10 });
  // 84 and 204 bytes through one, 144 and 264 through the other.
  expect(bytes).toEqual([2_880, 4_080]);
});

function connected(): Pair {
  const pair = newClientPair();
  connect(pair);
  return pair;
}

function heldInit({ world, left }: Pair): Datagram {
  world.eve.withhold = () => true;
  left.act((tunnel, now) => tunnel.rekey("right", now));
  world.settle();
  return world.eve.last("left", TYPE.INIT);
}

/** An answer of left to a handshake of right. */
function heldAnswer({ world, right }: Pair, type: number): Datagram {
  world.eve.withhold = ({ by, bytes }) => by === "left" && typeOf(bytes) === type;
  right.act((tunnel, now) => tunnel.rekey("left", now));
  world.until("the answer", () => world.eve.sentBy("left", type).length > 0, 1_000);
  world.eve.withhold = () => true;
  return world.eve.last("left", type);
}

function heldData(pair: Pair): Datagram {
  const { world } = pair;
  connect(pair);
  world.eve.withhold = () => true;
  pingRight(pair);
  world.settle();
  return world.eve.last("left", TYPE.DATA);
}

function heldBeforeRekey(pair: Pair): Datagram {
  const { world, left } = pair;
  const datagram = heldData(pair);
  world.eve.withhold = () => false;
  left.act((tunnel, now) => tunnel.rekey("right", now));
  world.until("the next session", () => peerOf(left).counters.sessions === 2, 1_000);
  world.advance(100);
  return datagram;
}

function heldKeepalive(pair: Pair): Datagram {
  const { world } = pair;
  connect(pair);
  pingLeft(pair);
  world.advance(15_000);
  const datagram = world.eve.last("left", TYPE.DATA);
  expect(datagram.bytes).toHaveLength(SIZE.KEEPALIVE);
  return datagram;
}

const PING = new Uint8Array(56);
const TO_A = { source: INNER.left, destination: "10.2.0.1" } as const;

/** One host with two peers, each of which covers the other's outer address; both sessions are up. */
function ringOfTwo() {
  const world = newWorld();
  const [keyA, keyB] = [world.random.bytes(32), world.random.bytes(32)];
  const endpointB = { ip: "198.51.100.2", port: 1194 };
  const { host: left } = addSite(world, {
    name: "left",
    addresses: [LEFT.ip],
    peers: [
      {
        name: "a",
        keys: [keyA],
        endpoints: [RIGHT],
        allowedIps: ["10.2.0.1/32", `${endpointB.ip}/32`],
      },
      {
        name: "b",
        keys: [keyB],
        endpoints: [endpointB],
        allowedIps: ["10.2.0.2/32", `${RIGHT.ip}/32`],
      },
    ],
  });
  const far = (name: string, address: string, key: Uint8Array) =>
    addSite(world, {
      name,
      addresses: [address],
      peers: [{ name: "left", keys: [key], allowedIps: ["0.0.0.0/0"] }],
    });
  far("a", RIGHT.ip, keyA);
  far("b", endpointB.ip, keyB);
  for (const name of ["a", "b"]) left.act((tunnel, now) => tunnel.rekey(name, now));
  world.advance(1_000);
  expect(left.snapshot().peers.map(({ state }) => state)).toEqual(["up", "up"]);
  return { world, left };
}

/** What the host sends to these addresses comes back to its TUN, as by a route. */
function swallow(world: World, host: Host, addresses: readonly string[]): void {
  world.eve.withhold = (datagram) => {
    if (datagram.by !== host.name || !addresses.includes(datagram.to.ip)) return false;
    host.send(routed(datagram, { hopLimit: datagram.hops || 64 }));
    return true;
  };
}

interface Routing {
  readonly to?: SocketAddress;
  readonly hopLimit?: number;
  /** Bytes more, so that a fragment is worth cutting. */
  readonly spare?: number;
}

/** The packet that a kernel makes of a datagram which it routes into the tunnel. */
function routed(datagram: Datagram, routing: Routing = {}): Uint8Array {
  const to = routing.to ?? datagram.to;
  return buildPacket({
    protocol: "udp",
    isPartial: false,
    isDontFragment: false,
    source: to.ip.includes(":") ? LEFT6.ip : INNER.left,
    destination: to.ip,
    sourcePort: LEFT.port,
    destinationPort: to.port,
    hopLimit: routing.hopLimit ?? 64,
    payload: Uint8Array.of(...datagram.bytes, ...new Uint8Array(routing.spare ?? 0)),
  }).bytes;
}

const FOREIGN_DATA = Uint8Array.of(4, 1, 0, 0, 1, 2, 3, 4, ...new Uint8Array(60));

/** DATA of some other tunnel, as a packet from left to right. */
function dataPacket(changes: Partial<PacketSpec>): Uint8Array {
  return buildPacket({
    protocol: "udp",
    isPartial: false,
    source: INNER.left,
    destination: INNER.right,
    payload: FOREIGN_DATA,
    ...changes,
  }).bytes;
}

function dataPacket6(changes: Partial<PacketSpec>): Uint8Array {
  return dataPacket({ source: INNER.left6, destination: INNER.right6, ...changes });
}

/** The packet as the first of several fragments. */
function firstFragment(packet: Uint8Array): Uint8Array {
  if (packet[0] === 0x45) {
    const copy = packet.slice();
    copy[6] = 0x20;
    return copy;
  }
  const extension = Uint8Array.of(17, 0, 0, 1, 0, 0, 0, 9);
  const whole = Uint8Array.of(...packet.subarray(0, 40), ...extension, ...packet.subarray(40));
  new DataView(whole.buffer).setUint16(4, whole.length - 40);
  whole[6] = 44;
  return whole;
}

function laterFragment(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  copy[7] = 100;
  return copy;
}
