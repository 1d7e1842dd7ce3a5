/** A peer with a rate: what it is sent, how long others wait beside a bulk flow, and what is kept (rule 21). */
import { describe, expect, it } from "vitest";
import { PACED_LEAST_BYTES } from "../../src/core/constants.ts";
import { udpPacket, viewPacket } from "../helpers/packets.ts";
import { TYPE } from "../helpers/wire-view.ts";
import { bulk, deliveredTo, expectedOf, sendBulk } from "../sim/bulk.ts";
import { connect, dropsOf, peerOf, pingRight } from "../sim/observe.ts";
import { INNER, newPair, type Pair, type PairOptions } from "../sim/pair.ts";

const RATE = 10e6;
const BYTES_PER_MS = RATE / 8 / 1_000;
/** Bytes of IPv4 and UDP header around a datagram. */
const OUTER_BYTES = 28;
const UDP = 17;

function newPaced(options: PairOptions = {}, rateBitsPerSecond = RATE): Pair {
  const pair = newPair({ ...options, leftPeer: { rateBitsPerSecond, ...options.leftPeer } });
  connect(pair);
  return pair;
}

/** Over a path that carries no packet of 1,280 bytes in one piece, as is known. */
function newNarrow(): Pair {
  const pair = newPair({ left: { pathMtu: {} }, leftPeer: { rateBitsPerSecond: RATE } });
  pair.world.link(pair.left, pair.right, { mtu: 1_300 });
  connect(pair);
  pair.world.advance(3_000);
  return pair;
}

/** As many UDP packets of `bytes` as are worth `times` the rate, for `ms`. */
function offer({ world, left }: Pair, times: number, ms: number, bytes = 1_400): void {
  const perMs = (BYTES_PER_MS * times) / bytes;
  let sent = 0;
  const stop = world.every(1, (index) => {
    for (; sent < index * perMs; sent++) {
      left.send(udpPacket(INNER.left, INNER.right, new Uint8Array(bytes - 28)));
    }
  });
  world.advance(ms);
  stop();
}

function wireBytes({ world, left }: Pair, from = 0): number {
  return world.eve
    .sentBy(left.name)
    .slice(from)
    .reduce((sum, { bytes }) => sum + bytes.length + OUTER_BYTES, 0);
}

describe("a rate", () => {
  it.each([[0.5], [2], [20]])("is kept where %f times of it is offered", (times) => {
    const pair = newPaced();
    const from = pair.world.eve.sentBy(pair.left.name).length;

    offer(pair, times, 2_000);

    const due = 2_000 * BYTES_PER_MS * Math.min(times, 1);
    const sent = wireBytes(pair, from);
    expect(sent).toBeLessThan(due * 1.06);
    expect(sent).toBeGreaterThan(due * 0.94);
  });

  it("is kept for packets of any size, with everything around them", () => {
    const pair = newPaced();
    const from = pair.world.eve.sentBy(pair.left.name).length;
    offer(pair, 2, 1_000, 60);
    expect(Math.abs(wireBytes(pair, from) / (1_000 * BYTES_PER_MS) - 1)).toBeLessThan(0.02);
  });

  it("is kept where packets leave in parts", () => {
    const pair = newNarrow();
    const from = pair.world.eve.sentBy(pair.left.name).length;
    offer(pair, 2, 1_000, 1_280);
    expect(Math.abs(wireBytes(pair, from) / (1_000 * BYTES_PER_MS) - 1)).toBeLessThan(0.02);
  });

  it("holds nothing up where less is sent", () => {
    const pair = newPaced();
    for (let count = 0; count < 20; count++) {
      pingRight(pair, count);
      pair.world.advance(10);
    }
    pair.world.advance(10);
    expect(pair.right.delivered).toHaveLength(20);
    expect(peerOf(pair.left).pacing).toMatchObject({ packets: 0, bytes: 0, dropped: 0 });
  });

  it("is not there unless it is set", () => {
    const pair = newPair();
    connect(pair);
    expect(peerOf(pair.left).pacing).toBeUndefined();
  });
});

