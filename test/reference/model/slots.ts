/**
 * Slots: previous, current and the ones that wait (rules 6, 7, 8, 15), and the floors that confirming raises (rule 2).
 */

import { settleNode } from "./nodes.ts";
import {
  CROSSING,
  HALF_OPEN_NEWCOMER,
  HALF_OPEN_OF_NODE,
  HALF_OPEN_OF_PEER,
  REJECT,
  REKEY_INITIATOR,
  REKEY_RESPONDER,
} from "./rules.ts";
import { indexOf, type Model, type Peer, type Session } from "./state.ts";

/** Sessions of a peer, the best first. */
export function sessionsOf({ current, previous, halfOpen }: Peer): Session[] {
  const sessions = [...halfOpen];
  if (previous !== undefined) sessions.unshift(previous);
  if (current !== undefined) sessions.unshift(current);
  return sessions;
}

/** Rule 6: the RESP, or the first data, confirms. */
export function confirm(model: Model, session: Session): void {
  const { peer } = session;
  session.isConfirmed = true;
  if (!session.isInitiator) {
    raiseFloor(model, session);
    peer.halfOpen = peer.halfOpen.filter((other) => other !== session);
    for (const other of peer.halfOpen) {
      if (other.node !== session.node || other.stamp >= session.stamp) continue;
      model.tally.note("olderHalfOpenEnded");
      end(model, other);
    }
  }
  peer.isUp = true;
  place(model, session);
  if (peer.current === session) {
    endAttempt(model, peer);
    peer.timers.unanswered = Infinity;
    if (peer.waiting.length > 0) peer.isFlushable = true;
  }
  armRekey(peer);
}

/** Rule 2: the highest stamp of a confirmed session; it never falls. */
function raiseFloor(model: Model, { node, stamp }: Session): void {
  const { floors } = model;
  const floor = Math.max(stamp, floors.get(node) ?? 0);
  floors.delete(node);
  const [oldest] = floors.keys();
  if (floors.size >= model.floorsKept && oldest !== undefined) {
    floors.delete(oldest);
    model.tally.note("floorForgotten");
  }
  floors.set(node, floor);
}

/** Rule 8: the better of two is current, the other previous, a third ends. */
function place(model: Model, session: Session): void {
  const { peer } = session;
  const { current, previous } = peer;
  if (current === undefined || isBetter(model, session, current)) {
    peer.current = session;
    peer.previous = current;
    end(model, previous);
  } else if (previous === undefined || isBetter(model, session, previous)) {
    peer.previous = session;
    end(model, previous);
  } else {
    model.tally.note("endedAtOnce");
    end(model, session);
  }
}

/** Rule 8: the newer one, unless the two crossed; then the one whose initiator has the smaller node id. */
function isBetter(model: Model, session: Session, other: Session): boolean {
  const isSessionOlder = session.born < other.born;
  const older = isSessionOlder ? session : other;
  const younger = isSessionOlder ? other : session;
  const isOpposite = session.isInitiator !== other.isInitiator;
  if (isOpposite && younger.born - older.born <= CROSSING) {
    if (older.heardAt === undefined || younger.born <= older.heardAt) {
      model.tally.note("crossing");
      return session.initiator < other.initiator;
    }
    model.tally.note("lateCrossing");
  }
  return session.born >= other.born;
}

/** Rule 7: a responder's session waits; the bounds say who makes room. */
export function keepWaiting(model: Model, session: Session): void {
  const { peer } = session;
  const before = peer.halfOpen;
  const ofNode = before.filter(({ node }) => node === session.node);
  peer.halfOpen = [...before, session];
  if (ofNode.length >= HALF_OPEN_OF_NODE) {
    model.tally.note("halfOpenOfNode");
    displace(model, ofNode[0]);
  }
  if (before.length >= HALF_OPEN_OF_PEER) {
    model.tally.note("halfOpenOfPeer");
    displace(model, before.find((other) => isNewcomer(model, other)) ?? before[0]);
  }
  armRekey(peer);
}

function displace(model: Model, session: Session | undefined): void {
  if (session === undefined) return;
  end(model, session);
  settleNode(model, session.peer);
}

/** Rule 7: a node that had no session here. */
function isNewcomer(model: Model, { peer, node }: Session): boolean {
  const isKnown = peer.current?.node === node || peer.previous?.node === node;
  return !isKnown && !model.floors.has(node);
}

/** 180 s, and 10 s for what a newcomer left waiting. */
function expiryOf(model: Model, session: Session): number {
  const isShort = !session.isConfirmed && isNewcomer(model, session);
  return session.born + (isShort ? HALF_OPEN_NEWCOMER : REJECT);
}

/** When the first session of a peer is over its age. */
export function nextExpiry(model: Model, peer: Peer): number {
  let next = Number.POSITIVE_INFINITY;
  for (const session of sessionsOf(peer)) next = Math.min(next, expiryOf(model, session));
  return next;
}

/** Ends what is over its age. */
export function expire(model: Model, peer: Peer): void {
  for (const session of sessionsOf(peer)) {
    if (expiryOf(model, session) > model.now) continue;
    model.tally.note(session.isConfirmed ? "expired" : "newcomerExpired");
    remove(model, session);
  }
  afterRemoval(model, peer);
}

/** Rule 15: this session and the one that it replaced. */
export function close(model: Model, session: Session): void {
  const { current, previous } = session.peer;
  if (session === current && previous !== undefined) remove(model, previous);
  remove(model, session);
  afterRemoval(model, session.peer);
}

/** The previous session moves up where the current one goes. */
function remove(model: Model, session: Session): void {
  const { peer } = session;
  if (peer.confirming?.session === session) stopConfirming(peer);
  if (peer.current === session) {
    peer.current = peer.previous;
    peer.previous = undefined;
  } else if (peer.previous === session) peer.previous = undefined;
  end(model, session);
}

function afterRemoval(model: Model, peer: Peer): void {
  armRekey(peer);
  if (peer.current === undefined && peer.isUp) {
    peer.isUp = false;
    peer.pathChallenge = undefined;
    peer.timers.unanswered = Infinity;
    peer.timers.passive = Infinity;
  }
  settleNode(model, peer);
}

export function stopConfirming(peer: Peer): void {
  peer.confirming = undefined;
  peer.timers.confirm = Infinity;
}

function end(model: Model, session: Session | undefined): void {
  if (session === undefined) return;
  const { peer } = session;
  session.isEnded = true;
  peer.halfOpen = peer.halfOpen.filter((other) => other !== session);
  model.sessions.delete(indexOf(session));
}

/** Rule 8: the initiator renews at 120 s, the responder at 165 s. */
export function armRekey({ current, timers }: Peer): void {
  if (current === undefined) timers.rekey = Infinity;
  else timers.rekey = current.born + (current.isInitiator ? REKEY_INITIATOR : REKEY_RESPONDER);
}

/** An answer came, or none: its INITs cannot be answered any more. */
export function endAttempt(model: Model, peer: Peer): void {
  for (const { version } of peer.attempt?.pendings ?? []) model.pendings.delete(version.index);
  peer.attempt = undefined;
  peer.timers.retry = Infinity;
  peer.timers.giveUp = Infinity;
}
