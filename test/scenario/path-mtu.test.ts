/** The path MTU: how fast it is found, what a fall and a rise cost, and what may not change it (rule 18). */
import { describe, expect, it } from "vitest";
import { pingPacket, udpPacket, viewPacket } from "../helpers/packets.ts";
import { deliveredTo, expectedOf, sendBulk, bulk as superPacket } from "../sim/bulk.ts";
import { connect, dropsOf, eventsOf, exchange, peerOf } from "../sim/observe.ts";
import { INNER, newPair, type Pair, type PairOptions, type SiteSpec } from "../sim/pair.ts";

const AUTO: Partial<SiteSpec> = { pathMtu: {} };
/** What the path of both directions carries, bytes of an IPv4 packet; the link may carry more. */
interface PathOptions extends PairOptions {
  readonly carries?: number;
  readonly linkMtu?: number;
  readonly delayMs?: number;
  readonly loss?: number;
}

function newPath({ carries = 1500, linkMtu = 1500, ...options }: PathOptions = {}): Pair {
  const site: Partial<SiteSpec> = { pathMtu: { linkMtu } };
  const pair = newPair({ ...options, left: site, right: site });
  setPath(pair, carries, options);
  return pair;
}

function setPath({ world, left, right }: Pair, mtu: number, options: PathOptions = {}): void {
  const { delayMs = 10, loss = 0 } = options;
  for (const [from, to] of [
    [left, right],
    [right, left],
  ] as const) {
    world.link(from, to, { mtu, delayMs, loss });
  }
}

function pathMtuOf(pair: Pair): [number | undefined, number | undefined] {
  return [peerOf(pair.left).pathMtu, peerOf(pair.right).pathMtu];
}

/** Full packets both ways, every 20 ms. */
function bulk({ world, left, right }: Pair): () => void {
  return world.every(20, () => {
    left.send(fullPacket(INNER.left, INNER.right, peerOf(left).mtu));
    right.send(fullPacket(INNER.right, INNER.left, peerOf(right).mtu));
  });
}

function fullPacket(source: string, destination: string, bytes: number): Uint8Array {
  const headers = source.includes(":") ? 48 : 28;
  return udpPacket(source, destination, new Uint8Array(bytes - headers));
}

