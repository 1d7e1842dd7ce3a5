/**
 * Control frames and keepalives: what is sealed outside the packet path. frames.ts has those that arrive.
 */
import type { Endpoint } from "../address.ts";
import { GROUP_ADDRESSES, PATH_CHALLENGE_CAUSE_BYTES } from "../constants.ts";
import type { Peer, Session } from "../peers/peer.ts";
import { MESSAGE_DONT_FRAGMENT, SEAL, SEAL_FIELDS } from "../rows.ts";
import { drop, type State, transmit } from "../state.ts";
import type { Instant } from "../time.ts";
import {
  CLOSE_FRAME,
  DATA_OVERHEAD,
  FRAME,
  PATH_FRAME,
  PROBE_FRAME,
  REPORT_FRAME,
  viewOf,
} from "../wire.ts";
import { noteSent } from "./liveness.ts";

/** Reason byte of a close frame: the sender stops. */
const CLOSE_STOPPED = 0;

const EMPTY = new Uint8Array(0);

/** Seals an empty packet on the session and queues it. */
export function sendKeepalive(state: State, session: Session, to: Endpoint, now: Instant): void {
  if (sealAndQueue(state, session, EMPTY, to, now)) session.peer.counters.keepalivesSent += 1;
}

/**
 * The configured keepalive: a probe, so that it is answered, and as long as a path challenge, so that an
 * address that changed under a silent site draws one (rules 11 and 12).
 */
export function sendProbe(state: State, session: Session, to: Endpoint, now: Instant): void {
  const { counters, probes } = session.peer;
  const bytes = PATH_CHALLENGE_CAUSE_BYTES + DATA_OVERHEAD;
  const frame = probeFrame(probes.add(bytes, to, now), bytes);
  if (sealAndQueue(state, session, frame, to, now)) counters.keepalivesSent += 1;
}

/** Asks whether a datagram of `bytes` arrives in one piece (rule 18); it says nothing of the peer being there. */
export function sendPathProbe(state: State, peer: Peer, bytes: number, now: Instant): void {
  const { current, endpoint } = peer;
  if (current === undefined || endpoint === undefined) return;
  const frame = probeFrame(peer.probes.add(bytes, endpoint, now), bytes);
  sealAndQueue(state, current, frame, endpoint, now, MESSAGE_DONT_FRAGMENT);
}

/** A probe that an operator asks for; its answer bears the tag. */
export function sendTaggedProbe(
  state: State,
  session: Session,
  { bytes, to, tag }: { readonly bytes: number; readonly to: Endpoint; readonly tag: number },
  now: Instant,
): void {
  const id = session.peer.probes.add(bytes, to, now, tag);
  sealAndQueue(state, session, probeFrame(id, bytes), to, now);
}

/** As short as a probe can be; it asks for nothing but its answer (rule 20). */
export function sendMeasuringProbe(
  state: State,
  session: Session,
  to: Endpoint,
  now: Instant,
): void {
  const bytes = PROBE_FRAME.SIZE + DATA_OVERHEAD;
  const id = session.peer.probes.add(bytes, to, now);
  sealAndQueue(state, session, probeFrame(id, bytes), to, now);
}

/** Tells what arrived of the session (rule 20). */
export function sendReport(state: State, session: Session, to: Endpoint, now: Instant): void {
  const frame = new Uint8Array(REPORT_FRAME.SIZE);
  const view = viewOf(frame);
  const { window, receivedPackets, probesReceived, probesSent } = session;
  frame[REPORT_FRAME.type] = FRAME.REPORT;
  view.setBigUint64(REPORT_FRAME.highest, BigInt(window.highest), true);
  view.setBigUint64(REPORT_FRAME.received, BigInt(receivedPackets - probesReceived), true);
  view.setUint32(REPORT_FRAME.probes, probesSent, true);
  sealAndQueue(state, session, frame, to, now);
}

