/**
 * Sites with every offload: super-packets from the TUN, runs to and from the socket, joined packets.
 *
 * What arrives must be, byte for byte, what the kernel's own segmentation would have sent, with either site
 * having offloads or not. What the runs of the receiving side may hold is in offloads-runs.test.ts.
 */
import { afterEach, describe, expect, it, vi } from "vitest";
import { SessionOf } from "../../src/core/session/session.ts";
import { hasRightChecksum, pingPacket, viewPacket } from "../helpers/packets.ts";
import { Random, seeds } from "../helpers/random.ts";
import { type SuperPacketParts, superPacket } from "../helpers/super-packets.ts";
import { DATA_OVERHEAD, dataCounter, TYPE, typeOf } from "../helpers/wire-view.ts";
import { asRow, bulk, deliveredTo, expectedOf, sendBulk } from "../sim/bulk.ts";
import { EVE } from "../sim/eve.ts";
import { dropsDuring } from "../sim/forged-runs.ts";
import type { Host } from "../sim/host.ts";
import {
  connect,
  dropsOf,
  endpointOf,
  exchange,
  isUp,
  peerOf,
  pingLeft,
  pingRight,
  sessionOnWire,
  stateDigest,
} from "../sim/observe.ts";
import {
  INNER,
  newClientPair,
  newPair,
  type OffloadSites,
  type Pair,
  type PairOptions,
} from "../sim/pair.ts";

const REKEY_AFTER = 2 ** 40;
const REJECT_AFTER = 2 ** 48 - 2 ** 13 - 1;
const V6 = { source: INNER.left6, destination: INNER.right6 };
const UDP = { isTcp: false };

describe.each<OffloadSites>(["left", "right", "both"])("offloads on: %s", (offloads) => {
  it("the first packets bring the session up and arrive, and traffic flows both ways", () => {
    const pair = newPair({ offloads });
    connect(pair);
    const traffic = exchange(pair, 5);

    pair.world.advance(1_000);
    traffic.stop();
    pair.world.advance(100);

    expect(pair.left.delivered).toHaveLength(traffic.sent());
    expect(pair.right.delivered).toHaveLength(traffic.sent());
    expect([faultsOf(pair.left), faultsOf(pair.right)]).toEqual([{}, {}]);
  });

  it("bursts of pings arrive in order, over a rekey", () => {
    const pair = connected({ offloads });
    for (let burst = 0; burst < 10; burst += 1) {
      for (let index = 0; index < 200; index += 1) pingRight(pair, burst * 200 + index);
      if (burst === 5) pair.left.act((tunnel, now) => tunnel.rekey("right", now));
      pair.world.advance(100);
    }

    expect(
      pair.right.delivered.map(({ bytes }) => (bytes[26] ?? 0) * 256 + (bytes[27] ?? 0)),
    ).toEqual(Array.from({ length: 2_000 }, (_, index) => index));
    expect(peerOf(pair.right).counters.sessions).toBe(2);
  });

  it("a replay of everything that was seen delivers nothing and moves nothing", () => {
    const pair = connected({ offloads });
    if (offloads !== "right") sendBulk(pair.left, bulk(1, 30_000), bulk(2, 30_500));
    for (let index = 0; index < 50; index += 1) pingRight(pair, index);
    pair.world.advance(100);
    pair.right.delivered.length = 0;
    const digests = [stateDigest(pair.left), stateDigest(pair.right)];

    for (const datagram of pair.world.eve.seen.slice()) pair.world.eve.replay(datagram, EVE);
    for (const datagram of pair.world.eve.seen.slice()) pair.world.eve.replay(datagram);
    pair.world.settle();

    expect(pair.right.delivered).toEqual([]);
    expect([stateDigest(pair.left), stateDigest(pair.right)]).toEqual(digests);
  });

  it("either side restarts under traffic and is back within seconds", () => {
    const pair = connected({ offloads });
    const traffic = exchange(pair, 10);
    pair.world.advance(500);
    for (const host of [pair.left, pair.right]) {
      host.restart();
      const before = [pair.left.delivered.length, pair.right.delivered.length] as const;
      pair.world.until(
        "traffic both ways",
        () =>
          pair.left.delivered.length > before[0] + 10 &&
          pair.right.delivered.length > before[1] + 10,
        20_000,
      );
    }
    traffic.stop();

    expect(sessionOnWire(pair.world, pair.left)).toBe(sessionOnWire(pair.world, pair.right));
    expect(pair.world.ledger.repeats).toEqual([]);
  });
});

