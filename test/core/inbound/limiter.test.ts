/**
 * The source limiter: rows of {at, source, allowed}, what counts as one source, eviction, and a twin
 * that keeps the same buckets in a Map.
 */
import { describe, expect, it } from "vitest";
import { SourceLimiter } from "../../../src/core/inbound/limiter.ts";
import { halfSipHash } from "../../../src/core/keyed-hash.ts";
import { DEFAULT_LIMITS } from "../../../src/core/options.ts";
import type { Instant } from "../../../src/core/time.ts";
import { TokenBucket } from "../../../src/core/token-bucket.ts";
import { ipBytes, ipText } from "../../helpers/address.ts";
import { Random } from "../../helpers/random.ts";

const SEED = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

describe("the table", () => {
  // Tokens of 192.0.2.1, 2 a second and at most 3. o: one taken, x: none left, .: refilling.
  //
  //   3 |o                              o
  //   2 |o                         .    o
  //   1 |o         o          o   .     o
  //   0 |xx      x        x     .       x
  //     +--------------------------------- ms
  //      0      400 500  900 1000      2500
  const ROWS: readonly { at: number; source: string; allowed: boolean }[] = [
    { at: 0, source: "192.0.2.1", allowed: true },
    { at: 0, source: "192.0.2.1", allowed: true },
    { at: 0, source: "192.0.2.1", allowed: true },
    { at: 0, source: "192.0.2.1", allowed: false },
    { at: 0, source: "192.0.2.2", allowed: true },
    { at: 0, source: "::ffff:192.0.2.1", allowed: false },
    { at: 400, source: "192.0.2.1", allowed: false },
    { at: 500, source: "192.0.2.1", allowed: true },
    { at: 900, source: "192.0.2.1", allowed: false },
    { at: 1000, source: "::ffff:192.0.2.1", allowed: true },
    { at: 1000, source: "2001:db8:0:1::1", allowed: true },
    { at: 1000, source: "2001:db8:0:1::2", allowed: true },
    { at: 1000, source: "2001:db8:0:1:ffff:ffff:ffff:ffff", allowed: true },
    { at: 1000, source: "2001:db8:0:1:8000::", allowed: false },
    { at: 1000, source: "2001:db8:0:2::1", allowed: true },
    { at: 1000, source: "2001:db8::1", allowed: true },
    { at: 2500, source: "192.0.2.1", allowed: true },
    { at: 2500, source: "192.0.2.1", allowed: true },
    { at: 2500, source: "192.0.2.1", allowed: true },
    { at: 2500, source: "192.0.2.1", allowed: false },
  ];

  it("holds row by row", () => {
    const limiter = newLimiter();
    for (const [index, { at, source, allowed }] of ROWS.entries()) {
      const name = `row ${index}: ${source} at ${at} ms`;
      expect(limiter.isEmpty(rowOf(source), 0, instant(at)), name).toBe(!allowed);
      expect(limiter.charge(rowOf(source), 0, instant(at)), name).toBe(allowed);
    }
    expect(limiter.size).toBe(5);
  });
});

describe("what one source is", () => {
  it.each([
    ["an IPv6 address that ends like an IPv4 one", "192.0.2.1", "::192.0.2.1"],
    ["an IPv6 address whose first word is that IPv4 address", "32.1.13.184", "2001:db8::"],
    ["the neighbouring IPv4 address", "192.0.2.1", "192.0.2.0"],
    ["the next /64", "2001:db8::", "2001:db8:0:1::"],
    ["a /64 that differs in its first bit", "2001:db8::", "a001:db8::"],
    ["::ffff:0:0/96 itself against ::", "0.0.0.0", "::"],
    ["a translated address (64:ff9b::/96)", "192.0.2.1", "64:ff9b::192.0.2.1"],
  ])("does not charge %s", (_, charged, other) => {
    const limiter = newLimiter();
    while (limiter.charge(rowOf(charged), 0, at0));
    expect(limiter.isEmpty(rowOf(charged), 0, at0)).toBe(true);
    expect(limiter.isEmpty(rowOf(other), 0, at0)).toBe(false);
  });

  it("reads the words at the index it is given", () => {
    const limiter = newLimiter();
    const rows = new Int32Array(24);
    rows.set(rowOf("198.51.100.7"), 13);
    while (limiter.charge(rows, 13, at0));
    expect(limiter.isEmpty(rowOf("198.51.100.7"), 0, at0)).toBe(true);
    expect(limiter.isEmpty(rows, 12, at0)).toBe(false);
  });
});