/** A probe whose datagram has `bytes` in all. */
function probeFrame(id: number, bytes: number): Uint8Array {
  const frame = new Uint8Array(bytes - DATA_OVERHEAD);
  const view = viewOf(frame);
  frame[PROBE_FRAME.type] = FRAME.PROBE;
  view.setUint16(PROBE_FRAME.id, id, true);
  view.setUint16(PROBE_FRAME.bytes, bytes, true);
  return frame;
}

/**
 * What confirms a session to its responder (rule 6): a keepalive; towards a group's hub the own inner addresses,
 * so that the hub can reach a site which has sent nothing yet.
 */
export function sendConfirmation(state: State, session: Session, to: Endpoint, now: Instant): void {
  const addresses = session.peer.kind === "hub" ? state.innerAddresses : [];
  if (addresses.length === 0) sendKeepalive(state, session, to, now);
  else sealAndQueue(state, session, addressesFrame(addresses), to, now);
}

/** Addresses after the type: each with its length in bytes, 4 or 16, before it. */
function addressesFrame(addresses: readonly Uint8Array[]): Uint8Array {
  const entries = addresses.slice(0, GROUP_ADDRESSES);
  return Uint8Array.from([FRAME.ADDRESSES, ...entries.flatMap((one) => [one.length, ...one])]);
}

/** Tells the other side that this session ends; the caller ends it. */
export function sendClose(state: State, session: Session, to: Endpoint, now: Instant): void {
  const frame = new Uint8Array(CLOSE_FRAME.SIZE);
  frame[CLOSE_FRAME.type] = FRAME.CLOSE;
  frame[CLOSE_FRAME.reason] = CLOSE_STOPPED;
  sealAndQueue(state, session, frame, to, now);
}

/** Asks whether the peer receives at `to` (rule 12); `token` is 8 random bytes. */
export function sendPathChallenge(
  state: State,
  session: Session,
  token: Uint8Array,
  to: Endpoint,
  now: Instant,
): void {
  sealAndQueue(state, session, pathFrame(FRAME.PATH_CHALLENGE, token), to, now);
}

/** Frames that the other side answers, at once or as a packet. */
const ANSWERED: ReadonlySet<number | undefined> = new Set([
  FRAME.PROBE,
  FRAME.PATH_CHALLENGE,
  FRAME.PART,
]);

/**
 * Seals one plaintext on the session and queues it; returns whether it could. One with MESSAGE_DONT_FRAGMENT may
 * well be lost, so it counts as nothing sent.
 */
export function sealAndQueue(
  state: State,
  session: Session,
  plaintext: Uint8Array,
  to: Endpoint,
  now: Instant,
  flags = 0,
): boolean {
  if (!session.isUsable(now)) return false;
  const counter = session.takeCounters(1);
  if (counter === undefined) {
    drop(state, "counter_exhausted");
    return false;
  }
  const datagram = new Uint8Array(plaintext.length + DATA_OVERHEAD);
  const row = new Int32Array(SEAL_FIELDS);
  row[SEAL.IN_LENGTH] = plaintext.length;
  row[SEAL.KEY_SLOT] = session.sealSlot;
  row[SEAL.RECEIVER_INDEX] = session.remoteIndex;
  row[SEAL.COUNTER_LOW] = counter % 0x1_0000_0000;
  row[SEAL.COUNTER_HIGH] = Math.floor(counter / 0x1_0000_0000);
  row[SEAL.SEGMENTS] = 1;
  state.aead.seal(plaintext, datagram, row, 1);
  if (row[SEAL.STATUS] !== 0) {
    drop(state, "seal_failed");
    return false;
  }
  if (plaintext[0] === FRAME.PROBE) session.probesSent += 1;
  if (flags === 0) noteSent(session.peer, ANSWERED.has(plaintext[0]), now);
  transmit(state, datagram, to, flags);
  return true;
}

/** A path challenge or response with its 8 bytes. */
export function pathFrame(type: number, token: Uint8Array): Uint8Array {
  const frame = new Uint8Array(PATH_FRAME.SIZE);
  frame[PATH_FRAME.type] = type;
  frame.set(token, PATH_FRAME.token);
  return frame;
}
