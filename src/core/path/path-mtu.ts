/**
 * The path MTU of each peer (rule 18): searched when a session begins or the endpoint moves, confirmed while
 * large datagrams flow, and asked for again when it fell or may have risen.
 *
 * Only authentic answers to own probes count; ICMP is not even read, so nobody can forge a smaller path.
 * Probes carry DF and are as long as what they ask about; everything else travels without DF, so that an IPv4
 * path which fell goes on in fragments until the new size is known. Not here: which sizes to ask next
 * (path-search.ts), and what the device is told (the control side, by the event).
 *
 * The trap: a path that is dead answers nothing, which says nothing of its size; only where small probes pass
 * is a large one too large.
 */
import { type Endpoint, isSameRemote } from "../address.ts";
import {
  BASE_PLPMTU,
  LEAST_INNER_MTU,
  LEAST_PROBE_WAIT_MS,
  MAX_PROBES,
  MOST_PROBE_WAIT_MS,
  PROBE_WAIT_MS,
  SEARCH_RETRY_MS,
} from "../constants.ts";
import type { Peer } from "../peers/peer.ts";
import { sendPathProbe } from "../session/control.ts";
import type { State } from "../state.ts";
import { after, type Instant } from "../time.ts";
import { DATA_OVERHEAD } from "../wire.ts";
import { outerBytes, type Path } from "./path.ts";
import { PathSearch } from "./path-search.ts";

/** The path may be another one: a session began, or the endpoint moved. */
export function searchPath(peer: Peer, now: Instant): void {
  if (peer.path === undefined) return;
  peer.path.search = undefined;
  peer.path.misses = MAX_PROBES;
  peer.path.retryMs = SEARCH_RETRY_MS;
  peer.timers.clear("raise");
  peer.timers.set("path", now);
}

/** The time of a round, or of a probe of the confirmed size, is over; or it is time for one. */
export function pathDue(state: State, peer: Peer, now: Instant): void {
  const { path, current, endpoint } = peer;
  if (path === undefined || endpoint === undefined || !current?.isUsable(now)) return;
  if (path.isConfirming) {
    path.isConfirming = false;
    path.misses += 1;
  }
  if (path.search === undefined && path.misses < MAX_PROBES) {
    if (path.misses > 0 || path.hasLarge) confirm(state, peer, path, endpoint, now);
    return;
  }
  path.misses = 0;
  if (path.search === undefined) path.search = new PathSearch(mostOf(state, peer, endpoint));
  else path.search.endRound();
  goOn(state, peer, path, path.search, endpoint, now);
}

/** It is time to ask whether more passes than before. */
export function raisePath(state: State, peer: Peer, now: Instant): void {
  const { path, endpoint } = peer;
  if (path === undefined || endpoint === undefined || path.search !== undefined) return;
  if (path.confirmed === 0) path.misses = MAX_PROBES;
  else path.search = new PathSearch(mostOf(state, peer, endpoint), path.confirmed);
  path.isConfirming = false;
  peer.timers.set("path", now);
}

/** An own probe of `bytes` UDP payload to `to` was answered. */
export function pathProbeAnswered(peer: Peer, bytes: number, to: Endpoint, now: Instant): void {
  const { path, endpoint } = peer;
  if (path === undefined || endpoint === undefined || !isSameRemote(to, endpoint)) return;
  const passed = bytes + outerBytes(to);
  if (path.search !== undefined) {
    path.search.pass(passed);
    if (path.search.isRoundDone) peer.timers.set("path", now);
  } else if (passed >= path.confirmed && path.confirmed > 0) {
    path.isConfirming = false;
    path.misses = 0;
    path.hasLarge = false;
    peer.timers.clear("path");
  }
}

/** The next round of a search, or its end. */
function goOn(
  state: State,
  peer: Peer,
  path: Path,
  search: PathSearch,
  to: Endpoint,
  now: Instant,
): void {
  // One round may have lost the size in use by chance; two seldom do.
  const isSure = search.passed > path.confirmed || search.rounds > 1 || search.isDone;
  if (search.passed > 0 && isSure) settle(state, peer, path, search.passed, to);
  if (search.isDone) {
    finish(state, peer, path, search, to, now);
    return;
  }
  for (const bytes of search.nextRound()) sendPathProbe(state, peer, bytes - outerBytes(to), now);
  peer.timers.set("path", after(now, waitMs(peer)));
}

function finish(
  state: State,
  peer: Peer,
  path: Path,
  search: PathSearch,
  to: Endpoint,
  now: Instant,
): void {
  path.search = undefined;
  path.hasLarge = false;
  if (search.passed === 0) {
    peer.timers.set("raise", after(now, path.retryMs));
    path.retryMs = Math.min(2 * path.retryMs, state.pathMtu.raiseMs);
    return;
  }
  path.retryMs = SEARCH_RETRY_MS;
  if (search.passed < mostOf(state, peer, to)) {
    peer.timers.set("raise", after(now, state.pathMtu.raiseMs));
  }
}

/** Takes a size that passed into use. */
function settle(state: State, peer: Peer, path: Path, passed: number, to: Endpoint): void {
  const isFirst = path.confirmed === 0;
  path.confirmed = passed;
  peer.carries = passed - outerBytes(to) - DATA_OVERHEAD;
  const mtu = Math.max(LEAST_INNER_MTU, peer.carries);
  const from = peer.mtu;
  if (mtu === from && !isFirst) return;
  peer.mtu = mtu;
  state.events.push({ kind: "mtu", peer: peer.name, from, mtu, pathMtu: passed });
}

function confirm(state: State, peer: Peer, path: Path, to: Endpoint, now: Instant): void {
  path.isConfirming = true;
  sendPathProbe(state, peer, path.confirmed - outerBytes(to), now);
  peer.timers.set("path", after(now, waitMs(peer)));
}

/** The largest outer packet worth asking for: what our links, and the other side's buffers, take. */
function mostOf({ mtu, pathMtu }: State, { remote }: Peer, to: Endpoint): number {
  const inner = Math.min(mtu, Math.max(remote?.mtu ?? mtu, LEAST_INNER_MTU));
  const most = Math.min(pathMtu.linkMtu, inner + DATA_OVERHEAD + outerBytes(to));
  return Math.max(most, BASE_PLPMTU);
}

function waitMs({ roundTrip }: Peer): number {
  const { smoothed, variation } = roundTrip;
  if (smoothed === undefined) return PROBE_WAIT_MS;
  const ms = smoothed + Math.max(4 * variation, LEAST_PROBE_WAIT_MS);
  return Math.min(ms, MOST_PROBE_WAIT_MS);
}
