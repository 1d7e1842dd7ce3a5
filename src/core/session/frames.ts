/**
 * Control frames that arrived: authentic, so each is done at once or dropped for its form.
 */
import { isRowFrom } from "../address.ts";
import { ADDRESS_FRAMES, GROUP_ADDRESSES } from "../constants.ts";
import type { DropReason } from "../drop-reason.ts";
import { moveEndpoint } from "../path/endpoints.ts";
import { probeMeasured, reportReceived } from "../path/measure.ts";
import { pathProbeAnswered } from "../path/path-mtu.ts";
import { pingAnswered } from "../path/ping.ts";
import { mayBring } from "../peers/claims.ts";
import type { Peer, Session } from "../peers/peer.ts";
import type { State } from "../state.ts";
import type { Instant } from "../time.ts";
import {
  CLOSE_FRAME,
  DATA_OVERHEAD,
  FRAME,
  FRAME_LAST,
  PATH_FRAME,
  PROBE_FRAME,
  REPORT_FRAME,
  viewOf,
} from "../wire.ts";
import { pathFrame, sealAndQueue } from "./control.ts";
import { closeSession } from "./sessions.ts";

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
  if (expected !== undefined && frame.length !== expected) return "bad_control";
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
    case FRAME.ADDRESSES:
      return receiveAddresses(state, session, frame, now);
    case FRAME.PROBE:
      session.probesReceived += 1;
      answer(state, session.peer, probeAnswer(frame), now);
      return undefined;
    case FRAME.PROBE_ANSWER:
      probeAnswered(state, session.peer, frame, now);
      return undefined;
    case FRAME.REPORT:
      return reportReceived(session, frame);
    default:
      return undefined;
  }
}

/** One of our probes arrived. */
function probeAnswered(state: State, peer: Peer, frame: Uint8Array, now: Instant): void {
  const view = viewOf(frame);
  const id = view.getUint16(PROBE_FRAME.id, true);
  const bytes = view.getUint16(PROBE_FRAME.bytes, true);
  if (state.speedTest?.answered(peer, id, bytes, now)) return;
  const probe = peer.probes.take(id, bytes);
  if (probe === undefined) return;
  if (probe.tag !== undefined) {
    pingAnswered(state, probe, probe.tag, now);
    return;
  }
  peer.roundTrip.add(now - probe.sentAt);
  probeMeasured(peer, probe, now);
  pathProbeAnswered(peer, probe.bytes, probe.to, now);
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

/**
 * Inner addresses that a node of a group has, as if a packet had come from each; anybody else's mean nothing.
 * Returns the last reason for which one was refused.
 */
function receiveAddresses(
  state: State,
  session: Session,
  frame: Uint8Array,
  now: Instant,
): DropReason | undefined {
  const { peer } = session;
  const offsets = addressOffsets(frame);
  if (offsets === undefined) return "bad_control";
  // A member could send nothing else, and each costs as much as 64 packets.
  session.addressFrames += 1;
  if (peer.kind !== "node" || session.addressFrames > ADDRESS_FRAMES) return undefined;
  let refused: DropReason | undefined;
  for (const offset of offsets) {
    const family = frame[offset - 1] === 4 ? 4 : 6;
    refused = mayBring(state, peer, family, frame, offset, now) ?? refused;
  }
  return refused;
}

/** Where the addresses of the frame start; undefined: it does not consist of addresses. */
function addressOffsets(frame: Uint8Array): readonly number[] | undefined {
  const offsets: number[] = [];
  for (let at = 1; at < frame.length; ) {
    const bytes = frame[at];
    if (bytes !== 4 && bytes !== 16) return undefined;
    offsets.push(at + 1);
    at += 1 + bytes;
    if (at > frame.length || offsets.length > GROUP_ADDRESSES) return undefined;
  }
  return offsets;
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
