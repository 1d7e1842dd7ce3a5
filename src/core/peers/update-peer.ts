/**
 * Other options for a peer that is there: each is taken over in place, and costs no session.
 *
 * Only a key that goes ends the sessions that stand on it (peer-keys.ts). The nodes of a group follow their
 * entry. What waits for a session is routed when it leaves, so that it follows other prefixes by itself.
 */
import { type Endpoint, isSameRemote } from "../address.ts";
import { DEFAULT_FAILOVER_MS } from "../constants.ts";
import { startAttempt } from "../handshake/initiate.ts";
import { setKeys } from "../handshake/peer-keys.ts";
import { isMartianPrefix } from "../inbound/martian.ts";
import type { PeerUpdate, PlainEndpoint } from "../options.ts";
import { Pacer } from "../pacing/pacing.ts";
import { moveEndpoint } from "../path/endpoints.ts";
import { formatPrefix, type Prefix } from "../prefix.ts";
import { armKeepalive } from "../session/liveness.ts";
import type { State } from "../state.ts";
import type { Instant } from "../time.ts";
import { releaseStrange } from "./claims.ts";
import { fromPlain, type Peer } from "./peer.ts";

/** Takes the options over; what is the same stays untouched. */
export function updatePeer(state: State, peer: Peer, update: PeerUpdate, now: Instant): void {
  setPrefixes(state, peer, update.allowedIps);
  peer.failoverMs = update.failoverMs ?? DEFAULT_FAILOVER_MS;
  for (const one of [peer, ...(peer.group?.nodes.values() ?? [])]) {
    setKeepalive(one, update.keepaliveSeconds, now);
    setRate(state, one, update.rateBitsPerSecond, now);
    if (one.roaming !== update.roaming) one.pathChallenge = undefined;
    one.roaming = update.roaming;
  }
  if (update.keys !== undefined) setKeys(state, peer, update.keys, now);
  peer.hasConfiguredEndpoint = update.hasConfiguredEndpoint;
  if (update.endpoints !== undefined) setConfigured(state, peer, update.endpoints, now);
}

/** Only what another peer has not been given meanwhile is taken out of the table. */
function setPrefixes(state: State, peer: Peer, prefixes: readonly Prefix[]): void {
  const text = (some: readonly Prefix[]) => some.map(formatPrefix).join();
  if (text(prefixes) === text(peer.allowedIps)) return;
  state.routes.removeValue(peer);
  for (const prefix of prefixes) state.routes.insert(prefix, peer);
  peer.allowedIps = prefixes;
  peer.martians = prefixes.filter(isMartianPrefix);
  if (peer.group !== undefined) releaseStrange(state, peer.group);
}

function setKeepalive(peer: Peer, seconds: number, now: Instant): void {
  if (peer.keepaliveSeconds === seconds) return;
  peer.keepaliveSeconds = seconds;
  peer.timers.clear("keepalive");
  armKeepalive(peer, now);
}

/** What waits for a rate that is taken away leaves before what comes after it. */
function setRate(state: State, peer: Peer, rate: number | undefined, now: Instant): void {
  if (peer.rateBitsPerSecond === rate) return;
  peer.rateBitsPerSecond = rate;
  if (peer.kind === "group") return;
  if (peer.pacer === undefined) {
    if (rate !== undefined) peer.pacer = new Pacer(rate, state.paced, state.flowSeed, now);
    return;
  }
  peer.timers.clear("pace");
  if (rate === undefined && peer.pacer.isEmpty) {
    peer.pacer = undefined;
    return;
  }
  if (rate === undefined) peer.pacer.release();
  else peer.pacer.setRate(rate, now);
  state.paceable.add(peer);
}

/**
 * Where the endpoint in use was configured and is not any more, the first of the new ones is used at once, and a
 * host there that does not know the session is asked for another.
 */
function setConfigured(
  state: State,
  peer: Peer,
  endpoints: readonly PlainEndpoint[],
  now: Instant,
): void {
  const { endpoint, configured } = peer;
  const has = (some: readonly Endpoint[]) =>
    endpoint !== undefined && some.some((one) => isSameRemote(one, endpoint));
  peer.configured = endpoints.map(fromPlain);
  const [first] = peer.configured;
  if (first === undefined) return;
  const isMoved = has(configured) && !has(peer.configured);
  if (isMoved) moveEndpoint(state, peer, first, now);
  else if (endpoint !== undefined) peer.timers.set("prefer", now);
  if (!isMoved && peer.current !== undefined) return;
  if (peer.attempt === undefined) startAttempt(state, peer, now);
  else peer.timers.set("retry", now);
}