describe.each<OffloadSites>(["left", "both"])("super-packets, offloads on: %s", (offloads) => {
  it.each<[string, Partial<SuperPacketParts>]>([
    ["TCP over IPv4", {}],
    ["TCP over IPv6", V6],
    ["UDP over IPv4", UDP],
    ["UDP over IPv6", { ...UDP, ...V6 }],
    ["TCP with options", { tcpOptions: new Uint8Array(12).fill(1) }],
    ["TCP with PSH", { tcpFlags: 0x18 }],
    ["TCP with FIN, PSH and CWR", { tcpFlags: 0x99 }],
    ["IPv4 with options", { ipOptions: new Uint8Array(8).fill(1) }],
    ["small segments", { gsoSize: 100 }],
    ["segments up to the mtu", { gsoSize: 1_380 }],
    ["ids and sequence numbers that wrap", { id: 0xfff0, sequence: 0xffff_f000 }],
  ])("%s arrive as the kernel's segmentation would send them", (_, changes) => {
    const pair = connected({ offloads, crypto: "twin" });
    const packets = [2_001, 30_000, 1_001, 60_001].map((bytes, mark) => {
      const following = changes.sequence === undefined ? {} : { sequence: changes.sequence + mark };
      return bulk(mark + 1, bytes, { gsoSize: 1_000, ...changes, ...following });
    });
    sendBulk(pair.left, ...packets);

    pair.world.advance(100);

    expect(deliveredTo(pair.right)).toEqual(expectedOf(...packets));
    expect(pair.right.delivered.every(({ bytes }) => isWhole(bytes, changes))).toBe(true);
    expect([faultsOf(pair.left), faultsOf(pair.right)]).toEqual([{}, {}]);
  });

  it("are counted as the packets that they become, on both sides", () => {
    const pair = connected({ offloads });
    const before = [peerOf(pair.left), peerOf(pair.right)].map(({ counters }) => ({ ...counters }));
    const packets = [bulk(1, 20_500), bulk(2, 999)];
    sendBulk(pair.left, ...packets);
    pair.world.advance(100);

    const bytes = 20_500 + 999 + 22 * 40;
    const after = [peerOf(pair.left).counters, peerOf(pair.right).counters];
    expect([after[0]?.outboundPackets, after[0]?.outboundBytes]).toEqual([
      (before[0]?.outboundPackets ?? 0) + 22,
      (before[0]?.outboundBytes ?? 0) + bytes,
    ]);
    expect([after[1]?.inboundPackets, after[1]?.inboundBytes]).toEqual([
      (before[1]?.inboundPackets ?? 0) + 22,
      (before[1]?.inboundBytes ?? 0) + bytes,
    ]);
  });

  it("leave as few messages, and no datagram on the wire is longer than the mtu and 32 bytes", () => {
    const pair = connected({ offloads });
    const mark = pair.world.eve.mark();
    sendBulk(pair.left, bulk(1, 64_000, { gsoSize: 1_380 }));
    pair.world.settle();

    const sent = pair.world.eve.since(mark);
    expect(sent).toHaveLength(47);
    expect(Math.max(...sent.map(({ bytes }) => bytes.length))).toBe(1_420 + DATA_OVERHEAD);
    expect(pair.left.batches.longestSent).toBeGreaterThan(40);
  });

  it("among pings of the same turn keep the order in which the TUN gave them", () => {
    const pair = connected({ offloads });
    const ping = (sequence: number) => pingPacket(INNER.left, INNER.right, sequence);
    const [first, second] = [bulk(1, 5_000), bulk(2, 5_000)];
    pair.left.send(ping(1));
    sendBulk(pair.left, first);
    pair.left.send(ping(2));
    sendBulk(pair.left, second);
    pair.left.send(ping(3));

    pair.world.advance(100);

    const texts = (packet: Uint8Array) => Buffer.from(packet).toString("hex");
    expect(deliveredTo(pair.right)).toEqual([
      texts(ping(1)),
      ...expectedOf(first),
      texts(ping(2)),
      ...expectedOf(second),
      texts(ping(3)),
    ]);
  });

  it("flow for five minutes over rekeys without a lost or a changed packet", () => {
    const pair = connected({ offloads });
    const sent: string[] = [];
    const stop = pair.world.every(700, (index) => {
      const packet = bulk(index + 1, 3_000 + (index % 7) * 500, index % 2 === 0 ? {} : UDP);
      sent.push(...expectedOf(packet));
      sendBulk(pair.left, packet);
      pingLeft(pair, index);
    });

    pair.world.advance(300_000);
    stop();
    pair.world.advance(100);

    expect(peerOf(pair.left).counters.sessions).toBeGreaterThanOrEqual(3);
    expect(deliveredTo(pair.right)).toEqual(sent);
    expect(pair.world.ledger.repeats).toEqual([]);
  });

  it.each(seeds(3))(
    "through loss, duplicates and reordering (seed %i): what arrives is what was sent, once",
    (seed) => {
      const pair = connected({ offloads, seed });
      const random = new Random(seed);
      pair.world.network({
        loss: 0.05,
        duplicate: 0.05,
        jitterMs: 4,
        delayMs: 10,
        reorder: 0.05,
        reorderMs: 20,
      });
      const sent = new Set<string>();
      for (let index = 1; index < 60; index += 1) {
        const kind = [{}, UDP, V6, { ...UDP, ...V6 }][random.below(4)];
        const packet = bulk(index, 1_001 + random.below(20_000), kind);
        for (const text of expectedOf(packet)) sent.add(text);
        sendBulk(pair.left, packet);
        pair.world.advance(random.below(20));
      }
      pair.world.advance(500);

      const arrived = deliveredTo(pair.right);
      expect(arrived.filter((text) => !sent.has(text))).toEqual([]);
      expect(new Set(arrived).size).toBe(arrived.length);
      expect(arrived.length).toBeGreaterThan(0.9 * sent.size);
      expect(dropsOf(pair.right).replayed).toBeGreaterThan(10);
    },
  );

  it("from a host that moves are followed, each packet once", () => {
    const pair = connected({ offloads });
    let index = 0;
    const stop = pair.world.every(20, () => {
      index += 1;
      sendBulk(pair.left, bulk(index, 4_000));
      pingLeft(pair, index);
    });
    pair.world.advance(300);
    pair.left.move(["192.0.2.99"]);

    pair.world.advance(1_000);
    stop();
    pair.world.advance(100);

    expect(endpointOf(pair.right)).toBe("192.0.2.99:1194");
    expect(peerOf(pair.right).counters.endpointMoves).toBe(1);
    const arrived = deliveredTo(pair.right);
    expect([arrived.length, new Set(arrived).size]).toEqual([4 * index, 4 * index]);
  });
});

