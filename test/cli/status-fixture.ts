/**
 * A status document as a daemon gives it.
 */
import { dropCounters } from "../../src/core/drop-reason.ts";
import type { KeyStatus, PeerStatus, StatusDocument } from "../../src/daemon/control/status.ts";

/** The only key of a peer, changed as given. */
export function keyStatus(changes: Partial<KeyStatus> = {}): KeyStatus {
  return {
    fingerprint: "0badc0de",
    use: "first",
    startedSeconds: 12.5,
    peerStartedSeconds: 130,
    heardSeconds: 1.5,
    sites: null,
    ...changes,
  };
}

/** A peer that is up, changed as given. */
export function peerStatus(changes: Partial<PeerStatus> = {}): PeerStatus {
  return {
    name: "b",
    kind: "pair",
    state: "up",
    endpoint: "192.0.2.1:1194",
    configuredEndpoints: ["vpn.example.org:1194"],
    allowedIps: ["10.1.0.0/16"],
    addresses: [],
    refusedClaims: 0,
    refusedSource: null,
    attempt: null,
    fingerprints: ["0badc0de"],
    keys: [keyStatus()],
    sessions: [
      {
        slot: "previous",
        isInitiator: false,
        ageSeconds: 130,
        fingerprint: "0badc0de",
        sent: 9,
        received: 9,
      },
      {
        slot: "current",
        isInitiator: true,
        ageSeconds: 12.5,
        fingerprint: "0badc0de",
        sent: 4,
        received: 5,
      },
    ],
    silentSeconds: 1.5,
    handshakeAgeSeconds: 12.5,
    remoteMtu: 1420,
    mtu: 1440,
    pathMtu: 1500,
    keepaliveSeconds: 0,
    remoteKeepaliveSeconds: 0,
    waitingPackets: 0,
    quality: {
      roundTripMs: 20.13,
      minRoundTripMs: 20,
      p95RoundTripMs: 21.5,
      jitterMs: 0.25,
      outboundLoss: 0.0213,
      inboundLoss: 0,
    },
    rates: { inboundBytesPerSecond: 125_000, outboundBytesPerSecond: 8_000 },
    pacing: null,
    counters: {
      inboundPackets: 1,
      inboundBytes: 84,
      outboundPackets: 20,
      outboundBytes: 1_048_576,
      keepalivesSent: 2,
      keepalivesReceived: 3,
      handshakesStarted: 4,
      handshakesAnswered: 5,
      sessions: 6,
      endpointMoves: 1,
      reorderedDatagrams: 3,
    },
    ...changes,
  };
}

/** The document of a quiet tunnel with the given peers, changed as given. */
export function statusDocument(
  peers: readonly PeerStatus[],
  changes: Partial<StatusDocument> = {},
): StatusDocument {
  return {
    version: "0.1.0",
    pid: 4711,
    uptimeSeconds: 7380,
    residentBytes: 50_331_648,
    interface: {
      name: "iptun0",
      addresses: ["10.0.0.1/24", "fd00::1/64"],
      mtu: 1420,
      listenPort: 1194,
      isLinkUp: true,
      defaultRoute: null,
      firewall: "off",
    },
    features: {
      udpFamily: 6,
      receiveBufferBytes: 7_340_032,
      sendBufferBytes: 7_340_032,
      vnetHeader: true,
      cipher: "primitives",
      offloads: ["tso", "uso", "gso", "gro"],
      offloadsOff: [],
      offloadsMissing: [],
    },
    confirmSecondsLeft: null,
    peers,
    sessions: 1,
    drops: dropCounters(),
    refusedDestination: null,
    strangers: [],
    handshakeComputations: 5,
    sources: [],
    engine: {
      turns: 1,
      timerTurns: 1,
      timerLatenessMs: 2,
      datagramsReceived: 1,
      datagramsSent: 1,
      packetsRead: 1,
      packetsWritten: 1,
      datagramsUnread: 0,
      shieldsRaised: 0,
      gsoFallbacks: 0,
      plainRoutes: 0,
      udpErrors: {},
      isLinkUp: true,
    },
    ...changes,
  };
}
