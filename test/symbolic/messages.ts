/**
 * The four messages of docs/protocol.md §3 as terms, and the keys of §2 that they are made with.
 *
 * Every field of the byte tables is a part of its own. `evaluate.ts` turns these terms into bytes, and a
 * test compares them with the datagrams of the real core, so what stands here is the layout of the wire.
 */
import type { Rules } from "./rules.ts";
import {
  fresh,
  join,
  nodeOf,
  oneWay,
  opened,
  publicName,
  raised,
  sealed,
  type Term,
} from "./term.ts";

export type MessageType = "INIT" | "RESP" | "CHALLENGE" | "DATA";

/** Fields in the order of the wire; `head` is type, version and what follows them. */
export const FIELDS = {
  INIT: ["head", "index", "ephemeral", "sealed", "cookieMac", "mac"],
  RESP: ["head", "senderIndex", "receiverIndex", "ephemeral", "sealed", "mac"],
  CHALLENGE: ["head", "receiverIndex", "nonce", "sealed"],
  DATA: ["head", "receiverIndex", "counter", "sealed"],
} as const satisfies Record<MessageType, readonly string[]>;

export type Fields<T extends MessageType> = Readonly<Record<(typeof FIELDS)[T][number], Term>>;

/** A key: whose it is decides the label of its sub-keys (PROTOCOL "Groups"). */
export interface Key {
  readonly psk: Term;
  readonly scope: "pair" | "group";
}

export const EMPTY = publicName("empty");
/** 16 zero bytes: no cookie. */
export const NO_COOKIE = publicName("no cookie");
const ZERO_NONCE = publicName("zero nonce");
const PROTOCOL_NAME = publicName("Noise name");
export const FIRST_COUNTER = publicName("counter 0");

/** A datagram of the given fields. */
export function datagram<T extends MessageType>(type: T, fields: Fields<T>): Term {
  const values: Readonly<Record<string, Term>> = fields;
  return fromParts(
    type,
    FIELDS[type].map((name) => values[name] ?? EMPTY),
  );
}

/** The same with the fields in the order of the wire. */
export function fromParts(type: MessageType, parts: readonly Term[]): Term {
  return join(type, ...parts);
}

export function typeOf(message: Term): MessageType {
  const { label } = nodeOf(message);
  if (label in FIELDS) return label as MessageType;
  throw new Error(`${label} is no datagram`);
}

/** A search asks for the same ones again and again. */
const readFields = new Map<Term, Readonly<Record<string, Term>>>();

/** The fields of a datagram, whose type the caller has looked at. */
export function fieldsOf<T extends MessageType>(type: T, message: Term): Fields<T> {
  const { label, parts } = nodeOf(message);
  if (label !== type) throw new Error(`${label} read as ${type}`);
  const named =
    readFields.get(message) ??
    Object.fromEntries(FIELDS[type].map((name, at) => [name, parts[at] ?? EMPTY]));
  readFields.set(message, named);
  return named as Fields<T>;
}

export function stampTerm(stamp: number): Term {
  return publicName(`stamp ${stamp}`);
}

export function stampOf(term: Term): number {
  return Number(nodeOf(term).label.slice("stamp ".length));
}

/** A node id, which is given to the attacker; `rank` is its place in the order of rule 8. */
export function nodeTerm(rank: number): Term {
  return publicName(`node ${rank}`);
}

export function rankOf(nodeId: Term): number {
  return Number(nodeOf(nodeId).label.slice("node ".length));
}

/** A sub-key K(x). */
export function subKey({ psk, scope }: Key, name: string): Term {
  return oneWay(`sub-key ${scope} ${name}`, psk);
}

export function initHead(key: Key): Term {
  return join("INIT head", oneWay(`hint ${key.scope}`, key.psk));
}

/** Type, version and two zero bytes. */
export function plainHead(type: "RESP" | "CHALLENGE" | "DATA"): Term {
  return publicName(`${type} head`);
}

/** INIT.mac over the fields before it. */
export function initMac(rules: Rules, key: Key, init: Omit<Fields<"INIT">, "mac">): Term {
  const { head, index, ephemeral, sealed: text, cookieMac } = init;
  const cookie = rules.initMacCoversCookie ? [cookieMac] : [];
  return oneWay("mac", subKey(key, "mac"), head, index, ephemeral, text, ...cookie);
}

/** RESP.mac over the fields before it and the mac of the INIT that it answers. */
export function respMac(
  rules: Rules,
  key: Key,
  resp: Omit<Fields<"RESP">, "mac">,
  answered: Term,
): Term {
  const { head, senderIndex, receiverIndex, ephemeral, sealed: text } = resp;
  const index = rules.respMacCoversIndex ? [receiverIndex] : [];
  const init = rules.respMacCoversInit ? [answered] : [];
  const covered = [head, senderIndex, ...index, ephemeral, text, ...init];
  return oneWay("mac", subKey(key, "mac"), ...covered);
}

/** The cookie that a host gives to `source` for a node. */
export function cookieFor(rules: Rules, key: Key, secret: Term, source: Term, nodeId: Term): Term {
  const fingerprint = oneWay(`fingerprint ${key.scope}`, key.psk);
  const address = rules.cookieNamesSource ? [source] : [];
  return oneWay("cookie", secret, ...address, nodeId, fingerprint);
}

