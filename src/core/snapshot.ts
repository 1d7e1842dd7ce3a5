/** The state as plain data for status: no key bytes, only fingerprints. */

import { REJECT_AFTER_MS } from "./constants.ts";
import { keySnapshots } from "./handshake/key-snapshot.ts";
import type { PeerSnapshot, SessionSnapshot, TunnelSnapshot } from "./options.ts";
import { plainEndpoint } from "./path/endpoints.ts";
import { everyPeer } from "./peers/members.ts";
import type { Peer, Session } from "./peers/peer.ts";
import type { State } from "./state.ts";
import type { Instant } from "./time.ts";

/** Everything an operator may see. */
export function snapshotOf(state: State, now: Instant): TunnelSnapshot {
  return {
    peers: Array.from(everyPeer(state), (peer) => peerSnapshot(peer, now)),
    drops: { ...state.drops },
    refusedDestination: state.refusedDestination.snapshot(),
    handshakeComputations: state.handshakeComputations,
    sources: state.sources.snapshot(),
    sessions: state.sessions.size,
  };
}

function peerSnapshot(peer: Peer, now: Instant): PeerSnapshot {
  const { remote, attempt } = peer;
  const endpoint = peer.endpoint ?? peer.configured[0];
  return {
    name: peer.name,
    kind: peer.kind,
    addresses: [...(peer.membership?.addresses ?? [])],
    refusedClaims: peer.membership?.refusedClaims ?? 0,
    refusedSource: peer.refusedSource?.snapshot(),
    attempt: attempt && { ageMs: now - attempt.startedAt, tries: attempt.tries },
    keepaliveSeconds: peer.keepaliveSeconds,
    state: stateOf(peer, now),
    endpoint: endpoint === undefined ? undefined : plainEndpoint(endpoint),
    isEndpointConfigured: peer.hasConfiguredEndpoint,
    fingerprints: peer.psks.map((psk) => psk.ring.fingerprint),
    keys: keySnapshots(peer, now),
    sessions: sessionSnapshots(peer, now),
    silentMs: since(peer.lastHeardAt, now),
    handshakeAgeMs: since(peer.lastHandshakeAt, now),
    remoteMtu: remote?.mtu,
    remoteKeepaliveSeconds: remote?.keepaliveSeconds,
    mtu: peer.mtu,
    pathMtu: peer.path?.confirmed || undefined,
    quality: peer.quality?.snapshot() ?? NO_QUALITY,
    pacing: peer.pacer?.snapshot(),
    waitingPackets: peer.waiting.count,
    counters: { ...peer.counters },
  };
}

const NO_QUALITY = { roundTrip: undefined, outboundLoss: undefined, inboundLoss: undefined };

function stateOf(peer: Peer, now: Instant): PeerSnapshot["state"] {
  const { current } = peer;
  if (current !== undefined && now - current.born < REJECT_AFTER_MS) return "up";
  return peer.attempt === undefined ? "idle" : "connecting";
}

function sessionSnapshots(peer: Peer, now: Instant): SessionSnapshot[] {
  const describe = (slot: SessionSnapshot["slot"]) => (session: Session | undefined) =>
    session === undefined ? [] : [sessionSnapshot(session, slot, now)];
  return [
    ...describe("current")(peer.current),
    ...describe("previous")(peer.previous),
    ...peer.halfOpen.flatMap(describe("next")),
  ];
}

function sessionSnapshot(
  session: Session,
  slot: SessionSnapshot["slot"],
  now: Instant,
): SessionSnapshot {
  return {
    slot,
    isInitiator: session.isInitiator,
    ageMs: now - session.born,
    fingerprint: session.psk.ring.fingerprint,
    sent: session.nextCounter,
    received: session.receivedPackets,
  };
}

function since(instant: Instant | undefined, now: Instant): number | undefined {
  return instant === undefined || instant === Number.NEGATIVE_INFINITY ? undefined : now - instant;
}
