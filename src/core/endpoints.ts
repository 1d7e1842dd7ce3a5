/** The one place where a peer's endpoint changes, and its form for the outside. */
import { type Endpoint, isSameRemote, remoteBytes } from "./address.ts";
import type { PlainEndpoint } from "./options.ts";
import { searchPath } from "./path-mtu.ts";
import type { Peer } from "./peer.ts";
import type { State } from "./state.ts";
import type { Instant } from "./time.ts";

/** Sets the peer's endpoint and reports it; an unchanged remote address is no event. */
export function moveEndpoint(state: State, peer: Peer, to: Endpoint, now: Instant): void {
  const from = peer.endpoint;
  if (from !== undefined && isSameRemote(from, to)) return;
  peer.endpoint = to;
  peer.endpointSince = now;
  searchPath(peer, now);
  if (from !== undefined) peer.counters.endpointMoves += 1;
  state.events.push({
    kind: "endpoint",
    peer: peer.name,
    from: from === undefined ? undefined : plainEndpoint(from),
    to: plainEndpoint(to),
  });
}

export function plainEndpoint(endpoint: Endpoint): PlainEndpoint {
  return {
    address: remoteBytes(endpoint).slice(),
    port: endpoint.port,
    scope: endpoint.scope,
  };
}
