/**
 * Which of a peer's configured endpoints is used (rule 19): the next one when the one in use is dead, the
 * preferred one again when it lives.
 *
 * Dead is what does not answer: data and then two probes go unheard for `failover_ms`. Then every other endpoint
 * gets a probe on the session, which the same host answers after one round trip, and an INIT, which
 * another host answers. The way back is slow on purpose: three answers in a row.
 */
import { type Endpoint, isRowFrom, isSameRemote } from "../address.ts";
import {
  FAILOVER_CANDIDATES,
  FAILOVER_STAGES,
  PREFERRED_AGAIN_MS,
  PREFERRED_ANSWERS,
  PREFERRED_MS,
} from "../constants.ts";
import { startAttempt } from "../handshake/initiate.ts";
import type { Peer } from "../peers/peer.ts";
import { sendProbe } from "../session/control.ts";
import type { State } from "../state.ts";
import { after, type Instant } from "../time.ts";
import { isDead, moveEndpoint, plainEndpoint, rankOf } from "./endpoints.ts";

/** A stage of the deadline passed and the peer was not heard: asks it, and in the end the others. */
export function failoverDue(state: State, peer: Peer, now: Instant): void {
  const { failover, current, endpoint } = peer;
  if (current === undefined || endpoint === undefined) return;
  const wasDead = isDead(peer);
  failover.stage += 1;
  // Before the probe: what is sent while no stage is under way begins at the first.
  armStage(peer, now);
  sendProbe(state, current, endpoint, now);
  if (!isDead(peer)) return;
  for (const other of othersOf(peer)) sendProbe(state, current, other, now);
  if (wasDead) return;
  state.events.push({ kind: "dead", peer: peer.name, endpoint: plainEndpoint(endpoint) });
  startAttempt(state, peer, now);
}

/**
 * Fresh data came in message row `base` from another address than the endpoint in use. Where it is a configured
 * one that was asked, it answers, whatever the data says: a peer that does not know our address yet sends its
 * probe's answer to where we were, but a path challenge to where we are.
 */
export function heardElsewhere(
  state: State,
  peer: Peer,
  rows: Int32Array,
  base: number,
  now: Instant,
): void {
  const { failover, endpoint } = peer;
  if (peer.failoverMs === Number.POSITIVE_INFINITY) return;
  const to = othersOf(peer).find((other) => isRowFrom(rows, base, other));
  if (to === undefined || endpoint === undefined || !peer.probes.isAsked(to)) return;
  if (isDead(peer)) {
    use(state, peer, to, now);
    return;
  }
  if (rankOf(peer, to) >= rankOf(peer, endpoint)) return;
  const isSame = failover.answering !== undefined && isSameRemote(failover.answering, to);
  failover.answers = isSame ? failover.answers + 1 : 1;
  failover.answering = to;
  if (failover.answers >= PREFERRED_ANSWERS) use(state, peer, to, now);
  else peer.timers.set("prefer", after(now, PREFERRED_AGAIN_MS));
}

/** Asks the endpoints that are preferred to the one in use whether they live. */
export function preferDue(state: State, peer: Peer, now: Instant): void {
  const { current, endpoint } = peer;
  if (endpoint === undefined || rankOf(peer, endpoint) === 0) return;
  if (peer.failoverMs === Number.POSITIVE_INFINITY) return;
  peer.timers.set("prefer", after(now, PREFERRED_MS));
  if (current === undefined || isDead(peer)) return;
  const rank = rankOf(peer, endpoint);
  for (const better of peer.configured.slice(0, Math.min(rank, FAILOVER_CANDIDATES))) {
    sendProbe(state, current, better, now);
  }
}

function use(state: State, peer: Peer, to: Endpoint, now: Instant): void {
  peer.failover.stage = 0;
  peer.failover.answers = 0;
  moveEndpoint(state, peer, to, now);
}

function armStage(peer: Peer, now: Instant): void {
  const share = FAILOVER_STAGES[peer.failover.stage] ?? 1;
  const before = FAILOVER_STAGES[peer.failover.stage - 1] ?? 0;
  // Once dead, all are asked again every half of the time.
  const wait = isDead(peer) ? 0.5 : share - before;
  peer.timers.set("failover", after(now, wait * peer.failoverMs));
}

function othersOf({ configured, endpoint }: Peer): readonly Endpoint[] {
  return configured
    .filter((one) => endpoint === undefined || !isSameRemote(one, endpoint))
    .slice(0, FAILOVER_CANDIDATES);
}
