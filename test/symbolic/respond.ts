/**
 * The responder of the model: an INIT through the checks of rule 1, in their order.
 *
 * Written from the protocol's text, not from the core. Budgets and limiters are left out: they drop more.
 */
import type { DropReason } from "../../src/core/drop-reason.ts";
import {
  type Context,
  challengeNonce,
  cookieSecret,
  currentOf,
  dropped,
  floorOf,
  type HostState,
  nextInstant,
  type Seen,
  type Step,
  sending,
} from "./host.ts";
import {
  challengeText,
  cookieFor,
  cookieMacOf,
  datagram,
  drawn,
  type Fields,
  fieldsOf,
  initHead,
  initMac,
  type NoiseState,
  noiseFirst,
  noiseOpen,
  noiseSeal,
  noiseSecond,
  plainHead,
  respMac,
  respText,
  sharedSecret,
  stampOf,
  transportKeys,
} from "./messages.ts";
import type { Rules } from "./rules.ts";
import { withSession } from "./sessions.ts";
import { join, nodeOf, power, type Term } from "./term.ts";

/** An INIT that a host can read; what does not depend on its state. */
interface Readable {
  readonly init: Fields<"INIT">;
  readonly noise: NoiseState;
  readonly nodeId: Term;
  readonly stamp: number;
}

interface Genuine extends Readable {
  /** Address that it came from. */
  readonly source: Term;
}

/** `isHome`: it comes from the address where the other host is. */
export function receiveInit(
  context: Context,
  state: HostState,
  message: Term,
  source: Term,
  isHome: boolean,
): Step {
  const readable = read(context, fieldsOf("INIT", message));
  if (typeof readable === "string") return dropped(state, readable);
  const name = nameOf(context.rules, readable.init);
  const seen = state.seen.find((other) => other.name === name);
  const genuine = { ...readable, source };
  return seen === undefined
    ? judge(context, state, genuine)
    : repeatAnswer(context, state, genuine, seen, isHome);
}

/** The checks before the state is asked. One the mac holds for is remembered when it opens, so asking whether it was seen can come after. */
function read({ rules, host }: Context, init: Fields<"INIT">): Readable | DropReason {
  if (init.head !== initHead(host.key)) return "unknown_hint";
  if (init.mac !== initMac(rules, host.key, init)) return "bad_mac";
  if (host.kind === "site" && rules.sitesDropInits) return "site_init";
  const noise = noiseFirst(rules, host.key, init);
  const text = noiseOpen(noise, init.sealed);
  const [stamp, nodeId] = text === undefined ? [] : nodeOf(text).parts;
  if (stamp === undefined || nodeId === undefined) return "handshake_failed";
  return { init, noise, nodeId, stamp: stampOf(stamp) };
}

/** What an INIT costs: own reflection, a recording, or a session. */
function judge(context: Context, state: HostState, genuine: Genuine): Step {
  const { rules, host } = context;
  const { nodeId } = genuine;
  const isOwn = rules.refusesOwnNode && nodeId === host.nodeId;
  // Not remembered here: it is dropped again in any case, so the states are alike.
  if (isOwn) return dropped(state, "own_node");
  if (!isFresh(context, state, genuine)) {
    const step = dropped(remember(context, state, genuine, "challenge"), "challenged");
    return sending(step, challenge(context, state, genuine.init, genuine.source, nodeId, 0));
  }
  if (isOlderThanWaiting(state, genuine)) {
    return dropped(remember(context, state, genuine, "nothing"), "old_stamp");
  }
  return answer(context, state, genuine);
}

/** The stamp is above the floor, or the address answered for it (rules 1 and 2, Groups). */
function isFresh(context: Context, state: HostState, genuine: Genuine): boolean {
  const { rules, host } = context;
  const { nodeId, stamp, init, source } = genuine;
  const isPresent = host.kind === "pair" || currentOf(context, state, nodeId) !== undefined;
  const isTrusted = isPresent || !rules.absentNodesProve;
  if (isTrusted && isAboveFloor(state, nodeId, stamp)) return true;
  return hasCookie(context, state, init, source, nodeId);
}

/** The INIT's cookie is the one of this node and the address it comes from. */
function hasCookie(
  context: Context,
  state: HostState,
  init: Fields<"INIT">,
  source: Term,
  nodeId: Term,
): boolean {
  const { rules, host } = context;
  const cookie = cookieFor(rules, host.key, cookieSecret(context, state), source, nodeId);
  return init.cookieMac === cookieMacOf(cookie, init);
}

function isAboveFloor({ floors }: HostState, nodeId: Term, stamp: number): boolean {
  const floor = floorOf(floors, nodeId);
  return floor !== undefined && stamp > floor;
}

