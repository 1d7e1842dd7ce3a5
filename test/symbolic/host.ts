/**
 * An honest host of the model: what it is, what it holds, and what a step of it yields.
 *
 * State is plain and never changed in place. `log` and `sent` are ghosts: the host does not look at them,
 * the properties do; they outlive a restart. Time is the order of a host's own events, kept as ranks of
 * those instants that still matter, so that states which differ in forgotten times are one.
 */
import type { DropReason } from "../../src/core/drop-reason.ts";
import { drawn, type Key } from "./messages.ts";
import type { Rules } from "./rules.ts";
import { nodeOf, type Term } from "./term.ts";

export interface HostSpec {
  readonly name: string;
  readonly nodeId: Term;
  readonly kind: "pair" | "hub" | "site";
  /** Whether it knows an address to start to; a hub never starts. */
  readonly starts: boolean;
  readonly key: Key;
  readonly bounds: Bounds;
}

/** What bounds a run of one host. */
export interface Bounds {
  /** Fresh INITs a host makes, all its lives together. */
  readonly inits: number;
  /** Whether it starts anew on a session that it has, which it does 15 s later at the soonest. */
  readonly rekeys: boolean;
  readonly restarts: number;
  /** Times it forgets the INITs it saw and its cookie secrets, as after ten minutes. */
  readonly forgets: number;
  /** Times its sessions, own INITs and cookies end, as after four minutes of silence. */
  readonly expires: number;
  /** Resends of an INIT with a cookie in one attempt (rule 4). */
  readonly resends: number;
  /** Answers that an INIT draws after the first: from the peer's endpoint, from anywhere (rule 1). */
  readonly repeats: { readonly endpoint: number; readonly anywhere: number };
}

export interface Context {
  readonly host: HostSpec;
  readonly rules: Rules;
}

/** An own INIT that may be answered. */
export interface Pending {
  readonly index: Term;
  /** Secret exponent of its ephemeral. */
  readonly exponent: Term;
  /** As last sent: a resend with a cookie replaces the macs. */
  readonly init: Term;
  readonly stamp: number;
  readonly sentAt: number;
}

export interface Attempt {
  readonly pendings: readonly Pending[];
  readonly resends: number;
}

/** An INIT that passed the AEAD. */
export interface Seen {
  /** Its mac, which is no other INIT's. */
  readonly name: Term;
  readonly drawn: "resp" | "challenge" | "nothing";
  readonly nodeId: Term;
  /** The RESP; of the others nothing is kept. */
  readonly resp: Term | undefined;
  readonly repeats: number;
}

export interface Session {
  readonly isInitiator: boolean;
  readonly localIndex: Term;
  readonly remoteIndex: Term;
  readonly sealKey: Term;
  readonly openKey: Term;
  readonly stamp: number;
  readonly nodeId: Term;
  readonly slot: "current" | "previous" | "next";
  readonly born: number;
  /** 0: nothing was heard on it. */
  readonly heardAt: number;
  /** Whether its window has counter 0. */
  readonly hasFirst: boolean;
}

/** A session that was, is or may be; a ghost. */
export interface SessionRecord {
  readonly isInitiator: boolean;
  readonly sealKey: Term;
  readonly openKey: Term;
  readonly nodeId: Term;
  /** The ephemeral of the other side, as this host saw it. */
  readonly remoteEphemeral: Term;
  /** Mac of the INIT that it began with, as it stood. */
  readonly initMac: Term;
  /** The RESP that this host made, or took. */
  readonly resp: Term;
  readonly isConfirmed: boolean;
  /** Whether data of the other side was accepted on it. */
  readonly isHeard: boolean;
}

export interface Floor {
  readonly nodeId: Term;
  readonly stamp: number;
}

export interface HostState {
  readonly boots: number;
  readonly forgets: number;
  readonly expires: number;
  readonly isClockOld: boolean;
  /** INITs made, all lives together. */
  readonly made: number;
  readonly attempt: Attempt | undefined;
  /** A cookie that rides in INITs. */
  readonly cookie: Term | undefined;
  readonly seen: readonly Seen[];
  readonly floors: readonly Floor[];
  readonly sessions: readonly Session[];
  /** Ghost: the highest stamp ever confirmed of each node since the start. */
  readonly highest: readonly Floor[];
  /** Ghost. */
  readonly log: readonly SessionRecord[];
  /** Ghost: macs of INITs that cost a Diffie-Hellman since they may be remembered. */
  readonly answered: readonly Term[];
  /** Ghost: every datagram sent. */
  readonly sent: readonly Term[];
}

/** What a property looks at beside the states. */
export type HostEvent =
  | { readonly kind: "diffie-hellman"; readonly role: "initiator" | "responder" }
  | { readonly kind: "confirmed"; readonly record: SessionRecord }
  | { readonly kind: "data"; readonly record: SessionRecord };

