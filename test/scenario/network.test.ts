/**
 * Bad networks: loss, bursts, reorder up to the window's edge, duplicates, jitter; and what waits while
 * no session is up. Claims C2 and C3, FAULTS.md R3, rule 14.
 */
import { describe, expect, it } from "vitest";
import { figure } from "../helpers/figure.ts";
import { pingPacket, udpPacket, viewPacket } from "../helpers/packets.ts";
import { seeds } from "../helpers/random.ts";
import { TYPE } from "../helpers/wire-view.ts";
import type { Host } from "../sim/host.ts";
import type { LinkOptions } from "../sim/link.ts";
import { connect, dropsOf, exchange, isUp, peerOf, pingRight } from "../sim/observe.ts";
import { addSite, INNER, newClientPair, newPair, newWorld, type Pair } from "../sim/pair.ts";

describe("a bad network", () => {
  it.each<[string, Partial<LinkOptions>, number]>([
    [
      "30 % loss, 10 % duplicates and 50 ms of jitter",
      { loss: 0.3, duplicate: 0.1, delayMs: 20, jitterMs: 50 },
      0.66,
    ],
    ["bursts of loss", { burstStart: 0.02, burstEnd: 0.2, delayMs: 20 }, 0.85],
    ["10 % duplicates and 50 ms of jitter", { duplicate: 0.1, delayMs: 5, jitterMs: 50 }, 0.995],
    ["single datagrams held back 2 s", { reorder: 0.05, reorderMs: 2_000 }, 0.995],
  ])(
    "R3 with %s delivers what arrives, each packet once, over several rekeys",
    (name, link, share) => {
      for (const seed of seeds(3)) {
        const pair = newPair({ seed, crypto: "stub" });
        const { world, left, right } = pair;
        world.network(link);
        connect(pair, 20_000);
        const sent = numbered(pair, 100, 270_000);

        world.advance(3_000);

        const arrived = [left, right].map(({ delivered }) => delivered.length / sent());
        const measured = `${arrived.map((part) => (part * 100).toFixed(1)).join(" and ")} % delivered, ${repeatsIn(left) + repeatsIn(right)} twice`;
        figure("R3", `${name}, seed ${seed}`, measured, "each at most once");
        expectOnceEach(left, sent() * share, seed);
        expectOnceEach(right, sent() * share, seed);
        expect(peerOf(left).counters.sessions).toBeGreaterThanOrEqual(3);
        expect(world.ledger.repeats).toEqual([]);
      }
    },
  );
});

describe("reordering", () => {
  it.each([0, 1, 2, 64, 2_048, 8_127, 8_128])(
    "R3 a packet overtaken by %i others is delivered, once",
    (distance) => {
      const { pair, late } = overtaken(distance);

      for (let copy = 0; copy < 3; copy += 1) pair.world.eve.replay(late);
      pair.world.settle();

      figure("R3", `overtaken by ${distance}`, `${pair.right.delivered.length} delivered`, "1");
      expect(pair.right.delivered).toHaveLength(1);
      expect(dropsOf(pair.right).replayed).toBe(2);
    },
  );

  it.each([8_129, 8_200, 10_000])(
    "R3 a packet overtaken by %i others is dropped and counted",
    (distance) => {
      const { pair, late } = overtaken(distance);

      pair.world.eve.replay(late);
      pair.world.settle();

      figure("R3", `overtaken by ${distance}`, `${pair.right.delivered.length} delivered`, "0");
      expect(pair.right.delivered).toHaveLength(0);
      expect(dropsOf(pair.right).replayed).toBe(1);
    },
  );
});

