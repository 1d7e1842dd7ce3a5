/**
 * Everything at once, at random: hosts restart, move, sleep, close, lose their clocks and their node ids
 * on a bad network, while Eve replays, reflects, flips and forges. What must hold all the while: no
 * exception, no packet twice, no nonce twice. And when it is over: traffic both ways without loss.
 */
import { describe, expect, it } from "vitest";
import { Random, seeds } from "../helpers/random.ts";
import { flipBit } from "../helpers/wire-view.ts";
import { EVE } from "../sim/eve.ts";
import type { Host } from "../sim/host.ts";
import { exchange, peerOf, sessionIn, sessionOnWire } from "../sim/observe.ts";
import { LEFT, newClientPair, newPair, type Pair, RIGHT, type Site } from "../sim/pair.ts";

/** Virtual milliseconds of chaos, and of calm in which all must heal. */
const CHAOS_MS = 240_000;
const HEALING_MS = 40_000;
/** Sites with every offload, by seed. */
const OFFLOADS = ["neither", "left", "right", "both"] as const;

describe("after four minutes of random faults and attacks", () => {
  it.each(seeds(12))(
    "seed %i: traffic flows both ways again, and nothing was ever delivered twice",
    (seed) => {
      const options = { seed, crypto: "stub", offloads: OFFLOADS[seed % 4] ?? "neither" } as const;
      const pair = seed % 3 === 0 ? newClientPair(options) : newPair(options);
      const { world, left, right } = pair;
      const random = new Random(seed * 7919);
      const traffic = exchange(pair, 250);
      const stopChaos = world.every(900, () => disturb(pair, random));

      world.advance(CHAOS_MS);
      stopChaos();
      calm(pair);
      world.advance(HEALING_MS);
      const [fromRight, fromLeft] = [left.delivered.length, right.delivered.length];
      const sent = traffic.sent();
      world.advance(10_000);
      const lost =
        2 * (traffic.sent() - sent) -
        (left.delivered.length - fromRight) -
        (right.delivered.length - fromLeft);

      expect(Math.abs(lost)).toBeLessThanOrEqual(2);
      expectOnce(left);
      expectOnce(right);
      expect(world.ledger.repeats).toEqual([]);
      expect(sessionOnWire(world, left)).toBe(sessionOnWire(world, right));
      expect([left, right].map((host) => sessionIn(host, "current")?.isInitiator).sort()).toEqual([
        false,
        true,
      ]);
      expect(pair.leftSite.aead().slotsInUse).toBeLessThanOrEqual(10);
      expect(peerOf(left).waitingPackets).toBe(0);
    },
  );
});

function disturb(pair: Pair, random: Random): void {
  const { world } = pair;
  const site = random.chance(0.5) ? pair.leftSite : pair.rightSite;
  const action = DISTURBANCES[random.below(DISTURBANCES.length)];
  if (site.host.isUp && !site.host.isFrozen) action?.(pair, site, random);
  else if (random.chance(0.5)) wake(site.host);
  attack(pair, random);
  world.settle();
}

type Disturbance = (pair: Pair, site: Site, random: Random) => void;

const DISTURBANCES: readonly Disturbance[] = [
  (_, { host }) => host.restart(),
  (_, site) => {
    site.forgetNodeId();
    site.host.restart();
  },
  (_, { host }) => host.stop(),
  (_, { host }) => {
    host.isFrozen = true;
  },
  (_, { host }, random) =>
    host.move([`${host.name === "left" ? "192.0.2" : "198.51.100"}.${1 + random.below(20)}`]),
  (_, { host }, random) => {
    host.wallOffsetMicros = random.between(-1e15, 1e15);
  },
  (_, { host }) => host.act((tunnel, now) => tunnel.close(now)),
  (_, { host }) =>
    host.act((tunnel, now) => tunnel.rekey(host.name === "left" ? "right" : "left", now)),
  ({ world }, _, random) =>
    world.network({
      loss: random.between(0, 0.6),
      delayMs: random.between(0, 300),
      jitterMs: random.between(0, 200),
      duplicate: random.between(0, 0.3),
    }),
  ({ world }, _, random) => world.network({ delayMs: random.between(0, 50) }),
];

function attack({ world, left, right }: Pair, random: Random): void {
  const { eve } = world;
  for (let count = 0; count < 30; count += 1) {
    const datagram = eve.seen[random.below(eve.seen.length)];
    if (datagram === undefined) continue;
    const from = random.chance(0.5) ? EVE : datagram.from;
    const choice = random.below(4);
    if (choice === 0) eve.replay(datagram, from);
    else if (choice === 1) eve.reflect(datagram);
    else if (choice === 2)
      eve.inject(
        datagram.to,
        flipBit(datagram.bytes, random.below(datagram.bytes.length * 8)),
        from,
      );
    else
      eve.inject(
        random.chance(0.5) ? left.address : right.address,
        random.bytes(random.below(200)),
        from,
      );
  }
}

function wake(host: Host): void {
  if (host.isUp) host.isFrozen = false;
  else host.start();
}

/** Everything back to what the configuration says, without restarting anybody who runs. */
function calm({ world, left, right }: Pair): void {
  world.network({});
  for (const host of [left, right]) wake(host);
  left.move([LEFT.ip]);
  right.move([RIGHT.ip]);
}

function expectOnce({ delivered, name }: Host): void {
  const contents = delivered.map(({ bytes }) => Buffer.from(bytes).toString("hex"));
  expect(new Set(contents).size, name).toBe(contents.length);
}
