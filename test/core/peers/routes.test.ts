/**
 * Routes: a table of look-ups, taking out again, and 1.2 million random queries against a linear model.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RouteTable } from "../../../src/core/peers/routes.ts";
import {
  containsAddress,
  formatPrefix,
  type Prefix,
  parsePrefix,
} from "../../../src/core/prefix.ts";
import { innerBytes } from "../../helpers/address.ts";
import { figure } from "../../helpers/figure.ts";
import { Random } from "../../helpers/random.ts";

describe("a table of both families", () => {
  const TABLE = {
    "10.0.0.0/8": "A",
    "10.1.0.0/16": "B",
    "10.1.2.0/24": "C",
    "10.1.2.3/32": "D",
    "10.200.0.0/13": "E",
    "192.0.2.128/25": "F",
    "2001:db8::/32": "G",
    "2001:db8:0:1::/64": "H",
    "2001:db8:0:1::/65": "I",
    "2001:db8:0:1::1/128": "J",
    "fd00::/8": "K",
  };

  it.each([
    ["10.0.0.0", "A"],
    ["10.255.255.255", "A"],
    ["9.255.255.255", undefined],
    ["11.0.0.0", undefined],
    ["10.1.0.0", "B"],
    ["10.0.255.255", "A"],
    ["10.2.0.0", "A"],
    ["10.1.2.2", "C"],
    ["10.1.2.3", "D"],
    ["10.1.2.4", "C"],
    ["10.1.3.0", "B"],
    ["10.199.255.255", "A"],
    ["10.200.0.0", "E"],
    ["10.207.255.255", "E"],
    ["10.208.0.0", "A"],
    ["192.0.2.127", undefined],
    ["192.0.2.128", "F"],
    ["192.0.2.255", "F"],
    ["192.0.3.0", undefined],
    ["0.0.0.0", undefined],
    ["255.255.255.255", undefined],
    ["2001:db8::", "G"],
    ["2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "G"],
    ["2001:db9::", undefined],
    ["2001:db8:0:1:8000::", "H"],
    ["2001:db8:0:1::2", "I"],
    ["2001:db8:0:1::1", "J"],
    ["2001:db8:0:2::1", "G"],
    ["fdff::1", "K"],
    ["fc00::1", undefined],
    ["::", undefined],
    ["::ffff:10.1.2.3", undefined],
    ["a01:203::", undefined],
  ])("I1 routes %s to %s", (address, value) => {
    for (const entries of [Object.entries(TABLE), Object.entries(TABLE).reverse()]) {
      expect(lookup(tableOf(entries), address)).toBe(value);
    }
  });

  it("reads the address at its offset in a packet", () => {
    const table = tableOf(Object.entries(TABLE));
    const packet = new Uint8Array(40);
    packet.set(innerBytes("10.1.2.3"), 16);
    expect(table.lookup4(packet, 16)).toBe("D");
    expect(table.lookup4(packet, 15)).toBeUndefined();
    packet.set(innerBytes("2001:db8:0:1::1"), 24);
    expect(table.lookup6(packet, 24)).toBe("J");
  });

  it("gives undefined, or a shorter prefix's value, past the end of the bytes, and does not throw", () => {
    const table = tableOf(Object.entries({ ...TABLE, "0.0.0.0/0": "Z" }));
    expect(table.lookup4(new Uint8Array(2), 0)).toBe("Z");
    expect(table.lookup6(new Uint8Array(0), 0)).toBeUndefined();
  });
});

describe("default routes", () => {
  it("take what nothing longer covers, each in its own family", () => {
    const table = tableOf([
      ["0.0.0.0/0", "four"],
      ["10.0.0.0/8", "ten"],
    ]);
    expect(lookup(table, "192.0.2.1")).toBe("four");
    expect(lookup(table, "10.0.0.1")).toBe("ten");
    expect(lookup(table, "2001:db8::1")).toBeUndefined();
    table.insert(prefix("::/0"), "six");
    expect(lookup(table, "2001:db8::1")).toBe("six");
  });

  it("can be split in two halves", () => {
    const table = tableOf([
      ["0.0.0.0/1", "low"],
      ["128.0.0.0/1", "high"],
      ["8000::/1", "high6"],
    ]);
    expect(lookup(table, "127.255.255.255")).toBe("low");
    expect(lookup(table, "128.0.0.0")).toBe("high");
    expect(lookup(table, "7fff::")).toBeUndefined();
    expect(lookup(table, "8000::")).toBe("high6");
  });

  it("can be taken out", () => {
    const table = tableOf([["0.0.0.0/0", "four"]]);
    expect(table.remove(prefix("0.0.0.0/0"))).toBe(true);
    expect(table.remove(prefix("0.0.0.0/0"))).toBe(false);
    expect(lookup(table, "192.0.2.1")).toBeUndefined();
    expect(table.size).toBe(0);
  });
});

describe("insert and remove", () => {
  it("puts a new value in place of the old one without growing", () => {
    const table = tableOf([
      ["10.0.0.0/8", "old"],
      ["10.0.0.0/8", "new"],
    ]);
    expect(table.size).toBe(1);
    expect(lookup(table, "10.0.0.1")).toBe("new");
  });

  it("ignores host bits, as they are no part of a prefix", () => {
    const table = new RouteTable<string>();
    table.insert({ family: 4, bytes: innerBytes("10.9.9.9"), length: 8 }, "A");
    expect(lookup(table, "10.0.0.1")).toBe("A");
    expect(table.remove(prefix("10.0.0.0/8"))).toBe(true);
  });

  it("removes a prefix in the middle and leaves those above and below", () => {
    const table = tableOf([
      ["10.0.0.0/8", "A"],
      ["10.1.0.0/16", "B"],
      ["10.1.2.0/24", "C"],
      ["10.1.3.0/24", "D"],
    ]);
    expect(table.remove(prefix("10.1.0.0/16"))).toBe(true);
    expect(["10.1.0.1", "10.1.2.1", "10.1.3.1"].map((text) => lookup(table, text))).toEqual([
      "A",
      "C",
      "D",
    ]);
    expect(table.size).toBe(3);
  });

  it.each(["10.0.0.0/9", "10.0.0.0/7", "10.64.0.0/10", "11.0.0.0/8", "::/0", "a00::/8"])(
    "does not remove %s, which is not there",
    (text) => {
      const table = tableOf([
        ["10.0.0.0/8", "A"],
        ["10.0.0.0/16", "B"],
        ["10.128.0.0/9", "C"],
      ]);
      expect(table.remove(prefix(text))).toBe(false);
      expect(table.size).toBe(3);
    },
  );

  it("removes all prefixes of one value in both families and no other", () => {
    const peers = [{ name: "a" }, { name: "a" }] as const;
    const table = new RouteTable<{ name: string }>();
    for (const text of ["10.0.0.0/8", "10.2.0.0/16", "fd00::/8"])
      table.insert(prefix(text), peers[0]);
    for (const text of ["10.1.0.0/16", "fd00:1::/32"]) table.insert(prefix(text), peers[1]);
    table.removeValue(peers[0]);
    expect(table.size).toBe(2);
    expect(table.lookup4(innerBytes("10.1.0.1"), 0)).toBe(peers[1]);
    expect(table.lookup4(innerBytes("10.2.0.1"), 0)).toBeUndefined();
    expect(table.lookup6(innerBytes("fd00:1::1"), 0)).toBe(peers[1]);
    expect(table.lookup6(innerBytes("fd00:2::1"), 0)).toBeUndefined();
    table.removeValue(peers[0]);
    expect(table.size).toBe(2);
  });

  it("is empty again after everything was removed, in any order", () => {
    fc.assert(
      fc.property(fc.uniqueArray(anyPrefix(), { selector: formatPrefix }), (all) => {
        const table = new RouteTable<string>();
        for (const one of all) table.insert(one, formatPrefix(one));
        expect(table.size).toBe(all.length);
        const order = all.toSorted((a, b) => formatPrefix(b).localeCompare(formatPrefix(a)));
        for (const one of order) expect(table.remove(one)).toBe(true);
        expect(table.size).toBe(0);
        for (const one of all) {
          const { bytes, family } = one;
          const found = family === 4 ? table.lookup4(bytes, 0) : table.lookup6(bytes, 0);
          expect(found).toBeUndefined();
        }
      }),
    );
  });
});

describe("against a linear model", () => {
  it.each([
    { prefixes: 4, family: 4 },
    { prefixes: 40, family: 4 },
    { prefixes: 400, family: 4 },
    { prefixes: 4, family: 6 },
    { prefixes: 40, family: 6 },
    { prefixes: 400, family: 6 },
  ] as const)("I1 agrees on 200,000 queries of IPv$family among $prefixes prefixes", (size) => {
    const random = new Random(size.prefixes * 10 + size.family);
    const prefixes = Array.from({ length: size.prefixes }, () => randomPrefix(random, size.family));
    const table = new RouteTable<Prefix>();
    for (const one of prefixes) table.insert(one, one);
    for (const one of prefixes.splice(size.prefixes >> 1)) {
      // Half are taken out again, some of which a duplicate had replaced or removed before.
      table.remove(one);
      for (let at = prefixes.length - 1; at >= 0; at--) {
        if (isSame(prefixes[at], one)) prefixes.splice(at, 1);
      }
    }
    const model = new LinearModel(prefixes);
    const batch = new Uint8Array(16);
    let disagreements = 0;
    let hits = 0;
    for (let query = 0; query < 200_000; query++) {
      writeQuery(random, prefixes, size.family, batch);
      const found = size.family === 4 ? table.lookup4(batch, 0) : table.lookup6(batch, 0);
      if (found !== undefined) hits++;
      if ((found?.length ?? -1) !== model.longest(batch)) disagreements++;
    }
    const what = `200,000 queries of IPv${size.family} among ${size.prefixes} prefixes`;
    const measured = `${disagreements} disagreements, ${hits} hits`;
    figure("I1", what, measured, "equal to the model");
    expect(disagreements).toBe(0);
    expect(hits).toBeGreaterThan(10_000);
    expect(table.size).toBe(new Set(prefixes.map(formatPrefix)).size);
  });
});

/** Every prefix tried in turn, as masked words: slow, and too plain to be wrong. */
class LinearModel {
  readonly #rows: Int32Array;