describe("beside a bulk flow of twice the rate", () => {
  it("a ping waits 5 ms at most", () => {
    const pair = newPaced();
    const sentAt: number[] = [];
    const stop = pair.world.every(50, (index) => {
      sentAt[index] = pair.world.now;
      pingRight(pair, index);
    });
    offer(pair, 2, 3_000);
    stop();
    pair.world.advance(1_000);

    const arrivals = pair.right.delivered.filter(({ bytes }) => viewPacket(bytes).protocol !== UDP);
    const base = 10;
    const waits = arrivals.map(({ at, bytes }) => {
      const sequence = new DataView(bytes.buffer, bytes.byteOffset).getUint16(26);
      return at - (pair.right.now - pair.world.now) - (sentAt[sequence] ?? 0) - base;
    });
    expect(waits.length).toBeGreaterThan(55);
    expect(Math.max(...waits)).toBeLessThanOrEqual(5);
  });

  it("the queue is bounded, and what is too much is dropped and counted", () => {
    const pair = newPaced();
    offer(pair, 30, 1_000);

    const pacing = peerOf(pair.left).pacing;
    expect(pacing?.bytes).toBeLessThanOrEqual(PACED_LEAST_BYTES * 1.25);
    expect(pacing?.dropped).toBeGreaterThan(10_000);
    expect(dropsOf(pair.left).rate_queue).toBe(pacing?.dropped);
    pair.world.advance(1_000);
    expect(peerOf(pair.left).pacing).toMatchObject({ packets: 0, bytes: 0 });
  });
});

describe("super-packets", () => {
  it("are split, and arrive as their sender's kernel would have cut them", () => {
    const pair = newPaced({ offloads: "left" });
    const whole = [bulk(1, 60_000), bulk(2, 30_500, { isTcp: false })];
    sendBulk(pair.left, ...whole);
    pair.world.advance(1_000);

    expect(deliveredTo(pair.right).sort()).toEqual(expectedOf(...whole).sort());
    const longest = Math.max(
      ...pair.world.eve.sentBy(pair.left.name).map((one) => one.bytes.length),
    );
    expect(longest).toBeLessThan(1_500);
  });
});

describe("packets that wait for a rate", () => {
  it("go on to wait for a session where that has ended, and arrive with the next", () => {
    const pair = newPaced({}, 100e3);
    for (let count = 0; count < 10; count++) {
      pair.left.send(udpPacket(INNER.left, INNER.right, new Uint8Array(1_000).fill(count)));
    }
    pair.world.advance(20);
    pair.right.restart();
    pair.world.advance(20_000);

    const bytes = pair.right.delivered.filter(({ bytes: one }) => viewPacket(one).protocol === UDP);
    expect(bytes.length).toBeGreaterThan(5);
  });

  it("start a handshake at once where the session has ended", () => {
    const pair = newPaced({}, 20e3);
    // Three leave at once, the fourth 94 ms later.
    for (let count = 0; count < 4; count++) {
      pair.left.send(udpPacket(INNER.left, INNER.right, new Uint8Array(1_000)));
    }
    pair.world.advance(20);
    pair.right.act((tunnel, now) => tunnel.close(now));
    const inits = () => pair.world.eve.sentBy(pair.left.name, TYPE.INIT).length;
    const before = inits();
    pair.world.advance(80);

    expect(inits()).toBe(before + 1);
  });

  it("leave at once in parts where the path is that narrow", () => {
    const pair = newNarrow();
    const before = pair.right.delivered.length;

    pair.left.send(udpPacket(INNER.left, INNER.right, new Uint8Array(1_252)));
    pair.world.advance(11);

    expect(pair.right.delivered).toHaveLength(before + 1);
  });

  it("are forgotten with their peer", () => {
    const pair = newPaced({}, 100e3);
    for (let count = 0; count < 50; count++) {
      pair.left.send(udpPacket(INNER.left, INNER.right, new Uint8Array(1_000)));
    }
    pair.world.advance(20);
    pair.left.tunnel.removePeer(peerOf(pair.left).name, pair.left.now);
    pair.world.advance(10_000);
    expect(pair.left.snapshot().peers).toEqual([]);
  });
});

describe("a flow that knows ECN", () => {
  it("is marked in place of a drop", () => {
    const pair = newPaced();
    const packet = udpPacket(INNER.left, INNER.right, new Uint8Array(1_372));
    packet[1] = 2;
    // The header's checksum with ECT(0) in it.
    const view = new DataView(packet.buffer, packet.byteOffset);
    view.setUint16(10, view.getUint16(10) - 2);
    const stop = pair.world.every(1, () => pair.left.send(packet.slice()));
    pair.world.advance(1_000);
    stop();
    pair.world.advance(500);

    const { dropped, marked } = peerOf(pair.left).pacing ?? { dropped: -1, marked: -1 };
    const arrived = pair.right.delivered.filter(({ bytes }) => (bytes[1] ?? 0) === 3).length;
    expect(marked).toBeGreaterThan(5);
    expect(arrived).toBe(marked);
    expect(dropped).toBe(0);
  });
});
