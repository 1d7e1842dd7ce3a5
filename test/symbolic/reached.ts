/**
 * What happens in a run, as short texts: a search that never gets anywhere finds no fault either, so the
 * tests ask that each of these was seen where it must be possible.
 */
import { floorOf, type HostState, type Session, type SessionRecord } from "./host.ts";
import { fieldsOf, NO_COOKIE, stampOf, typeOf } from "./messages.ts";
import type { OwnStep, SharedStep } from "./properties.ts";
import { partOf, type Term } from "./term.ts";

/** What a step shows of its own host. */
export function ownWitnesses({ before, message, step }: OwnStep): string[] {
  const type = typeOf(message);
  const drawn = step.sent.map((answer) => `${type} draws ${typeOf(answer)}`);
  const reason = step.reason === undefined ? [] : [`${type}: ${step.reason}`];
  if (step.reason === "challenged") reason.push(`challenged, ${placeOf(message, before)}`);
  const work = step.events.flatMap((event) =>
    event.kind === "diffie-hellman" && event.role === "responder" ? [answered(message)] : [],
  );
  return [...drawn, ...reason, ...work];
}

/** What a step with events shows beside the other hosts. */
export function sharedWitnesses(taken: SharedStep): string[] {
  return taken.step.events.flatMap((event) =>
    event.kind === "confirmed" ? confirmed(taken, event.record) : [],
  );
}

/** Where the stamp of a readable INIT is. */
function placeOf(message: Term, { floors }: HostState): string {
  const text = partOf(fieldsOf("INIT", message).sealed, 3);
  const floor = floorOf(floors, partOf(text, 1));
  if (floor === undefined) return "no floor known";
  return stampOf(partOf(text, 0)) > floor ? "above the floor" : "not above the floor";
}

function answered(message: Term): string {
  const { cookieMac } = fieldsOf("INIT", message);
  return cookieMac === NO_COOKIE ? "answered without a cookie" : "answered with a cookie";
}

function confirmed(taken: SharedStep, record: SessionRecord): string[] {
  const { at, before, hostsAfter, context, known } = taken;
  const state = hostsAfter[at];
  const session = state?.sessions.find(({ openKey }) => openKey === record.openKey);
  const role = record.isInitiator ? "initiator" : "responder";
  const seen = [`${role} confirms`];
  if (hostsAfter.some(({ boots }) => boots > 0)) seen.push("confirmed after a restart");
  if (session?.slot === "previous") seen.push(`the ${role}'s session is only the previous one`);
  const isNewer = (other: Session) =>
    other.slot === "next" && other.nodeId === record.nodeId && other.openKey !== record.openKey;
  if (!record.isInitiator && before.sessions.some(isNewer)) {
    const isLost = (other: Session) =>
      isNewer(other) && !state?.sessions.some(({ openKey }) => openKey === other.openKey);
    seen.push(`half-open sessions ${before.sessions.some(isLost) ? "are lost" : "stay"}`);
  }
  const highest = floorOf(before.highest, record.nodeId);
  if (!record.isInitiator && session && highest !== undefined && session.stamp < highest) {
    seen.push("an old clock is let in");
  }
  const isShared = hostsAfter.some(
    ({ sessions }, other) =>
      other !== at && sessions.some((s) => s.slot === "current" && s.openKey === record.sealKey),
  );
  if (isShared && session?.slot === "current") seen.push("both ends send on one session");
  if (known().derives(record.openKey))
    seen.push(`the member has a session with a ${context.host.kind}`);
  return seen;
}
