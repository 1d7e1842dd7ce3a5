/**
 * Floods of junk, from strangers and under the live peer's own address: claim C1 and the source limiter.
 *
 * 20,000 datagrams a second run for some seconds round each rekey and round a restart, a hundredth of
 * that in between, which is where nothing happens that they could disturb. The junk is what an attacker
 * on the path can make: noise, cut and changed copies, forged DATA under live indices, old INITs.
 */
import { describe, expect, it } from "vitest";
import {
  HANDSHAKE_BYTES,
  LEAST_MESSAGE_BYTES,
  MESSAGE_STARTS,
  viewOf,
} from "../../src/core/wire.ts";
import { ipText, type SocketAddress } from "../helpers/address.ts";
import { pingPacket } from "../helpers/packets.ts";
import { Random } from "../helpers/random.ts";
import { flipBit, resized, TYPE, typeOf } from "../helpers/wire-view.ts";
import { EVE } from "../sim/eve.ts";
import type { Host } from "../sim/host.ts";
import {
  connect,
  dropsOf,
  dropTotal,
  endpointOf,
  exchange,
  isUp,
  peerOf,
  stateDigest,
} from "../sim/observe.ts";
import { addSite, LEFT, NETWORKS, newClientPair, newPair, type Pair, RIGHT } from "../sim/pair.ts";
import type { World } from "../sim/world.ts";

/** Junk datagrams in one burst, and milliseconds between bursts: 20,000 a second. */
const BURST = 100;
const BURST_MS = 5;

describe("20,000 junk datagrams a second", () => {
  it.each<[string, SocketAddress]>([
    ["a stranger's address", EVE],
    ["the live peer's own address", LEFT],
  ])(
    "from %s are counted and disturb neither traffic nor two rekeys nor a restart",
    (_, source) => {
      const pair = newPair({ crypto: "stub" });
      const { world, left, right } = pair;
      connect(pair);
      world.eve.isRecording = false;
      const flood = floodOf(pair, source);
      const traffic = exchange(pair, 100);

      for (let rekey = 0; rekey < 2; rekey += 1) {
        quietFlood(world, flood, 112_000);
        fullFlood(world, flood, 10_000);
      }
      world.advance(50);
      const lost = 2 * traffic.sent() - left.delivered.length - right.delivered.length;
      const { sessions } = peerOf(right).counters;
      const limited = sourceOf(right, source);
      right.restart();
      right.delivered.length = 0;
      const back = fullFloodUntil(world, flood, () => right.delivered.length > 0, 3_000);

      expect(lost).toBeLessThanOrEqual(2);
      expect(sessions).toBeGreaterThanOrEqual(3);
      expect(limited?.charged).toBeGreaterThan(100_000);
      // Data under the peer's own address is opened all the same, or a spoofer could starve the peer.
      expect((limited?.refused ?? 0) > 0).toBe(source === EVE);
      expect(back).toBeLessThanOrEqual(1_500);
      expect(endpointOf(right)).toBe("192.0.2.1:1194");
      traffic.stop();
    },
  );

  it("leave a handshake and the traffic of another source alone", () => {
    const pair = newPair({ crypto: "stub" });
    const { world, right } = pair;
    connect(pair);
    const flood = floodOf(pair, EVE);
    fullFlood(world, flood, 2_000);
    const sessionsBefore = peerOf(right).counters.sessions;
    const refusedBefore = sourceOf(right, LEFT)?.refused ?? 0;
    const traffic = exchange(pair, 50);

    pair.left.act((tunnel, now) => tunnel.rekey("right", now));
    fullFlood(world, flood, 2_000);
    traffic.stop();
    world.advance(50);

    expect(pair.right.delivered).toHaveLength(traffic.sent());
    expect(pair.left.delivered).toHaveLength(traffic.sent());
    expect(peerOf(right).counters.sessions).toBe(sessionsBefore + 1);
    expect((sourceOf(right, LEFT)?.refused ?? 0) - refusedBefore).toBe(0);
  });

  it("draw no answer but the few that an old INIT has left", () => {
    const pair = newPair({ crypto: "stub" });
    connect(pair);
    const inits = pair.world.eve.seen.filter(({ bytes }) => typeOf(bytes) === TYPE.INIT);
    const flood = floodOf(pair, EVE);
    const mark = pair.world.eve.mark();

    fullFlood(pair.world, flood, 1_000);

    const toEve = pair.world.eve.since(mark).filter(({ to }) => to.ip === EVE.ip);
    expect(toEve.length).toBeLessThanOrEqual(4 * inits.length);
  });
});

it("a captured INIT replayed 20,000 times a second from 10,000 addresses after a restart draws at most 4 answers and no DH", () => {
  const pair = newClientPair({ crypto: "stub" });
  connect(pair);
  const init = pair.world.eve.last("left", TYPE.INIT);
  pair.right.restart();
  const mark = pair.world.eve.mark();

  pair.left.stop();
  for (let burst = 0; burst < 200; burst += 1) {
    for (let copy = 0; copy < BURST; copy += 1) {
      pair.world.eve.replay(init, { ip: `10.${copy}.${burst}.7`, port: 1194 });
    }
    pair.world.advance(BURST_MS);
  }

  expect(pair.world.eve.since(mark).length).toBeLessThanOrEqual(4);
  expect(pair.right.snapshot().handshakeComputations).toBe(0);
});

