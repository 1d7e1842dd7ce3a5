/**
 * The chart: well-formed, to scale, and complete.
 */
import { describe, expect, it } from "vitest";
import { chartSvg } from "../../scripts/benchmark/chart.ts";
import { makeReport } from "../../scripts/benchmark/report.ts";
import { findings } from "./report-fixture.ts";

describe("the chart", () => {
  it("is well-formed: every element is closed, in order", () => {
    const open: string[] = [];
    for (const [, slash, name = "", empty] of chart().matchAll(/<(\/?)(\w+)[^<>]*?(\/?)>/g)) {
      if (slash === "/") expect(open.pop()).toBe(name);
      else if (empty !== "/") open.push(name);
    }
    expect(open).toEqual([]);
  });

  it("escapes what a title may hold", () => {
    expect(chart()).toContain("wireguard-go &lt;&amp;&gt;");
  });

  it("has a bar for each figure, and none for the wire", () => {
    expect(bars()).toHaveLength(4);
    expect(chart()).not.toContain(">plain veth<");
    expect(chart()).toContain("The veth without a tunnel: 13.2 Gbit/s.");
  });

  it("draws bars of one panel to one scale", () => {
    const [plain = 0, off = 0, , wireguard = 0] = bars();

    expect(plain / off).toBeCloseTo(4.5 / 1.6, 1);
    expect(plain / wireguard).toBeCloseTo(4.5 / 0.45, 0);
  });

  it("writes each figure beside its bar, with the multiple of the reference", () => {
    expect(labels()).toContain("4.50 (10.0×)");
    expect(labels()).toContain("0.450");
    expect(labels()).toContain("1.60");
  });

  it("names version and MTU of each program", () => {
    expect(labels()).toContain("v1.2, MTU 1420");
  });

  it("stays within its width", () => {
    const ends = [...chart().matchAll(/<rect[^>]* x="([\d.]+)"[^>]* width="([\d.]+)"/g)].map(
      ([, x, width]) => Number(x) + Number(width),
    );

    expect(Math.max(...ends)).toBeLessThanOrEqual(900);
  });

  it("draws nothing of an empty report, and does not fail", () => {
    const found = findings();
    const outcome = { ...found.outcome, samples: [] };

    expect(chartSvg(makeReport({ ...found, outcome }))).not.toContain('class="bar"');
  });

  function chart(): string {
    return chartSvg(makeReport(findings()));
  }

  /** Widths of the bars, in order: those of a legend have no spread behind them. */
  function bars(): readonly number[] {
    const pattern = /<rect class="(?:own|bar)" [^>]*width="([\d.]+)"[^>]*\/>\n<line/g;
    return [...chart().matchAll(pattern)].map(([, width]) => Number(width));
  }

  function labels(): readonly string[] {
    return [...chart().matchAll(/<text[^>]*>([^<]*)</g)].map(([, label = ""]) => label);
  }
});
