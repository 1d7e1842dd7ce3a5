/** Addresses that get single datagrams for a while: how long, how many, and what a collision costs. */
import { describe, expect, it } from "vitest";
import { MESSAGE, MESSAGE_FIELDS } from "../../src/core/rows.ts";
import { after, type Instant } from "../../src/core/time.ts";
import { copyDatagram, PLAIN_MS, PlainRoutes } from "../../src/io/plain-routes.ts";
import { ipBytes } from "../helpers/address.ts";

const NOW = 5_000 as Instant;

describe("an address that was added", () => {
  it("is plain for a minute, to the millisecond", () => {
    const routes = withAddresses(["192.0.2.1"]);

    expect(isPlain(routes, "192.0.2.1", NOW)).toBe(true);
    expect(isPlain(routes, "192.0.2.1", after(NOW, PLAIN_MS - 1))).toBe(true);
    expect(isPlain(routes, "192.0.2.1", after(NOW, PLAIN_MS))).toBe(false);
    expect([
      PLAIN_MS,
      routes.count(after(NOW, PLAIN_MS - 1)),
      routes.count(after(NOW, PLAIN_MS)),
    ]).toEqual([60_000, 1, 0]);
  });

  it("lasts a minute from when it was added last", () => {
    const routes = withAddresses(["192.0.2.1"]);
    routes.add(rowTo("192.0.2.1"), MESSAGE_FIELDS, after(NOW, 40_000));

    expect(isPlain(routes, "192.0.2.1", after(NOW, 99_999))).toBe(true);
    expect(isPlain(routes, "192.0.2.1", after(NOW, 100_000))).toBe(false);
    expect(routes.count(after(NOW, 50_000))).toBe(1);
  });

  it("stands for itself alone", () => {
    const routes = withAddresses(["192.0.2.1", "2001:db8::1"]);

    expect(isPlain(routes, "192.0.2.2", NOW)).toBe(false);
    expect(isPlain(routes, "2001:db8::2", NOW)).toBe(false);
    expect(isPlain(routes, "::", NOW)).toBe(false);
    expect(isPlain(routes, "2001:db8::1", NOW)).toBe(true);
  });

  it("counts for every port, because it is the route that takes no runs", () => {
    const routes = withAddresses(["192.0.2.1"]);
    const rows = rowTo("192.0.2.1");
    rows[MESSAGE_FIELDS + MESSAGE.PORT] = 9;

    expect(routes.has(rows, MESSAGE_FIELDS, NOW)).toBe(true);
  });
});

describe("whether any is plain", () => {
  it("is false at first, and again a minute after the last", () => {
    expect(new PlainRoutes().isAny(0 as Instant)).toBe(false);
    const routes = withAddresses(["192.0.2.1"]);
    routes.add(rowTo("192.0.2.2"), MESSAGE_FIELDS, after(NOW, 1_000));

    expect(routes.isAny(after(NOW, PLAIN_MS + 999))).toBe(true);
    expect(routes.isAny(after(NOW, PLAIN_MS + 1_000))).toBe(false);
  });
});

describe("more addresses than slots", () => {
  const many = Array.from({ length: 700 }, (_, index) => `10.${index >> 8}.${index & 0xff}.1`);

  it("are bounded: 256 at most, spread over most of the slots", () => {
    const routes = withAddresses(many);

    expect(routes.count(NOW)).toBeLessThanOrEqual(256);
    expect(routes.count(NOW)).toBeGreaterThan(200);
  });

  it("take one another's slots: the one that came last stays, the other is tried early, no third is touched", () => {
    const routes = new PlainRoutes();
    const known = new Set<string>();
    for (const address of many) {
      const before = routes.count(NOW);
      routes.add(rowTo(address), MESSAGE_FIELDS, NOW);
      expect(isPlain(routes, address, NOW)).toBe(true);
      const isCollision = routes.count(NOW) === before;
      const lost = [...known].filter((other) => !isPlain(routes, other, NOW));
      expect(lost).toHaveLength(isCollision ? 1 : 0);
      for (const other of lost) known.delete(other);
      known.add(address);
    }
    expect(known.size).toBe(routes.count(NOW));
  });

  it("of one network, neighbours in the last byte, seldom collide", () => {
    const network = Array.from({ length: 64 }, (_, index) => `192.0.2.${index}`);

    expect(withAddresses(network).count(NOW)).toBeGreaterThan(45);
  });
});

describe("copyDatagram", () => {
  it.each([
    [0, { offset: 1000, length: 100, segment: 0 }],
    [1, { offset: 1100, length: 100, segment: 0 }],
    [2, { offset: 1200, length: 50, segment: 0 }],
    [-1, { offset: 1000, length: 250, segment: 100 }],
  ])("takes datagram %i of a run, all else as in the run's row", (index, expected) => {
    const rows = Int32Array.from({ length: 2 * MESSAGE_FIELDS }, (_, at) => at + 500);
    rows.set([1000, 250, 100], MESSAGE_FIELDS);
    const target = new Int32Array(3 * MESSAGE_FIELDS).fill(-7);

    copyDatagram(rows, MESSAGE_FIELDS, index, target, MESSAGE_FIELDS);

    const [offset, length, segment, ...others] = target.subarray(
      MESSAGE_FIELDS,
      2 * MESSAGE_FIELDS,
    );
    expect({ offset, length, segment }).toEqual(expected);
    expect(others).toEqual([...rows.subarray(MESSAGE_FIELDS + 3)]);
    expect(target.subarray(0, MESSAGE_FIELDS).every((word) => word === -7)).toBe(true);
    expect(target.subarray(2 * MESSAGE_FIELDS).every((word) => word === -7)).toBe(true);
  });

  it("takes a single datagram whole", () => {
    const rows = new Int32Array(MESSAGE_FIELDS);
    rows.set([64, 90, 0]);
    const target = new Int32Array(MESSAGE_FIELDS);

    copyDatagram(rows, 0, 0, target, 0);

    expect([...target.subarray(0, 3)]).toEqual([64, 90, 0]);
  });
});

function withAddresses(addresses: readonly string[]): PlainRoutes {
  const routes = new PlainRoutes();
  for (const address of addresses) routes.add(rowTo(address), MESSAGE_FIELDS, NOW);
  return routes;
}

function isPlain(routes: PlainRoutes, address: string, now: Instant): boolean {
  return routes.has(rowTo(address), MESSAGE_FIELDS, now);
}

/** Two rows, the second to an address. */
function rowTo(address: string): Int32Array {
  const rows = new Int32Array(2 * MESSAGE_FIELDS);
  const at = (MESSAGE_FIELDS + MESSAGE.REMOTE) * 4;
  new Uint8Array(rows.buffer, at, 16).set(ipBytes(address));
  return rows;
}
