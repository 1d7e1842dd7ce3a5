/**
 * The responder: an INIT, in the order of rule 1.
 */
import { type Address, ipOf } from "./address.ts";
import { wordAt } from "./initiator.ts";
import { cookieFor, isCookieValid, isSourceEmpty } from "./limits.ts";
import { newSession } from "./new-session.ts";
import { admit, peerOf } from "./nodes.ts";
import type { InitSent, RespSent } from "./records.ts";
import {
  DEFERRED,
  REORDERED,
  REPEATS,
  REPEATS_ANYWHERE,
  SEEN_FOR,
  WORK_OF_ANSWER,
  WORK_OF_TURN,
} from "./rules.ts";
import { keepWaiting } from "./slots.ts";
import { type Arrival, type Drawn, type Model, type Peer, type Session, shareOf } from "./state.ts";

/** An INIT that carries our key: why it is refused, or undefined. */
export function receiveInit(model: Model, init: InitSent, arrival: Arrival): string | undefined {
  if (model.entry.kind === "hub") {
    model.tally.note("siteInit");
    return "site_init";
  }
  forgetOld(model);
  const drawn = model.seen.get(init);
  if (drawn !== undefined && !repeat(model, init, drawn, arrival)) return "replayed_init";
  if (model.work >= WORK_OF_TURN) {
    if (model.deferred.length === DEFERRED) {
      model.tally.note("deferredFull");
      return "handshake_budget";
    }
    model.tally.note("deferred");
    model.deferred.push(arrival);
    return undefined;
  }
  const isLimited = isSourceEmpty(model, ipOf(arrival.from));
  const isGroup = model.entry.kind === "group";
  if (isLimited && !isGroup && !takeLane(model, model.entry)) return "source_limited";
  model.work += 1;
  if (isLimited && isGroup && !takeLane(model, peerOf(model, init.nodeId))) {
    remember(model, init, "nothing");
    return "source_limited";
  }
  return judge(model, init, arrival) ?? answer(model, init, arrival);
}

function takeLane(model: Model, peer: Peer): boolean {
  const isTaken = peer.lane.take(model.now);
  if (isTaken) model.tally.note("lane");
  return isTaken;
}

/**
 * Rule 1, "seen before?": the same again, a bounded number of times. True: it was challenged elsewhere and brings the right
 * cookie here, so it is judged anew.
 */
function repeat(model: Model, init: InitSent, drawn: Drawn, { from, local }: Arrival): boolean {
  if (drawn.kind === "nothing") return false;
  const peer = peerOf(model, init.nodeId);
  const known = [...(peer.endpoint === undefined ? [] : [peer.endpoint]), ...peer.configured];
  const isPeers = known.some(({ remote }) => remote === from);
  if (drawn.repeats >= (isPeers ? REPEATS : REPEATS_ANYWHERE)) {
    model.tally.note("repeatsSpent");
    return false;
  }
  drawn.repeats += 1;
  const session = drawn.resp;
  if (session === undefined) {
    if (isCookieValid(model, init, from)) return true;
    model.tally.note("repeatedChallenge");
    sendChallenge(model, init, from, local);
  } else {
    model.tally.note("repeatedResp");
    if (!session.isEnded) session.paths.push({ remote: from, local });
    expectResp(model, session.wire, from, local, undefined);
  }
  return false;
}

/** What stands before the Diffie-Hellman. */
function judge(model: Model, init: InitSent, { from, local }: Arrival): string | undefined {
  const isOwn = init.nodeId === model.options.nodeId;
  if (!isOwn && !isFresh(model, init, from)) {
    remember(model, init, "challenge");
    model.tally.note("challenged");
    sendChallenge(model, init, from, local);
    return "challenged";
  }
  if (isOwn) model.tally.note("ownInit");
  const fault = isOwn ? "own_node" : limitFault(model, init, from);
  if (fault !== undefined) remember(model, init, "nothing");
  return fault;
}