describe("a super-packet", () => {
  it.each([
    [1_380, {}],
    [1_381, {}],
    [8_000, {}],
    [1_360, V6],
    [1_361, V6],
  ])("of TCP in segments of %i bytes is cut so that each fits the path", (gsoSize, changes) => {
    const pair = connected();
    const most = changes === V6 ? 1_360 : 1_380;
    sendBulk(pair.left, bulk(1, 20_000, { gsoSize, ...changes }));
    pair.world.advance(100);

    const fitting = bulk(1, 20_000, { ...changes, gsoSize: Math.min(gsoSize, most) });
    expect(dropsOf(pair.left)).toEqual({});
    expect(deliveredTo(pair.right)).toEqual(expectedOf(fitting));
  });

  it.each([
    [1_392, 0],
    [1_393, 1],
  ])("of UDP in segments of %i bytes: %i are dropped as too big", (gsoSize, dropped) => {
    const pair = connected();
    const packet = bulk(1, 20_000, { gsoSize, ...UDP });
    sendBulk(pair.left, packet);
    pair.world.advance(100);

    expect(dropsOf(pair.left)).toEqual(dropped === 0 ? {} : { too_big: 1 });
    expect(deliveredTo(pair.right)).toEqual(dropped === 0 ? expectedOf(packet) : []);
  });

  it("of the largest size an IP length can tell passes whole", () => {
    const pair = connected();
    const packet = bulk(1, 65_535 - 40);
    sendBulk(pair.left, packet);
    pair.world.advance(100);

    expect(packet.bytes.length).toBe(65_535);
    expect(deliveredTo(pair.right)).toEqual(expectedOf(packet));
  });

  it("that its row describes wrongly is dropped and counted, and its neighbours go", () => {
    const pair = connected();
    const good = bulk(1, 3_000);
    const row = asRow(good);
    const wrong = [
      { ...row, gso: { type: 4, size: 1_000 } },
      { ...row, gso: { type: 5, size: 1_000 } },
      { ...row, gso: { type: 1, size: 0 } },
      { ...row, checksum: { start: 24, offset: 16 } },
      { bytes: row.bytes, gso: { type: 1, size: 1_000 } },
    ];
    for (const packet of wrong) {
      pair.left.sendRow(packet);
      sendBulk(pair.left, good);
    }
    pair.world.advance(100);

    expect(dropsOf(pair.left)).toEqual({ outbound_malformed: wrong.length });
    expect(deliveredTo(pair.right)).toEqual(wrong.flatMap(() => expectedOf(good)));
  });

  it("for nobody draws one ICMP error of bounded size", () => {
    const pair = connected();
    sendBulk(pair.left, bulk(1, 60_000, { destination: "10.77.0.1" }));
    pair.world.advance(100);

    expect(dropsOf(pair.left)).toEqual({ no_peer: 1 });
    const [reply, ...others] = pair.left.icmp.map(({ bytes }) => bytes);
    expect(others).toEqual([]);
    expect(viewPacket(reply ?? new Uint8Array(20)).destination).toBe(INNER.left);
    expect(reply?.length).toBeLessThanOrEqual(576);
  });

  it("at random, one of each kind of header, arrives as it must", () => {
    const pair = connected();
    const random = new Random(7);
    const packets = Array.from({ length: 60 }, (_, index) => {
      const family = random.chance(0.5) ? V6 : { source: INNER.left, destination: INNER.right };
      const payload = random.bytes(1_400 + random.below(30_000));
      return superPacket({
        ...family,
        isTcp: random.chance(0.6),
        gsoSize: 100 + random.below(1_100),
        payload,
        tcpOptions: random.bytes(4 * random.below(11)),
        tcpFlags: random.below(256),
        sequence: random.uint32(),
        id: index * 997,
      });
    });
    for (const packet of packets) {
      sendBulk(pair.left, packet);
      pair.world.advance(10);
    }
    pair.world.advance(50);

    expect(deliveredTo(pair.right)).toEqual(expectedOf(...packets));
  });
});

