/**
 * The claims as Eve sees them: constant overhead, no plaintext, no nonce twice, silence to strangers,
 * and no answer longer than its cause. Claims C1, C5 and C6.
 */
import { describe, expect, it } from "vitest";
import { udpPacket } from "../helpers/packets.ts";
import { Random } from "../helpers/random.ts";
import {
  contains,
  DATA_OVERHEAD,
  dataCounter,
  receiverIndex,
  resized,
  SIZE,
  TYPE,
  typeOf,
} from "../helpers/wire-view.ts";
import { EVE } from "../sim/eve.ts";
import { connect, exchange, peerOf } from "../sim/observe.ts";
import { INNER, newClientPair, newPair, type Pair } from "../sim/pair.ts";

describe("on the wire", () => {
  it("every packet is exactly 32 bytes longer, whatever its size", () => {
    const pair = newClientPair();
    connect(pair);
    const sizes = [28, 29, 63, 64, 65, 84, 500, 1_279, 1_280, 1_419, 1_420];
    const mark = pair.world.eve.mark();

    for (const size of sizes) {
      pair.left.send(udpPacket(INNER.left, INNER.right, new Uint8Array(size - 28)));
      pair.world.advance(20);
    }

    const lengths = pair.world.eve.since(mark, TYPE.DATA).filter(({ by }) => by === "left");
    expect(lengths.map(({ bytes }) => bytes.length)).toEqual(
      sizes.map((size) => size + DATA_OVERHEAD),
    );
    expect(pair.right.delivered.map(({ bytes }) => bytes.length)).toEqual(sizes);
  });

  it("neither contents nor inner addresses nor keys are visible", () => {
    const pair = newPair();
    connect(pair);
    const secret = new Random(42).bytes(64);
    pair.left.send(udpPacket(INNER.left6, INNER.right6, secret));
    pair.right.send(udpPacket(INNER.right6, INNER.left6, secret));
    pair.world.advance(100);
    expect(pair.right.delivered).toHaveLength(1);

    const addresses = pair.right.delivered.map(({ bytes }) => bytes.subarray(8, 24));
    const needles = [
      secret.subarray(0, 8),
      secret.subarray(30, 38),
      pair.key.subarray(0, 8),
      ...addresses,
    ];
    for (const { bytes } of pair.world.eve.seen) {
      for (const needle of needles) expect(contains(bytes, needle)).toBe(false);
    }
  });

  it("the same packet never looks the same twice", () => {
    const pair = newClientPair();
    connect(pair);
    const packet = udpPacket(INNER.left, INNER.right, new Uint8Array(100));
    const mark = pair.world.eve.mark();
    for (let copy = 0; copy < 200; copy += 1) pair.left.send(packet);
    pair.world.advance(100);

    const blocks = pair.world.eve
      .since(mark, TYPE.DATA)
      .filter(({ by }) => by === "left")
      .map(({ bytes }) => Buffer.from(bytes.subarray(16, 32)).toString("hex"));

    expect(blocks).toHaveLength(200);
    expect(new Set(blocks).size).toBe(200);
  });

  it("no nonce comes twice in a long run with loss, rekeys, restarts and crossings", () => {
    const pair = newPair({ crypto: "stub" });
    const { world, left, right } = pair;
    world.network({ loss: 0.2, jitterMs: 80, duplicate: 0.1, delayMs: 5 });
    exchange(pair, 30);
    world.in(60_000, () => left.restart());
    world.in(90_000, () => right.restart());
    world.every(17_000, () => {
      left.act((tunnel, now) => tunnel.rekey("right", now));
      right.act((tunnel, now) => tunnel.rekey("left", now));
    });

    world.advance(150_000);

    expect(world.ledger.repeats).toEqual([]);
    expect(world.ledger.size).toBeGreaterThan(7_000);
    expect(world.ledger.keys).toBeGreaterThan(15);
    const pairs = world.eve
      .since(0, TYPE.DATA)
      .map(({ by, bytes }) => `${by} ${receiverIndex(bytes)} ${dataCounter(bytes)}`);
    expect(new Set(pairs).size).toBe(pairs.length);
  });

  it("counters begin at 0 in each direction of each session and grow by 1", () => {
    const pair = newClientPair();
    connect(pair);
    exchange(pair, 10);
    pair.world.advance(500);

    for (const side of ["left", "right"]) {
      const counters = pair.world.eve
        .sentBy(side, TYPE.DATA)
        .map(({ bytes }) => dataCounter(bytes));
      expect(counters).toEqual(counters.map((_, index) => index));
    }
  });
});

describe("amplification", () => {
  it("no kind of datagram of any length from a stranger draws anything, or more bytes than it has", () => {
    const pair = newClientPair();
    connect(pair);
    const { world } = pair;
    const kinds = [TYPE.INIT, TYPE.RESP, TYPE.CHALLENGE, TYPE.DATA];
    const samples = kinds.map((type) =>
      world.eve.seen.findLast(({ bytes }) => typeOf(bytes) === type),
    );
    const mark = world.eve.mark();
    let sentBytes = 0;
    for (const sample of samples) {
      if (sample === undefined) throw new Error("a message type was never seen");
      for (let length = 0; length <= 200; length += 1) {
        const bytes = resized(sample.bytes, length);
        sentBytes += bytes.length;
        world.eve.inject(sample.to, bytes, EVE);
      }
    }
    world.settle();

    const answers = world.eve.since(mark);
    const initAnswers = answers.filter(({ bytes }) =>
      [SIZE.RESP, SIZE.CHALLENGE].some((size) => size === bytes.length),
    );
    expect(answers.length).toBe(initAnswers.length);
    expect(initAnswers.length).toBeLessThanOrEqual(1);
    expect(answers.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThan(sentBytes);
  });

  it("strangers get nothing, whatever they send, before and during a session", () => {
    const pair = newPair();
    const random = new Random(7);
    const junk = (): void => {
      for (let copy = 0; copy < 200; copy += 1) {
        const bytes = random.bytes(random.below(200));
        if (bytes.length > 4 && random.chance(0.8)) bytes.set([1 + random.below(4), 1, 0, 0]);
        for (const host of [pair.left, pair.right]) pair.world.eve.inject(host.address, bytes);
      }
      pair.world.advance(1_000);
    };
    junk();
    connect(pair);
    junk();

    expect(pair.world.eve.seen.filter(({ to }) => to.ip === EVE.ip)).toEqual([]);
  });
});

it("counters of the peer tell the truth", () => {
  const pair: Pair = newClientPair();
  connect(pair);
  const before = { left: peerOf(pair.left).counters, right: peerOf(pair.right).counters };
  const sizes = [100, 200, 1_000];
  for (const size of sizes)
    pair.left.send(udpPacket(INNER.left, INNER.right, new Uint8Array(size - 28)));
  pair.world.advance(100);
  const after = { left: peerOf(pair.left).counters, right: peerOf(pair.right).counters };

  expect(after.left.outboundPackets - before.left.outboundPackets).toBe(3);
  expect(after.left.outboundBytes - before.left.outboundBytes).toBe(1_300);
  expect(after.right.inboundPackets - before.right.inboundPackets).toBe(3);
  expect(after.right.inboundBytes - before.right.inboundBytes).toBe(1_300);
  expect(after.left.sessions).toBe(1);
  expect(after.right.handshakesAnswered).toBeGreaterThanOrEqual(1);
});