  constructor(prefixes: readonly Prefix[]) {
    this.#rows = Int32Array.from(prefixes.flatMap(({ bytes, length }) => [length, ...bytes]));
    this.#width = (prefixes[0]?.bytes.length ?? 4) + 1;
  }

  readonly #width: number;

  /** Length of the longest prefix that covers the address, or -1. */
  longest(address: Uint8Array): number {
    let best = -1;
    for (let row = 0; row < this.#rows.length; row += this.#width) {
      const length = this.#rows[row] ?? 0;
      if (length > best && this.#isCovered(row + 1, length, address)) best = length;
    }
    return best;
  }

  #isCovered(at: number, length: number, address: Uint8Array): boolean {
    for (let bit = 0; bit < length; bit += 8) {
      const mask = length - bit >= 8 ? 0xff : (0xff00 >> (length - bit)) & 0xff;
      const index = bit >> 3;
      if ((((this.#rows[at + index] ?? 0) ^ (address[index] ?? 0)) & mask) !== 0) return false;
    }
    return true;
  }
}

/** Either anywhere, or inside a known prefix with some bits after it changed. */
function writeQuery(
  random: Random,
  prefixes: readonly Prefix[],
  family: 4 | 6,
  out: Uint8Array,
): void {
  const bytes = family === 4 ? 4 : 16;
  const near = prefixes[random.below(prefixes.length)];
  for (let at = 0; at < bytes; at++) out[at] = random.uint32();
  if (near === undefined || random.chance(0.2)) return;
  const keep = random.below(bytes + 1);
  for (let at = 0; at < keep; at++) out[at] = near.bytes[at] ?? 0;
}

/** Clustered in a few networks, so that prefixes nest and share long beginnings. */
function randomPrefix(random: Random, family: 4 | 6): Prefix {
  const bytes = random.bytes(family === 4 ? 4 : 16);
  bytes[0] = random.chance(0.8) ? 10 : random.below(4);
  if (random.chance(0.5)) bytes.fill(random.below(3), 1, random.below(bytes.length - 1) + 1);
  const length = random.below(bytes.length * 8 + 1);
  return masked({ family, bytes, length });
}

function masked({ family, bytes, length }: Prefix): Prefix {
  const kept = bytes.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, length - index * 8));
    return byte & (0xff00 >> bits) & 0xff;
  });
  return { family, bytes: kept, length };
}

function isSame(a: Prefix | undefined, b: Prefix): boolean {
  return a !== undefined && a.length === b.length && containsAddress(a, b.bytes);
}

function anyPrefix(): fc.Arbitrary<Prefix> {
  return fc
    .tuple(
      fc.constantFrom(4 as const, 6 as const),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.nat(128),
    )
    .map(([family, bytes, bits]) =>
      masked({
        family,
        bytes: bytes.slice(0, family === 4 ? 4 : 16),
        length: family === 4 ? bits % 33 : bits,
      }),
    );
}

function tableOf(entries: readonly (readonly [string, string])[]): RouteTable<string> {
  const table = new RouteTable<string>();
  for (const [text, value] of entries) table.insert(prefix(text), value);
  return table;
}

function lookup(table: RouteTable<string>, address: string): string | undefined {
  const bytes = innerBytes(address);
  return bytes.length === 4 ? table.lookup4(bytes, 0) : table.lookup6(bytes, 0);
}

function prefix(text: string): Prefix {
  const result = parsePrefix(text);
  if ("fault" in result) throw new Error(`${text} ${result.fault}`);
  return result.prefix;
}
