/**
 * The status document: text instead of bytes, null instead of nothing, and no key material.
 */
import { describe, expect, it } from "vitest";
import { dropCounters } from "../../../src/core/drop-reason.ts";
import { mapAddress } from "../../../src/core/prefix.ts";
import {
  hostPortText,
  type StatusInput,
  statusDocument,
} from "../../../src/daemon/control/status.ts";
import { config, peerConfig, prefix } from "../config.ts";
import { COUNTERS, FEATURES, peerSnapshot, statusInput, tunnelSnapshot } from "../snapshot.ts";

describe("the status document", () => {
  it("describes process, interface and features, the link as the device has it", () => {
    const document = statusDocument(input({ link: { isUp: false, mtu: 1300 } }));

    expect(document).toMatchObject({
      version: "0.1.0",
      pid: 42,
      uptimeSeconds: 7,
      residentBytes: 1_000,
      interface: {
        name: "iptun0",
        addresses: ["10.0.0.1/24", "fd00::1/64"],
        mtu: 1300,
        listenPort: 1194,
        isLinkUp: false,
        defaultRoute: null,
        firewall: "off",
      },
      engine: COUNTERS,
    });
    expect(document.features).toEqual({
      udpFamily: 6,
      receiveBufferBytes: 14_680_064,
      sendBufferBytes: 14_680_064,
      vnetHeader: true,
      cipher: "primitives",
      offloads: ["tso", "gso", "gro"],
      offloadsOff: [],
      offloadsMissing: ["uso"],
    });
  });

  it("tells offloads that are switched off from those that the kernel does not have", () => {
    const given = input({
      config: config({ offload: { gro: false } }),
      features: { ...FEATURES, offloads: ["tso", "gso"] },
    });

    expect(statusDocument(given).features).toMatchObject({
      offloads: ["tso", "gso"],
      offloadsOff: ["gro"],
      offloadsMissing: ["uso"],
    });
  });

  it("counts refused runs and the routes that get none", () => {
    expect(statusDocument(input()).engine).toMatchObject({ gsoFallbacks: 8, plainRoutes: 9 });
  });

  it("describes a peer with text and seconds", () => {
    const peers = [peerConfig({ allowedIps: [prefix("10.9.0.0/16"), prefix("fd01::/64")] })];

    const [peer] = statusDocument(input({ config: config({ peers }) })).peers;

    expect(peer).toMatchObject({
      name: "b",
      state: "up",
      endpoint: "192.0.2.2:1194",
      configuredEndpoints: ["192.0.2.2:1194"],
      allowedIps: ["10.9.0.0/16", "fd01::/64"],
      fingerprints: ["8d493a44"],
      keys: [
        {
          fingerprint: "8d493a44",
          use: "first",
          startedSeconds: 20.4,
          peerStartedSeconds: null,
          heardSeconds: 1.3,
          sites: null,
        },
      ],
      silentSeconds: 1.3,
      handshakeAgeSeconds: 20.4,
      sessions: [{ slot: "current", ageSeconds: 20.3, sent: 13, received: 10 }],
      quality: {
        roundTripMs: 20.13,
        minRoundTripMs: 20,
        p95RoundTripMs: 21.5,
        jitterMs: 0.25,
        outboundLoss: 0.02,
        inboundLoss: null,
      },
      counters: { inboundPackets: 1, endpointMoves: 10 },
    });
  });

  it("has the rates that are known, in whole bytes", () => {
    const rates = { inboundBytesPerSecond: 12.4, outboundBytesPerSecond: 0.6 };
    const given = input({ rates: (peer) => (peer === "b" ? rates : undefined) });

    expect(statusDocument(given).peers[0]?.rates).toEqual({
      inboundBytesPerSecond: 12,
      outboundBytesPerSecond: 1,
    });
    expect(statusDocument(input()).peers[0]?.rates).toBeNull();
  });

  it("has null where a peer has nothing yet", () => {
    const peer = peerSnapshot({
      state: "idle",
      endpoint: undefined,
      sessions: [],
      silentMs: undefined,
      handshakeAgeMs: undefined,
      remoteMtu: undefined,
      remoteKeepaliveSeconds: undefined,
    });
    const given = input({
      snapshot: tunnelSnapshot({ peers: [peer] }),
      config: config({ peers: [peerConfig({ endpoints: [] })] }),
    });

    expect(statusDocument(given).peers[0]).toMatchObject({
      endpoint: null,
      configuredEndpoints: [],
      silentSeconds: null,
      handshakeAgeSeconds: null,
      remoteMtu: null,
      remoteKeepaliveSeconds: null,
    });
  });

  it("lists drops and sources", () => {
    const sources = [
      { address: mapAddress(Uint8Array.of(192, 0, 2, 9)), charged: 5, refused: 2 },
      { address: mapAddress(Uint8Array.of(192, 0, 2, 10)), charged: 20, refused: 0 },
    ];
    const drops = { ...dropCounters(), forged: 3 };

    const document = statusDocument(input({ snapshot: tunnelSnapshot({ sources, drops }) }));

    expect(document.drops.forged).toBe(3);
    expect(document.sources).toEqual([
      { address: "192.0.2.9", charged: 5, refused: 2 },
      { address: "192.0.2.10", charged: 20, refused: 0 },
    ]);
  });

  it("tells which addresses packets were refused for, who a stranger was, and of an attempt", () => {
    const refusedSource = {
      address: Uint8Array.of(192, 168, 9, 7),
      reason: "inner_source",
      packets: 4,
    } as const;
    const peer = peerSnapshot({ refusedSource, attempt: { ageMs: 4_040, tries: 3 } });
    const refusedDestination = {
      address: Uint8Array.of(10, 9, 0, 1),
      reason: "no_peer",
      packets: 5,
    } as const;
    const stranger = {
      source: "192.0.2.9:1194",
      reason: "bad_mac",
      reports: 2,
      ageSeconds: 3,
    } as const;
    const snapshot = tunnelSnapshot({ peers: [peer], refusedDestination });

    const document = statusDocument(input({ snapshot, strangers: [stranger] }));

    expect(document.strangers).toEqual([stranger]);
    expect(document.refusedDestination).toEqual({ ...refusedDestination, address: "10.9.0.1" });
    expect(document.peers[0]).toMatchObject({
      refusedSource: { ...refusedSource, address: "192.168.9.7" },
      attempt: { tries: 3, ageSeconds: 4 },
    });
  });

  it("lists no source that was only charged, as a genuine peer is for its first handshake", () => {
    const sources = [{ address: mapAddress(Uint8Array.of(192, 0, 2, 9)), charged: 19, refused: 0 }];

    const document = statusDocument(input({ snapshot: tunnelSnapshot({ sources }) }));

    expect(document.sources).toEqual([]);
  });

  it("survives JSON unchanged and holds no key in any form", () => {
    const key = Uint8Array.from({ length: 32 }, (_, index) => index + 100);
    const given = input({ config: config({ peers: [peerConfig({ keys: [key] })] }) });

    const document = statusDocument(given);

    const text = JSON.stringify(document);
    expect(JSON.parse(text)).toEqual(document);
    for (const form of ["hex", "base64", "base64url"] as const) {
      expect(text).not.toContain(Buffer.from(key).toString(form));
    }
    expect(text).not.toContain(key.subarray(0, 8).join());
  });
});

it.each([
  ["vpn.example.org", "vpn.example.org:1194"],
  ["192.0.2.1", "192.0.2.1:1194"],
  ["2001:db8::1", "[2001:db8::1]:1194"],
])("%s with a port is %s", (host, expected) => {
  expect(hostPortText({ host, port: 1194 })).toBe(expected);
});

function input(changes: Partial<StatusInput> = {}): StatusInput {
  return { ...statusInput(), ...changes };
}
