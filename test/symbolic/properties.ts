/**
 * What is claimed of the handshake, looked at in every state and at every step of the model.
 *
 * Against an outsider, who has the network but not the key:
 *  - origin: what a host takes was sent as it stands by a holder of the key (C1: nothing else changes
 *    state, is answered, or costs a Diffie-Hellman);
 *  - agreement: who confirms a session has it with one other host, in the opposite role, of the fitting
 *    kind (a site with its hub), under both node ids, from the same INIT, and the two have it once;
 *  - secrecy: keys of sessions cannot be derived; forward secrecy: nor when the PSK is revealed.
 * Against a member of the group too, who holds the key:
 *  - secrecy and forward secrecy of sessions of which both ephemerals are honest;
 *  - partner: keys of a confirmed session are held by another honest host, or by the member;
 *  - roles: two honest hosts that share keys are of kinds that fit; no two sites are ever joined;
 *  - one session, one key: no host has the same keys twice, nor three hosts have them.
 * Whoever attacks:
 *  - own node: no host confirms a session under its own node id or with itself;
 *  - work: a responder's Diffie-Hellman is for an INIT above every stamp confirmed of its node (of a group's
 *    node only while it has a session), or with a cookie for its source, and once an INIT; an initiator's
 *    is for a RESP to its INIT as it stands;
 *  - once: no datagram of data is accepted twice;
 *  - answers: a datagram draws one at most, of the type that fits and never longer than its cause, and an INIT
 *    draws a bounded number, each of which is counted;
 *  - crossing: two hosts that have the same two sessions send on the same.
 * Not claimed against a member: that the node at the other end is the one it says (it can impersonate the
 * hub and other members on the path), so origin and agreement are not looked at.
 */
import {
  type Context,
  currentOf,
  floorOf,
  type HostSpec,
  type HostState,
  isNonceFor,
  type SessionRecord,
  type Step,
} from "./host.ts";
import type { Knowledge } from "./knowledge.ts";
import { cookieMacOf, fieldsOf, type MessageType, typeOf } from "./messages.ts";
import { nameOf } from "./respond.ts";
import type { Setting } from "./setting.ts";
import { isKind, nodeOf, partOf, type Term } from "./term.ts";

export type Property =
  | "origin"
  | "agreement"
  | "secrecy"
  | "forward secrecy"
  | "partner"
  | "roles"
  | "one session, one key"
  | "own node"
  | "work"
  | "once"
  | "answers"
  | "crossing";

export interface Fault {
  readonly property: Property;
  readonly text: string;
}

/** What one host did with a datagram; everything that its own state says of it. */
export interface OwnStep {
  readonly context: Context;
  readonly before: HostState;
  readonly message: Term;
  readonly source: Term;
  readonly step: Step;
}

/** The same beside the other hosts: it is the one at place `at`. */
export interface SharedStep extends OwnStep {
  readonly setting: Setting;
  readonly at: number;
  readonly hostsBefore: readonly HostState[];
  readonly hostsAfter: readonly HostState[];
  /** What the attacker knows afterwards. */
  readonly known: () => Knowledge;
}

/** Bytes on the wire; data is a keepalive. */
const BYTES: Readonly<Record<MessageType, number>> = {
  INIT: 120,
  RESP: 108,
  CHALLENGE: 64,
  DATA: 32,
};
/** What may go out when a datagram of a type came in. */
const DRAWS: Readonly<Record<MessageType, readonly MessageType[]>> = {
  INIT: ["RESP", "CHALLENGE"],
  RESP: ["DATA"],
  CHALLENGE: ["INIT"],
  DATA: ["DATA"],
};

/** Claims that a step breaks for which its own host is enough. */
export function ownFaults(taken: OwnStep): Fault[] {
  const faults = taken.step.events.map((event) => {
    if (event.kind === "data" && event.record.isHeard) {
      return fault("once", "data is accepted a second time");
    }
    const isWork = event.kind === "diffie-hellman" && event.role === "responder";
    return isWork ? responderWorkFault(taken) : undefined;
  });
  return [answerFault(taken), ...faults].filter((found) => found !== undefined);
}