describe("super-packets that wait for a session", () => {
  it("are sent when it is up, in order, whole", () => {
    const pair = newClientPair({ offloads: "both" });
    const packets = [bulk(1, 50_000), bulk(2, 900), bulk(3, 60_000, UDP), bulk(4, 2_000)];
    sendBulk(pair.left, ...packets);
    pair.world.advance(1_000);

    expect(deliveredTo(pair.right)).toEqual(expectedOf(...packets));
    expect(dropsOf(pair.left)).toEqual({});
    expect(peerOf(pair.left).waitingPackets).toBe(0);
  });

  it("are at most 256 KiB; the oldest is dropped", () => {
    const pair = newClientPair({ offloads: "both" });
    const packets = Array.from({ length: 6 }, (_, index) => bulk(index + 1, 64_000));
    sendBulk(pair.left, ...packets);
    pair.world.advance(1_000);

    expect(dropsOf(pair.left)).toEqual({ queue_full: 2 });
    expect(deliveredTo(pair.right)).toEqual(expectedOf(...packets.slice(2)));
  });

  it("and become more than one batch holds leave in several, in order", () => {
    const pair = newClientPair({ offloads: "both", crypto: "stub" });
    const packets = Array.from({ length: 3 }, (_, index) =>
      bulk(index + 1, 60_000, { gsoSize: 20 }),
    );
    sendBulk(pair.left, ...packets);
    pair.world.advance(2_000);

    expect(dropsOf(pair.left)).toEqual({});
    expect(deliveredTo(pair.right)).toEqual(expectedOf(...packets));
  });
});