describe("packets that wait for a session", () => {
  it("go out in order when it is up", () => {
    const pair = newClientPair();
    pair.left.send(
      ...Array.from({ length: 20 }, (_, index) => pingPacket(INNER.left, INNER.right, index)),
    );

    pair.world.advance(1_000);

    expect(pair.right.delivered.map(({ bytes }) => sequenceOf(bytes))).toEqual(
      Array.from({ length: 20 }, (_, index) => index),
    );
  });

  it("are at most 128, the oldest dropped and counted", () => {
    const pair = newClientPair();
    pair.left.send(
      ...Array.from({ length: 300 }, (_, index) => pingPacket(INNER.left, INNER.right, index)),
    );
    pair.world.settle();
    expect(peerOf(pair.left).waitingPackets).toBe(128);

    pair.world.advance(1_000);

    expect(dropsOf(pair.left)).toEqual({ queue_full: 172 });
    expect(pair.right.delivered.map(({ bytes }) => sequenceOf(bytes))).toEqual(
      Array.from({ length: 128 }, (_, index) => 172 + index),
    );
  });

  it("are at most 256 KiB", () => {
    const size = 9_000;
    const pair = newClientPair({ left: { mtu: size }, right: { mtu: size } });
    const packets = Array.from({ length: 60 }, () =>
      udpPacket(INNER.left, INNER.right, new Uint8Array(size - 28)),
    );
    pair.left.send(...packets);
    pair.world.settle();

    expect(peerOf(pair.left).waitingPackets).toBe(Math.floor((256 * 1024) / size));
    pair.world.advance(1_000);
    expect(pair.right.delivered).toHaveLength(Math.floor((256 * 1024) / size));
  });

  it("are at most 16 MiB for all peers together", () => {
    const world = newWorld();
    const size = 9_000;
    const { host } = addSite(world, {
      name: "hub",
      addresses: ["192.0.2.1"],
      mtu: size,
      crypto: "stub",
      peers: Array.from({ length: 80 }, (_, index) => ({
        name: `peer${index}`,
        keys: [world.random.bytes(32)],
        endpoints: [{ ip: "203.0.113.1", port: 1_000 + index }],
        allowedIps: [`10.5.${index}.0/24`],
      })),
    });
    for (let peer = 0; peer < 80; peer += 1) {
      for (let copy = 0; copy < 29; copy += 1) {
        host.send(udpPacket("10.9.0.1", `10.5.${peer}.1`, new Uint8Array(size - 28)));
      }
    }
    world.settle();

    const waiting = host.snapshot().peers.reduce((sum, peer) => sum + peer.waitingPackets, 0);
    expect(waiting * size).toBeLessThanOrEqual(16 * 1024 * 1024);
    expect(waiting * size).toBeGreaterThan(15 * 1024 * 1024);
    expect(dropsOf(host).queue_full).toBe(80 * 29 - waiting);
  });

  it("are given up with the attempt, and counted", () => {
    const pair = newClientPair();
    pair.world.eve.withhold = () => true;
    pingRight(pair);

    pair.world.advance(100_000);

    expect(peerOf(pair.left).waitingPackets).toBe(0);
    expect(dropsOf(pair.left)).toEqual({ queue_timeout: 1 });
  });

  it("start a handshake even while a session is half open", () => {
    const pair = newPair();
    const { world, left, right } = pair;
    left.stop();
    world.advance(1_000);
    left.start();
    // Right answers left's INIT, but the RESP and all that follows from left is lost.
    world.eve.withhold = ({ by, bytes }) => by === "left" && bytes[0] === TYPE.DATA;
    world.until(
      "half open",
      () => peerOf(right).sessions.some(({ slot }) => slot === "next"),
      10_000,
    );
    left.stop();
    right.restart();
    world.advance(10);
    const mark = world.eve.mark();

    right.send(pingPacket(INNER.right, INNER.left));
    world.advance(5_000);

    expect(world.eve.since(mark, TYPE.INIT).some(({ by }) => by === "right")).toBe(true);
  });
});

