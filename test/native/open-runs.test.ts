/**
 * Opening runs of datagrams: how far it gets, and which packets it calls alike, against the plain twin.
 */
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { OPEN, OPEN_FAILED, OPENED_ALIKE } from "../../src/core/rows.ts";
import { CIPHER } from "../../src/io/native.ts";
import { CHANGES, FLOWS } from "../core/join-streams.ts";
import { alikeOf } from "../helpers/alike-twin.ts";
import { buildPacket, concat, type PacketSpec } from "../helpers/packet-builder.ts";
import { Random } from "../helpers/random.ts";
import { testNative } from "./native.ts";
import { OVERHEAD_BYTES, openRows, seal } from "./sealing.ts";

const native = testNative();
const { IPTUN_SEED } = process.env;
const SEED = Number(IPTUN_SEED ?? 1);
const EINVAL = -22;

beforeEach(() => {
  native.keyLoad(0, new Random(SEED).bytes(48));
});

describe.each(Object.entries(CIPHER))("a run through %s", (_, kind) => {
  beforeEach(() => {
    native.cipherKind(kind);
  });

  it("opens whole, each datagram under its own counter", () => {
    const plaintexts = packets(5, {});
    const run = sealed(plaintexts);
    const row = openRun(run, plaintexts[0]?.length ?? 0);
    expect(row[OPEN.STATUS]).toBe(plaintexts[0]?.length);
    expect(row[OPEN.OPENED]).toBe(5);
    expect(opened(run, 5)).toEqual(plaintexts);
  });

  it.each([0, 1, 4])(
    "stops at datagram %i, which was changed, and leaves those behind it",
    (bad) => {
      const plaintexts = packets(5, {});
      const run = sealed(plaintexts);
      const size = run.length / 5;
      run[bad * size + 30] = (run[bad * size + 30] ?? 0) ^ 1;
      const before = run.slice((bad + 1) * size);
      const row = openRun(run, size - OVERHEAD_BYTES);
      expect(row[OPEN.STATUS]).toBe(OPEN_FAILED);
      expect(row[OPEN.OPENED]).toBe(bad);
      expect(opened(run, 5).slice(0, bad)).toEqual(plaintexts.slice(0, bad));
      expect(Buffer.compare(run.slice((bad + 1) * size), before)).toBe(0);
    },
  );

  it.each([
    ["that does not end with a datagram", 100, 30 + OVERHEAD_BYTES],
    ["of datagrams of 31 bytes", 310, 31],
    ["of a negative size", 100, -50],
    ["of the smallest size a number has", 100, -0x8000_0000],
    ["outside the arena", 1000, 100],
    ["of more datagrams than OPENED_ALIKE can say", 65_536 * 32, 32],
  ])("refuses one %s", (_, length, segment) => {
    const arena = new Uint8Array(length > 100_000 ? length : 400);
    const rows = openRows([[0, length, 0]]);
    rows[OPEN.SEGMENT] = segment;
    expect(native.open(arena, rows, 1)).toBe(0);
    expect(rows[OPEN.STATUS]).toBe(EINVAL);
    expect(rows[OPEN.OPENED]).toBe(0);
  });
});

describe("packets alike", () => {
  it("are those that the twin says, whatever changes from one to the next", () => {
    const sizes = new Set<number>();
    fc.assert(
      fc.property(streams, ({ flow, payload, changes, ids }) => {
        const plaintexts = changedPackets(FLOWS[flow] ?? {}, payload, changes, ids);
        const groups = alikeGroups(plaintexts);
        expect(groups).toEqual(twinGroups(plaintexts));
        for (const group of groups) sizes.add(group);
      }),
      { numRuns: 600, seed: SEED },
    );
    expect(sizes.size).toBeGreaterThan(8);
  });

  it("are those that the twin says, of bytes that are no packets", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 0, maxLength: 90 }),
        fc.array(fc.tuple(fc.nat(9), fc.nat(89), fc.nat(255)), { maxLength: 4 }),
        fc.constantFrom(0, 0xc5, 0xe0, 0x45, 0x60),
        (bytes, flips, first) => {
          const plaintexts = Array.from({ length: 10 }, () => Uint8Array.from(bytes));
          for (const plaintext of plaintexts) if (plaintext.length > 0) plaintext[0] = first;
          for (const [packet, at, mask] of flips) flip(plaintexts[packet], at, mask);
          expect(alikeGroups(plaintexts)).toEqual(twinGroups(plaintexts));
        },
      ),
      { numRuns: 600, seed: SEED },
    );
  });

  it("are not noted where one datagram is opened: its header stays", () => {
    const run = sealed(packets(1, {}));
    const header = run.slice(0, 16);
    openRun(run, run.length - OVERHEAD_BYTES);
    expect(run.slice(0, 16)).toEqual(header);
  });
});

