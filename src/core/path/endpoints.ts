/** The one place where a peer's endpoint changes, and its form for the outside. */
import { type Endpoint, isSameRemote, remoteBytes } from "../address.ts";
import { FAILOVER_STAGES, PREFERRED_MS, STALE_AFTER_MS } from "../constants.ts";
import type { PlainEndpoint } from "../options.ts";
import type { Peer } from "../peers/peer.ts";
import type { State } from "../state.ts";
import { after, type Instant } from "../time.ts";
import { forgetQuality } from "./measure.ts";
import { searchPath } from "./path-mtu.ts";

/** Sets the peer's endpoint and reports it; an unchanged remote address is no event. */
export function moveEndpoint(state: State, peer: Peer, to: Endpoint, now: Instant): void {
  const from = peer.endpoint;
  if (from !== undefined && isSameRemote(from, to)) return;
  peer.endpoint = to;
  peer.endpointSince = now;
  searchPath(peer, now);
  if (from === undefined) peer.quality?.clear();
  else forgetQuality(peer);
  if (rankOf(peer, to) > 0) peer.timers.set("prefer", after(now, PREFERRED_MS));
  if (from !== undefined) peer.counters.endpointMoves += 1;
  state.events.push({
    kind: "endpoint",
    peer: peer.name,
    from: from === undefined ? undefined : plainEndpoint(from),
    to: plainEndpoint(to),
  });
}

/** Takes up where an earlier run has left off; what is not heard from there is forgotten as any stale endpoint. */
export function resumeEndpoint(peer: Peer, at: Endpoint, now: Instant): void {
  peer.endpoint = at;
  peer.endpointSince = now;
  if (rankOf(peer, at) > 0) peer.timers.set("prefer", after(now, PREFERRED_MS));
  peer.timers.set("stale", after(now, STALE_AFTER_MS));
}

export function plainEndpoint(endpoint: Endpoint): PlainEndpoint {
  return {
    address: remoteBytes(endpoint).slice(),
    port: endpoint.port,
    scope: endpoint.scope,
  };
}

/** Place of an endpoint among the configured ones, 0 the most preferred; one that is not among them comes last. */
export function rankOf({ configured }: Peer, endpoint: Endpoint): number {
  const rank = configured.findIndex((one) => isSameRemote(one, endpoint));
  return rank === -1 ? configured.length : rank;
}

/** The endpoint in use is silent for `failover_ms` and several probes (rule 19). */
export function isDead({ failover }: Peer): boolean {
  return failover.stage >= FAILOVER_STAGES.length;
}
