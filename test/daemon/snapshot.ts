/** An engine's snapshot, counters and features as the daemon's tests need them. */
import { dropCounters } from "../../src/core/drop-reason.ts";
import type { PeerSnapshot, SpeedSnapshot, TunnelSnapshot } from "../../src/core/options.ts";
import { mapAddress } from "../../src/core/prefix.ts";
import type { StatusInput } from "../../src/daemon/control/status.ts";
import type { EngineCounters, EngineFeatures } from "../../src/engine/messages.ts";
import { config } from "./config.ts";

export const FEATURES: EngineFeatures = {
  descriptors: { tun: 20, udp: 21 },
  tunName: "iptun0",
  udpPort: 1194,
  udpFamily: 6,
  receiveBufferBytes: 14_680_064,
  sendBufferBytes: 14_680_064,
  vnetHeader: true,
  cipher: "primitives",
  offloads: ["tso", "gso", "gro"],
};

export const COUNTERS: EngineCounters = {
  turns: 3,
  timerTurns: 1,
  timerLatenessMs: 12.5,
  datagramsReceived: 4,
  datagramsSent: 5,
  packetsRead: 6,
  packetsWritten: 7,
  datagramsUnread: 0,
  shieldsRaised: 0,
  gsoFallbacks: 8,
  plainRoutes: 9,
  udpErrors: { ECONNREFUSED: 2 },
  isLinkUp: true,
};

/** A peer that is up. */
export function peerSnapshot(changes: Partial<PeerSnapshot> = {}): PeerSnapshot {
  return {
    name: "b",
    kind: "pair",
    addresses: [],
    refusedClaims: 0,
    refusedSource: undefined,
    attempt: undefined,
    keepaliveSeconds: 0,
    state: "up",
    endpoint: { address: mapAddress(Uint8Array.of(192, 0, 2, 2)), port: 1194, scope: 0 },
    isEndpointConfigured: true,
    fingerprints: ["8d493a44"],
    keys: [
      {
        fingerprint: "8d493a44",
        use: "first",
        startedMs: 20_351,
        peerStartedMs: undefined,
        heardMs: 1_250,
        sites: undefined,
      },
    ],
    sessions: [
      {
        slot: "current",
        isInitiator: true,
        ageMs: 20_349,
        fingerprint: "8d493a44",
        sent: 13,
        received: 10,
      },
    ],
    silentMs: 1_250,
    handshakeAgeMs: 20_351,
    remoteMtu: 1420,
    remoteKeepaliveSeconds: 0,
    mtu: 1440,
    pathMtu: 1500,
    waitingPackets: 0,
    quality: {
      roundTrip: { smoothed: 20.126, min: 20, p95: 21.5, jitter: 0.25 },
      outboundLoss: 0.02,
      inboundLoss: undefined,
    },
    pacing: { bitsPerSecond: 45e6, packets: 12, bytes: 15_000, dropped: 13, marked: 14 },
    counters: {
      inboundPackets: 1,
      inboundBytes: 2,
      outboundPackets: 3,
      outboundBytes: 4,
      keepalivesSent: 5,
      keepalivesReceived: 6,
      handshakesStarted: 7,
      handshakesAnswered: 8,
      sessions: 9,
      endpointMoves: 10,
      reorderedDatagrams: 11,
    },
    ...changes,
  };
}

/** A tunnel with one peer that is up. */
export function tunnelSnapshot(changes: Partial<TunnelSnapshot> = {}): TunnelSnapshot {
  return {
    peers: [peerSnapshot()],
    drops: dropCounters(),
    refusedDestination: undefined,
    handshakeComputations: 1,
    sources: [],
    sessions: 1,
    ...changes,
  };
}

/** A speed test under load: 1,000 datagrams of 1,500 bytes answered in a second. */
export function speedSnapshot(changes: Partial<SpeedSnapshot> = {}): SpeedSnapshot {
  return {
    peer: "b",
    phase: "load",
    loadMs: 1_500,
    datagramBytes: 1_472,
    outerBytes: 1_500,
    innerBytes: 1_440,
    sent: 1_500,
    answered: 1_400,
    lost: 30,
    measuredAnswered: 1_000,
    measuredMs: 1_000,
    idleRoundTripMs: 10.5,
    loadedRoundTripMs: 18.25,
    mostRoundTripMs: 31,
    ...changes,
  };
}

/** What a status document of a running tunnel is made of. */
export function statusInput(snapshot: TunnelSnapshot = tunnelSnapshot()): StatusInput {
  return {
    version: "0.1.0",
    pid: 42,
    uptimeSeconds: 7,
    residentBytes: 1_000,
    config: config(),
    features: FEATURES,
    link: { isUp: true, mtu: 1420 },
    host: { defaultRoute: null, firewall: "off" },
    strangers: [],
    rates: () => undefined,
    snapshot,
    counters: COUNTERS,
  };
}