describe("a batch that makes more than the outgoing one holds", () => {
  it("is handled in several calls, nothing lost, nothing twice, in order", () => {
    const pair = connected();
    const packets = Array.from({ length: 3 }, (_, index) =>
      bulk(index + 1, 60_000, { gsoSize: 20 }),
    );
    const calls = pair.left.batches.packets;
    sendBulk(pair.left, ...packets);
    pair.world.advance(100);

    expect(pair.left.batches.packets - calls).toBeGreaterThan(1);
    expect(dropsOf(pair.left)).toEqual({});
    expect(deliveredTo(pair.right)).toEqual(expectedOf(...packets));
    expect(pair.world.ledger.repeats).toEqual([]);
  });

  it("goes on with what is behind the full place: pings, ICMP errors, drops", () => {
    const pair = connected();
    const heavy = [1, 2, 3].map((mark) => bulk(mark, 60_000, { gsoSize: 20 }));
    const ping = pingPacket(INNER.left, INNER.right, 7);
    sendBulk(pair.left, ...heavy);
    pair.left.send(ping, pingPacket(INNER.left, "10.77.0.1"), new Uint8Array(30), ping);
    pair.world.advance(100);

    expect(dropsOf(pair.left)).toEqual({ no_peer: 1, outbound_malformed: 1 });
    expect(pair.left.icmp).toHaveLength(1);
    const text = Buffer.from(ping).toString("hex");
    expect(deliveredTo(pair.right)).toEqual([...expectedOf(...heavy), text, text]);
  });

  it("one that alone would not fit is dropped and counted, and the others go", () => {
    const pair = connected();
    const [before, behind] = [bulk(1, 5_000), bulk(2, 5_000)];
    sendBulk(pair.left, before, bulk(3, 60_000, { gsoSize: 1 }), behind);
    pair.world.advance(100);

    expect(dropsOf(pair.left)).toEqual({ no_room: 1 });
    expect(deliveredTo(pair.right)).toEqual(expectedOf(before, behind));
  });

  it("and is left so by a call keeps its rest while handshakes and timers send", () => {
    const pair = connected();
    const heavy = [1, 2, 3].map((mark) => bulk(mark, 60_000, { gsoSize: 20 }));
    sendBulk(pair.left, ...heavy);
    pair.left.act((tunnel, now) => tunnel.rekey("right", now));
    pair.world.advance(100);

    expect(peerOf(pair.left).counters.sessions).toBe(2);
    expect(deliveredTo(pair.right)).toEqual(expectedOf(...heavy));
  });
});

