/**
 * Random input, shrunk by fast-check: nothing throws, nothing is answered, every drop is counted once.
 *
 * Three sources of it: noise, noise that begins like a message, and genuine datagrams of a running pair
 * with random edits. A fourth property drives the device side with arbitrary packets.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ipText } from "../helpers/address.ts";
import { pingPacket } from "../helpers/packets.ts";
import { type Datagram, EVE } from "../sim/eve.ts";
import type { Host } from "../sim/host.ts";
import { connect, dropTotal, exchange, peerOf, stateDigest } from "../sim/observe.ts";
import { INNER, LEFT, newPair, type Pair, RIGHT } from "../sim/pair.ts";
import { World } from "../sim/world.ts";

const { IPTUN_SEED } = process.env;
const RUNS = { numRuns: 300, ...(IPTUN_SEED && { seed: Number(IPTUN_SEED) }) };
const pair = runningPair();
const genuine = pair.world.eve.seen.slice();

describe("datagrams", () => {
  it("of noise are each dropped once, change nothing and draw nothing", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 1_600 }), { maxLength: 200 }),
        (datagrams) => {
          expectDropped(datagrams.map((bytes) => ({ to: RIGHT, from: EVE, bytes })));
        },
      ),
      RUNS,
    );
  });

  it("that begin like messages are each dropped once, change nothing and draw nothing", () => {
    fc.assert(
      fc.property(
        fc.array(likeMessage(), { maxLength: 100 }),
        fc.boolean(),
        (datagrams, isFromPeer) => {
          expectDropped(
            datagrams.map((bytes) => ({ to: RIGHT, from: isFromPeer ? LEFT : EVE, bytes })),
          );
        },
      ),
      RUNS,
    );
  });

  it("that are genuine but for random edits are each dropped once, change nothing and draw nothing", () => {
    fc.assert(
      fc.property(fc.array(edited(), { maxLength: 100 }), (datagrams) => {
        expectDropped(datagrams.filter(({ bytes }) => !isGenuine(bytes)));
      }),
      RUNS,
    );
  });

  it("in any order, with repeats, deliver no packet of the past again", () => {
    const delivered = [pair.left.delivered.length, pair.right.delivered.length];
    fc.assert(
      fc.property(fc.array(fc.nat(genuine.length - 1), { maxLength: 300 }), (picks) => {
        for (const pick of picks) {
          const datagram = genuine[pick];
          if (datagram !== undefined) pair.world.eve.replay(datagram);
        }
        pair.world.settle();
        expect([pair.left.delivered.length, pair.right.delivered.length]).toEqual(delivered);
      }),
      RUNS,
    );
  });
});

describe("packets from the device", () => {
  it("are each sent, waiting, or dropped once, whatever they are", () => {
    fc.assert(
      fc.property(fc.array(packet(), { maxLength: 100 }), (packets) => {
        const { left } = pair;
        const before = outcomes(left);
        left.send(...packets);
        pair.world.settle();
        expect(outcomes(left) - before).toBe(packets.length);
      }),
      RUNS,
    );
  });
});

describe("plaintext of a dishonest peer", () => {
  it("is delivered, counted or a control frame, and never throws", () => {
    let ahead = 1;
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 120 }), { maxLength: 30 }),
        (plaintexts) => {
          const insider = runningPairWithout();
          const before = dropTotal(insider.right);
          for (const plaintext of plaintexts) {
            ahead += 1;
            insider.world.eve.inject(
              RIGHT,
              insider.leftSite.aead().forge(plaintext, 500 + ahead),
              LEFT,
            );
          }
          insider.world.settle();
          const isSilent = (bytes: Uint8Array): boolean =>
            (bytes[0] ?? 0) >= 1 && (bytes[0] ?? 0) <= 15;
          const expected = plaintexts.filter((bytes) => !isSilent(bytes)).length;
          const handled = dropTotal(insider.right) - before + insider.right.delivered.length;
          expect(handled).toBeGreaterThanOrEqual(expected);
          expect(handled).toBeLessThanOrEqual(plaintexts.length);
        },
      ),
      { ...RUNS, numRuns: 40 },
    );
  });
});

type Offered = Pick<Datagram, "to" | "from" | "bytes">;

function expectDropped(datagrams: readonly Offered[]): void {
  const hosts = [pair.left, pair.right];
  const before = hosts.map(dropTotal);
  const digests = hosts.map(stateDigest);
  const delivered = hosts.map((host) => host.delivered.length);
  const mark = pair.world.eve.mark();
  for (const { to, from, bytes } of datagrams) pair.world.eve.inject(to, bytes, from);

  pair.world.settle();

  const dropped = hosts.map((host, index) => dropTotal(host) - (before[index] ?? 0));
  expect(dropped[0] ?? 0).toBe(datagrams.filter(({ to }) => to.ip === LEFT.ip).length);
  expect(dropped[1] ?? 0).toBe(datagrams.filter(({ to }) => to.ip === RIGHT.ip).length);
  expect(hosts.map(stateDigest)).toEqual(digests);
  expect(hosts.map((host) => host.delivered.length)).toEqual(delivered);
  expect(pair.world.eve.since(mark)).toEqual([]);
}

function likeMessage(): fc.Arbitrary<Uint8Array> {
  const size = fc.constantFrom(120, 108, 64, 32, 33, 116);
  return fc
    .tuple(
      size,
      fc.integer({ min: 1, max: 4 }),
      fc.uint8Array({ minLength: 1_500, maxLength: 1_500 }),
    )
    .map(([length, type, bytes]) => {
      const datagram = bytes.slice(0, length);
      datagram.set([type, 1, 0, 0]);
      return datagram;
    });
}

/** A genuine datagram with bytes changed, cut or added. */
function edited(): fc.Arbitrary<Offered> {
  const edit = fc.tuple(fc.nat(200), fc.integer({ min: 0, max: 255 }));
  const pick = fc.nat(genuine.length - 1);
  return fc
    .tuple(pick, fc.array(edit, { minLength: 1, maxLength: 4 }), fc.integer({ min: -20, max: 20 }))
    .map(([index, edits, growth]) => {
      const original = genuine[index];
      if (original === undefined) throw new Error("no such datagram");
      const bytes = new Uint8Array(Math.max(0, original.bytes.length + growth));
      bytes.set(original.bytes.subarray(0, bytes.length));
      for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
      return { to: original.to, from: original.from, bytes };
    });
}