/** Rule 7; the stamps of a clock that fell back say no order. */
function isOlderThanWaiting(state: HostState, { nodeId, stamp }: Genuine): boolean {
  const isOrdered =
    floorOf(state.floors, nodeId) === undefined || isAboveFloor(state, nodeId, stamp);
  return (
    isOrdered &&
    state.sessions.some((s) => s.slot === "next" && s.nodeId === nodeId && s.stamp > stamp)
  );
}

/** Diffie-Hellman, RESP, and a session that waits for data. */
function answer(context: Context, state: HostState, genuine: Genuine): Step {
  const { rules, host } = context;
  const { init, nodeId, stamp } = genuine;
  const work = { kind: "diffie-hellman", role: "responder" } as const;
  const count = state.log.filter((r) => !r.isInitiator && r.initMac === init.mac).length;
  const cause = `${host.name}/${init.mac}.${count}`;
  const senderIndex = drawn("index", cause);
  const exponent = drawn("exponent", rules.freshEphemerals ? cause : host.name);
  const shared = sharedSecret(exponent, init.ephemeral);
  if (shared === undefined) return { ...dropped(state, "handshake_failed"), events: [work] };
  const ephemeral = power(exponent);
  const second = noiseSecond(rules, genuine.noise, init.sealed, ephemeral, shared);
  const text = noiseSeal(second, respText(senderIndex, init.index, host.nodeId));
  const keys = transportKeys(rules, second, text);
  const body = {
    head: plainHead("RESP"),
    senderIndex,
    receiverIndex: init.index,
    ephemeral,
    sealed: text,
  };
  const resp = datagram("RESP", { ...body, mac: respMac(rules, host.key, body, init.mac) });
  const made = withSession(remember(context, state, genuine, "resp", resp), {
    session: {
      isInitiator: false,
      localIndex: senderIndex,
      remoteIndex: init.index,
      sealKey: keys.fromResponder,
      openKey: keys.fromInitiator,
      stamp,
      nodeId,
      born: nextInstant(state),
    },
    remoteEphemeral: init.ephemeral,
    initMac: init.mac,
    resp,
  });
  const after = { ...made, answered: [...state.answered, init.mac] };
  return sending({ state: after, sent: [], reason: undefined, events: [work] }, resp);
}

/** The same INIT again draws what it drew, a bounded number of times; with the cookie of its address it is judged anew. */
function repeatAnswer(
  context: Context,
  state: HostState,
  genuine: Genuine,
  seen: Seen,
  isHome: boolean,
): Step {
  const { init, source } = genuine;
  const { endpoint, anywhere } = context.host.bounds.repeats;
  const isFromEndpoint = isHome && hasEndpoint(context, state, seen.nodeId);
  const again = dropped(state, "replayed_init");
  const isUsedUp = seen.repeats >= (isFromEndpoint ? endpoint : anywhere);
  if (seen.drawn === "nothing" || (isUsedUp && context.rules.boundsRepeats)) return again;
  const repeats = seen.repeats + 1;
  const counted = state.seen.map((s) => (s === seen ? { ...s, repeats } : s));
  const step = { ...again, state: { ...state, seen: counted } };
  if (seen.resp !== undefined) return sending(step, seen.resp);
  if (hasCookie(context, state, init, source, seen.nodeId)) {
    return judge(context, step.state, genuine);
  }
  return sending(step, challenge(context, state, init, source, seen.nodeId, repeats));
}

function hasEndpoint(context: Context, state: HostState, nodeId: Term): boolean {
  return context.host.starts || currentOf(context, state, nodeId) !== undefined;
}

function challenge(
  context: Context,
  state: HostState,
  init: Fields<"INIT">,
  source: Term,
  nodeId: Term,
  repeats: number,
): Term {
  const { rules, host } = context;
  const secret = cookieSecret(context, state);
  const cookie = cookieFor(rules, host.key, secret, source, nodeId);
  const nonce = challengeNonce(context, state, init.mac, source, repeats);
  return datagram("CHALLENGE", {
    head: plainHead("CHALLENGE"),
    receiverIndex: init.index,
    nonce,
    sealed: challengeText(host.key, nonce, init.mac, cookie),
  });
}

function remember(
  { rules }: Context,
  state: HostState,
  { init, nodeId }: Genuine,
  drawnWas: Seen["drawn"],
  resp?: Term,
): HostState {
  if (!rules.remembersInits) return state;
  const name = nameOf(rules, init);
  const others = state.seen.filter((seen) => seen.name !== name);
  // One that is judged anew draws no more for it.
  const repeats = state.seen.find((seen) => seen.name === name)?.repeats ?? 0;
  return { ...state, seen: [...others, { name, drawn: drawnWas, nodeId, resp, repeats }] };
}

/** What tells an INIT from all others: its mac, where that covers everything else. */
export function nameOf({ initMacCoversCookie }: Rules, { mac, cookieMac }: Fields<"INIT">): Term {
  return initMacCoversCookie ? mac : join("INIT name", mac, cookieMac);
}