describe("bounds", () => {
  it("never tracks more than its sources, however many send", () => {
    const limiter = newLimiter({ sources: 64 });
    const random = new Random(7);
    for (let count = 0; count < 20_000; count++) {
      limiter.charge(randomRow(random, 2 ** 32), 0, instant(count));
      expect(limiter.size).toBeLessThanOrEqual(64);
    }
    expect(limiter.size).toBe(64);
  });

  it("evicts the source that was idle longest, and that one starts full again", () => {
    const limiter = newLimiter({ sources: 3 });
    for (const source of ["10.0.0.1", "10.0.0.2", "10.0.0.3"]) drain(limiter, source);
    limiter.charge(rowOf("10.0.0.1"), 0, at0);
    limiter.charge(rowOf("10.0.0.9"), 0, at0);
    expect(limiter.isEmpty(rowOf("10.0.0.2"), 0, at0)).toBe(false);
    expect(limiter.isEmpty(rowOf("10.0.0.1"), 0, at0)).toBe(true);
    expect(limiter.isEmpty(rowOf("10.0.0.3"), 0, at0)).toBe(true);
    expect(limiter.size).toBe(3);
  });

  it("gives back what was paid for a datagram that did not fail", () => {
    const limiter = newLimiter({ sources: 2 });
    drain(limiter, "10.0.0.1");
    limiter.refund(rowOf("10.0.0.1"), 0);
    limiter.refund(rowOf("10.0.0.9"), 0);
    expect(limiter.isEmpty(rowOf("10.0.0.1"), 0, at0)).toBe(false);
    expect(limiter.charge(rowOf("10.0.0.1"), 0, at0)).toBe(true);
    expect(limiter.isEmpty(rowOf("10.0.0.1"), 0, at0)).toBe(true);
    expect(limiter.size).toBe(1);
  });

  it("does not take a refused source for idle", () => {
    const limiter = newLimiter({ sources: 2 });
    drain(limiter, "10.0.0.1");
    drain(limiter, "10.0.0.2");
    limiter.noteRefused(rowOf("10.0.0.1"), 0);
    limiter.charge(rowOf("10.0.0.3"), 0, at0);
    expect(limiter.isEmpty(rowOf("10.0.0.1"), 0, at0)).toBe(true);
    expect(limiter.isEmpty(rowOf("10.0.0.2"), 0, at0)).toBe(false);
  });

  it("neither adds a source nor keeps one from eviction when only asked", () => {
    const limiter = newLimiter({ sources: 2 });
    limiter.isEmpty(rowOf("10.0.0.9"), 0, at0);
    limiter.noteRefused(rowOf("10.0.0.9"), 0);
    expect(limiter.size).toBe(0);
    drain(limiter, "10.0.0.1");
    drain(limiter, "10.0.0.2");
    limiter.isEmpty(rowOf("10.0.0.1"), 0, at0);
    limiter.charge(rowOf("10.0.0.3"), 0, at0);
    expect(limiter.isEmpty(rowOf("10.0.0.1"), 0, at0)).toBe(false);
  });

  it("works with a single source", () => {
    const limiter = newLimiter({ sources: 1 });
    for (let count = 0; count < 10; count++) {
      expect(limiter.charge(rowOf(`10.0.0.${count % 2}`), 0, at0)).toBe(true);
    }
    expect(limiter.size).toBe(1);
  });

  it("refuses a seed that is too short to be secret", () => {
    expect(() => new SourceLimiter(DEFAULT_LIMITS, new Uint8Array(7))).toThrow("seed");
  });
});