/** Claims that a step with events breaks for which the other hosts are asked. */
export function sharedFaults(taken: SharedStep): Fault[] {
  const faults = taken.step.events.map((event) => {
    if (event.kind === "confirmed") return confirmedFault(taken, event.record);
    const isWork = event.kind === "diffie-hellman" && event.role === "initiator";
    return isWork ? initiatorWorkFault(taken) : undefined;
  });
  return faults.filter((found) => found !== undefined);
}

/** A datagram that nobody sent had an effect. */
export const FORGED: Fault = {
  property: "origin",
  text: "a datagram that no holder of the key sent has an effect",
};

/** Whether keys can be derived; `revealed` is what the attacker knows once the PSK is told. */
export function secrecyFault(
  setting: Setting,
  states: readonly HostState[],
  known: Knowledge,
  revealed: Knowledge,
): Fault | undefined {
  const records = states.flatMap(({ log }) => log);
  const isMember = setting.attacker === "member";
  for (const record of records) {
    if (isMember && !isHonest(record.remoteEphemeral)) continue;
    for (const key of [record.sealKey, record.openKey]) {
      if (known.derives(key)) return fault("secrecy", "the attacker has a key of the session");
      if (revealed.derives(key)) {
        return fault("forward secrecy", "the PSK opens what was recorded of a session");
      }
    }
  }
  return undefined;
}

/** Whether two hosts with the same two sessions send on different ones; ten seconds must not have passed. */
export function crossingFault(setting: Setting, states: readonly HostState[]): Fault | undefined {
  const [one, other, third] = states;
  if (setting.hosts.some(({ bounds }) => bounds.rekeys)) return undefined;
  if (one === undefined || other === undefined || third !== undefined) return undefined;
  const [current, previous] = slotsOf(one);
  const [otherCurrent, otherPrevious] = slotsOf(other);
  if (current === undefined || previous === undefined) return undefined;
  const isCrossed =
    previous.openKey === otherCurrent?.sealKey && current.openKey === otherPrevious?.sealKey;
  return isCrossed ? fault("crossing", "two hosts send on different sessions") : undefined;
}

function slotsOf({ sessions }: HostState) {
  return (["current", "previous"] as const).map((slot) => sessions.find((s) => s.slot === slot));
}

function fault(property: Property, text: string): Fault {
  return { property, text };
}

function answerFault(taken: OwnStep): Fault | undefined {
  const { context, step, message } = taken;
  const type = typeOf(message);
  const { endpoint } = context.host.bounds.repeats;
  if (step.state.seen.some(({ repeats }) => repeats > endpoint)) {
    return fault("answers", "an INIT draws its answer without end");
  }
  if (step.sent.length > 1) return fault("answers", "more than one datagram goes out");
  const [answer] = step.sent;
  if (answer === undefined) return undefined;
  if (type === "INIT" && !isCounted(taken)) {
    return fault("answers", "an INIT that was seen draws an answer that is not counted");
  }
  const drawn = typeOf(answer);
  if (!DRAWS[type].includes(drawn)) return fault("answers", `${type} draws ${drawn}`);
  // An INIT that is sent again goes where it went before, not to the source of the CHALLENGE.
  const isLonger = drawn !== "INIT" && BYTES[drawn] > BYTES[type];
  return isLonger ? fault("answers", `${type} draws a longer ${drawn}`) : undefined;
}

/** One that was not seen before draws its first answer. */
function isCounted({ context, before, step, message }: OwnStep): boolean {
  const name = nameOf(context.rules, fieldsOf("INIT", message));
  const [known, now] = [before, step.state].map(({ seen }) => seen.find((s) => s.name === name));
  return known === undefined || now === undefined || now.repeats > known.repeats;
}

function initiatorWorkFault({ setting, before, hostsBefore, message }: SharedStep) {
  // Under the key a RESP to any INIT can be made.
  if (setting.attacker === "member") return undefined;
  const { receiverIndex } = fieldsOf("RESP", message);
  const pending = before.attempt?.pendings.find(({ index }) => index === receiverIndex);
  const initMac = pending && fieldsOf("INIT", pending.init).mac;
  const isAnswer = hostsBefore
    .flatMap(({ log }) => log)
    .some((made) => !made.isInitiator && made.resp === message && made.initMac === initMac);
  return isAnswer ? undefined : fault("work", "a RESP to another INIT costs a Diffie-Hellman");
}

