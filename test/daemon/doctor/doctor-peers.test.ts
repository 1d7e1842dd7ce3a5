/** What the status document says of peers and the tunnel, at the edges where a sentence begins. */
import { describe, expect, it } from "vitest";
import type { PeerStatus, StatusDocument } from "../../../src/daemon/control/status.ts";
import { peerFindings } from "../../../src/daemon/doctor/peer-findings.ts";
import { tunnelFindings } from "../../../src/daemon/doctor/tunnel-findings.ts";
import { peerStatus, statusDocument } from "../../cli/status-fixture.ts";

const COUNTERS = peerStatus().counters;
const DOWN = { state: "connecting", silentSeconds: null, sessions: [] } as const;

describe("a peer", () => {
  it.each<[string, Partial<PeerStatus>, readonly string[]]>([
    ["that is well", { pathMtu: 1500 }, []],
    ["after two tries", { ...DOWN, attempt: { tries: 2, ageSeconds: 3 } }, []],
    ["after three", { ...DOWN, attempt: { tries: 3, ageSeconds: 5 } }, ["unanswered"]],
    [
      "whose attempt was given up, and that never had a session",
      { ...DOWN, state: "idle", counters: { ...COUNTERS, sessions: 0, handshakesStarted: 18 } },
      ["unanswered"],
    ],
    ["that is idle, as without packets", { state: "idle", sessions: [] }, []],
    ["without an address", { ...DOWN, endpoint: null }, ["unresolved"]],
    ["that has to begin", { ...DOWN, endpoint: null, configuredEndpoints: [] }, ["awaited"]],
    ["silent without a keepalive", { silentSeconds: 170 }, []],
    ["silent for 3 keepalives and 2 s", { silentSeconds: 77, remoteKeepaliveSeconds: 25 }, []],
    ["silent for more", { silentSeconds: 77.1, remoteKeepaliveSeconds: 25 }, ["silent"]],
    ["silent for more than 3 of ours", { silentSeconds: 78, keepaliveSeconds: 25 }, ["silent"]],
    [
      "that 4 packets went to",
      { counters: { ...COUNTERS, inboundPackets: 0, outboundPackets: 4 } },
      [],
    ],
    [
      "that 5 packets went to",
      { counters: { ...COUNTERS, inboundPackets: 0, outboundPackets: 5 } },
      ["one-way"],
    ],
    ["with a loss of 0.9 %", loss(0.009, 0), []],
    ["with a loss of 1 %", loss(0, 0.01), ["loss"]],
    ["of which no loss is known", loss(null, null), []],
    ["a path of 1499 bytes", { pathMtu: 1499 }, ["path-mtu-low"]],
    [
      "that sends from a martian",
      { refusedSource: { address: "127.0.0.1", reason: "inner_martian", packets: 1 } },
      ["refused-source"],
    ],
    [
      "that claims an address, which is one thing",
      {
        refusedClaims: 2,
        refusedSource: { address: "10.1.0.9", reason: "inner_taken", packets: 2 },
      },
      ["claims-refused"],
    ],
    ["that is a group", { ...DOWN, kind: "group", endpoint: null }, []],
  ])("%s: %j", (_, changes, ids) => {
    const quality = { ...peerStatus().quality, outboundLoss: 0 };
    const found = peerFindings(statusDocument([peerStatus({ quality, ...changes })]));
    expect(found.map(({ id }) => id).filter((id) => id !== "ok")).toEqual(ids);
  });
});

describe("a document", () => {
  it("of a daemon that does not tell of strangers and refused addresses is read all the same", () => {
    const { strangers: _s, refusedDestination: _d, ...rest } = statusDocument([]);
    const {
      refusedSource: _r,
      attempt: _a,
      keepaliveSeconds: _k,
      ...peer
    } = peerStatus({ ...DOWN, ...loss(0, 0) });
    const old = JSON.parse(JSON.stringify({ ...rest, peers: [peer] })) as StatusDocument;

    expect(tunnelFindings(old).filter(({ level }) => level !== "ok")).toEqual([]);
    expect(peerFindings(old)).toEqual([]);
  });

  it("with a stranger where a peer is names the peer, and the keys of here", () => {
    const stranger = { reason: "bad_mac", reports: 1, ageSeconds: 4 } as const;
    const document = statusDocument([peerStatus({ endpoint: "[2001:db8::7]:1194" })], {
      strangers: [
        { ...stranger, source: "[2001:db8::7]:4000" },
        { ...stranger, source: "203.0.113.7:1194" },
      ],
    });

    const [, near, far] = tunnelFindings(document);
    expect(near?.text).toContain("arrive from [2001:db8::7]:4000, where peer b is, but no key");
    expect(far?.text).toContain("arrive from 203.0.113.7:1194 but no key here opens them");
    expect(far?.remedy).toContain("b 0badc0de");
  });
});

function loss(inboundLoss: number | null, outboundLoss: number | null): Partial<PeerStatus> {
  return { quality: { ...peerStatus().quality, inboundLoss, outboundLoss } };
}