function isGenuine(bytes: Uint8Array): boolean {
  return genuine.some((datagram) => Buffer.compare(datagram.bytes, bytes) === 0);
}

function packet(): fc.Arbitrary<Uint8Array> {
  const noise = fc.uint8Array({ maxLength: 1_420 });
  const honest = fc
    .tuple(
      fc.constantFrom(INNER.left, "10.1.2.3"),
      fc.constantFrom(INNER.right, "10.2.3.4", "10.77.0.1"),
    )
    .map(([source, destination]) => pingPacket(source, destination));
  const spoilt = fc.tuple(honest, fc.nat(40), fc.nat(255)).map(([bytes, at, value]) => {
    const copy = bytes.slice();
    copy[at] = value;
    return copy;
  });
  return fc.oneof(noise, honest, spoilt);
}

/** Packets sealed, waiting or dropped so far. */
function outcomes(host: Host): number {
  const { counters, waitingPackets } = peerOf(host);
  return counters.outboundPackets + waitingPackets + dropTotal(host);
}

function runningPair(): Pair {
  const running = runningPairWithout();
  const traffic = exchange(running, 50);
  running.world.advance(500);
  traffic.stop();
  running.world.advance(1_000);
  return running;
}

function runningPairWithout(): Pair {
  const running = newPair({ crypto: "stub", world: new World(1) });
  connect(running);
  running.world.advance(1_000);
  return running;
}

it("the pair that all this was thrown at still works", () => {
  connect(pair);

  expect(peerOf(pair.right).state).toBe("up");
  expect(pair.right.snapshot().sources.map(({ address }) => ipText(address.slice()))).toContain(
    EVE.ip,
  );
});
