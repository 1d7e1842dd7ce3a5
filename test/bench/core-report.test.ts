/**
 * The tables of the core's benchmark.
 */
import { describe, expect, it } from "vitest";
import { allocationTable, costTable, scaleTable } from "../../scripts/benchmark/core-report.ts";
import type { Costs } from "../../scripts/benchmark/core-rig.ts";

describe("the table of costs", () => {
  it("has best and median of each figure", () => {
    const row = costTable([costs("64 bytes", 100)], 5).split("\n")[2] ?? "";

    expect(row.split(/\s{2,}/)).toEqual([...["64 bytes", "100 110", "50 55", "200 220", "25 28"]]);
  });

  it("has a super-packet by the segment and as a whole", () => {
    const table = costTable([{ ...costs("super", 10), packets: 184, superPackets: 4 }], 5);

    expect(table).toMatch(/^super, a segment +10 11 +/m);
    expect(table).toMatch(/^ {2}the whole +460 506 +/m);
  });
});

describe("the table of peers", () => {
  it("has the multiple of one peer below each figure", () => {
    const table = scaleTable([costs("1 peer", 100), costs("1000 peers", 150)], 5);
    const lines = table.split("\n");

    expect(lines[3]?.trim().split(/\s{2,}/)).toEqual(Array(4).fill("1.00x 1.00x"));
    expect(lines[5]?.trim().split(/\s{2,}/)).toEqual(Array(4).fill("1.50x 1.50x"));
  });
});

describe("the table of allocations", () => {
  it("shows thousandths of a byte", () => {
    const one = {
      title: "64 bytes",
      packets: 1_000_064,
      coreOutbound: 0,
      coreBothEnds: 0.0126,
      engineBothEnds: 2.5,
    };

    expect(allocationTable([one])).toMatch(/^64 bytes +0\.000 +0\.013 +2\.500 +1000064$/m);
  });
});

function costs(title: string, outbound: number): Costs {
  const summary = (least: number) => ({ least, median: least * 1.1, most: least * 2 });
  return {
    title,
    packets: 128,
    superPackets: 0,
    outbound: summary(outbound),
    outboundWithoutCipher: summary(outbound / 2),
    inbound: summary(outbound * 2),
    inboundWithoutCipher: summary(outbound / 4),
  };
}