describe("the limits of a session's counter", () => {
  it.each([2 ** 31, 2 ** 32, REKEY_AFTER])(
    "across %d the segments of one super-packet count on, and arrive",
    (boundary) => {
      presetCounters(boundary - 10);
      const pair = connected();
      const packet = bulk(1, 40_000);
      const mark = pair.world.eve.mark();
      sendBulk(pair.left, packet);
      pair.world.advance(1_000);

      expect(deliveredTo(pair.right)).toEqual(expectedOf(packet));
      const counters = pair.world.eve
        .since(mark, TYPE.DATA)
        .filter(({ by, bytes }) => by === "left" && bytes.length > 1_000)
        .map(({ bytes }) => dataCounter(bytes));
      expect(counters).toEqual(counters.map((_, index) => (counters[0] ?? 0) + index));
      expect(counters[0]).toBeLessThan(boundary);
      expect(counters.at(-1)).toBeGreaterThan(boundary);
      expect(peerOf(pair.left).counters.sessions).toBe(boundary === REKEY_AFTER ? 2 : 1);
    },
  );

  it.each([
    ["that fit exactly are sealed", 0],
    ["of which one is too many are dropped whole, and counted", 1],
    ["of which most are too many are dropped whole, and counted", 15],
  ])("segments %s", (_, beyond) => {
    presetCounters(REJECT_AFTER - 40);
    const pair = connected();
    pair.world.eve.withhold = ({ bytes }) => typeOf(bytes) === TYPE.RESP;
    const used = (lastCounter(pair) ?? 0) + 1;
    const packet = bulk(1, (REJECT_AFTER - used + beyond) * 1_000);
    const drops = dropsDuring(pair.left, () => {
      sendBulk(pair.left, packet);
      pair.world.settle();
    });
    pair.world.advance(10);

    expect(drops).toEqual(beyond === 0 ? {} : { counter_exhausted: 1 });
    expect(deliveredTo(pair.right)).toEqual(beyond === 0 ? expectedOf(packet) : []);
    expect(lastCounter(pair)).toBe(beyond === 0 ? REJECT_AFTER - 1 : used - 1);
  });

  it("are never passed by a mixture of super-packets and single ones, and no nonce comes twice", () => {
    presetCounters(REJECT_AFTER - 100);
    const pair = connected();
    pair.world.eve.withhold = ({ bytes }) => typeOf(bytes) === TYPE.RESP;
    for (let index = 1; index < 20; index += 1) {
      sendBulk(pair.left, bulk(index, 1_000 * (1 + (index % 9))));
      pingRight(pair, index);
    }
    pair.world.advance(1_000);

    expect(lastCounter(pair)).toBe(REJECT_AFTER - 1);
    expect(dropsOf(pair.left).counter_exhausted).toBeGreaterThan(0);
    expect(pair.world.ledger.repeats).toEqual([]);
  });
});

describe("a socket that gives runs", () => {
  it("is given them by a sender with super-packets, and by one without", () => {
    for (const offloads of ["both", "right"] as const) {
      const pair = connected({ offloads });
      const { runs } = pair.right.batches;
      if (offloads === "both") sendBulk(pair.left, bulk(1, 50_000));
      else for (let index = 0; index < 50; index += 1) pingRight(pair, index);
      pair.world.advance(100);

      expect(pair.right.batches.runs - runs).toBe(1);
      expect(pair.right.delivered).toHaveLength(50);
      expect(isUp(pair.right)).toBe(true);
    }
  });
});

afterEach(() => {
  vi.restoreAllMocks();
});

function connected(options: PairOptions = {}): Pair {
  const pair = newClientPair({ offloads: "both", crypto: "stub", ...options });
  connect(pair);
  return pair;
}

/** Drops but for the proof of address that a first handshake may be asked for. */
function faultsOf(host: Host): Partial<Record<string, number>> {
  const { challenged, ...faults } = dropsOf(host);
  expect(challenged ?? 0).toBeLessThanOrEqual(1);
  return faults;
}

/** Right checksums, where the plain reader of packets can read the header. */
function isWhole(bytes: Uint8Array, { ipOptions }: Partial<SuperPacketParts>): boolean {
  return ipOptions !== undefined || hasRightChecksum(bytes);
}

/** The counter that left sealed with last. */
function lastCounter({ world }: Pair): number | undefined {
  const last = world.eve.sentBy("left", TYPE.DATA).at(-1);
  return last && dataCounter(last.bytes);
}

/** Every session made from here on counts from `first` on. */
function presetCounters(first: number): void {
  const { takeCounters } = SessionOf.prototype;
  vi.spyOn(SessionOf.prototype, "takeCounters").mockImplementation(function (
    this: SessionOf<unknown>,
    count,
  ) {
    if (this.nextCounter < first) this.nextCounter = first;
    return takeCounters.call(this, count);
  });
}
