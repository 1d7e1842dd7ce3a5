/**
 * The responder's half of the handshake: an INIT, checked in the order of rule 1.
 *
 * Each step is dearer than the one before and only taken when that one passed; nothing is stored
 * before the AEAD opened, no Diffie-Hellman is done before the stamp or a cookie showed that the INIT
 * is not a recording. The trap: an attacker on the path can race a copy of a genuine INIT from an
 * address of its own, so whatever one copy draws must not starve the other.
 */
import { type Endpoint, endpointOfRow, isSameRemote } from "../address.ts";
import {
  DEFERRED_INITS,
  HANDSHAKE_DH_WORK,
  HANDSHAKE_WORK_PER_TURN,
  REORDERED_INIT_MS,
} from "../constants.ts";
import type { DropReason } from "../drop-reason.ts";
import { admit, hasRoomFor, knownPeer, originOf, settleNode } from "../peers/members.ts";
import type { Peer, Psk } from "../peers/peer.ts";
import { MESSAGE, MESSAGE_FIELDS } from "../rows.ts";
import { keepHalfOpen, makeSession } from "../session/sessions.ts";
import { freshIndex, type Received, type State, transmit } from "../state.ts";
import type { Instant } from "../time.ts";
import {
  decodeInitPayload,
  encodeRespPayload,
  INIT,
  type InitPayload,
  newResp,
  RESP,
  viewOf,
} from "../wire.ts";
import { handshakePrologue } from "./keys.ts";
import { NoiseResponder } from "./noise.ts";

/** An INIT whose mac was verified. */
interface Genuine {
  readonly init: Uint8Array;
  readonly psk: Psk;
  readonly source: Endpoint;
  /** Its source's bucket is empty, and its node's lane was not asked yet. */
  readonly isLimited: boolean;
}

/** Handles an INIT of the right size and version. Returns why it was dropped, or undefined. */
export function receiveInit(
  state: State,
  received: Received,
  now: Instant,
): DropReason | undefined {
  const { bytes: init, rows, base } = received;
  const psk = findPsk(state, init);
  if (typeof psk === "string") return psk;
  // Else an attacker on the path could join two sites that each think to speak to the hub.
  if (psk.peer.kind === "hub") return "site_init";
  const genuine = { init, psk, source: endpointOfRow(rows, base), isLimited: false };
  const isSeen = psk.seen.has(macOf(init), now);
  if (isSeen && !repeatAnswer(state, genuine, now)) return "replayed_init";
  if (state.handshakeWork >= HANDSHAKE_WORK_PER_TURN) return deferInit(state, received, now);
  const isLimited = state.sources.isEmpty(rows, base + MESSAGE.REMOTE, now);
  // A group's members share no lane: which node it is shows below.
  const isOfGroup = psk.peer.group !== undefined;
  if (isLimited && !isOfGroup && !psk.peer.reservedLane.take(now)) return "source_limited";
  const noise = new NoiseResponder(
    state.crypto,
    psk.ring.noise,
    handshakePrologue(init, psk.ring.isGroup),
  );
  const fault = proceed(state, { ...genuine, isLimited: isLimited && isOfGroup }, noise, now);
  noise.wipe();
  return fault;
}

/**
 * Puts a genuine INIT off to a later turn, because this one has spent enough on others (deferred.ts takes it
 * up). BOUNDED: what does not fit is dropped, and its sender tries again.
 */
function deferInit(
  state: State,
  { bytes, rows, base }: Received,
  now: Instant,
): DropReason | undefined {
  const { deferred } = state;
  if (deferred.length >= DEFERRED_INITS) return "handshake_budget";
  if (deferred.length === 0) state.deferredSince = now;
  const row = rows.slice(base, base + MESSAGE_FIELDS);
  deferred.push({ bytes: bytes.slice(), rows: row, base: 0 });
  return undefined;
}

/** AEAD, then what stands before the Diffie-Hellman, then the answer. */
function proceed(
  state: State,
  genuine: Genuine,
  noise: NoiseResponder,
  now: Instant,
): DropReason | undefined {
  state.handshakeWork += 1;
  const payload = openInit(noise, genuine.init);
  if (payload === undefined) return "handshake_failed";
  return judge(state, genuine, payload, now) ?? answer(state, genuine, noise, payload, now);
}

