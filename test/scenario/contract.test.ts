/**
 * The sans-IO contract of core/tunnel.ts: extra calls are harmless, batch sizes do not matter, the
 * product's primitives and the twins speak the same protocol.
 */
import { describe, expect, it } from "vitest";
import type { HandshakeCrypto } from "../../src/core/crypto.ts";
import { MESSAGE, MESSAGE_FIELDS, PACKET, PACKET_FIELDS } from "../../src/core/rows.ts";
import { after, NEVER } from "../../src/core/time.ts";
import { loadSodium } from "../../src/crypto/sodium.ts";
import { pingPacket } from "../helpers/packets.ts";
import { seeds } from "../helpers/random.ts";
import { TYPE, typeName } from "../helpers/wire-view.ts";
import {
  connect,
  dropsOf,
  exchange,
  isUp,
  peerOf,
  pingRight,
  stateDigest,
} from "../sim/observe.ts";
import { INNER, newClientPair, newPair, type Pair } from "../sim/pair.ts";

describe("extra turns", () => {
  it.each(seeds(2))("between the deadlines change nothing on the wire (seed %i)", (seed) => {
    const plain = transcript(newPair({ seed, crypto: "stub" }), false);

    expect(transcript(newPair({ seed, crypto: "stub" }), true)).toEqual(plain);
    expect(transcript(newPair({ seed, crypto: "stub", offloads: "both" }), true)).toEqual(plain);
  });

  it("before a deadline handleTimeout does nothing, and polling is free of effects", () => {
    const pair = newClientPair();
    connect(pair);
    const { tunnel, now } = pair.left;
    const digest = stateDigest(pair.left);
    const deadline = tunnel.pollTimeout();

    for (let round = 0; round < 100; round += 1) {
      tunnel.handleTimeout(now);
      expect(tunnel.pollTransmit(now)).toBe(0);
      expect(tunnel.pollEvent()).toBeUndefined();
      expect(tunnel.pollTimeout()).toEqual(deadline);
    }

    expect(stateDigest(pair.left)).toBe(digest);
    expect(deadline?.at ?? NEVER).toBeGreaterThan(now);
  });

  it("with empty batches do nothing", () => {
    const pair = newClientPair();
    connect(pair);
    const { tunnel, now } = pair.left;
    const digest = stateDigest(pair.left);
    tunnel.buffers.datagrams.count = 0;
    tunnel.buffers.packets.count = 0;

    tunnel.handleDatagrams(now);
    tunnel.handlePackets(now);

    expect(tunnel.buffers.delivered.count).toBe(0);
    expect(tunnel.buffers.outgoing.count).toBe(0);
    expect(tunnel.buffers.replies.count).toBe(0);
    expect(stateDigest(pair.left)).toBe(digest);
  });
});

describe("a late engine", () => {
  it("that hands over data before its timers still opens nothing under a key of 180 s", () => {
    const pair = newClientPair();
    connect(pair);
    pair.world.eve.withhold = () => true;
    pair.world.advance(150_000);
    pingRight(pair);
    pair.world.settle();
    const late = pair.world.eve.last("left", TYPE.DATA);
    const { tunnel, now } = pair.right;
    const { datagrams, delivered } = tunnel.buffers;
    datagrams.arena.set(late.bytes);
    datagrams.rows.fill(0, 0, MESSAGE_FIELDS);
    datagrams.rows[MESSAGE.LENGTH] = late.bytes.length;
    datagrams.count = 1;

    tunnel.handleDatagrams(after(now, 40_000));

    expect(delivered.count).toBe(0);
    expect(dropsOf(pair.right).expired_session).toBe(1);
  });

  it("that hands over packets before its timers seals nothing under a key of 180 s", () => {
    const pair = newClientPair();
    connect(pair);
    const { tunnel, now } = pair.left;
    const { packets, outgoing } = tunnel.buffers;
    const packet = pingPacket(INNER.left, INNER.right);
    const { sealed } = pair.leftSite.aead().counts;
    packets.arena.set(packet);
    packets.rows.fill(0, 0, PACKET_FIELDS);
    packets.rows[PACKET.LENGTH] = packet.length;
    packets.count = 1;

    tunnel.handlePackets(after(now, 181_000));

    expect(outgoing.count).toBe(0);
    expect(pair.leftSite.aead().counts.sealed).toBe(sealed);
    expect(peerOf(pair.left).waitingPackets).toBe(1);
  });
});

describe("batches", () => {
  it.each([1, 2, 3, 16])("of %i rows deliver what batches of 128 rows deliver", (rows) => {
    const big = newPair({ crypto: "stub" });
    const small = newPair({ crypto: "stub", left: { rows }, right: { rows } });

    expect(burstDeliveries(small)).toEqual(burstDeliveries(big));
  });

  it.each(["left", "right", "both"] as const)(
    "with offloads on (%s) deliver what those without deliver, whatever their rows",
    (offloads) => {
      const plain = burstDeliveries(newPair({ crypto: "stub" }));
      for (const rows of [1, 3, 128]) {
        const pair = newPair({ crypto: "stub", offloads, left: { rows }, right: { rows } });
        expect(burstDeliveries(pair)).toEqual(plain);
      }
    },
  );
});

describe("the product's primitives", () => {
  it.each(["left", "right"] as const)(
    "on the %s side agree with the twins on a session",
    async (side) => {
      const product: HandshakeCrypto = await loadSodium();
      const pair = newClientPair({ [side]: { replaced: () => product } });

      connect(pair);
      const traffic = exchange(pair, 100);
      pair.world.advance(300_000);
      traffic.stop();
      pair.world.advance(100);

      expect([isUp(pair.left), isUp(pair.right)]).toEqual([true, true]);
      expect(peerOf(pair.left).counters.sessions).toBeGreaterThanOrEqual(3);
      expect(pair.left.delivered).toHaveLength(traffic.sent());
      expect(pair.right.delivered).toHaveLength(traffic.sent());
    },
  );
});

/** What Eve saw of some minutes with some loss; a nervous engine takes a turn every 13.3 ms. */
function transcript({ world, left, right, ...pair }: Pair, isNervous: boolean): string[] {
  world.network({ loss: 0.1, delayMs: 15 });
  if (isNervous) {
    world.every(13.3, () => {
      left.turn();
      right.turn();
    });
  }
  const traffic = exchange({ world, left, right, ...pair }, 3_000);
  world.advance(260_000);
  traffic.stop();
  return world.eve.seen.map(
    ({ at, by, bytes }) =>
      `${at.toFixed(3)} ${by} ${typeName(bytes)} ${Buffer.from(bytes.subarray(-8)).toString("hex")}`,
  );
}

/** What arrives of 300 packets at once each way, in order. */
function burstDeliveries(pair: Pair): string[][] {
  connect(pair);
  const traffic = exchange(pair, 1);
  pair.world.advance(5);
  traffic.stop();
  for (let round = 0; round < 3; round += 1) {
    for (let index = 0; index < 100; index += 1) {
      pingRight(pair, index);
    }
    pair.world.advance(50);
  }
  return [pair.left, pair.right].map(({ delivered }) =>
    delivered.map(({ bytes }) => Buffer.from(bytes).toString("hex")),
  );
}
