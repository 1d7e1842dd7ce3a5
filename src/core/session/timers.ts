/** What each timer of a peer does when it is due; deadlines.ts has the list. */

import { giveUp, repeatConfirmation, retry, startAttempt } from "../handshake/initiate.ts";
import { failoverDue, preferDue } from "../path/failover.ts";
import { measureDue } from "../path/measure.ts";
import { pathDue, raisePath } from "../path/path-mtu.ts";
import { probeHolder } from "../peers/claims.ts";
import { isNode, type Peer } from "../peers/peer.ts";
import type { State } from "../state.ts";
import type { Instant } from "../time.ts";
import { sendKeepalive, sendProbe } from "./control.ts";
import { armKeepalive } from "./liveness.ts";
import { expireSessions } from "./sessions.ts";

/** Handles every due timer of every peer; before a deadline it does nothing. */
export function handleTimers(state: State, now: Instant): void {
  for (;;) {
    const peer = state.heap.first();
    if (peer === undefined || peer.timers.wakeAt > now) return;
    handlePeerTimers(state, peer, now);
    peer.timers.settle();
    state.heap.update(peer);
  }
}

/** Expiry comes first: nothing after it may use a session over its age. */
function handlePeerTimers(state: State, peer: Peer, now: Instant): void {
  const { timers } = peer;
  if (timers.takeDue("expire", now)) expireSessions(state, peer, now);
  if (timers.takeDue("stale", now)) forgetEndpoint(state, peer);
  if (timers.takeDue("giveUp", now)) giveUp(state, peer, now);
  if (timers.takeDue("retry", now)) retry(state, peer, now);
  if (timers.takeDue("rekey", now)) startAttempt(state, peer, now);
  if (timers.takeDue("unanswered", now)) startAttempt(state, peer, now);
  if (timers.takeDue("confirm", now)) repeatConfirmation(state, peer, now);
  if (timers.takeDue("passiveKeepalive", now)) keepalive(state, peer, now);
  if (timers.takeDue("keepalive", now)) configuredKeepalive(state, peer, now);
  if (timers.takeDue("failover", now)) failoverDue(state, peer, now);
  if (timers.takeDue("prefer", now)) preferDue(state, peer, now);
  if (timers.takeDue("raise", now)) raisePath(state, peer, now);
  if (timers.takeDue("path", now)) pathDue(state, peer, now);
  if (timers.takeDue("measure", now)) measureDue(state, peer, now);
  if (timers.takeDue("pace", now)) state.paceable.add(peer);
  if (timers.takeDue("contest", now) && isNode(peer)) probeHolder(state, peer, now);
}

function keepalive(state: State, peer: Peer, now: Instant): void {
  const { current, endpoint } = peer;
  if (current === undefined || endpoint === undefined) return;
  sendKeepalive(state, current, endpoint, now);
}

/** Without a session it starts a handshake, so that a peer that was away is found again. */
function configuredKeepalive(state: State, peer: Peer, now: Instant): void {
  const { current, endpoint } = peer;
  armKeepalive(peer, now);
  if (current === undefined) startAttempt(state, peer, now);
  else if (endpoint !== undefined) sendProbe(state, current, endpoint, now);
}

/** 180 s of silence: what was learned is released; configured addresses stay. */
function forgetEndpoint(state: State, peer: Peer): void {
  const endpointForgotten = peer.endpoint !== undefined && !peer.hasConfiguredEndpoint;
  peer.endpoint = undefined;
  peer.pathChallenge = undefined;
  state.events.push({ kind: "stale", peer: peer.name, endpointForgotten });
}
