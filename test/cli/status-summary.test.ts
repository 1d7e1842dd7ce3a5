/** The status in passing: a table of peers, and what needs attention. */
import { describe, expect, it } from "vitest";
import { paintOf } from "../../src/cli/paint.ts";
import { peerTable } from "../../src/cli/peer-table.ts";
import { summaryText } from "../../src/cli/status-summary.ts";
import { dropCounters } from "../../src/core/drop-reason.ts";
import type { PeerStatus, StatusDocument } from "../../src/daemon/control/status.ts";
import { peerStatus, statusDocument } from "./status-fixture.ts";

const PLAIN = paintOf(false);
const UNKNOWN = {
  roundTripMs: null,
  minRoundTripMs: null,
  p95RoundTripMs: null,
  jitterMs: null,
  outboundLoss: null,
  inboundLoss: null,
};
const IDLE = peerStatus({
  name: "office",
  state: "idle",
  endpoint: null,
  configuredEndpoints: ["office.example.org:1194"],
  sessions: [],
  quality: UNKNOWN,
  rates: null,
  fingerprints: ["00000001", "00000002"],
});

describe("the summary", () => {
  it("has what is asked for most often where a line has no room for more", () => {
    expect(text(statusDocument([peerStatus()]), 72)).toBe(
      `iptun0  up 2 h 3 min, 10.0.0.1/24, fd00::1/64, mtu 1420, UDP port 1194

peer  state  endpoint        in/out bit/s  rtt ms  session  loss %
b     up     192.0.2.1:1194  1.0M/64k      20.1    12 s     0/2.1
`,
    );
  });

  it("has traffic, MTU and key too where there is room, or no width is known", () => {
    const rest = "0/2.1   84/1.0M       1440  0badc0de\n";
    const of = (width: number | undefined) => text(statusDocument([peerStatus()]), width);
    expect(of(80)).toContain("0/2.1   84/1.0M\n");
    expect(of(90)).toContain("0/2.1   84/1.0M       1440\n");
    expect([of(100), of(undefined)]).toEqual([of(100), of(100)]);
    expect(of(100)).toContain(rest);
  });

  it("has a dash where nothing is known", () => {
    expect(text(statusDocument([IDLE]), undefined)).toContain(
      "office  idle   office.example.org:1194  -             -       -        -       84/1.0M       1440  00000001 +1\n",
    );
  });

  it("keeps two common peers whole in 80 columns, an IPv6 endpoint is cut", () => {
    const peers = [
      peerStatus({ name: "hub-west", state: "connecting", endpoint: "203.0.113.200:51820" }),
      peerStatus({ endpoint: "[2001:db8:1234:5678:9abc:def0:1234:5678]:51820" }),
    ];
    const lines = peerTable(peers, { width: 80, paint: PLAIN });
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines[1]).toContain("203.0.113.200:51820");
    expect(lines[2]).toMatch(/\[2001:db8\S*…:51820/);
  });

  it("wraps the interface's line in a narrow terminal", () => {
    expect(text(statusDocument([]), 40)).toBe(`iptun0  up 2 h 3 min, 10.0.0.1/24
        fd00::1/64, mtu 1420
        UDP port 1194

no peers
`);
  });

  it("counts the sites of a group that are up", () => {
    const node = (name: string, state: PeerStatus["state"]) =>
      peerStatus({ name, kind: "node", state });
    const peers = [
      peerStatus({ name: "branch", kind: "group", rates: null, quality: UNKNOWN, sessions: [] }),
      node("branch/1", "up"),
      node("branch/2", "idle"),
      node("branch2/3", "up"),
    ];
    expect(peerTable(peers, { width: 80, paint: PLAIN })[1]).toMatch(
      /^branch {5}group {2}1 of 2 sites up {2}-/,
    );
  });

  it.each([
    [{ inboundLoss: 0, outboundLoss: 0 }, "0/0"],
    [{ inboundLoss: 0.0004, outboundLoss: null }, "<0.1/-"],
    [{ inboundLoss: 0.0996, outboundLoss: 1 }, "10/100"],
  ])("says a loss of %j as %s", (loss, expected) => {
    const peer = peerStatus({ quality: { ...UNKNOWN, ...loss } });
    expect(peerTable([peer], { width: 80, paint: PLAIN })[1]).toMatch(
      new RegExp(` ${expected}( |$)`),
    );
  });

  it.each([
    [0.34, "0.34"],
    [9.99, "9.99"],
    [20.13, "20.1"],
    [251.4, "251"],
  ])("says a round trip of %f ms as %s", (roundTripMs, expected) => {
    const peer = peerStatus({ quality: { ...UNKNOWN, roundTripMs } });
    expect(peerTable([peer], { width: 80, paint: PLAIN })[1]).toContain(` ${expected} `);
  });

  it("colours states, and losses from one percent on", () => {
    const painted = (changes: Partial<PeerStatus>) =>
      peerTable([peerStatus(changes)], { width: 80, paint: paintOf(true) })[1];
    expect(painted({})).toContain("\u001b[32mup\u001b[0m");
    expect(painted({})).toContain("\u001b[31m0/2.1\u001b[0m");
    expect(painted({ state: "connecting" })).toContain("\u001b[33mconnecting\u001b[0m");
    expect(painted({ state: "idle", quality: UNKNOWN })).not.toContain("\u001b[31m");
  });
});

describe("what needs attention", () => {
  it("is not there while all is well, whatever a healthy tunnel drops", () => {
    const drops = { ...dropCounters(), multicast: 4, challenged: 1 };
    expect(text(statusDocument([peerStatus()], { drops }), 80).split("\n")).toHaveLength(5);
  });

  it("is drops, sources and errors as in the whole status", () => {
    const quiet = statusDocument([]);
    const document = statusDocument([], {
      drops: { ...dropCounters(), bad_mac: 12, multicast: 4 },
      sources: [{ address: "192.0.2.66", charged: 900, refused: 700 }],
      engine: { ...quiet.engine, udpErrors: { EPERM: 2 } },
    });
    const shown = text(document, 80);
    expect(shown).toMatch(/no peers\n\ndropped\n {2}bad_mac {2}12 {2}/);
    expect(shown).toContain("limited sources\n  192.0.2.66  ");
    expect(shown).toContain("kernel errors\n  udp  EPERM  2\n");
    expect(shown).not.toContain("multicast");
  });

  it("is the link, the firewall, and what each peer suffers", () => {
    const pacing = { bitsPerSecond: 1, packets: 0, bytes: 0, dropped: 3, marked: 0 };
    const quiet = statusDocument([IDLE, peerStatus({ pacing }), peerStatus({ refusedClaims: 1 })]);
    const device = { ...quiet.interface, isLinkUp: false, firewall: "failed" as const };
    expect(text({ ...quiet, interface: device }, 80)).toContain(
      `
iptun0    its link is down
firewall  none: nft is missing or has refused it
office    office.example.org:1194 cannot be resolved
b         3 packets waited too long for its rate
b         1 packet from addresses that other nodes hold
`,
    );
    const on = { ...quiet.interface, firewall: "on" as const };
    expect(text({ ...quiet, interface: on }, 80)).not.toContain("firewall");
  });
});

function text(document: StatusDocument, width: number | undefined): string {
  return summaryText(document, { width, paint: PLAIN });
}
