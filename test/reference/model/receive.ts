/**
 * A batch of datagrams as a host must take it (rules 1 to 4 and 10): headers, then data, then handshakes.
 *
 * The headers are read here byte by byte, as docs/protocol.md section 3 has them.
 */
import { ipOf } from "./address.ts";
import { bring, takeAddresses } from "./claims.ts";
import { takenOver } from "./ecn.ts";
import { considerWay, takePathResponse } from "./endpoint.ts";
import { receiveChallenge, receiveResp, wordAt } from "./initiator.ts";
import { charge, isSourceEmpty, refuse } from "./limits.ts";
import type { Content, DataSent, Packet } from "./records.ts";
import { receiveInit } from "./responder.ts";
import { ADDRESS_FRAMES, WINDOW } from "./rules.ts";
import { noteHeard, seal } from "./seal.ts";
import { close, confirm, stopConfirming } from "./slots.ts";
import type { Arrival, Model, Peer, Session } from "./state.ts";
import { drop, isSameRemote, isUsable } from "./state.ts";

/** Data whose header is right. */
interface Opening {
  readonly arrival: Arrival;
  readonly session: Session;
  readonly counter: number;
  readonly isPrepaid: boolean;
}

/** Takes a batch of datagrams; `hint` is that of the one key all hosts have. */
export function receiveBatch(model: Model, batch: readonly Arrival[], hint: number): void {
  const openings: Opening[] = [];
  const handshakes: Arrival[] = [];
  for (const arrival of batch) {
    const result = sort(model, arrival);
    if (result === "handshake") handshakes.push(arrival);
    else if (typeof result === "string") refuse(model, result, arrival.from);
    else openings.push(result);
  }
  if (openings.length > 0 && handshakes.length > 0) model.tally.note("batchMixed");
  for (const opening of openings) open(model, opening);
  for (const arrival of handshakes) {
    const reason = receiveHandshake(model, arrival, hint);
    if (reason !== undefined) refuse(model, reason, arrival.from);
  }
}

/** By its header: data for a session, a handshake message, or why neither. */
function sort(model: Model, arrival: Arrival): Opening | string {
  const { bytes } = arrival;
  const [type = -1, version, zero0, zero1] = bytes;
  if (bytes.length < 32) return "bad_length";
  if (version !== 1) return "bad_version";
  const isZero = zero0 === 0 && zero1 === 0;
  if (type === 4) return isZero ? sortData(model, arrival) : "bad_reserved";
  const size = [undefined, 120, 108, 64][type];
  if (size === undefined) return "bad_type";
  if (bytes.length !== size) return "bad_length";
  return type === 1 || isZero ? "handshake" : "bad_reserved";
}

/** Rule 10 as far as the window's first look; whoever is not the endpoint pays before the open. */
function sortData(model: Model, arrival: Arrival): Opening | string {
  const { bytes, from } = arrival;
  const session = model.sessions.get(wordAt(bytes, 4));
  const counter = wordAt(bytes, 8) + wordAt(bytes, 12) * 2 ** 32;
  if (session === undefined) return "unknown_index";
  if (counter >= 2 ** 48) return "bad_counter";
  if (!isUsable(model, session)) return "expired_session";
  if (!isNew(session, counter)) {
    model.tally.note(session.seen.has(counter) ? "replayedData" : "behindEdge");
    return "replayed";
  }
  const { peer, paths, isConfirmed } = session;
  const isOnPath = paths.some(({ remote }) => remote === from);
  const isKnown = isSameRemote(peer.endpoint, from);
  const isPrepaid = !isKnown && ((isConfirmed && peer.endpoint !== undefined) || !isOnPath);
  if (isPrepaid) {
    if (isSourceEmpty(model, ipOf(from))) return "source_limited";
    charge(model, ipOf(from));
  }
  return { arrival, session, counter, isPrepaid };
}

function isNew({ seen, highest }: Session, counter: number): boolean {
  return !seen.has(counter) && highest - counter <= WINDOW;
}

