/**
 * The shape of the JSON that is kept, and the tables made of it.
 */
import { describe, expect, it } from "vitest";
import { makeReport, reportJson } from "../../scripts/benchmark/report.ts";
import { reportText } from "../../scripts/benchmark/table.ts";
import { findings } from "./report-fixture.ts";

describe("a report", () => {
  it("says when, on what, with which versions and how it was measured", () => {
    expect(makeReport(findings())).toMatchObject({
      format: 1,
      date: "2026-01-02T03:04:05Z",
      machine: { cpu: "A CPU", cpus: 2, kernel: "6.1.2" },
      programs: { iperf3: "3.12" },
      plan: { rounds: 2, secondsPerTest: 5, isQuick: false, isCut: false },
      links: {
        "as-is": { title: "veth as it is", features: { tso: true, gro: false } },
        off: { features: { tso: false } },
      },
      subjects: { iptun: { version: "iptun 0.1.0", mtu: 1420 }, veth: { mtu: 1500 } },
    });
  });

  it("has the median and the spread of each figure, by link, metric and subject", () => {
    const { medians } = makeReport(findings());

    expect(medians["as-is"]?.["tcp-1"]?.iptun).toEqual({ median: 4.5, least: 4.4, most: 4.6 });
    expect(medians.off?.["tcp-1"]).toEqual({ iptun: { median: 1.6, least: 1.5, most: 1.7 } });
  });

  it("has every sample, in the order in which it was taken", () => {
    const { samples } = makeReport(findings());

    expect(samples["as-is"]?.["tcp-1"]?.["wireguard-go"]).toEqual([0.5, 0.4]);
    expect(samples["as-is"]?.["udp-1300"]?.iptun).toEqual([61, 0.3333]);
  });

  it("describes the metrics that were measured, and no others", () => {
    expect(makeReport(findings()).metrics).toEqual({
      "tcp-1": { title: "TCP, 1 stream", unit: "Gbit/s" },
      "udp-1300": { title: "UDP 1300, delivered", unit: "kpps" },
      "udp-half-offered": { title: "  offered", unit: "kpps" },
    });
  });

  it("names the tests that failed, without words that could name a folder", () => {
    const { failures } = makeReport(findings());

    expect(failures).toEqual([{ round: 2, link: "off", subject: "wireguard-go", test: "tcp-1" }]);
  });

  it("has no place for a subject or a link that was not measured", () => {
    const report = makeReport(findings());

    expect(Object.keys(report.subjects)).toEqual(["veth", "iptun", "wireguard-go"]);
    expect(Object.keys(report.medians)).toEqual(["as-is", "off"]);
    expect(report.medians.off?.["udp-1300"]).toBeUndefined();
  });
});

describe("the JSON", () => {
  it("is the report", () => {
    const report = makeReport(findings());

    expect(JSON.parse(reportJson(report))).toEqual(report);
  });

  it("has one line for a list of samples and one for a median", () => {
    const lines = reportJson(makeReport(findings())).split("\n");

    expect(lines).toContain('        "iptun": { "median": 4.5, "least": 4.4, "most": 4.6 },');
    expect(lines).toContain('        "iptun": [4.4, 4.6],');
  });

  it("names no folder", () => {
    expect(reportJson(makeReport(findings()))).not.toMatch(/\/tmp|\/home|\/root/);
  });
});

describe("the tables", () => {
  it("show median and multiple of the reference, and below them the spread", () => {
    const [first = "", second = ""] = rowsOf("TCP, 1 stream, Gbit/s");

    expect(first.split(/\s{2,}|\s(?=\d)/)).toEqual([
      ..."TCP, 1 stream, Gbit/s".split(/\s(?=\d)/),
      ...["13.2", "29.33x", "4.50", "10.00x", "0.450", "1.00x"],
    ]);
    expect(second.trim().split(/\s+/)).toEqual(["13.0..13.4", "4.40..4.60", "0.400..0.500"]);
  });

  it("show a dash where nothing was measured, and no multiple without the reference", () => {
    const [first = ""] = rowsOf("UDP 1300, delivered, kpps");

    expect(first.replace("UDP 1300, delivered, kpps", "").trim().split(/\s+/)).toEqual([
      ...["-", "30.7", "-"],
    ]);
  });

  it("leave details to the JSON", () => {
    expect(reportText(makeReport(findings()))).not.toContain("offered");
  });

  it("name each link and what is off, each program, its version and MTU", () => {
    const text = reportText(makeReport(findings()));

    expect(text).toContain("Link: veth as it is (off: gro)");
    expect(text).toContain("Link: every offload off (off: tso, gro)");
    expect(text).toMatch(/^iptun +iptun 0\.1\.0 +MTU 1420 +as it comes$/m);
    expect(text).toContain("2 CPUs (A CPU), Linux 6.1.2");
  });

  it("say when the time was up", () => {
    const found = findings();

    const cut = reportText(makeReport({ ...found, outcome: { ...found.outcome, isCut: true } }));

    expect(cut).toContain("cut short");
    expect(reportText(makeReport(found))).not.toContain("cut short");
  });

  function rowsOf(title: string): readonly string[] {
    const lines = reportText(makeReport(findings())).split("\n");
    const at = lines.findIndex((line) => line.startsWith(title));
    return lines.slice(at, at + 2);
  }
});
