/**
 * The initiator's half of the handshake (rules 3, 4, 5, 6): attempts, their INITs, and the answers.
 *
 * An attempt sends a fresh INIT at each retry; the last four stay answerable and one RESP ends it.
 * Every failure leaves everything as it was.
 */
import { type Endpoint, isSameRemote } from "../address.ts";
import {
  CONFIRM_REPEATS_MS,
  COOKIE_RESENDS,
  COOKIE_RIDES_MS,
  GIVE_UP_AFTER_MS,
  PENDING_PER_PEER,
  RETRY_FIRST_MS,
  RETRY_JITTER,
  RETRY_MS,
  RETRY_SLOW_FROM_MS,
  RETRY_SLOW_MS,
  UNANSWERED_EVENT_MS,
  UNANSWERED_REPEAT_MS,
  UNHEARD_SESSION_MS,
} from "../constants.ts";
import type { DropReason } from "../drop-reason.ts";
import { isDead, moveEndpoint } from "../path/endpoints.ts";
import type { Attempt, Peer, Pending } from "../peers/peer.ts";
import { sendConfirmation } from "../session/control.ts";
import { armKeepalive, noteHeard } from "../session/liveness.ts";
import { armSessionTimers, confirmSession, makeSession, wipeKeys } from "../session/sessions.ts";
import { drop, freshIndex, nextStamp, type State, transmit } from "../state.ts";
import { after, type Instant, SECOND_MS } from "../time.ts";
import {
  CHALLENGE,
  decodeRespPayload,
  encodeInitPayload,
  INIT,
  newInit,
  RESP,
  viewOf,
} from "../wire.ts";
import { endAttempt, forgetPending } from "./attempt.ts";
import { cookieMac, openChallenge } from "./cookie.ts";
import { handshakePrologue } from "./keys.ts";
import { NoiseInitiator } from "./noise.ts";

/** Starts an attempt, if none is under way and the peer can be reached at all. */
export function startAttempt(state: State, peer: Peer, now: Instant): void {
  if (peer.attempt !== undefined || !canStart(peer)) return;
  peer.attempt = {
    startedAt: now,
    tries: 0,
    resends: 0,
    pendings: [],
    reportAtMs: UNANSWERED_EVENT_MS,
  };
  peer.timers.set("giveUp", after(now, GIVE_UP_AFTER_MS));
  sendInit(state, peer, peer.attempt, now);
}

/** Whether the peer has an address, or a name that may yet get one; a group's hub never starts (Groups). */
export function canStart(peer: Peer): boolean {
  if (peer.group !== undefined) return false;
  return peer.endpoint !== undefined || peer.hasConfiguredEndpoint;
}

/** The retry timer is due: another INIT. */
export function retry(state: State, peer: Peer, now: Instant): void {
  if (peer.attempt !== undefined) sendInit(state, peer, peer.attempt, now);
}

/**
 * The attempt found no answer in 90 s: what waits is dropped, until traffic or the keepalive timer starts
 * anew, or at once the rekey timer of a session that is still alive.
 */
export function giveUp(state: State, peer: Peer, now: Instant): void {
  endAttempt(state, peer);
  drop(state, "queue_timeout", peer.waiting.clear());
  armKeepalive(peer, now);
  armSessionTimers(peer);
}

/** Handles a RESP of the right size and version. Returns why it was dropped, or undefined. */
export function receiveResp(state: State, resp: Uint8Array, now: Instant): DropReason | undefined {
  const { crypto } = state;
  const pending = state.pendings.get(viewOf(resp).getUint32(RESP.receiverIndex, true));
  if (pending === undefined) return "unexpected_response";
  const { peer, psk, init } = pending;
  const parts = [resp.subarray(0, RESP.mac), init.subarray(INIT.mac, INIT.SIZE)];
  const mac = crypto.blake2b(RESP.SIZE - RESP.mac, parts, psk.ring.mac);
  if (!crypto.equal(mac, resp.subarray(RESP.mac, RESP.SIZE))) return "bad_mac";
  state.handshakeComputations += 1;
  const answer = pending.noise.readSecond(resp.subarray(RESP.ephemeral, RESP.mac));
  if (answer === undefined) return "handshake_failed";
  const node = decodeRespPayload(resp, answer.payload);
  const isOwn = node !== undefined && crypto.equal(node.nodeId, state.nodeId);
  if (node === undefined || isOwn) {
    wipeKeys(crypto, answer.keys);
    return isOwn ? "own_node" : "handshake_failed";
  }
  const session = makeSession(state, {
    peer,
    psk,
    isInitiator: true,
    localIndex: pending.index,
    remoteIndex: viewOf(resp).getUint32(RESP.senderIndex, true),
    born: pending.sentAt,
    stamp: pending.stamp,
    node,
    path: pending.to,
    keys: answer.keys,
  });
  if (session === undefined) return "key_table_full";
  endAttempt(state, peer);
  noteHeard(peer, false, false, now);
  confirmSession(state, session, now);
  if (session === peer.current || peer.endpoint === undefined) adopt(state, pending, now);
  if (session.isEnded) return undefined;
  sendConfirmation(state, session, session.path, now);
  peer.confirming = { session, since: now, sent: 0 };
  armConfirm(peer);
  return undefined;
}

