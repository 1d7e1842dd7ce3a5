/**
 * How a peer's endpoint is learned and moves (rule 12).
 *
 * Only data on the current session with its highest counter so far may ask for a move, so a replay
 * never steers us. The new address must show that it receives what we send: by answering a path
 * challenge (in the mode "validated"), or because the handshake's answer went there and was confirmed
 * from there, which is the same proof.
 */
import {
  type Endpoint,
  endpointOfRow,
  isRowFrom,
  isRowTo,
  isSameRemote,
  remoteBytes,
  withoutLocalSide,
} from "../address.ts";
import { PATH_CHALLENGE_CAUSE_BYTES, PATH_CHALLENGE_MS } from "../constants.ts";
import { everyPeer } from "../peers/members.ts";
import type { Peer, Session } from "../peers/peer.ts";
import { sendPathChallenge } from "../session/control.ts";
import type { State } from "../state.ts";
import type { Instant } from "../time.ts";
import { moveEndpoint } from "./endpoints.ts";
import { heardElsewhere } from "./failover.ts";

/** Data that came in message row `base`; one object is used for all of them. */
export interface Arrival {
  readonly rows: Int32Array;
  base: number;
  plaintextBytes: number;
  /** It was the first on its session. */
  isConfirming: boolean;
}

/**
 * Learns the endpoint from an arrival on the current session with its highest counter so far, or starts
 * to validate it. Allocates only where something is done.
 */
export function considerEndpoint(
  state: State,
  session: Session,
  arrival: Readonly<Arrival>,
  now: Instant,
): void {
  const { rows, base } = arrival;
  const { peer } = session;
  if (peer.endpoint !== undefined && isRowFrom(rows, base, peer.endpoint)) {
    // The endpoint in use is alive and ahead: an answer to an older challenge must not move it any more.
    peer.pathChallenge = undefined;
    peer.failover.stage = 0;
    peer.timers.clear("failover");
    followLocalSide(peer, peer.endpoint, rows, base);
    return;
  }
  heardElsewhere(state, peer, rows, base, now);
  if (peer.endpoint !== undefined && isRowFrom(rows, base, peer.endpoint)) return;
  const isMove = isTrusted(session, arrival);
  const [preferred] = peer.configured;
  if (!isMove && peer.endpoint === undefined && preferred !== undefined) {
    moveEndpoint(state, peer, preferred, now);
    return;
  }
  if (!isMove && !mayChallenge(peer, arrival, now)) return;
  const to = endpointOfRow(rows, base);
  if (!isPossible(state, to)) return;
  if (isMove) moveEndpoint(state, peer, to, now);
  else challengePath(state, session, to, now);
}

/** Whether message row `base` came from another address than those the session's data is known to come from. */
export function isFromElsewhere(session: Session, rows: Int32Array, base: number): boolean {
  const { endpoint } = session.peer;
  if (endpoint !== undefined && isRowFrom(rows, base, endpoint)) return false;
  return (session.isConfirmed && endpoint !== undefined) || !session.isOnPath(rows, base);
}

/**
 * Whether an arrival moves the endpoint by itself. With roaming off only among what is configured; where
 * nothing is, each new session says where the peer is.
 */
function isTrusted(session: Session, arrival: Readonly<Arrival>): boolean {
  const { rows, base } = arrival;
  const { peer } = session;
  if (peer.roaming === "off" && peer.hasConfiguredEndpoint) {
    return peer.configured.some((endpoint) => isRowFrom(rows, base, endpoint));
  }
  if (peer.endpoint === undefined || peer.roaming === "on") return true;
  return arrival.isConfirming && session.isOnPath(rows, base);
}

/** At most one challenge in 250 ms, and only for data at least as long as itself. */
function mayChallenge(peer: Peer, { plaintextBytes }: Readonly<Arrival>, now: Instant): boolean {
  if (peer.roaming !== "validated" || plaintextBytes < PATH_CHALLENGE_CAUSE_BYTES) return false;
  return peer.challengedAt === undefined || now - peer.challengedAt >= PATH_CHALLENGE_MS;
}

function challengePath(state: State, session: Session, to: Endpoint, now: Instant): void {
  const { peer } = session;
  const last = peer.pathChallenge;
  const isSame = last !== undefined && isSameRemote(last.to, to);
  const token = isSame ? last.token : state.crypto.random(8);
  peer.pathChallenge = { to, token };
  peer.challengedAt = now;
  sendPathChallenge(state, session, token, to, now);
}

/**
 * The peer addresses us under another of our addresses: replies leave from that one. Where the kernel
 * chooses the address it stays so, because that choice follows a change of our own addresses at once.
 */
function followLocalSide(peer: Peer, endpoint: Endpoint, rows: Int32Array, base: number): void {
  if (isRowTo(rows, base, endpoint) || isUnspecified(endpoint.local)) return;
  peer.endpoint = endpointOfRow(rows, base);
}

/** Leaves the choice to the kernel for every peer whose local address this host does not have any more. */
export function releaseLocalSides(state: State): void {
  for (const peer of everyPeer(state)) {
    const { endpoint } = peer;
    if (endpoint === undefined || isUnspecified(endpoint.local)) continue;
    const local = new Uint8Array(endpoint.local.buffer, endpoint.local.byteOffset, 16);
    if (state.ownAddresses.some((own) => own.every((byte, index) => byte === local[index])))
      continue;
    peer.endpoint = withoutLocalSide(endpoint);
  }
}

function isUnspecified(words: Int32Array): boolean {
  return words.every((word) => word === 0);
}

/** Not port 0, unspecified, multicast or broadcast, nor this host's own socket. */
function isPossible(state: State, source: Endpoint): boolean {
  const bytes = remoteBytes(source);
  if (source.port === 0 || bytes.every((byte) => byte === 0) || bytes[0] === 0xff) return false;
  if (isMapped(bytes) && !isUnicast4(bytes[12] ?? 0)) return false;
  if (source.port !== state.listenPort) return true;
  return !state.ownAddresses.some((own) => own.every((byte, index) => byte === bytes[index]));
}

function isMapped(bytes: Uint8Array): boolean {
  return (
    bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  );
}

/** RFC 1122 §3.2.1.3: 0/8 is "this host", 224/3 is multicast, reserved and broadcast. */
function isUnicast4(firstByte: number): boolean {
  return firstByte > 0 && firstByte < 224;
}