const streams = fc.record({
  flow: fc.nat(FLOWS.length - 1),
  payload: fc.constantFrom(1, 7, 100, 1368),
  changes: fc.array(
    fc.oneof(
      { weight: 12, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constantFrom(...(Object.keys(CHANGES) as Change[])) },
    ),
    { minLength: 2, maxLength: 20 },
  ),
  ids: fc.constantFrom("next", "same", "other"),
});

type Change = keyof typeof CHANGES;

/** Packets of a flow, each with its change; all are padded to the longest, as datagrams of a run are equal. */
function changedPackets(
  flow: Partial<PacketSpec>,
  payload: number,
  changes: readonly (Change | undefined)[],
  ids: "next" | "same" | "other",
): Uint8Array[] {
  const step = { next: 1, same: 0, other: 7 }[ids];
  const made = changes.map((change, index) => {
    const spec = {
      id: (0xfffa + index * step) & 0xffff,
      sequence: (0xffff_f000 + index * payload) >>> 0,
      payload: new Uint8Array(payload).fill(index),
    };
    const { bytes } = buildPacket({ ...flow, ...spec, ...(change && CHANGES[change]) });
    return bytes.with(0, (bytes[0] ?? 0) | 0x80);
  });
  const longest = Math.max(...made.map(({ length }) => length));
  return made.map((bytes) => concat(bytes, new Uint8Array(longest - bytes.length)));
}

function packets(count: number, flow: Partial<PacketSpec>): Uint8Array[] {
  return changedPackets(flow, 40, Array(count).fill(undefined), "next");
}

function flip(bytes: Uint8Array | undefined, at: number, mask: number): void {
  if (bytes !== undefined && at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ mask;
}

/** One run: the datagrams of plaintexts of one length under consecutive counters. */
function sealed(plaintexts: readonly Uint8Array[]): Uint8Array {
  const length = plaintexts[0]?.length ?? 0;
  const run = new Uint8Array(plaintexts.length * (length + OVERHEAD_BYTES));
  seal(
    concat(...plaintexts),
    run,
    plaintexts.map((_, index) => ({
      IN_OFFSET: index * length,
      IN_LENGTH: length,
      OUT_OFFSET: index * (length + OVERHEAD_BYTES),
      COUNTER_LOW: index,
    })),
  );
  return run;
}

function openRun(run: Uint8Array, length: number): Int32Array {
  const rows = openRows([[0, run.length, 0]]);
  rows[OPEN.SEGMENT] = length + OVERHEAD_BYTES;
  native.open(run, rows, 1);
  return rows;
}

function opened(run: Uint8Array, count: number): Uint8Array[] {
  const size = run.length / count;
  return Array.from({ length: count }, (_, at) => run.slice(at * size + 16, (at + 1) * size - 16));
}

/** Sizes of the groups that the addon notes in a run of these plaintexts. */
function alikeGroups(plaintexts: readonly Uint8Array[]): number[] {
  const run = sealed(plaintexts);
  const length = plaintexts[0]?.length ?? 0;
  expect(openRun(run, length)[OPEN.OPENED]).toBe(plaintexts.length);
  const view = new DataView(run.buffer);
  const groups: number[] = [];
  for (let done = 0; done < plaintexts.length; done += groups.at(-1) ?? 1) {
    groups.push(view.getUint16(done * (length + OVERHEAD_BYTES) + OPENED_ALIKE, true));
  }
  return groups;
}

function twinGroups(plaintexts: readonly Uint8Array[]): number[] {
  const groups: number[] = [];
  for (let done = 0; done < plaintexts.length; done += groups.at(-1) ?? 1) {
    groups.push(alikeOf(plaintexts.slice(done)));
  }
  return groups;
}
