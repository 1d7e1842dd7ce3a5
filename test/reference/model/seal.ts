/**
 * Sending on a session: what must leave, and what that means for the peer's timers (rules 10 and 11).
 */
import { type Content, contentBytes } from "./records.ts";
import { PASSIVE, REJECT, STALE, UNANSWERED } from "./rules.ts";
import type { Model, Peer, Session, Way } from "./state.ts";

/** Seals content for `to`; nothing leaves on a session that is over its age. */
export function seal(model: Model, session: Session, content: Content, to: Way): boolean {
  if (session.isEnded || model.now - session.born >= REJECT) return false;
  const { wire, isInitiator } = session;
  const counter = session.nextCounter;
  session.nextCounter += 1;
  const expectsAnswer = ["packet", "probe", "pathChallenge"].includes(content.kind);
  noteSent(model, session.peer, expectsAnswer);
  model.expected.push({
    type: 4,
    to,
    length: 32 + contentBytes(content),
    receiverIndex: isInitiator ? wire.index : wire.init.index,
    counter,
    sent: { kind: "data", session: wire, isByInitiator: isInitiator, counter, content },
    onSent: undefined,
  });
  return true;
}

/** Rule 6: what confirms a session; a site tells its hub its inner addresses in it. */
export function sendConfirmation(model: Model, session: Session, to: Way): void {
  const addresses = model.entry.kind === "hub" ? model.options.inner : [];
  if (addresses.length === 0) seal(model, session, { kind: "keepalive" }, to);
  else if (seal(model, session, { kind: "addresses", addresses }, to)) {
    model.tally.note("addressesFrame");
  }
}

/** Rule 11: something left; a packet, probe or path challenge wants an answer. */
function noteSent({ now }: Model, peer: Peer, expectsAnswer: boolean): void {
  const { timers } = peer;
  timers.passive = Infinity;
  timers.keepalive = now + peer.keepalive;
  if (expectsAnswer && timers.unanswered === Infinity) timers.unanswered = now + UNANSWERED;
}

/** Rule 11: something authentic came; only the session in use shows that what we send arrives. */
export function noteHeard(
  { now }: Model,
  peer: Peer,
  isOnCurrent: boolean,
  isPacket: boolean,
): void {
  const { timers } = peer;
  peer.lastHeardAt = now;
  if (isOnCurrent) timers.unanswered = Infinity;
  timers.stale = now + STALE;
  if (isPacket && timers.passive === Infinity) timers.passive = now + PASSIVE;
}