it("100,000 sources with one datagram each leave a known peer alone", () => {
  const pair = newPair({ crypto: "stub" });
  connect(pair);
  const traffic = exchange(pair, 50);
  const junk = new Random(4).bytes(120);
  const { sessions } = peerOf(pair.right).counters;

  for (let burst = 0; burst < 1_000; burst += 1) {
    for (let copy = 0; copy < BURST; copy += 1) {
      pair.world.eve.inject(RIGHT, junk, {
        ip: `2001:db8:${burst.toString(16)}:${copy}::1`,
        port: 9,
      });
    }
    pair.world.advance(BURST_MS);
  }
  pair.left.act((tunnel, now) => tunnel.rekey("right", now));
  pair.world.advance(100);
  traffic.stop();
  pair.world.advance(50);

  expect(pair.right.delivered).toHaveLength(traffic.sent());
  expect(peerOf(pair.right).counters.sessions).toBe(sessions + 1);
  expect(pair.right.snapshot().sources.length).toBeLessThanOrEqual(16);
});

describe("the limiter", () => {
  it("counts an IPv6 /64 as one source, and a mapped address as its IPv4 form", () => {
    const pair = newPair({ crypto: "stub" });
    connect(pair);
    for (let copy = 0; copy < 300; copy += 1) {
      pair.world.eve.inject(RIGHT, Uint8Array.of(9), {
        ip: `2001:db8:1:2::${(copy + 1).toString(16)}`,
        port: 9,
      });
      pair.world.eve.inject(RIGHT, Uint8Array.of(9), {
        ip: copy % 2 === 0 ? "203.0.113.5" : "::ffff:203.0.113.5",
        port: 9,
      });
    }
    pair.world.settle();

    const sources = pair.right.snapshot().sources.filter(({ charged }) => charged === 300);
    const addresses = sources.map(({ address }) => ipText(address.slice())).sort();

    expect(addresses).toHaveLength(2);
    expect(addresses[0]).toMatch(/^2001:db8:1:2::/);
    expect(addresses[1]).toBe("203.0.113.5");
  });

  it("refuses no RESP and no CHALLENGE that is waited for, however bad its source looks", () => {
    const pair = newClientPair({ crypto: "stub" });
    const { world, left } = pair;
    for (let copy = 0; copy < 5_000; copy += 1) world.eve.inject(LEFT, Uint8Array.of(9), RIGHT);
    world.settle();

    const took = connect(pair);

    expect(sourceOf(left, RIGHT)?.charged).toBeGreaterThanOrEqual(5_000);
    expect(took).toBe(50);
  });

  it("refuses opens of data from another address than the session's, but not from it", () => {
    const pair = newPair({ crypto: "stub" });
    connect(pair);
    pair.world.eve.withhold = ({ by }) => by === "left";
    for (let index = 0; index < 500; index += 1)
      pair.left.send(pingPacket("10.9.0.1", "10.9.0.2", index));
    pair.world.settle();
    const held = pair.world.eve.sentBy("left", TYPE.DATA).slice(-500);
    const [forged] = held;
    if (forged === undefined) throw new Error("nothing held");
    for (let copy = 0; copy < 1_000; copy += 1)
      pair.world.eve.inject(RIGHT, flipBit(forged.bytes, 200), EVE);
    for (let copy = 0; copy < 1_000; copy += 1)
      pair.world.eve.inject(RIGHT, flipBit(forged.bytes, 200), LEFT);
    pair.world.settle();
    const before = pair.right.delivered.length;

    for (const datagram of held.slice(0, 250)) pair.world.eve.replay(datagram, EVE);
    pair.world.settle();
    const fromEve = pair.right.delivered.length - before;
    for (const datagram of held.slice(250)) pair.world.eve.replay(datagram);
    pair.world.settle();

    expect(fromEve).toBe(0);
    expect(pair.right.delivered.length - before).toBe(250);
    expect(
      (dropsOf(pair.right).source_limited ?? 0) + (dropsOf(pair.right).open_limited ?? 0),
    ).toBeGreaterThan(0);
  });

  it("counts every junk datagram once, whatever it was", () => {
    const pair = newPair({ crypto: "stub" });
    connect(pair);
    const inits = new Set(pair.world.eve.sentBy("left", TYPE.INIT).map(({ bytes }) => bytes));
    const junk = floodOf(pair, EVE).junk.filter((bytes) => !inits.has(bytes));
    const before = dropTotal(pair.right);
    const digest = stateDigest(pair.right);

    for (const bytes of junk) pair.world.eve.inject(RIGHT, bytes);
    pair.world.settle();

    expect(dropTotal(pair.right) - before).toBe(junk.length);
    expect(stateDigest(pair.right)).toBe(digest);
    expect(isUp(pair.right)).toBe(true);
  });

  it("takes for malformed whatever the kernel's filter would drop, and what has a handshake's wrong length", () => {
    const pair = newPair({ crypto: "stub" });
    connect(pair);
    const { junk } = floodOf(pair, EVE);
    const isDropped = (bytes: Uint8Array) =>
      bytes.length < LEAST_MESSAGE_BYTES ||
      !MESSAGE_STARTS.some(({ mask, value }) => (viewOf(bytes).getInt32(0) & mask) === value);
    const dropped = junk.filter(isDropped);
    const others = junk.filter((bytes) => !isDropped(bytes));
    const misfits = others.filter(
      (bytes) => (HANDSHAKE_BYTES[typeOf(bytes)] ?? bytes.length) !== bytes.length,
    );
    const counted = (list: readonly Uint8Array[]) => {
      const before = pair.right.tunnel.malformed;
      for (const bytes of list) pair.world.eve.inject(RIGHT, bytes);
      pair.world.settle();
      return pair.right.tunnel.malformed - before;
    };

    expect(counted(dropped)).toBe(dropped.length);
    expect(counted(others)).toBe(misfits.length);
    expect([dropped, others, misfits].every((list) => list.length > 10)).toBe(true);
  });

  it("keeps a reserved lane: peers that had a session rekey while strangers with a key start handshakes", () => {
    const pair = newPair({ crypto: "stub" });
    const { world } = pair;
    connect(pair);
    for (let index = 0; index < 8; index += 1) {
      const { host } = addSite(world, {
        name: `clone${index}`,
        addresses: [`203.0.113.${index + 1}`],
        crypto: "stub",
        peers: [
          { name: "right", keys: [pair.key], endpoints: [RIGHT], allowedIps: NETWORKS.right },
        ],
      });
      world.every(25, () => host.act((tunnel, now) => tunnel.rekey("right", now)));
    }

    world.advance(5_000);

    expect(isUp(pair.right)).toBe(true);
    expect(pair.right.snapshot().handshakeComputations).toBeLessThanOrEqual(5 * 20 + 5 + 2);
  });
});

