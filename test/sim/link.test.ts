/**
 * Paths and translators of the simulation: the faults have the rates and rules that they claim.
 */
import { describe, expect, it } from "vitest";
import type { Instant } from "../../src/core/time.ts";
import { Random } from "../helpers/random.ts";
import { Link, type LinkOptions } from "./link.ts";
import { Nat, type NatBehaviour } from "./nat.ts";
import { Schedule } from "./schedule.ts";

describe("a link", () => {
  it("without faults delivers each datagram once, after its delay", () => {
    expect(runLink({ delayMs: 25 }, 1_000)).toEqual(Array.from({ length: 1_000 }, () => [25]));
  });

  it.each([0.1, 0.3, 0.7])("loses a share of %f", (loss) => {
    const lost = runLink({ loss }, 20_000).filter((copies) => copies.length === 0).length;

    expect(lost / 20_000).toBeCloseTo(loss, 1);
  });

  it("loses in bursts whose mean length is 1 / burstEnd", () => {
    const flags = runLink({ burstStart: 0.01, burstEnd: 0.2 }, 100_000).map(
      (copies) => copies.length === 0,
    );
    const bursts = flags.filter((isLost, index) => isLost && !flags[index - 1]).length;
    const lost = flags.filter(Boolean).length;

    expect(lost / bursts).toBeGreaterThan(4);
    expect(lost / bursts).toBeLessThan(6);
  });

  it("duplicates a share", () => {
    const twice = runLink({ duplicate: 0.25 }, 20_000).filter(
      (copies) => copies.length === 2,
    ).length;

    expect(twice / 20_000).toBeCloseTo(0.25, 1);
  });

  it("spreads arrivals over the jitter and holds reordered ones back", () => {
    const delays = runLink(
      { delayMs: 10, jitterMs: 5, reorder: 0.5, reorderMs: 100 },
      5_000,
    ).flat();

    expect(Math.min(...delays)).toBeGreaterThanOrEqual(10);
    expect(delays.every((delay) => delay < 15 || (delay >= 110 && delay < 115))).toBe(true);
    expect(delays.filter((delay) => delay >= 110).length / 5_000).toBeCloseTo(0.5, 1);
  });

  it("swallows what does not fit the MTU, outer headers counted", () => {
    const link = new Link(new Random(1), { mtu: 1_500 });

    expect(link.delays(1_472, false, 0)).toHaveLength(1);
    expect(link.delays(1_473, false, 0)).toHaveLength(0);
    expect(link.delays(1_452, true, 0)).toHaveLength(1);
    expect(link.delays(1_453, true, 0)).toHaveLength(0);
    expect(link.counts).toEqual({ entered: 4, lost: 0, tooLarge: 2, duplicated: 0 });
  });
});

describe("a translator", () => {
  const inside = { ip: "10.0.0.2", port: 1194 };
  const server = { ip: "198.51.100.1", port: 1194 };
  const samePeer = { ip: "198.51.100.1", port: 7 };
  const stranger = { ip: "203.0.113.9", port: 1194 };

  it.each<[NatBehaviour, boolean, boolean]>([
    ["endpoint", true, true],
    ["address", true, false],
    ["address-and-port", false, false],
  ])("with %s mapping shares ports as RFC 4787 says", (mapping, isSharedByHost, isSharedByAll) => {
    const nat = new Nat({ ip: "203.0.113.1", mapping });
    const first = nat.outbound(inside, server, at(0));

    expect(nat.outbound(inside, server, at(1))).toEqual(first);
    expect(nat.outbound(inside, samePeer, at(1)).port === first.port).toBe(isSharedByHost);
    expect(nat.outbound(inside, stranger, at(1)).port === first.port).toBe(isSharedByAll);
  });

  it.each<[NatBehaviour, boolean, boolean]>([
    ["endpoint", true, true],
    ["address", true, false],
    ["address-and-port", false, false],
  ])("with %s filtering lets in whom RFC 4787 says", (filtering, isHostLetIn, isAnyoneLetIn) => {
    const nat = new Nat({ ip: "203.0.113.1", filtering });
    const { port } = nat.outbound(inside, server, at(0));

    expect(nat.inbound(server, port, at(1))).toEqual(inside);
    expect(nat.inbound(samePeer, port, at(1)) !== undefined).toBe(isHostLetIn);
    expect(nat.inbound(stranger, port, at(1)) !== undefined).toBe(isAnyoneLetIn);
  });

  it("expires a mapping that only inbound traffic uses", () => {
    const nat = new Nat({ ip: "203.0.113.1", expiryMs: 30_000 });
    const { port } = nat.outbound(inside, server, at(0));

    expect(nat.inbound(server, port, at(29_999))).toEqual(inside);
    expect(nat.inbound(server, port, at(30_000))).toBeUndefined();
    expect(nat.outbound(inside, server, at(30_001)).port).not.toBe(port);
  });

  it("gives a new port after a rebind, and for each datagram when fresh", () => {
    const nat = new Nat({ ip: "203.0.113.1" });
    const before = nat.outbound(inside, server, at(0)).port;
    nat.rebind();
    const fresh = new Nat({ ip: "203.0.113.2", isFresh: true });

    expect(nat.outbound(inside, server, at(1)).port).not.toBe(before);
    expect(nat.inbound(server, before, at(1))).toBeUndefined();
    expect(fresh.outbound(inside, server, at(0)).port).not.toBe(
      fresh.outbound(inside, server, at(0)).port,
    );
  });
});

describe("a schedule", () => {
  it("gives values in order of time, and of adding where times are equal", () => {
    const random = new Random(7);
    const schedule = new Schedule<number>();
    const times = Array.from({ length: 500 }, () => random.below(40));
    times.forEach((time, index) => {
      schedule.add(at(time), index);
    });

    const order: number[] = [];
    for (let next = schedule.take(at(40)); next !== undefined; next = schedule.take(at(40))) {
      order.push(next);
    }

    const expected = times
      .map((time, index) => ({ time, index }))
      .sort((a, b) => a.time - b.time || a.index - b.index)
      .map(({ index }) => index);
    expect(order).toEqual(expected);
  });

  it("holds back what is not due", () => {
    const schedule = new Schedule<string>();
    schedule.add(at(5), "later");

    expect(schedule.take(at(4))).toBeUndefined();
    expect(schedule.next).toBe(5);
    expect(schedule.take(at(5))).toBe("later");
    expect(schedule.size).toBe(0);
  });
});

function runLink(options: Partial<LinkOptions>, count: number): number[][] {
  const link = new Link(new Random(3), options);
  return Array.from({ length: count }, () => link.delays(100, false, 0));
}

function at(ms: number): Instant {
  return ms as Instant;
}