/** The open, the window's second look, and what is in it. */
function open(model: Model, { arrival, session, counter, isPrepaid }: Opening): void {
  const { sent, from } = arrival;
  if (isPrepaid) model.sources.get(ipOf(from))?.giveBack();
  if (!isGenuine(sent, session)) {
    model.tally.note("forged");
    refuse(model, "forged", from);
    return;
  }
  if (session.isEnded || !isNew(session, counter)) {
    if (!session.isEnded) model.tally.note("replayedData");
    refuse(model, session.isEnded ? "expired_session" : "replayed", from);
    return;
  }
  const isHighest = counter > session.highest;
  if (session.highest - counter === WINDOW) model.tally.note("edge");
  session.seen.add(counter);
  session.highest = Math.max(session.highest, counter);
  accept(model, session, sent, arrival, isHighest);
}

/** The other end of this session sent exactly these bytes. */
function isGenuine(sent: Arrival["sent"], session: Session): sent is DataSent {
  return (
    sent?.kind === "data" &&
    sent.session === session.wire &&
    sent.isByInitiator !== session.isInitiator
  );
}

function accept(
  model: Model,
  session: Session,
  { content }: DataSent,
  { from, local, bytes, tos }: Arrival,
  isHighest: boolean,
): void {
  const { peer } = session;
  const isConfirming = !session.isConfirmed;
  if (isConfirming && session.paths[0]?.remote !== from) model.tally.note("otherPath");
  if (isConfirming) confirm(model, session);
  session.heardAt ??= model.now;
  if (peer.confirming?.session === session) stopConfirming(peer);
  const isCurrent = peer.current === session;
  if (!isCurrent) model.tally.note("previousUsed");
  noteHeard(model, peer, isCurrent, content.kind === "packet");
  const way = { remote: from, local };
  if (isCurrent && isHighest) {
    considerWay(model, session, { way, bytes: bytes.length - 32, isConfirming });
  } else if (!isSameRemote(peer.endpoint, from)) model.tally.note("roamRefusedLow");
  if (isConfirming && peer.endpoint !== undefined) {
    seal(model, session, { kind: "keepalive" }, peer.endpoint);
  }
  take(model, session, content, from, tos);
}

/** What the plaintext says. */
function take(model: Model, session: Session, content: Content, from: number, tos: number): void {
  const { peer } = session;
  switch (content.kind) {
    case "packet":
      takePacket(model, peer, content.packet, tos);
      break;
    case "pathChallenge":
      reply(model, session, { kind: "pathResponse", token: content.token });
      break;
    case "probe":
      reply(model, session, { kind: "probeAnswer" });
      break;
    case "pathResponse":
      takePathResponse(model, peer, content.token, from);
      break;
    case "close":
      model.tally.note("closed");
      close(model, session);
      break;
    case "addresses":
      session.addressFrames += 1;
      if (peer.kind === "node" && session.addressFrames <= ADDRESS_FRAMES) {
        takeAddresses(model, peer, content.addresses);
      }
      break;
    case "keepalive":
    case "probeAnswer":
      break;
  }
}

/** The mark of its outer header goes over first. */
function takePacket(model: Model, peer: Peer, sent: Packet, tos: number): void {
  const packet = takenOver(sent, tos);
  if (packet === undefined) {
    model.tally.note("markRefused");
    drop(model, "inner_not_ect");
    return;
  }
  const reason = bring(model, peer, packet.from);
  if (reason === undefined) model.delivered.push(packet);
  else drop(model, reason);
  if (reason === "inner_source") model.tally.note("innerRefused");
  else if (packet.bytes[1] !== sent.bytes[1]) model.tally.note("marked");
}

/** Answers travel to the endpoint in use, on the current session. */
function reply(model: Model, { peer }: Session, content: Content): void {
  if (peer.current === undefined || peer.endpoint === undefined) return;
  seal(model, peer.current, content, peer.endpoint);
}

/** A handshake message of the right size: why it is refused, or undefined. */
export function receiveHandshake(model: Model, arrival: Arrival, hint: number): string | undefined {
  const { bytes, sent } = arrival;
  if (bytes[0] === 2) return receiveResp(model, sent, wordAt(bytes, 8));
  if (bytes[0] === 3) return receiveChallenge(model, sent, wordAt(bytes, 4));
  if (sent?.kind === "init") return receiveInit(model, sent, arrival);
  const given = (bytes[2] ?? 0) | ((bytes[3] ?? 0) << 8);
  return given === hint ? "bad_mac" : "unknown_hint";
}