/** Handles a CHALLENGE of the right size and version: its INIT goes out again with a cookie (rule 4). */
export function receiveChallenge(
  state: State,
  challenge: Uint8Array,
  now: Instant,
): DropReason | undefined {
  const pending = state.pendings.get(viewOf(challenge).getUint32(CHALLENGE.receiverIndex, true));
  if (pending === undefined) return "unexpected_response";
  const { peer, init } = pending;
  const cookie = openChallenge(state.crypto, challenge, init, pending.psk);
  if (cookie === undefined) return "handshake_failed";
  peer.cookie = { bytes: cookie, until: after(now, COOKIE_RIDES_MS) };
  const { attempt } = peer;
  if (attempt === undefined || attempt.resends >= COOKIE_RESENDS) return undefined;
  attempt.resends += 1;
  writeMacs(state, pending, now);
  transmit(state, init.slice(), pending.to);
  armRetry(state, peer, attempt, now);
  return undefined;
}

/**
 * The responder was not heard on the new session: the confirming keepalive again, where one is left, and
 * in the end a new handshake, because a responder that restarted meanwhile has nothing of this one.
 */
export function repeatConfirmation(state: State, peer: Peer, now: Instant): void {
  const { confirming } = peer;
  if (confirming === undefined) return;
  if (confirming.sent === CONFIRM_REPEATS_MS.length) {
    startAttempt(state, peer, now);
    return;
  }
  confirming.sent += 1;
  sendConfirmation(state, confirming.session, confirming.session.path, now);
  armConfirm(peer);
}

/** A fresh INIT: ephemeral, index and stamp of its own. */
function sendInit(state: State, peer: Peer, attempt: Attempt, now: Instant): void {
  const to = nextEndpoint(peer, attempt);
  const [psk] = peer.psks;
  report(state, peer, attempt, now);
  attempt.tries += 1;
  armRetry(state, peer, attempt, now);
  if (to === undefined || psk === undefined) return;
  const index = freshIndex(state);
  const init = newInit(psk.ring.hint, index);
  const noise = new NoiseInitiator(
    state.crypto,
    psk.ring.noise,
    handshakePrologue(init, psk.ring.isGroup),
  );
  const stamp = nextStamp(state);
  const { nodeId, mtu } = state;
  const { keepaliveSeconds } = peer;
  const payload = encodeInitPayload({ stamp, nodeId, mtu, keepaliveSeconds });
  init.set(noise.writeFirst(payload), INIT.ephemeral);
  const pending: Pending = { peer, psk, index, noise, init, stamp, sentAt: now, to };
  writeMacs(state, pending, now);
  keepPending(state, attempt, pending);
  peer.counters.handshakesStarted += 1;
  transmit(state, init.slice(), to);
}

/** BOUNDED: the last four stay answerable. */
function keepPending(state: State, attempt: Attempt, pending: Pending): void {
  attempt.pendings.push(pending);
  state.pendings.set(pending.index, pending);
  const oldest = attempt.pendings.length > PENDING_PER_PEER ? attempt.pendings.shift() : undefined;
  if (oldest !== undefined) forgetPending(state, oldest);
}

/** cookie_mac, zero without a cookie, then the mac over everything before it. */
function writeMacs(state: State, pending: Pending, now: Instant): void {
  const { init, psk, peer } = pending;
  const { crypto } = state;
  const { cookie } = peer;
  if (cookie !== undefined && cookie.until > now) {
    init.set(cookieMac(crypto, cookie.bytes, init), INIT.cookieMac);
  }
  const mac = crypto.blake2b(INIT.SIZE - INIT.mac, [init.subarray(0, INIT.mac)], psk.ring.mac);
  init.set(mac, INIT.mac);
}

/** INITs alternate between the endpoint in use and the configured ones, so that a bad one cannot trap. */
function nextEndpoint(peer: Peer, attempt: Attempt): Endpoint | undefined {
  const { endpoint, configured } = peer;
  const others = configured.filter((c) => endpoint === undefined || !isSameRemote(c, endpoint));
  const inUse = endpoint === undefined ? [] : [endpoint];
  const candidates = isDead(peer) ? [...others, ...inUse] : [...inUse, ...others];
  return candidates[attempt.tries % candidates.length];
}

function armRetry(state: State, peer: Peer, attempt: Attempt, now: Instant): void {
  const isSlow = now - attempt.startedAt >= RETRY_SLOW_FROM_MS;
  const wait = RETRY_FIRST_MS[attempt.tries - 1] ?? (isSlow ? RETRY_SLOW_MS : RETRY_MS);
  const jitter = (RETRY_JITTER * (state.crypto.random(1)[0] ?? 0)) / 255;
  peer.timers.set("retry", after(now, wait * (1 + jitter)));
}

function armConfirm(peer: Peer): void {
  const { confirming } = peer;
  if (confirming === undefined) return;
  const wait = CONFIRM_REPEATS_MS[confirming.sent] ?? UNHEARD_SESSION_MS;
  peer.timers.set("confirm", after(confirming.since, wait));
}

/** The control side may find another address for the name meanwhile. */
function report(state: State, peer: Peer, attempt: Attempt, now: Instant): void {
  const age = now - attempt.startedAt;
  if (age < attempt.reportAtMs) return;
  attempt.reportAtMs = age + UNANSWERED_REPEAT_MS;
  state.events.push({
    kind: "unanswered",
    peer: peer.name,
    seconds: Math.round(age / SECOND_MS),
  });
}

/**
 * An authenticated RESP may choose among the configured addresses of a peer (rule 12), but a late one does
 * not take back a move that was made since its INIT left.
 */
function adopt(state: State, pending: Pending, now: Instant): void {
  const { peer, to, sentAt } = pending;
  const { endpoint, endpointSince, configured } = peer;
  const isConfigured = configured.some((candidate) => isSameRemote(candidate, to));
  if (endpoint === undefined || (isConfigured && endpointSince <= sentAt)) {
    moveEndpoint(state, peer, to, now);
  }
}