/** The key whose mac the INIT carries, or why there is none. */
function findPsk(state: State, init: Uint8Array): Psk | DropReason {
  const { crypto } = state;
  const candidates = state.psks.candidates(viewOf(init).getUint16(INIT.hint, true));
  if (candidates.length === 0) return "unknown_hint";
  const covered = [init.subarray(0, INIT.mac)];
  const given = macOf(init);
  const size = INIT.SIZE - INIT.mac;
  const match = candidates.find((psk) =>
    crypto.equal(crypto.blake2b(size, covered, psk.ring.mac), given),
  );
  return match ?? "bad_mac";
}

/**
 * The same INIT again draws what it drew before, a bounded number of times. True: it is to be judged anew, for it was
 * challenged at another address and has the cookie of this one, as after two moves in a round trip.
 */
function repeatAnswer(state: State, genuine: Genuine, now: Instant): boolean {
  const { init, psk, source } = genuine;
  const nodeId = psk.seen.nodeOf(macOf(init));
  const peer = nodeId === undefined ? psk.peer : knownPeer(psk, nodeId);
  const drawn = psk.seen.repeat(macOf(init), isPeerEndpoint(peer, source));
  if (drawn?.kind === "resp") repeatResp(state, drawn.bytes, source);
  if (drawn?.kind !== "challenge") return false;
  if (state.cookies.isValid(init, psk, drawn.nodeId, source, now)) return true;
  // A cookie is bound to an address: a copy from another address gets one of its own.
  sendChallenge(state, genuine, drawn.nodeId, now);
  return false;
}

/** Its session may be confirmed from this address too: the copy that came first may have been another's. */
function repeatResp(state: State, resp: Uint8Array, source: Endpoint): void {
  const session = state.sessions.get(viewOf(resp).getUint32(RESP.senderIndex, true));
  session?.otherPaths.push(source);
  transmit(state, resp, source);
}

function isPeerEndpoint(peer: Peer, source: Endpoint): boolean {
  const known = peer.endpoint === undefined ? peer.configured : [peer.endpoint, ...peer.configured];
  return known.some((endpoint) => isSameRemote(endpoint, source));
}

function openInit(noise: NoiseResponder, init: Uint8Array): InitPayload | undefined {
  const payload = noise.readFirst(init.subarray(INIT.ephemeral, INIT.cookieMac));
  return payload === undefined ? undefined : decodeInitPayload(payload);
}

/** What stands before the Diffie-Hellman: own reflection, a stamp that may be old, a limit. */
function judge(
  state: State,
  genuine: Genuine,
  payload: InitPayload,
  now: Instant,
): DropReason | undefined {
  const { init, psk } = genuine;
  const { nodeId } = payload;
  const isOwn = state.crypto.equal(nodeId, state.nodeId);
  if (genuine.isLimited && !knownPeer(psk, nodeId).reservedLane.take(now)) {
    psk.seen.remember(macOf(init), { kind: "nothing" }, now);
    return "source_limited";
  }
  if (!isOwn && !isFresh(state, genuine, payload, now)) {
    psk.seen.remember(macOf(init), { kind: "challenge", nodeId }, now);
    sendChallenge(state, genuine, nodeId, now);
    return "challenged";
  }
  const fault = isOwn ? "own_node" : limitFault(state, genuine, payload, now);
  if (fault !== undefined) psk.seen.remember(macOf(init), { kind: "nothing" }, now);
  return fault;
}

/**
 * No recording: its stamp is above what was confirmed and what waits, or its address answered for it: a clock that
 * was ahead for one handshake must not keep its host out for as long as that one waits. A member of a group can
 * make stamps for any node, so only one that is there now need not prove its address.
 */
function isFresh(state: State, genuine: Genuine, payload: InitPayload, now: Instant): boolean {
  const { init, psk, source } = genuine;
  const { nodeId, stamp } = payload;
  const peer = knownPeer(psk, nodeId);
  const isTrusted = psk.peer.group === undefined || peer.current !== undefined;
  const isAbove = psk.floors.isAbove(nodeId, stamp);
  const waited = laterWaitMs(state, peer, payload, now) ?? 0;
  if (isTrusted && isAbove && waited < REORDERED_INIT_MS) return true;
  return state.cookies.isValid(init, psk, nodeId, source, now);
}