describe("against a twin that keeps a Map", () => {
  it.each([
    [40_000, 32, 1],
    [40_000, 32, 2],
    [40_000, 32, 3],
    [300, 4, 4],
  ])("agrees on %i random calls with %i sources, seed %i", (calls, sources, seed) => {
    const options = { sourceRatePerSecond: 5, sourceBurst: 4, sources };
    const random = new Random(seed);
    const limiter = new SourceLimiter(options, random.bytes(16));
    const twin = new Twin(options);
    let ms = 0;
    let disagreements = 0;
    for (let count = 0; count < calls; count++) {
      ms += random.chance(0.3) ? random.below(40) : 0;
      const row = randomRow(random, Math.ceil(1.5 * sources));
      const now = instant(ms);
      if (limiter.isEmpty(row, 0, now) !== twin.isEmpty(row, now)) disagreements++;
      if (random.chance(0.2)) {
        limiter.noteRefused(row, 0);
        twin.touch(row);
      } else if (limiter.charge(row, 0, now) !== twin.charge(row, now)) disagreements++;
      if (limiter.size !== twin.size) disagreements++;
    }
    expect(disagreements).toBe(0);
  });
});

describe("the defaults", () => {
  it("let 200 through at once and 100 a second after that, at 20,000 a second", () => {
    const limiter = new SourceLimiter(DEFAULT_LIMITS, SEED);
    let allowed = 0;
    for (let count = 0; count < 60_000; count++) {
      if (limiter.charge(rowOf("203.0.113.5"), 0, instant(count / 20))) allowed++;
    }
    expect(allowed).toBe(200 + 299);
  });
});

describe("snapshot", () => {
  it("names the busiest 16, busiest first, IPv4 mapped and IPv6 by its /64", () => {
    const limiter = newLimiter();
    for (let host = 1; host <= 30; host++) {
      for (let count = 0; count < host; count++) limiter.charge(rowOf(`10.0.0.${host}`), 0, at0);
    }
    for (let count = 0; count < 99; count++) limiter.charge(rowOf("2001:db8::77"), 0, at0);
    limiter.noteRefused(rowOf("10.0.0.30"), 0);
    limiter.noteRefused(rowOf("10.0.0.30"), 0);
    const snapshot = limiter.snapshot();
    expect(snapshot).toHaveLength(16);
    expect(snapshot.map(({ address }) => ipText(address)).slice(0, 3)).toEqual([
      "2001:db8::",
      "10.0.0.30",
      "10.0.0.29",
    ]);
    expect(snapshot.map(({ charged }) => charged).slice(0, 3)).toEqual([99, 30, 29]);
    expect(snapshot.map(({ refused }) => refused).slice(0, 3)).toEqual([0, 2, 0]);
  });

  it("forgets the counts of an evicted source", () => {
    const limiter = newLimiter({ sources: 1 });
    drain(limiter, "10.0.0.1");
    limiter.noteRefused(rowOf("10.0.0.1"), 0);
    limiter.charge(rowOf("10.0.0.2"), 0, at0);
    expect(limiter.snapshot()).toEqual([{ address: ipBytes("10.0.0.2"), charged: 1, refused: 0 }]);
  });

  it("is empty before the first charge", () => {
    expect(newLimiter().snapshot()).toEqual([]);
  });
});

