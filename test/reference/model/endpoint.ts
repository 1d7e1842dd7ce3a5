/**
 * Rule 12 as it reads: when may the address that a host sends to change, and to what.
 *
 * Written from the rule alone; src/core/path/roaming.ts does the same for the product.
 */
import { type Address, ipOf, portOf } from "./address.ts";
import { PATH_CHALLENGE_CAUSE, PATH_CHALLENGE_GAP } from "./rules.ts";
import { seal } from "./seal.ts";
import { everyPeer, isSameRemote, type Model, type Peer, type Session, type Way } from "./state.ts";

/** Authentic data on the current session, with its highest counter so far, came this way. */
export interface Heard {
  readonly way: Way;
  readonly bytes: number;
  /** It confirmed its session. */
  readonly isConfirming: boolean;
}

/** The one place where an endpoint changes; the same remote address is no change. */
export function move(model: Model, peer: Peer, to: Way): boolean {
  if (isSameRemote(peer.endpoint, to.remote)) return false;
  if (peer.endpoint === undefined) model.tally.note("learned");
  peer.endpoint = to;
  peer.endpointSince = model.now;
  return true;
}

/** Rule 12, from its second half-sentence on. */
export function considerWay(model: Model, session: Session, heard: Heard): void {
  const { peer } = session;
  const { way } = heard;
  if (isSameRemote(peer.endpoint, way.remote)) {
    peer.pathChallenge = undefined;
    followLocal(model, peer, way);
  } else if (peer.roaming === "off" && peer.hasConfigured) considerOff(model, peer, way);
  else if (peer.endpoint === undefined) {
    if (isPossible(model, way.remote)) move(model, peer, way);
  } else considerMove(model, session, heard);
}

/** Off, with configured addresses: only among those. */
function considerOff(model: Model, peer: Peer, way: Way): void {
  const isConfigured = peer.configured.some(({ remote }) => remote === way.remote);
  const [preferred] = peer.configured;
  if (isConfigured) {
    if (isPossible(model, way.remote) && peer.endpoint !== undefined) {
      model.tally.note("roamedConfigured");
    }
    if (isPossible(model, way.remote)) move(model, peer, way);
  } else if (peer.endpoint === undefined && preferred !== undefined) move(model, peer, preferred);
  else model.tally.note("roamRefusedOff");
}

/** The endpoint is another one. */
function considerMove(model: Model, session: Session, { way, bytes, isConfirming }: Heard): void {
  const { peer } = session;
  const isProven = isConfirming && session.paths.some(({ remote }) => remote === way.remote);
  if (peer.roaming === "on" || isProven) {
    if (!isPossible(model, way.remote)) return;
    model.tally.note(peer.roaming === "on" ? "roamedOn" : "roamedConfirming");
    move(model, peer, way);
    return;
  }
  if (peer.roaming === "off") {
    model.tally.note("roamRefusedOff");
    return;
  }
  if (bytes < PATH_CHALLENGE_CAUSE || model.now - peer.challengedAt < PATH_CHALLENGE_GAP) {
    model.tally.note("pathChallengeHeld");
    return;
  }
  if (isPossible(model, way.remote)) challenge(model, session, way);
}

/** Validated: the new address is asked; the same one gets the same 8 bytes. */
function challenge(model: Model, session: Session, way: Way): void {
  const { peer } = session;
  const last = peer.pathChallenge;
  const token = last !== undefined && last.to.remote === way.remote ? last.token : {};
  peer.pathChallenge = { to: way, token };
  peer.challengedAt = model.now;
  model.tally.note("pathChallenged");
  seal(model, session, { kind: "pathChallenge", token }, way);
}

/** An answer counts only from the challenged address, and not after the endpoint in use was heard again. */
export function takePathResponse(model: Model, peer: Peer, token: object, from: Address): void {
  const { pathChallenge } = peer;
  if (pathChallenge?.token !== token || pathChallenge.to.remote !== from) {
    model.tally.note(pathChallenge?.token === token ? "strayAnswer" : "staleAnswer");
    return;
  }
  peer.pathChallenge = undefined;
  if (move(model, peer, pathChallenge.to)) model.tally.note("roamedValidated");
}

/** A RESP may choose among the configured addresses, unless the endpoint moved since its INIT left. */
export function adopt(model: Model, peer: Peer, to: Way, sentAt: number): void {
  const isConfigured = peer.configured.some(({ remote }) => remote === to.remote);
  if (peer.endpoint === undefined || (isConfigured && peer.endpointSince <= sentAt)) {
    if (peer.endpoint !== undefined && peer.endpoint.remote !== to.remote) {
      model.tally.note("roamedByResp");
    }
    move(model, peer, to);
  } else if (isConfigured && peer.endpoint.remote !== to.remote) model.tally.note("lateRespKept");
}

/** An endpoint that was learned keeps the own address it was addressed by. */
function followLocal(model: Model, peer: Peer, way: Way): void {
  const { endpoint } = peer;
  if (endpoint === undefined || endpoint.local === 0 || endpoint.local === way.local) return;
  model.tally.note("localFollowed");
  peer.endpoint = way;
}

/** This host has other addresses: those that went away are not insisted on. */
export function setOwn(model: Model, own: readonly number[]): void {
  model.own = own;
  for (const peer of everyPeer(model)) {
    const { endpoint } = peer;
    if (endpoint === undefined || endpoint.local === 0 || own.includes(endpoint.local)) continue;
    model.tally.note("localReleased");
    peer.endpoint = { remote: endpoint.remote, local: 0 };
  }
}

/** Never port 0, unspecified, multicast or reserved, or an own listening address. */
function isPossible(model: Model, remote: Address): boolean {
  const host = ipOf(remote);
  const firstByte = host & 0xff;
  const isOwn = portOf(remote) === model.options.listenPort && model.own.includes(host);
  const isPossibleHost = portOf(remote) !== 0 && firstByte !== 0 && firstByte < 224 && !isOwn;
  if (!isPossibleHost) model.tally.note("roamRefusedAddress");
  return isPossibleHost;
}