/** An INIT that came out of order, and the budgets, with a share for peers that had a session. */
function limitFault(
  state: State,
  { psk, source }: Genuine,
  payload: InitPayload,
  now: Instant,
): DropReason | undefined {
  const { floors } = psk;
  const peer = knownPeer(psk, payload.nodeId);
  if (!hasRoomFor(psk, payload.nodeId, source)) return "group_full";
  const waited = laterWaitMs(state, peer, payload, now) ?? REORDERED_INIT_MS;
  if (isStampOrdered(psk, payload) && waited < REORDERED_INIT_MS) return "old_stamp";
  const { group } = peer;
  const origin = originOf(peer, source);
  if (group !== undefined && !group.shares.take(origin, now)) return "handshake_budget";
  if (!peer.handshakeBudget.take(now)) return "handshake_budget";
  const { all, reserved } = state.handshakes;
  if (all.take(now)) return undefined;
  const mayUseReserve =
    group === undefined
      ? floors.has(payload.nodeId)
      : peer.current !== undefined && group.reserves.take(origin, now);
  return mayUseReserve && reserved.take(now) ? undefined : "handshake_budget";
}

/** A node that is below its floor and proved its address set its clock back: its stamps say no order. */
function isStampOrdered({ floors }: Psk, { nodeId, stamp }: InitPayload): boolean {
  return !floors.has(nodeId) || floors.isAbove(nodeId, stamp);
}

/** How long the last one with a later stamp has waited that waits from this node; undefined: none does. */
function laterWaitMs(
  state: State,
  peer: Peer,
  { nodeId, stamp }: InitPayload,
  now: Instant,
): number | undefined {
  const later = peer.halfOpen.findLast(
    (waiting) => waiting.stamp > stamp && state.crypto.equal(waiting.node.nodeId, nodeId),
  );
  return later && now - later.born;
}

/** The Diffie-Hellman, the RESP, and a session that waits for its first data. */
function answer(
  state: State,
  genuine: Genuine,
  noise: NoiseResponder,
  payload: InitPayload,
  now: Instant,
): DropReason | undefined {
  const { init, psk, source } = genuine;
  const peer = admit(state, psk, payload.nodeId, source, now);
  const initiatorIndex = viewOf(init).getUint32(INIT.senderIndex, true);
  const resp = newResp(freshIndex(state), initiatorIndex);
  const { nodeId, mtu } = state;
  state.handshakeComputations += 1;
  state.handshakeWork += HANDSHAKE_DH_WORK;
  const info = { nodeId, mtu, keepaliveSeconds: peer.keepaliveSeconds };
  const second = noise.writeSecond(encodeRespPayload(resp, info));
  if (second === undefined) {
    settleNode(state, peer);
    return "handshake_failed";
  }
  const session = makeSession(state, {
    peer,
    psk,
    isInitiator: false,
    localIndex: viewOf(resp).getUint32(RESP.senderIndex, true),
    remoteIndex: initiatorIndex,
    born: now,
    stamp: payload.stamp,
    node: payload,
    path: source,
    keys: second.keys,
  });
  if (session === undefined) {
    settleNode(state, peer);
    return "key_table_full";
  }
  keepHalfOpen(state, session);
  resp.set(second.message, RESP.ephemeral);
  const macParts = [resp.subarray(0, RESP.mac), macOf(init)];
  resp.set(state.crypto.blake2b(RESP.SIZE - RESP.mac, macParts, psk.ring.mac), RESP.mac);
  psk.seen.remember(macOf(init), { kind: "resp", bytes: resp, nodeId: payload.nodeId }, now);
  peer.counters.handshakesAnswered += 1;
  transmit(state, resp, source);
  return undefined;
}

function sendChallenge(state: State, genuine: Genuine, nodeId: Uint8Array, now: Instant): void {
  const { init, psk, source } = genuine;
  const senderIndex = viewOf(init).getUint32(INIT.senderIndex, true);
  transmit(state, state.cookies.challenge(init, senderIndex, psk, nodeId, source, now), source);
}

function macOf(init: Uint8Array): Uint8Array {
  return init.subarray(INIT.mac, INIT.SIZE);
}
