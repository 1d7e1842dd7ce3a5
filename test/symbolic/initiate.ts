/**
 * The initiator of the model: its INITs, and what it does with a RESP or a CHALLENGE (rules 3 to 6).
 *
 * Written from the protocol's text in the order of its checks, not from the core; `lockstep.ts` holds
 * the two against each other.
 */
import {
  type Attempt,
  type Context,
  dropped,
  type HostState,
  nextInstant,
  type Pending,
  type Step,
  sending,
} from "./host.ts";
import {
  cookieIn,
  cookieMacOf,
  datagram,
  drawn,
  type Fields,
  fieldsOf,
  initHead,
  initMac,
  initText,
  keepalive,
  NO_COOKIE,
  noiseFirst,
  noiseOpen,
  noiseSeal,
  noiseSecond,
  respMac,
  respText,
  sharedSecret,
  transportKeys,
} from "./messages.ts";
import { confirm, withSession } from "./sessions.ts";
import { nodeOf, power, type Term } from "./term.ts";

/** Stamps of a right clock begin here, those of one that fell back at 0. */
const RIGHT_CLOCK = 100;

/** The stamp of the next INIT; with a clock that fell back it is below all others. */
export function nextStamp({ made }: HostState, isClockOld: boolean): number {
  return made + (isClockOld ? 0 : RIGHT_CLOCK);
}

/** A fresh INIT: of a first attempt, a retry or a rekey, which differ in their timers alone. */
export function sendInit(context: Context, state: HostState): Step {
  const { rules, host } = context;
  const cause = `${host.name}${state.made}`;
  const index = drawn("index", cause);
  const exponent = drawn("exponent", rules.freshEphemerals ? cause : host.name);
  const stamp = nextStamp(state, state.isClockOld);
  const head = initHead(host.key);
  const ephemeral = power(exponent);
  const text = noiseSeal(
    noiseFirst(rules, host.key, { head, index, ephemeral }),
    initText(stamp, host.nodeId),
  );
  const body = { head, index, ephemeral, sealed: text };
  const init = withMacs(context, state.cookie, body);
  const attempt = state.attempt ?? { pendings: [], resends: 0 };
  const pending = { index, exponent, init, stamp, sentAt: nextInstant(state) };
  const pendings = [...attempt.pendings, pending];
  const after = { ...state, made: state.made + 1, attempt: { ...attempt, pendings } };
  return sending({ state: after, sent: [], reason: undefined, events: [] }, init);
}

/** The mac before the Diffie-Hellman; a failure leaves the pending INIT as it was. */
export function receiveResp(context: Context, state: HostState, message: Term): Step {
  const { rules, host } = context;
  const resp = fieldsOf("RESP", message);
  const pending = pendingOf(state, resp.receiverIndex);
  if (pending === undefined) return dropped(state, "unexpected_response");
  const init = fieldsOf("INIT", pending.init);
  if (resp.mac !== respMac(rules, host.key, resp, init.mac)) return dropped(state, "bad_mac");
  const work = { kind: "diffie-hellman", role: "initiator" } as const;
  const answer = openResp(context, pending, resp);
  if (answer === undefined) return { ...dropped(state, "handshake_failed"), events: [work] };
  const { nodeId, keys } = answer;
  if (rules.refusesOwnNode && nodeId === host.nodeId) {
    return { ...dropped(state, "own_node"), events: [work] };
  }
  const made = withSession(
    { ...state, attempt: undefined },
    {
      session: {
        isInitiator: true,
        localIndex: pending.index,
        remoteIndex: resp.senderIndex,
        sealKey: keys.fromInitiator,
        openKey: keys.fromResponder,
        stamp: pending.stamp,
        nodeId,
        born: pending.sentAt,
      },
      remoteEphemeral: resp.ephemeral,
      initMac: init.mac,
      resp: message,
    },
  );
  const session = made.sessions.at(-1);
  if (session === undefined) throw new Error("no session was made");
  const confirmed = confirm(context, made, session);
  const events = [work, confirmed.event];
  const step = { state: confirmed.state, sent: [], reason: undefined, events };
  const isAlive = confirmed.state.sessions.some((s) => s.localIndex === session.localIndex);
  return isAlive ? sending(step, keepalive(session.sealKey, session.remoteIndex)) : step;
}

/** The answered INIT goes out again with a cookie. */
export function receiveChallenge(context: Context, state: HostState, message: Term): Step {
  const challenge = fieldsOf("CHALLENGE", message);
  const pending = pendingOf(state, challenge.receiverIndex);
  if (pending === undefined) return dropped(state, "unexpected_response");
  const init = fieldsOf("INIT", pending.init);
  const cookie = cookieIn(context.host.key, challenge, init.mac);
  if (cookie === undefined) return dropped(state, "handshake_failed");
  const held = { ...state, cookie };
  const { attempt } = state;
  const step = { state: held, sent: [], reason: undefined, events: [] };
  if (attempt === undefined || attempt.resends >= context.host.bounds.resends) return step;
  const again = withMacs(context, cookie, init);
  const resent: Attempt = {
    pendings: attempt.pendings.map((p) => (p === pending ? { ...p, init: again } : p)),
    resends: attempt.resends + 1,
  };
  return sending({ ...step, state: { ...held, attempt: resent } }, again);
}

/** cookie_mac, or zero, and mac. */
function withMacs(
  { rules, host }: Context,
  cookie: Term | undefined,
  body: Omit<Fields<"INIT">, "cookieMac" | "mac">,
): Term {
  const cookieMac = cookie === undefined ? NO_COOKIE : cookieMacOf(cookie, body);
  const covered = { ...body, cookieMac };
  return datagram("INIT", { ...covered, mac: initMac(rules, host.key, covered) });
}

function pendingOf({ attempt }: HostState, index: Term): Pending | undefined {
  return attempt?.pendings.find((pending) => pending.index === index);
}

/** Node id and keys of the answer, or undefined where it does not open or its indices are others. */
function openResp({ rules, host }: Context, pending: Pending, resp: Fields<"RESP">) {
  const init = fieldsOf("INIT", pending.init);
  const shared = sharedSecret(pending.exponent, resp.ephemeral);
  if (shared === undefined) return undefined;
  const first = noiseFirst(rules, host.key, init);
  const second = noiseSecond(rules, first, init.sealed, resp.ephemeral, shared);
  const text = rules.opensResp ? noiseOpen(second, resp.sealed) : nodeOf(resp.sealed).parts[3];
  const nodeId = text && nodeOf(text).parts[2];
  if (text === undefined || nodeId === undefined) return undefined;
  const isMeant = text === respText(resp.senderIndex, resp.receiverIndex, nodeId);
  if (rules.opensResp && !isMeant) return undefined;
  return { nodeId, keys: transportKeys(rules, second, resp.sealed) };
}