describe("the hash", () => {
  it("gives the value of linux/lib/tests/siphash_kunit.c for the bytes 0 to 11", () => {
    const message = Int32Array.of(0x03020100, 0x07060504, 0x0b0a0908, 12 << 24, 0, 0, 0);
    expect(halfSipHash(message, 0x03020100, 0x07060504) >>> 0).toBe(0x6b28096c);
  });

  it("spreads 4,096 neighbouring addresses so that no chain of 8,192 is long", () => {
    const lengths = new Int32Array(8192);
    for (let host = 0; host < 4096; host++) {
      const message = Int32Array.of(4, host, 0, 12 << 24, 0, 0, 0);
      const bucket = halfSipHash(message, 11, 12) & 8191;
      lengths[bucket] = (lengths[bucket] ?? 0) + 1;
    }
    expect(Math.max(...lengths)).toBeLessThan(9);
  });

  it("puts colliding addresses elsewhere under another seed", () => {
    const bucketOf = (host: number, seed: number) =>
      halfSipHash(Int32Array.of(4, host, 0, 12 << 24, 0, 0, 0), seed, seed) & 8191;
    const colliding: number[] = [];
    for (let host = 0; colliding.length < 8; host++) {
      if (bucketOf(host, 1) === 0) colliding.push(host);
    }
    expect(new Set(colliding.map((host) => bucketOf(host, 2))).size).toBeGreaterThan(5);
  });
});

/** The same rules in the plainest form: a Map in order of use, a bucket object each. */
class Twin {
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #options: { sourceRatePerSecond: number; sourceBurst: number; sources: number };

  constructor(options: { sourceRatePerSecond: number; sourceBurst: number; sources: number }) {
    this.#options = options;
  }

  get size(): number {
    return this.#buckets.size;
  }

  charge(row: Int32Array, now: Instant): boolean {
    const { sourceRatePerSecond, sourceBurst, sources } = this.#options;
    if (!this.touch(row)) {
      if (this.#buckets.size === sources) this.#buckets.delete([...this.#buckets.keys()][0] ?? "");
      this.#buckets.set(keyOf(row), new TokenBucket(sourceRatePerSecond, sourceBurst, now));
    }
    return this.#buckets.get(keyOf(row))?.take(now) ?? false;
  }

  isEmpty(row: Int32Array, now: Instant): boolean {
    const bucket = this.#buckets.get(keyOf(row));
    if (bucket === undefined) return false;
    const isEmpty = !bucket.take(now);
    if (!isEmpty) bucket.refund();
    return isEmpty;
  }

  /** Moves a known source to the end of the order. */
  touch(row: Int32Array): boolean {
    const key = keyOf(row);
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return false;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    return true;
  }
}

function keyOf(row: Int32Array): string {
  const text = ipText(new Uint8Array(row.buffer, row.byteOffset, 16));
  return text.includes(":") ? row.subarray(0, 2).join() : text;
}

const at0 = instant(0);

function instant(ms: number): Instant {
  return ms as Instant;
}

function newLimiter(changes: { sources?: number } = {}): SourceLimiter {
  return new SourceLimiter(
    { sourceRatePerSecond: 2, sourceBurst: 3, sources: 100, ...changes },
    SEED,
  );
}

function drain(limiter: SourceLimiter, source: string): void {
  while (limiter.charge(rowOf(source), 0, at0));
}

/** The four REMOTE words of an address. */
function rowOf(source: string): Int32Array {
  return new Int32Array(plain(source).slice().buffer);
}

function plain(source: string): Uint8Array {
  const dotted = source.match(/^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/);
  if (dotted === null || source.startsWith("::ffff:")) return ipBytes(source);
  const [a = 0, b = 0, c = 0, d = 0] = dotted.slice(2).map(Number);
  return ipBytes(`${dotted[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`);
}

/** An IPv4 or IPv6 source, one of about `variety` each. */
function randomRow(random: Random, variety: number): Int32Array {
  const host = random.below(variety);
  if (random.chance(0.5)) return Int32Array.of(0x20010db8, host, random.uint32(), random.uint32());
  return Int32Array.of(0, 0, MAPPED, host);
}

const MAPPED = new Int32Array(Uint8Array.of(0, 0, 0xff, 0xff).buffer)[0] ?? 0;