/** cookie_mac under a cookie. */
export function cookieMacOf(
  cookie: Term,
  { head, index, ephemeral, sealed: text }: Omit<Fields<"INIT">, "mac" | "cookieMac">,
): Term {
  return oneWay("mac", cookie, head, index, ephemeral, text);
}

export function challengeText(key: Key, nonce: Term, answered: Term, cookie: Term): Term {
  return sealed("extended", subKey(key, "challenge"), nonce, answered, cookie);
}

/** The cookie inside a CHALLENGE that answers the INIT with this mac. */
export function cookieIn(
  key: Key,
  { nonce, sealed: text }: Fields<"CHALLENGE">,
  answered: Term,
): Term | undefined {
  return opened(text, subKey(key, "challenge"), nonce, answered);
}

/** SymmetricState of Noise. */
export interface NoiseState {
  readonly chainingKey: Term;
  readonly hash: Term;
  readonly key: Term;
}

/** The state before the first ciphertext: prologue, psk, and the initiator's ephemeral. */
export function noiseFirst(
  rules: Rules,
  key: Key,
  { head, index, ephemeral }: Pick<Fields<"INIT">, "head" | "index" | "ephemeral">,
): NoiseState {
  const prologue = join("prologue", publicName(`prologue ${key.scope}`), head, index);
  const start = { chainingKey: PROTOCOL_NAME, hash: PROTOCOL_NAME, key: EMPTY };
  const named = mixHash(start, prologue);
  return mixPublic(rules.mixesPsk ? mixPsk(named, subKey(key, "noise")) : named, ephemeral);
}

/** The state before the second ciphertext; undefined where the shared secret cannot be computed. */
export function noiseSecond(
  rules: Rules,
  first: NoiseState,
  firstText: Term,
  responder: Term,
  shared: Term,
): NoiseState {
  const read = mixPublic(mixHash(first, firstText), responder);
  return rules.mixesSharedSecret ? mixKey(read, shared) : read;
}

/** What both ends share of two ephemerals, computed from one secret exponent. */
export function sharedSecret(exponent: Term, remote: Term): Term | undefined {
  return raised(remote, exponent);
}

export function noiseSeal({ key, hash }: NoiseState, text: Term): Term {
  return sealed("noise", key, ZERO_NONCE, hash, text);
}

export function noiseOpen({ key, hash }: NoiseState, text: Term): Term | undefined {
  return opened(text, key, ZERO_NONCE, hash);
}

/** T || P of both directions, after the second ciphertext. */
export function transportKeys(
  rules: Rules,
  second: NoiseState,
  secondText: Term,
): { readonly fromInitiator: Term; readonly fromResponder: Term } {
  const { chainingKey, hash } = mixHash(second, secondText);
  const transcript = rules.keysNameTranscript ? [hash] : [];
  const direction = (number: 1 | 2) =>
    oneWay("transport", oneWay(`hkdf${number}`, chainingKey, EMPTY), ...transcript);
  return { fromInitiator: direction(1), fromResponder: direction(2) };
}

export function initText(stamp: number, nodeId: Term): Term {
  return join("init payload", stampTerm(stamp), nodeId);
}

export function respText(senderIndex: Term, receiverIndex: Term, nodeId: Term): Term {
  return join("resp payload", senderIndex, receiverIndex, nodeId);
}

/** A keepalive with counter 0. */
export function keepalive(key: Term, receiverIndex: Term): Term {
  const head = plainHead("DATA");
  const counter = FIRST_COUNTER;
  const header = join("DATA header", head, receiverIndex, counter);
  return datagram("DATA", {
    head,
    receiverIndex,
    counter,
    sealed: sealed("data", key, counter, header, EMPTY),
  });
}

/** The plaintext of DATA under a transport key, if it opens. */
export function dataIn(
  { head, receiverIndex, counter, sealed: text }: Fields<"DATA">,
  key: Term,
): Term | undefined {
  return opened(text, key, counter, join("DATA header", head, receiverIndex, counter));
}

/** A random value named by what made it draw it, so that runs that differ in order alone are one. */
export function drawn(kind: string, cause: string): Term {
  return fresh(`${kind} ${cause}`);
}

function mixHash(state: NoiseState, data: Term): NoiseState {
  return { ...state, hash: oneWay("hash", state.hash, data) };
}

function mixKey({ chainingKey, hash }: NoiseState, material: Term): NoiseState {
  return {
    chainingKey: oneWay("hkdf1", chainingKey, material),
    hash,
    key: oneWay("hkdf2", chainingKey, material),
  };
}

function mixPublic(state: NoiseState, ephemeral: Term): NoiseState {
  return mixKey(mixHash(state, ephemeral), ephemeral);
}

function mixPsk({ chainingKey, hash }: NoiseState, psk: Term): NoiseState {
  return {
    chainingKey: oneWay("hkdf1", chainingKey, psk),
    hash: oneWay("hash", hash, oneWay("hkdf2", chainingKey, psk)),
    key: oneWay("hkdf3", chainingKey, psk),
  };
}
