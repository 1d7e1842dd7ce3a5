/**
 * Control frames and keepalives: what is sealed outside the packet path, and what is done with a
 * frame that arrived.
 */
import { type Endpoint, isRowFrom } from "./address.ts";
import { PATH_CHALLENGE_CAUSE_BYTES } from "./constants.ts";
import type { DropReason } from "./drop-reason.ts";
import { moveEndpoint } from "./endpoints.ts";
import { noteSent } from "./liveness.ts";
import type { Peer, Session } from "./peer.ts";
import { SEAL, SEAL_FIELDS } from "./rows.ts";
import { closeSession } from "./sessions.ts";
import { drop, type State, transmit } from "./state.ts";
import type { Instant } from "./time.ts";
import {
  CLOSE_FRAME,
  DATA_OVERHEAD,
  FRAME,
  FRAME_LAST,
  PATH_FRAME,
  PROBE_FRAME,
  REPORT_FRAME,
  viewOf,
} from "./wire.ts";

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
  const { counters } = session.peer;
  const frame = new Uint8Array(PATH_CHALLENGE_CAUSE_BYTES);
  const view = viewOf(frame);
  frame[PROBE_FRAME.type] = FRAME.PROBE;
  view.setUint16(PROBE_FRAME.id, counters.keepalivesSent & 0xffff, true);
  view.setUint16(PROBE_FRAME.bytes, frame.length + DATA_OVERHEAD, true);
  if (sealAndQueue(state, session, frame, to, now)) counters.keepalivesSent += 1;
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

/** Frames that the other side answers at once. */
const ANSWERED: ReadonlySet<number | undefined> = new Set([FRAME.PROBE, FRAME.PATH_CHALLENGE]);

/** Seals one plaintext on the session and queues it; returns whether it could. */
function sealAndQueue(
  state: State,
  session: Session,
  plaintext: Uint8Array,
  to: Endpoint,
  now: Instant,
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
  noteSent(session.peer, ANSWERED.has(plaintext[0]), now);
  transmit(state, datagram, to);
  return true;
}

/** Exact plaintext lengths of the frames; a probe states its own. */
const FRAME_BYTES: Readonly<Record<number, number>> = {
  [FRAME.PATH_CHALLENGE]: PATH_FRAME.SIZE,
  [FRAME.PATH_RESPONSE]: PATH_FRAME.SIZE,
  [FRAME.CLOSE]: CLOSE_FRAME.SIZE,
  [FRAME.PROBE_ANSWER]: PROBE_FRAME.SIZE,
  [FRAME.REPORT]: REPORT_FRAME.SIZE,
};

/**
 * Handles an authenticated control frame that came in message row `base`.
 *
 * Returns why it was dropped, or undefined: it was handled or is of a later version.
 */
export function handleFrame(
  state: State,
  session: Session,
  frame: Uint8Array,
  rows: Int32Array,
  base: number,
  now: Instant,
): DropReason | undefined {
  const type = frame[0] ?? 0;
  if (type === 0 || type > FRAME_LAST) return "bad_plaintext";
  const expected = type === FRAME.PROBE ? probeBytes(frame) : FRAME_BYTES[type];
  if (expected === undefined) return undefined;
  if (frame.length !== expected) return "bad_control";
  switch (type) {
    case FRAME.PATH_CHALLENGE:
      answer(
        state,
        session.peer,
        pathFrame(FRAME.PATH_RESPONSE, frame.subarray(PATH_FRAME.token)),
        now,
      );
      return undefined;
    case FRAME.PATH_RESPONSE:
      pathResponse(state, session.peer, frame.subarray(PATH_FRAME.token), { rows, base }, now);
      return undefined;
    case FRAME.CLOSE:
      closeSession(state, session);
      return undefined;
    case FRAME.PROBE:
      answer(state, session.peer, probeAnswer(frame), now);
      return undefined;
    default:
      return undefined;
  }
}

/** Answers travel to the peer's endpoint in use, on its current session. */
function answer(state: State, peer: Peer, frame: Uint8Array, now: Instant): void {
  if (peer.current === undefined || peer.endpoint === undefined) return;
  sealAndQueue(state, peer.current, frame, peer.endpoint, now);
}

/** Counts only when it arrives from the challenged address with the same 8 bytes. */
function pathResponse(
  state: State,
  peer: Peer,
  token: Uint8Array,
  { rows, base }: { readonly rows: Int32Array; readonly base: number },
  now: Instant,
): void {
  const challenge = peer.pathChallenge;
  if (challenge === undefined || !isRowFrom(rows, base, challenge.to)) return;
  if (!state.crypto.equal(challenge.token, token)) return;
  peer.pathChallenge = undefined;
  moveEndpoint(state, peer, challenge.to, now);
}

function pathFrame(type: number, token: Uint8Array): Uint8Array {
  const frame = new Uint8Array(PATH_FRAME.SIZE);
  frame[PATH_FRAME.type] = type;
  frame.set(token, PATH_FRAME.token);
  return frame;
}

/** Plaintext bytes that a probe must have by its own size field; -1: it is too short to have one. */
function probeBytes(frame: Uint8Array): number {
  if (frame.length < PROBE_FRAME.SIZE) return -1;
  return viewOf(frame).getUint16(PROBE_FRAME.bytes, true) - DATA_OVERHEAD;
}

function probeAnswer(probe: Uint8Array): Uint8Array {
  const frame = probe.slice(0, PROBE_FRAME.SIZE);
  frame[PROBE_FRAME.type] = FRAME.PROBE_ANSWER;
  return frame;
}