export interface Step {
  readonly state: HostState;
  readonly sent: readonly Term[];
  /** Why the datagram was dropped, in the core's words; undefined: it was not. */
  readonly reason: DropReason | undefined;
  readonly events: readonly HostEvent[];
}

export const NEW_HOST: HostState = {
  boots: 0,
  forgets: 0,
  expires: 0,
  isClockOld: false,
  made: 0,
  attempt: undefined,
  cookie: undefined,
  seen: [],
  floors: [],
  sessions: [],
  highest: [],
  log: [],
  answered: [],
  sent: [],
};

export function dropped(state: HostState, reason: DropReason): Step {
  return { state, sent: [], reason, events: [] };
}

/** The step with a datagram sent in it. */
export function sending(step: Step, message: Term): Step {
  const { sent } = step.state;
  const all = sent.includes(message) ? sent : [...sent, message];
  return { ...step, state: { ...step.state, sent: all }, sent: [...step.sent, message] };
}

/** The instant of the next event. */
export function nextInstant({ attempt, sessions }: HostState): number {
  const pendings = attempt?.pendings ?? [];
  return (
    Math.max(0, ...pendings.map((p) => p.sentAt), ...sessions.flatMap((s) => [s.born, s.heardAt])) +
    1
  );
}

/** The secret that a host's cookies are made with. */
export function cookieSecret(context: Context, state: HostState): Term {
  return drawn("cookie secret", memoryOf(context, state));
}

/** The nonce of a CHALLENGE: the `repeats`th one for this INIT and address. */
export function challengeNonce(
  context: Context,
  state: HostState,
  initMac: Term,
  source: Term,
  repeats: number,
): Term {
  return drawn("nonce", `${memoryOf(context, state)} ${source} ${initMac}.${repeats}`);
}

/** Whether the host drew this nonce for this address since it last forgot. */
export function isNonceFor(context: Context, state: HostState, source: Term, nonce: Term): boolean {
  return nodeOf(nonce).label.startsWith(`nonce ${memoryOf(context, state)} ${source} `);
}

/** The life of cookie secrets. */
function memoryOf({ host }: Context, { boots, forgets, expires }: HostState): string {
  return `${host.name}.${boots}.${forgets}.${expires}`;
}

/** Whose slots a node's sessions share: a pair has one peer, a hub one for each node. */
export function isSamePeer({ host }: Context, one: Term, other: Term): boolean {
  return host.kind !== "hub" || one === other;
}

export function currentOf(context: Context, state: HostState, nodeId: Term): Session | undefined {
  return state.sessions.find(
    (session) => session.slot === "current" && isSamePeer(context, session.nodeId, nodeId),
  );
}

export function floorOf(floors: readonly Floor[], nodeId: Term): number | undefined {
  return floors.find((floor) => floor.nodeId === nodeId)?.stamp;
}

export function withFloor(floors: readonly Floor[], nodeId: Term, stamp: number): Floor[] {
  const others = floors.filter((floor) => floor.nodeId !== nodeId);
  return [...others, { nodeId, stamp }].toSorted((a, b) => a.nodeId - b.nodeId);
}

/** Ranks in place of instants. */
export function withRanks(state: HostState): HostState {
  const { attempt, sessions } = state;
  const pendings = attempt?.pendings ?? [];
  const instants = [
    ...pendings.map((p) => p.sentAt),
    ...sessions.flatMap((s) => [s.born, s.heardAt]),
  ].filter((at) => at > 0);
  const ordered = [...new Set(instants)].toSorted((a, b) => a - b);
  const rank = (at: number) => ordered.indexOf(at) + 1;
  return {
    ...state,
    attempt: attempt && {
      ...attempt,
      pendings: pendings.map((p) => ({ ...p, sentAt: rank(p.sentAt) })),
    },
    sessions: sessions.map((s) => ({ ...s, born: rank(s.born), heardAt: rank(s.heardAt) })),
  };
}

/** One text for one state, whatever the order of what has no order. */
export function keyOf(state: HostState): string {
  const { boots, forgets, expires, isClockOld, made, attempt, cookie } = state;
  const unordered = (items: readonly object[]) =>
    items.map((item) => Object.values(item).join(",")).toSorted();
  return JSON.stringify([
    [boots, forgets, expires, isClockOld, made, cookie ?? 0, attempt?.resends ?? 0],
    unordered(attempt?.pendings ?? []),
    unordered(state.seen),
    unordered(state.floors),
    unordered(state.sessions),
    unordered(state.highest),
    unordered(state.log),
    state.answered.toSorted(),
    state.sent.toSorted(),
  ]);
}