interface Flood {
  /** The latest genuine data towards each target, to forge from: its index is live. */
  readonly live: Map<string, Uint8Array>;
  readonly junk: readonly Uint8Array[];
  readonly source: SocketAddress;
  readonly targets: readonly SocketAddress[];
  at: number;
}

/** A pool of what an eavesdropper of this pair can send. */
function floodOf(pair: Pair, source: SocketAddress): Flood {
  const random = new Random(99);
  const genuine = pair.world.eve.seen.map(({ bytes }) => bytes);
  const noise = Array.from({ length: 300 }, () => random.bytes(random.below(300)));
  const typed = Array.from({ length: 300 }, () => {
    const bytes = random.bytes([120, 108, 64, 32 + random.below(200)][random.below(4)] ?? 32);
    bytes.set([1 + random.below(4), 1, 0, 0]);
    return bytes;
  });
  const changed = genuine.flatMap((bytes) => [
    flipBit(bytes, random.below(bytes.length * 8)),
    flipBit(bytes, 8 * (bytes.length - 1)),
    resized(bytes, random.below(bytes.length)),
  ]);
  const old = genuine.filter((bytes) => typeOf(bytes) === TYPE.INIT || typeOf(bytes) === TYPE.DATA);
  const junk = [...noise, ...typed, ...changed, ...old];
  const live = new Map<string, Uint8Array>();
  pair.world.eve.withhold = ({ to, bytes }) => {
    if (typeOf(bytes) === TYPE.DATA) live.set(to.ip, bytes);
    return false;
  };
  const targets = [RIGHT, LEFT].filter(({ ip }) => ip !== source.ip);
  return { junk, source, targets, at: 0, live };
}

function burst(world: World, flood: Flood, count: number): void {
  for (let index = 0; index < count; index += 1) {
    const to = flood.targets[flood.at % flood.targets.length];
    if (to === undefined) continue;
    const live = flood.at % 5 === 3 ? flood.live.get(to.ip) : undefined;
    const junk = flood.junk[flood.at % flood.junk.length] ?? new Uint8Array(0);
    world.eve.inject(
      to,
      live === undefined ? junk : flipBit(live, live.length * 8 - 1),
      flood.source,
    );
    flood.at += 1;
  }
}

function fullFlood(world: World, flood: Flood, ms: number): void {
  for (let passed = 0; passed < ms; passed += BURST_MS) {
    burst(world, flood, BURST);
    world.advance(BURST_MS);
  }
}

function fullFloodUntil(
  world: World,
  flood: Flood,
  isDone: () => boolean,
  limitMs: number,
): number {
  for (let passed = 0; passed < limitMs; passed += BURST_MS) {
    if (isDone()) return passed;
    fullFlood(world, flood, BURST_MS);
  }
  return Number.POSITIVE_INFINITY;
}

function quietFlood(world: World, flood: Flood, ms: number): void {
  for (let passed = 0; passed < ms; passed += 500) {
    burst(world, flood, BURST);
    world.advance(500);
  }
}

function sourceOf(
  host: Host,
  source: SocketAddress,
): { charged: number; refused: number } | undefined {
  return host.snapshot().sources.find(({ address }) => ipText(address.slice()) === source.ip);
}