describe("half-open sessions", () => {
  it("are at most 4 a node, as many as its INITs stay answerable, and those of a newcomer end after 10 s", () => {
    const pair = newClientPair();
    const { world, left, right } = pair;
    world.eve.withhold = ({ bytes }) => bytes[0] === TYPE.RESP;
    left.act((tunnel, now) => tunnel.rekey("right", now));
    let most = 0;
    for (let second = 0; second < 20; second += 1) {
      world.advance(1_000);
      most = Math.max(most, halfOpen(right));
    }
    left.stop();

    world.advance(11_000);

    expect(most).toBe(4);
    expect(halfOpen(right)).toBe(0);
    expect(pair.rightSite.aead().slotsInUse).toBe(0);
  });

  it("are bounded a peer, so that a hundred at once displace none of one another", {
    timeout: 30_000,
  }, () => {
    const world = newWorld();
    const keys = Array.from({ length: 100 }, () => world.random.bytes(32));
    const right = { ip: "198.51.100.1", port: 1194 };
    const { host: hub } = addSite(world, {
      name: "hub",
      addresses: [right.ip],
      crypto: "stub",
      limits: { handshakesPerSecondTotal: 10_000 },
      peers: keys.map((key, index) => ({
        name: `peer${index}`,
        keys: [key],
        allowedIps: [`10.5.${index}.0/24`],
      })),
    });
    const sites = keys.map((key, index) =>
      addSite(world, {
        name: `peer${index}`,
        addresses: [`203.0.113.${index + 1}`],
        crypto: "stub",
        peers: [{ name: "hub", keys: [key], endpoints: [right], allowedIps: ["10.9.0.0/16"] }],
      }),
    );
    const [known, ...others] = sites;
    if (known === undefined) throw new Error("no sites");
    for (const { host } of others) host.stop();
    known.host.act((tunnel, now) => tunnel.rekey("hub", now));
    world.until("the known peer is up", () => isUp(hub, "peer0"), 1_000);
    world.eve.withhold = ({ by, bytes, to }) =>
      by === "hub" && bytes[0] === TYPE.RESP && to.ip !== "203.0.113.1";
    for (const { host } of others) host.start();
    let most = 0;
    for (let round = 0; round < 40; round += 1) {
      world.advance(100);
      most = Math.max(most, halfOpen(hub));
    }
    const { sessions } = peerOf(hub, "peer0").counters;

    known.host.act((tunnel, now) => tunnel.rekey("hub", now));
    world.until(
      "the known peer's new session",
      () => peerOf(hub, "peer0").counters.sessions > sessions,
      1_000,
    );

    expect(most).toBeGreaterThan(99);
    expect(most).toBeLessThanOrEqual(4 * 100);
  });

  it("an INIT with a lower stamp than one that waits is dropped", () => {
    const pair = newClientPair();
    const { world } = pair;
    connect(pair);
    world.eve.withhold = () => true;
    pair.left.act((tunnel, now) => tunnel.rekey("right", now));
    world.advance(700);
    const [first, second] = world.eve.sentBy("left", TYPE.INIT).slice(-3);
    if (first === undefined || second === undefined) throw new Error("too few INITs");
    world.eve.replay(second);
    world.settle();
    const before = pair.right.snapshot().handshakeComputations;

    world.eve.replay(first);
    world.settle();

    expect(dropsOf(pair.right).old_stamp).toBe(1);
    expect(pair.right.snapshot().handshakeComputations).toBe(before);
  });
});

function halfOpen(host: Host): number {
  return host
    .snapshot()
    .peers.flatMap(({ sessions }) => sessions)
    .filter(({ slot }) => slot === "next").length;
}

/** Packets with a number each way every `ms`, for `forMs`; returns how many were sent each way. */
function numbered(pair: Pair, ms: number, forMs: number): () => number {
  const traffic = exchange(pair, ms);
  pair.world.advance(forMs);
  traffic.stop();
  return traffic.sent;
}

/** The 16-bit sequence number of a ping. */
function sequenceOf(packet: Uint8Array): number {
  const { transport } = viewPacket(packet);
  return ((transport[6] ?? 0) << 8) | (transport[7] ?? 0);
}

/** Packets that came out more than once. */
function repeatsIn({ delivered }: Host): number {
  return delivered.length - new Set(delivered.map(({ bytes }) => sequenceOf(bytes))).size;
}

function expectOnceEach({ delivered, name }: Host, atLeast: number, seed: number): void {
  const numbers = delivered.map(({ bytes }) => sequenceOf(bytes));
  expect(new Set(numbers).size, `${name} seed ${seed}`).toBe(numbers.length);
  expect(numbers.length, `${name} seed ${seed}`).toBeGreaterThanOrEqual(atLeast);
}

/** One packet held back while `distance` later ones arrived. */
function overtaken(distance: number) {
  const pair = newClientPair({ crypto: "stub" });
  connect(pair);
  const { world, left, right } = pair;
  world.eve.withhold = () => true;
  pingRight(pair);
  world.settle();
  const late = world.eve.last("left", TYPE.DATA);
  world.eve.withhold = () => false;
  for (let index = 0; index < distance; index += 1)
    left.send(pingPacket(INNER.left, INNER.right, index));
  world.advance(50);
  expect(right.delivered).toHaveLength(distance);
  right.delivered.length = 0;
  return { pair, late };
}
