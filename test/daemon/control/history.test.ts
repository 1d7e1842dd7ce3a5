/** The last hour of each peer: which second a sample counts for, and how much is kept. */
import { describe, expect, it } from "vitest";
import { SAMPLE_FIELDS } from "../../../src/core/sample.ts";
import { HISTORY_PEERS, HISTORY_SECONDS, History } from "../../../src/daemon/control/history.ts";

/** Bytes in and out, and what is known of the path. */
type Figures = readonly [number, number, number?, number?, number?];

describe("a history", () => {
  it("has a peer's rates from its second sample on", () => {
    const history = new History();
    feed(history, 10_000, { b: [1_000, 50] });
    expect(history.rates("b")).toBeUndefined();
    feed(history, 11_000, { b: [4_000, 70] });
    expect(history.rates("b")).toEqual({
      inboundBytesPerSecond: 3_000,
      outboundBytesPerSecond: 20,
    });
  });

  it("has a second for each sample, the latest last, and null where nothing is known", () => {
    const history = new History();
    feed(history, 10_000, { b: [0, 0] });
    feed(history, 11_000, { b: [5, 0] });
    feed(history, 12_000, { b: [7, 9, 20.126, 0.25, 0] });
    expect(history.document(3)).toEqual({
      seconds: 3,
      peers: [
        {
          peer: "b",
          inboundBytesPerSecond: [null, 5, 2],
          outboundBytesPerSecond: [null, 0, 9],
          roundTripMs: [null, null, 20.13],
          outboundLoss: [null, null, 0.25],
          inboundLoss: [null, null, 0],
        },
      ],
    });
  });

  it("lets a late sample stand for every second since the one before", () => {
    const history = new History();
    feed(history, 10_000, { b: [0, 0] });
    feed(history, 13_500, { b: [700, 0] });
    expect(inboundOf(history, 4)).toEqual([null, 200, 200, 200]);
  });

  it("passes by a sample within the second of the last", () => {
    const history = new History();
    feed(history, 10_000, { b: [0, 0] });
    feed(history, 10_999, { b: [900, 0] });
    feed(history, 11_000, { b: [1_000, 0] });
    expect(inboundOf(history, 2)).toEqual([null, 1_000]);
  });

  it("counts anew where a peer's counters began anew", () => {
    const history = new History();
    feed(history, 10_000, { b: [5_000, 5_000] });
    feed(history, 11_000, { b: [300, 5_000] });
    expect(history.rates("b")).toEqual({ inboundBytesPerSecond: 300, outboundBytesPerSecond: 0 });
  });

  it("keeps an hour and no more, also across a gap longer than that", () => {
    const history = new History();
    for (let second = 0; second <= HISTORY_SECONDS + 5; second += 1) {
      feed(history, second * 1_000, { b: [(second * (second + 1)) / 2, 0] });
    }
    const hour = inboundOf(history, HISTORY_SECONDS);
    expect(hour).toHaveLength(HISTORY_SECONDS);
    expect([hour?.[0], hour?.at(-1)]).toEqual([6, HISTORY_SECONDS + 5]);
    const before = inboundBytes(HISTORY_SECONDS + 5);
    feed(history, 10 * HISTORY_SECONDS * 1_000, { b: [before, 0] });
    expect(new Set(inboundOf(history, HISTORY_SECONDS))).toEqual(new Set([0]));
  });

  it("knows nothing of seconds before the first", () => {
    const history = new History();
    feed(history, 0, { b: [0, 0] });
    feed(history, 1_000, { b: [8, 0] });
    expect(inboundOf(history, 5)).toEqual([null, null, null, null, 8]);
  });

  it("is kept of so many peers, of the others the rate", () => {
    const history = new History();
    const peers = (bytes: number) =>
      Object.fromEntries(
        Array.from({ length: HISTORY_PEERS + 2 }, (_, index) => [`p${index}`, [bytes, 0]] as const),
      );
    feed(history, 1_000, peers(0));
    feed(history, 2_000, peers(9));
    expect(history.document(1).peers).toHaveLength(HISTORY_PEERS);
    expect(history.document(1, `p${HISTORY_PEERS}`).peers).toEqual([]);
    expect(history.rates(`p${HISTORY_PEERS + 1}`)?.inboundBytesPerSecond).toBe(9);
  });

  it("forgets a peer that is gone, whose place the next that comes takes", () => {
    const history = new History();
    const names = Array.from({ length: HISTORY_PEERS }, (_, index) => `p${index}`);
    const all = (list: readonly string[]) =>
      Object.fromEntries(list.map((name) => [name, [0, 0]] as const));
    feed(history, 1_000, all(names));
    feed(history, 2_000, all(names.slice(1)));
    expect(history.rates("p0")).toBeUndefined();
    feed(history, 3_000, all([...names.slice(1), "late"]));
    feed(history, 4_000, all([...names.slice(1), "late"]));
    expect(history.document(1, "late").peers).toHaveLength(1);
  });
});

function inboundBytes(second: number): number {
  return (second * (second + 1)) / 2;
}

function inboundOf(history: History, seconds: number) {
  return history.document(seconds, "b").peers[0]?.inboundBytesPerSecond;
}

function feed(history: History, nowMs: number, peers: Readonly<Record<string, Figures>>): void {
  const names = Object.keys(peers);
  const figures = new Float64Array(names.length * SAMPLE_FIELDS).fill(Number.NaN);
  for (const [index, own] of Object.values(peers).entries()) {
    for (const [at, figure] of own.entries()) {
      figures[index * SAMPLE_FIELDS + at] = figure ?? Number.NaN;
    }
  }
  history.add({ names, figures }, nowMs);
}