describe("the path MTU", () => {
  it.each([
    [1500, 1500],
    [1400, 1500],
    [1371, 1500],
    [1280, 1500],
    [9000, 9000],
    [1500, 9000],
    [4470, 9000],
  ])(
    "of a path that carries %i on a link of %i is found within 3 s, to the byte",
    (carries, linkMtu) => {
      const pair = newPath({ carries, linkMtu });
      connect(pair);

      pair.world.until(
        "the size",
        () => pathMtuOf(pair).every((found) => found === carries),
        3_000,
      );

      const inner = Math.max(1280, carries - 60);
      expect([peerOf(pair.left).mtu, peerOf(pair.right).mtu]).toEqual([inner, inner]);
      pair.world.advance(20_000);
      expect(pathMtuOf(pair)).toEqual([carries, carries]);
    },
  );

  it("of each direction is its own", () => {
    const pair = newPath();
    pair.world.link(pair.left, pair.right, { mtu: 1400 });
    connect(pair);

    pair.world.advance(3_000);

    expect(pathMtuOf(pair)).toEqual([1400, 1500]);
  });

  it("is found on a slow path that loses one in twenty", () => {
    const pair = newPath({ carries: 1460, delayMs: 300, loss: 0.05, seed: 3 });
    connect(pair, 10_000);

    pair.world.advance(20_000);

    for (const found of pathMtuOf(pair)) {
      expect(found).toBeLessThanOrEqual(1460);
      expect(found).toBeGreaterThanOrEqual(1400);
    }
  });

  it("is not asked for where it is fixed", () => {
    const pair = newPair();
    connect(pair);
    const stop = exchange(pair, 100).stop;
    pair.world.advance(5_000);
    stop();

    const longest = Math.max(...pair.world.eve.seen.map(({ bytes }) => bytes.length));

    expect(longest).toBeLessThanOrEqual(120);
    expect(peerOf(pair.left)).toMatchObject({ mtu: 1420, pathMtu: undefined });
  });

  it("of a side that asks is no more than the other side's fixed one", () => {
    const pair = newPair({ left: AUTO, right: { mtu: 1300 } });
    connect(pair);

    pair.world.advance(3_000);

    expect(peerOf(pair.left)).toMatchObject({ mtu: 1300, pathMtu: 1360 });
    expect(dropsOf(pair.right).oversize).toBeUndefined();
  });

  it("costs nothing while nothing flows, and nothing large while only small packets do", () => {
    const pair = newPath();
    connect(pair);
    pair.world.advance(5_000);
    const from = pair.world.eve.seen.length;
    const { stop } = exchange(pair, 200);
    pair.world.advance(30_000);
    stop();
    pair.world.advance(60_000);

    const later = pair.world.eve.seen.slice(from);

    expect(Math.max(...later.map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(120);
  });
});

describe("a path that falls under traffic", () => {
  it.each([
    [1300, 1280],
    [1400, 1340],
    [1493, 1433],
  ])(
    "to %i is left within 5 s, and found again within the period when it rises",
    (fallen, inner) => {
      const site = { pathMtu: { raiseMs: 10_000 } };
      const pair = newPair({ left: site, right: site });
      setPath(pair, 1500);
      connect(pair);
      pair.world.advance(3_000);
      const stop = bulk(pair);
      pair.world.advance(1_000);
      setPath(pair, fallen);

      const took = pair.world.until(
        "the new size both ways",
        () => pathMtuOf(pair).every((found) => found !== undefined && found <= fallen),
        5_000,
      );
      pair.world.advance(3_000);

      expect(took).toBeLessThanOrEqual(5_000);
      expect(pathMtuOf(pair)).toEqual([fallen, fallen]);
      expect(peerOf(pair.left).mtu).toBe(inner);
      setPath(pair, 1500);
      pair.world.until(
        "1500 again",
        () => pathMtuOf(pair).every((found) => found === 1500),
        12_000,
      );
      stop();
    },
  );

  it("keeps its size where it carries nothing at all for a while", () => {
    const pair = newPath();
    connect(pair);
    pair.world.advance(3_000);
    const stop = bulk(pair);
    pair.world.advance(500);
    setPath(pair, 20);
    pair.world.advance(10_000);
    expect(pathMtuOf(pair)).toEqual([1500, 1500]);

    setPath(pair, 1500);
    pair.world.advance(20_000);
    stop();

    expect(pathMtuOf(pair)).toEqual([1500, 1500]);
    expect(eventsOf(pair.left, "mtu")).toHaveLength(1);
  });

  it("keeps its size where it loses one packet in ten", () => {
    const pair = newPath();
    connect(pair);
    pair.world.advance(3_000);
    setPath(pair, 1500, { loss: 0.1 });
    const stop = bulk(pair);

    pair.world.advance(120_000);
    stop();

    expect(eventsOf(pair.left, "mtu").map(({ mtu }) => mtu)).toEqual([1440]);
  });
});

describe("a packet that is longer than the path carries", () => {
  function fallen(): Pair {
    const pair = newPath({ carries: 1400 });
    connect(pair);
    pair.world.advance(3_000);
    pair.right.delivered.length = 0;
    return pair;
  }

  it("is answered with its size where it may not be fragmented", () => {
    const pair = fallen();
    const packet = fullPacket(INNER.left, INNER.right, 1440);
    packet[6] = 0x40;
    pair.left.send(packet);
    pair.left.send(fullPacket(INNER.left6, INNER.right6, 1441));

    pair.world.advance(100);

    const [v4, v6] = pair.left.icmp.map(({ bytes }) => viewPacket(bytes));
    expect(v4).toMatchObject({ source: INNER.right, destination: INNER.left });
    expect([
      ...(v4?.transport.subarray(0, 2) ?? []),
      ...(v4?.transport.subarray(6, 8) ?? []),
    ]).toEqual([3, 4, 1340 >> 8, 1340 & 0xff]);
    expect([
      ...(v6?.transport.subarray(0, 2) ?? []),
      ...(v6?.transport.subarray(4, 8) ?? []),
    ]).toEqual([2, 0, 0, 0, 1340 >> 8, 1340 & 0xff]);
    expect(dropsOf(pair.left).too_big).toBe(2);
    expect(pair.right.delivered).toEqual([]);
  });

  it("goes out, to be fragmented outside, where it may", () => {
    const pair = fallen();
    setPath(pair, 1500);
    const packet = fullPacket(INNER.left, INNER.right, 1440);
    packet[6] = 0;

    pair.left.send(packet);
    pair.world.advance(100);

    expect(pair.right.delivered).toHaveLength(1);
    expect(pair.left.icmp).toEqual([]);
  });

  it("is let through as it is where it fits", () => {
    const pair = fallen();
    pair.left.send(
      fullPacket(INNER.left, INNER.right, 1340),
      pingPacket(INNER.left, INNER.right, 1),
    );

    pair.world.advance(100);

    expect(pair.right.delivered).toHaveLength(2);
  });
});

describe("a path that carries no packet of 1280 bytes in one piece", () => {
  function narrow(): Pair {
    const pair = newPath({ carries: 1300 });
    connect(pair);
    pair.world.advance(3_000);
    pair.right.delivered.length = 0;
    pair.left.delivered.length = 0;
    return pair;
  }

  it("carries them in two, both ways and both families, in no datagram that is too long", () => {
    const pair = narrow();
    const mark = pair.world.eve.mark();
    const packets = [
      fullPacket(INNER.left, INNER.right, 1280),
      fullPacket(INNER.left6, INNER.right6, 1280),
      fullPacket(INNER.left, INNER.right, 1241),
      fullPacket(INNER.left, INNER.right, 1240),
    ];
    pair.left.send(...packets);
    pair.right.send(fullPacket(INNER.right6, INNER.left6, 1260));

    pair.world.advance(100);

    const delivered = pair.right.delivered.map(({ bytes }) => bytes);
    expect(new Set(delivered.map(String))).toEqual(new Set(packets.map(String)));
    expect(delivered).toHaveLength(packets.length);
    expect(pair.left.delivered).toHaveLength(1);
    const sent = pair.world.eve.seen.slice(mark).map(({ bytes }) => bytes.length);
    expect(Math.max(...sent)).toBeLessThanOrEqual(1300 - 28);
    expect(peerOf(pair.left).counters.outboundPackets).toBeGreaterThanOrEqual(4);
    expect(Object.keys(dropsOf(pair.right))).toEqual(["challenged"]);
  });

  it.each([false, true])("carries runs of UDP datagrams of such lengths (IPv6: %s)", (isV6) => {
    const pair = newPath({ carries: 1300, offloads: "left" });
    connect(pair);
    pair.world.advance(3_000);
    pair.right.delivered.length = 0;
    const mark = pair.world.eve.mark();
    const ends = isV6 ? { source: INNER.left6, destination: INNER.right6 } : {};
    const run = superPacket(1, 15_300, { isTcp: false, gsoSize: 1_230, ...ends });
    sendBulk(pair.left, run);

    pair.world.advance(100);

    expect(deliveredTo(pair.right).sort()).toEqual(expectedOf(run).sort());
    const sent = pair.world.eve.seen.slice(mark).map(({ bytes }) => bytes.length);
    expect(Math.max(...sent)).toBeLessThanOrEqual(1300 - 28);
  });

  it("delivers nothing of a packet whose other part is lost, and never mixes two", () => {
    const pair = narrow();
    const lost = [0, 3, 4];
    let index = 0;
    pair.world.eve.withhold = ({ by, bytes }) =>
      by === "left" && bytes.length > 600 && lost.includes(index++);
    const packets = [1, 2, 3, 4].map((fill) => {
      const packet = fullPacket(INNER.left, INNER.right, 1280);
      packet.fill(fill, 28);
      return packet;
    });
    for (const packet of packets) pair.left.send(packet);

    pair.world.advance(100);

    expect(pair.right.delivered.map(({ bytes }) => bytes)).toEqual(packets.slice(3));
  });

  it("puts them together whatever their order, each once", () => {
    const pair = narrow();
    pair.world.link(pair.left, pair.right, { mtu: 1300, delayMs: 5, jitterMs: 20, duplicate: 0.5 });
    const packets = Array.from({ length: 4 }, (_, fill) => {
      const packet = fullPacket(INNER.left, INNER.right, 1270);
      packet.fill(fill, 28);
      return packet;
    });
    for (const packet of packets) pair.left.send(packet);

    pair.world.advance(200);

    const delivered = pair.right.delivered.map(({ bytes }) => String(bytes)).sort();
    expect(delivered).toEqual(packets.map(String).sort());
  });
});