function responderWorkFault(taken: OwnStep): Fault | undefined {
  const { context, before, step, message, source } = taken;
  const init = fieldsOf("INIT", message);
  if (before.answered.includes(init.mac))
    return fault("work", "one INIT costs two Diffie-Hellmans");
  const made = step.state.sessions.at(-1);
  const isPresent =
    made && (context.host.kind === "pair" || currentOf(context, before, made.nodeId) !== undefined);
  const highest = isPresent ? floorOf(before.highest, made.nodeId) : undefined;
  if (made && highest !== undefined && made.stamp > highest) return undefined;
  const hasCookie = before.sent.some((sent) => {
    if (typeOf(sent) !== "CHALLENGE") return false;
    const { nonce, sealed } = fieldsOf("CHALLENGE", sent);
    if (!isNonceFor(context, before, source, nonce)) return false;
    return init.cookieMac === cookieMacOf(partOf(sealed, 3), init);
  });
  return hasCookie
    ? undefined
    : fault("work", "a recording costs a Diffie-Hellman: no newer stamp, no cookie for its source");
}

function confirmedFault(taken: SharedStep, record: SessionRecord): Fault | undefined {
  const { setting, context, at, hostsAfter } = taken;
  const { host } = context;
  if (record.nodeId === host.nodeId) {
    return fault("own node", `${host.name} has a session under its own node id`);
  }
  const ends = setting.hosts.flatMap((other, index) =>
    sameKeys(hostsAfter[index], record).map((end) => ({ host: other, record: end, index })),
  );
  const [own, ...alsoOwn] = ends.filter(({ index }) => index === at);
  const [end, ...alsoEnds] = ends.filter(({ index }) => index !== at);
  if (alsoOwn.some((also) => also.record.isInitiator !== own?.record.isInitiator)) {
    return fault("own node", `${host.name} has a session with itself`);
  }
  if (alsoOwn.length > 0 || alsoEnds.length > 0) {
    return fault("one session, one key", "two sessions have the same keys");
  }
  if (end === undefined) return partnerFault(taken, record);
  if (!isFittingKind(host, end.host) || end.record.isInitiator === record.isInitiator) {
    const [one, other] = [host, end.host].map(({ kind, name }) => `${kind} ${name}`);
    return fault("roles", `${one} has a session with ${other}`);
  }
  return setting.attacker === "outsider" ? agreementFault(host, record, end) : undefined;
}

/** Nobody honest has the keys: the member has them, or the session is with nobody. */
function partnerFault(taken: SharedStep, record: SessionRecord): Fault | undefined {
  if (taken.setting.attacker === "outsider") {
    return fault("agreement", "a session is confirmed that no other host has");
  }
  const isWithMember =
    taken.known().derives(record.sealKey) && taken.known().derives(record.openKey);
  return isWithMember ? undefined : fault("partner", "a session is confirmed that nobody has");
}

function agreementFault(
  host: HostSpec,
  record: SessionRecord,
  end: { readonly host: HostSpec; readonly record: SessionRecord },
): Fault | undefined {
  const isNamed = record.nodeId === end.host.nodeId && end.record.nodeId === host.nodeId;
  if (!isNamed) return fault("agreement", "the two ends have other node ids");
  if (record.initMac !== end.record.initMac) {
    return fault("agreement", "the two ends have seen other INITs");
  }
  const isKnown = record.isInitiator || end.record.isConfirmed;
  return isKnown ? undefined : fault("agreement", "the initiator has not confirmed the session");
}

function sameKeys(state: HostState | undefined, record: SessionRecord): readonly SessionRecord[] {
  return (state?.log ?? []).filter((other) => isSameKeys(record, other));
}

function isSameKeys(one: SessionRecord, other: SessionRecord): boolean {
  return (
    (one.openKey === other.openKey && one.sealKey === other.sealKey) ||
    (one.openKey === other.sealKey && one.sealKey === other.openKey)
  );
}

function isFittingKind(one: HostSpec, other: HostSpec): boolean {
  const kinds = [one.kind, other.kind].toSorted().join(" ");
  return kinds === "pair pair" || kinds === "hub site";
}

/** Whether a host drew the exponent of an ephemeral. */
function isHonest(ephemeral: Term): boolean {
  const { parts } = nodeOf(ephemeral);
  return parts.length === 1 && parts.every((exponent) => isKind(exponent, "fresh"));
}