/** Above the floor, which in a group counts only for a node that is there; or a valid cookie. */
function isFresh(model: Model, init: InitSent, from: Address): boolean {
  const floor = model.floors.get(init.nodeId);
  const peer = peerOf(model, init.nodeId);
  const isTrusted = model.entry.kind !== "group" || peer.current !== undefined;
  const later = laterWaiting(peer, init);
  const isOvertaken = later !== undefined && model.now - later.born >= REORDERED;
  if (isTrusted && floor !== undefined && init.stamp > floor) {
    model.tally.note(isOvertaken ? "overtaken" : "floorPassed");
    if (!isOvertaken) return true;
  }
  const isValid = isCookieValid(model, init, from);
  if (isValid) model.tally.note("cookieAccepted");
  if (isValid && floor !== undefined && init.stamp <= floor) model.tally.note("floorEscape");
  return isValid;
}

/** Rule 7's order of stamps, then the budgets. */
function limitFault(model: Model, init: InitSent, from: Address): string | undefined {
  const { floors, handshakes, now } = model;
  const peer = peerOf(model, init.nodeId);
  const floor = floors.get(init.nodeId);
  const isClockBack = floor !== undefined && init.stamp <= floor;
  const later = laterWaiting(peer, init);
  if (!isClockBack && later !== undefined && now - later.born < REORDERED) {
    model.tally.note("oldStamp");
    return "old_stamp";
  }
  const isGroup = model.entry.kind === "group";
  const source = peer.membership?.source ?? ipOf(from);
  const isShareEmpty = isGroup && !shareOf(model.shares, source, "share", now).take(now);
  if (isShareEmpty || !peer.budget.take(now)) {
    model.tally.note("budget");
    return "handshake_budget";
  }
  if (handshakes.all.take(now)) return undefined;
  const mayUseReserve = isGroup
    ? peer.current !== undefined && shareOf(model.reserves, source, "reserve", now).take(now)
    : floor !== undefined;
  return mayUseReserve && handshakes.reserved.take(now) ? undefined : "handshake_budget";
}

/** The last one that waits from this node with a later stamp. */
function laterWaiting({ halfOpen }: Peer, { nodeId, stamp }: InitSent): Session | undefined {
  return halfOpen.findLast((waiting) => waiting.node === nodeId && waiting.stamp > stamp);
}

/** The RESP, and a session that waits for its first data. */
function answer(model: Model, init: InitSent, { from, local }: Arrival): undefined {
  const peer = admit(model, init.nodeId, ipOf(from));
  model.work += WORK_OF_ANSWER;
  const wire: RespSent = {
    kind: "resp",
    init,
    nodeId: model.options.nodeId,
    index: Number.NaN,
  };
  const session = newSession(peer, wire, false, model.now, { remote: from, local });
  keepWaiting(model, session);
  remember(model, init, "resp", session);
  expectResp(model, wire, from, local, (bytes) => {
    wire.index = wordAt(bytes, 4);
    if (!session.isEnded) model.sessions.set(wire.index, session);
  });
  return undefined;
}

function expectResp(
  model: Model,
  wire: RespSent,
  remote: Address,
  local: number,
  onSent: ((bytes: Uint8Array) => void) | undefined,
): void {
  model.expected.push({
    type: 2,
    to: { remote, local },
    length: 108,
    receiverIndex: wire.init.index,
    counter: undefined,
    sent: wire,
    onSent,
  });
}

/** A cookie is bound to an address: a copy from another address gets one of its own. */
function sendChallenge(model: Model, init: InitSent, remote: Address, local: number): void {
  const cookie = cookieFor(model, init.nodeId, remote);
  model.expected.push({
    type: 3,
    to: { remote, local },
    length: 64,
    receiverIndex: init.index,
    counter: undefined,
    sent: { kind: "challenge", init, cookie },
    onSent: undefined,
  });
}

/** One that is judged anew keeps the count of its repetitions. */
function remember(model: Model, init: InitSent, kind: Drawn["kind"], resp?: Session): void {
  const repeats = model.seen.get(init)?.repeats ?? 0;
  model.seen.delete(init);
  model.seen.set(init, { kind, resp, until: model.now + SEEN_FOR, repeats });
}

function forgetOld({ seen, now }: Model): void {
  for (const [init, { until }] of seen) {
    if (until > now) return;
    seen.delete(init);
  }
}
