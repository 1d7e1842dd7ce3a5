/**
 * The life of sessions in a peer's slots: made, confirmed, installed, ended (rules 6, 7, 8, 15).
 *
 * Each function is one event. INVARIANT: a session is in `state.sessions` from its making to its end,
 * and holds two key slots exactly as long.
 */
import type { Endpoint } from "../address.ts";
import {
  GROUP_HALF_OPEN,
  HALF_OPEN_NEWCOMER_MS,
  HALF_OPEN_PER_NODE,
  HALF_OPEN_PER_PEER,
  HALF_OPEN_TOTAL,
  REJECT_AFTER_MS,
  REKEY_AFTER_MS,
  RESPONDER_REKEY_AFTER_MS,
} from "../constants.ts";
import type { HandshakeCrypto } from "../crypto.ts";
import { endAttempt } from "../handshake/attempt.ts";
import { transportMaterial } from "../handshake/keys.ts";
import type { TransportKeys } from "../handshake/noise.ts";
import { plainEndpoint } from "../path/endpoints.ts";
import { searchPath } from "../path/path-mtu.ts";
import { settleNode } from "../peers/members.ts";
import type { Group, Peer, Psk, Session } from "../peers/peer.ts";
import type { State } from "../state.ts";
import { after, type Instant, NEVER } from "../time.ts";
import type { NodeInfo } from "../wire.ts";
import { SessionOf } from "./session.ts";

/** What a finished handshake yields. */
export interface NewSession {
  readonly peer: Peer;
  readonly psk: Psk;
  readonly isInitiator: boolean;
  readonly localIndex: number;
  readonly remoteIndex: number;
  readonly born: Instant;
  /** Microseconds. */
  readonly stamp: number;
  readonly node: NodeInfo;
  readonly path: Endpoint;
  readonly keys: TransportKeys;
}

/** Loads the keys and registers the session; undefined when no key slot is free. Wipes the keys. */
export function makeSession(state: State, made: NewSession): Session | undefined {
  const { crypto, aead } = state;
  const { keys, isInitiator } = made;
  const ownKey = isInitiator ? keys.initiatorToResponder : keys.responderToInitiator;
  const otherKey = isInitiator ? keys.responderToInitiator : keys.initiatorToResponder;
  const sealMaterial = transportMaterial(crypto, ownKey, keys.hash);
  const openMaterial = transportMaterial(crypto, otherKey, keys.hash);
  const sealSlot = aead.load(sealMaterial);
  const openSlot = sealSlot === undefined ? undefined : aead.load(openMaterial);
  for (const material of [sealMaterial, openMaterial]) crypto.wipe(material);
  wipeKeys(crypto, keys);
  if (sealSlot === undefined) return undefined;
  if (openSlot === undefined) {
    aead.wipe(sealSlot);
    return undefined;
  }
  const session = new SessionOf({ ...made, ownNodeId: state.nodeId, sealSlot, openSlot });
  state.sessions.set(session.localIndex, session);
  return session;
}

/** Overwrites what a Noise handshake yielded. */
export function wipeKeys(crypto: HandshakeCrypto, keys: TransportKeys): void {
  const { initiatorToResponder, responderToInitiator, hash } = keys;
  for (const bytes of [initiatorToResponder, responderToInitiator, hash]) crypto.wipe(bytes);
}

/** Keeps a responder's session until its first data; displaces what the bounds of rule 7 demand. */
export function keepHalfOpen(state: State, session: Session): void {
  const { peer } = session;
  const others = [...peer.halfOpen];
  const [oldest] = state.halfOpen;
  const isFull = state.halfOpen.size >= HALF_OPEN_TOTAL;
  peer.halfOpen.push(session);
  state.halfOpen.add(session);
  const ofNode = others.filter((other) => isSameNode(other, session));
  if (ofNode.length >= HALF_OPEN_PER_NODE) displace(state, ofNode[0]);
  if (others.length >= HALF_OPEN_PER_PEER) displace(state, others.find(isNewcomer) ?? others[0]);
  if (isFull) displace(state, oldest);
  if (peer.group !== undefined && isNewcomer(session)) displaceNewcomers(state, peer.group);
  armSessionTimers(peer);
}

/** BOUNDED: nodes that a group does not know yet share GROUP_HALF_OPEN half-open sessions. */
function displaceNewcomers(state: State, group: Group): void {
  const waiting = [...state.halfOpen].filter(
    (session) => session.peer.group === group && isNewcomer(session),
  );
  for (const session of waiting.slice(0, -GROUP_HALF_OPEN)) displace(state, session);
}

/** Ends a half-open session for want of room. */
function displace(state: State, session: Session | undefined): void {
  endSession(state, session);
  if (session !== undefined) settleNode(state, session.peer);
}

