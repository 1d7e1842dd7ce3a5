/**
 * Behind address translators: rebinds, expiring mappings, several hosts behind one. Rule 12, RFC 4787.
 */
import { describe, expect, it } from "vitest";
import { pingPacket } from "../helpers/packets.ts";
import { endpointOf, pingLeft, pingRight } from "../sim/observe.ts";
import { addSite, NETWORKS, newWorld, RIGHT } from "../sim/pair.ts";

describe("behind a translator", () => {
  it.each([false, true])(
    "a rebind under traffic is followed within 1 s (address-dependent: %s)",
    (isStrict) => {
      const { world, left, right, nat } = natPair(isStrict);
      world.until("up", () => right.delivered.length > 0, 2_000);
      world.advance(1_000);
      nat.rebind();
      left.delivered.length = 0;

      world.advance(15);
      left.delivered.length = 0;
      const took = world.until("traffic to the inside", () => left.delivered.length > 0, 1_000);

      expect(took).toBeLessThanOrEqual(1_000);
    },
  );

  it("a keepalive of 25 s keeps the mapping, so that the outside can start after an hour", () => {
    const { world, left, right, nat, stop } = natPair(true, 25);
    world.until("up", () => right.delivered.length > 0, 2_000);
    stop();
    world.advance(3_600_000);
    left.delivered.length = 0;

    pingLeft({ right });
    world.advance(1_000);

    expect(left.delivered).toHaveLength(1);
    expect(nat.size).toBe(1);
  });
});

it("two sites behind one translator are told apart by their ports", () => {
  const world = newWorld();
  const nat = world.nat({ ip: "203.0.113.1" });
  const keys = [world.random.bytes(32), world.random.bytes(32)];
  const { host: hub } = addSite(world, {
    name: "hub",
    addresses: [RIGHT.ip],
    peers: keys.map((key, index) => ({
      name: `site${index}`,
      keys: [key],
      allowedIps: [`10.5.${index}.0/24`],
    })),
  });
  const sites = keys.map((key, index) =>
    addSite(world, {
      name: `site${index}`,
      addresses: [`10.0.0.${index + 2}`],
      nat,
      peers: [{ name: "hub", keys: [key], endpoints: [RIGHT], allowedIps: NETWORKS.right }],
    }),
  );
  world.advance(1_000);

  hub.send(pingPacket("10.9.0.2", "10.5.0.1"), pingPacket("10.9.0.2", "10.5.1.1", 2));
  world.advance(100);

  expect(sites.map(({ host }) => host.delivered.length)).toEqual([1, 1]);
  expect(endpointOf(hub, "site0")).not.toBe(endpointOf(hub, "site1"));
});

it("a mapping that expired in silence comes back with the first packet from inside", () => {
  const { world, left, right, stop } = natPair(true);
  world.until("up", () => right.delivered.length > 0, 2_000);
  stop();
  world.advance(100_000);
  right.delivered.length = 0;
  left.delivered.length = 0;

  const stopAgain = world.every(100, (index) => {
    pingRight({ left }, index);
    pingLeft({ right }, index);
  });
  world.advance(2_000);
  stopAgain();

  expect(right.delivered.length).toBeGreaterThan(15);
  expect(left.delivered.length).toBeGreaterThan(10);
});

function natPair(isStrict: boolean, keepaliveSeconds = 0) {
  const world = newWorld();
  const nat = world.nat({
    ip: "203.0.113.1",
    mapping: isStrict ? "address-and-port" : "endpoint",
    expiryMs: 60_000,
  });
  const key = world.random.bytes(32);
  const { host: left } = addSite(world, {
    name: "left",
    addresses: ["10.0.0.2"],
    nat,
    crypto: "stub",
    peers: [
      {
        name: "right",
        keys: [key],
        endpoints: [RIGHT],
        allowedIps: NETWORKS.right,
        keepaliveSeconds,
      },
    ],
  });
  const { host: right } = addSite(world, {
    name: "right",
    addresses: [RIGHT.ip],
    crypto: "stub",
    peers: [{ name: "left", keys: [key], allowedIps: NETWORKS.left }],
  });
  const stop = world.every(20, (index) => {
    pingRight({ left }, index);
    pingLeft({ right }, index);
  });
  return { world, left, right, nat, stop };
}
