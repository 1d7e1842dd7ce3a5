/**
 * A small run's findings, for tests of the report, the table and the chart.
 */
import type { Findings } from "../../scripts/benchmark/report.ts";
import type { Sample } from "../../scripts/benchmark/rounds.ts";

/** What a run of two rounds, three subjects and two links found; one test failed. */
export function findings(): Findings {
  return {
    date: new Date("2026-01-02T03:04:05.678Z"),
    machine: { cpu: "A CPU", cpus: 2, kernel: "6.1.2" },
    programs: { iperf3: "3.12" },
    plan: {
      rounds: 2,
      effort: { seconds: 5, pings: 10 },
      links: ["as-is", "off"],
      subjects: ["veth", "iptun", "wireguard-go"],
      tests: { "as-is": ["tcp-1", "udp-1300"], nic: [], off: ["tcp-1"] },
      limitSeconds: 1000,
      isQuick: false,
    },
    outcome: {
      samples: [
        ...pair("as-is", "tcp-1", "veth", 13, 13.4),
        ...pair("as-is", "tcp-1", "iptun", 4.4, 4.6),
        ...pair("as-is", "tcp-1", "wireguard-go", 0.5, 0.4),
        ...pair("as-is", "udp-1300", "iptun", 61, 1 / 3),
        ...pair("as-is", "udp-half-offered", "iptun", 7, 7),
        ...pair("off", "tcp-1", "iptun", 1.5, 1.7),
      ],
      failures: [
        {
          round: 2,
          link: "off",
          subject: "wireguard-go",
          test: "tcp-1",
          message: "ended with 1 in /tmp/somewhere",
        },
      ],
      isCut: false,
    },
    features: new Map([
      ["as-is", { tso: true, gro: false }],
      ["off", { tso: false, gro: false }],
    ]),
    subjects: new Map([
      ["veth", { title: "plain veth", version: "Linux 6.1.2", note: "no tunnel", mtu: 1500 }],
      ["iptun", { title: "iptun", version: "iptun 0.1.0", note: "as it comes", mtu: 1420 }],
      [
        "wireguard-go",
        { title: "wireguard-go <&>", version: "wireguard-go v1.2", note: "", mtu: 1420 },
      ],
    ]),
  };
}

function pair(
  link: Sample["link"],
  metric: Sample["metric"],
  subject: Sample["subject"],
  first: number,
  second: number,
): readonly Sample[] {
  return [first, second].map((value, index) => ({
    round: index + 1,
    link,
    subject,
    metric,
    value,
  }));
}