/** The first data of a half-open session opened, or the RESP of an own INIT: it is confirmed (rule 6). */
export function confirmSession(state: State, session: Session, now: Instant): void {
  const { peer, psk } = session;
  const isNew = peer.current === undefined;
  session.isConfirmed = true;
  peer.lastHandshakeAt = now;
  peer.counters.sessions += 1;
  peer.remote = { mtu: session.node.mtu, keepaliveSeconds: session.node.keepaliveSeconds };
  if (session.isInitiator) {
    psk.use.started(now);
  } else {
    psk.use.peerStarted(peer.kind === "node" ? session.node.nodeId : undefined, now);
    psk.floors.confirm(session.node.nodeId, session.stamp);
    leaveHalfOpen(state, session);
    const losers = peer.halfOpen.filter((s) => isSameNode(s, session) && s.stamp < session.stamp);
    for (const loser of losers) endSession(state, loser);
  }
  install(state, session);
  if (peer.current === session) {
    endAttempt(state, peer);
    peer.timers.clear("unanswered");
    peer.timers.clear("failover");
    peer.failover.stage = 0;
    if (peer.waiting.count > 0) state.flushable.add(peer);
  }
  armSessionTimers(peer);
  if (isNew) searchPath(peer, now);
  reportSession(state, session, isNew);
}

/** Ends sessions over their age; reports the peer as down when none is left. */
export function expireSessions(state: State, peer: Peer, now: Instant): void {
  for (const session of peer.sessions()) {
    if (expiresAt(session) <= now) removeSession(state, session);
  }
  finishRemoval(state, peer, "expired");
}

/**
 * A close frame arrived on this session, or we send one. Keeps the endpoint. The one that it replaced goes too: a peer that
 * was killed and came back has lost its keys, and the peer would seem up after its good-bye (rule 15).
 */
export function closeSession(state: State, session: Session): void {
  const { current, previous } = session.peer;
  if (session === current && previous !== undefined) removeSession(state, previous);
  removeSession(state, session);
  finishRemoval(state, session.peer, "closed");
}

/** Ends sessions of a peer without telling it: all, or those that `isGone` names. */
export function dropSessions(
  state: State,
  peer: Peer,
  isGone: (session: Session) => boolean = () => true,
): void {
  for (const session of peer.sessions().filter(isGone)) removeSession(state, session);
  finishRemoval(state, peer, "removed");
}

/** Takes a session out of its slot and wipes it; the previous one moves up. */
function removeSession(state: State, session: Session): void {
  const { peer } = session;
  if (peer.confirming?.session === session) {
    peer.confirming = undefined;
    peer.timers.clear("confirm");
  }
  if (peer.current === session) {
    peer.current = peer.previous;
    peer.previous = undefined;
  }
  if (peer.previous === session) peer.previous = undefined;
  endSession(state, session);
}

function finishRemoval(state: State, peer: Peer, reason: "closed" | "expired" | "removed"): void {
  armSessionTimers(peer);
  if (peer.current === undefined && peer.isUp) {
    peer.isUp = false;
    peer.pathChallenge = undefined;
    peer.timers.clear("unanswered");
    peer.timers.clear("passiveKeepalive");
    state.events.push({ kind: "down", peer: peer.name, reason });
  }
  settleNode(state, peer);
}

/** The better of the two is current, the other previous; the third is wiped (rule 8). */
function install(state: State, session: Session): void {
  const { peer } = session;
  const { current, previous } = peer;
  peer.isUp = true;
  if (current === undefined || session.supersedes(current)) {
    peer.current = session;
    peer.previous = current;
    endSession(state, previous);
  } else if (previous === undefined || session.supersedes(previous)) {
    peer.previous = session;
    endSession(state, previous);
  } else {
    endSession(state, session);
  }
}

function endSession(state: State, session: Session | undefined): void {
  if (session === undefined) return;
  leaveHalfOpen(state, session);
  state.sessions.delete(session.localIndex);
  session.end(state.aead);
}

function leaveHalfOpen(state: State, session: Session): void {
  if (!state.halfOpen.delete(session)) return;
  const { peer } = session;
  peer.halfOpen = peer.halfOpen.filter((other) => other !== session);
}

/** A node that never had a session with us: its half-open sessions live short and go first. */
function isNewcomer(session: Session): boolean {
  const { peer, psk, node } = session;
  const known = [peer.current, peer.previous].some(
    (other) => other !== undefined && isSameNode(other, session),
  );
  return !known && !psk.floors.has(node.nodeId);
}

function isSameNode(a: Session, b: Session): boolean {
  return a.node.nodeId.every((byte, index) => byte === b.node.nodeId[index]);
}

/** Sets the rekey and expiry timers anew; one that is past is due at once. */
export function armSessionTimers(peer: Peer): void {
  const { current, timers } = peer;
  const expiries = peer.sessions().map(expiresAt);
  timers.set("expire", Math.min(NEVER, ...expiries) as Instant);
  if (current === undefined) {
    timers.clear("rekey");
    return;
  }
  const age = current.isInitiator ? REKEY_AFTER_MS : RESPONDER_REKEY_AFTER_MS;
  timers.set("rekey", after(current.born, age));
}

function expiresAt(session: Session): Instant {
  const isShort = !session.isConfirmed && isNewcomer(session);
  return after(session.born, isShort ? HALF_OPEN_NEWCOMER_MS : REJECT_AFTER_MS);
}

function reportSession(state: State, session: Session, isNew: boolean): void {
  state.events.push({
    kind: "session",
    peer: session.peer.name,
    isNew,
    isInitiator: session.isInitiator,
    fingerprint: session.psk.ring.fingerprint,
    endpoint: plainEndpoint(session.path),
  });
}
