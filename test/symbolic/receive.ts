/**
 * Everything that can happen to a host of the model, as one function from state to state.
 */
import {
  type Context,
  dropped,
  type HostState,
  nextInstant,
  type Session,
  type Step,
  sending,
  withRanks,
} from "./host.ts";
import { receiveChallenge, receiveResp, sendInit } from "./initiate.ts";
import { dataIn, fieldsOf, keepalive, typeOf } from "./messages.ts";
import { receiveInit } from "./respond.ts";
import { confirm, mark, recordOf } from "./sessions.ts";
import type { Term } from "./term.ts";

export type Input =
  | { readonly kind: "start" }
  | { readonly kind: "restart"; readonly isClockOld: boolean }
  | { readonly kind: "forget" | "expire" }
  | {
      readonly kind: "deliver";
      readonly message: Term;
      readonly source: Term;
      /** Whether `source` is where the other honest host is. */
      readonly isHome: boolean;
    };

/** One event of a host. */
export function step(context: Context, state: HostState, input: Input): Step {
  const result = take(context, state, input);
  return result.state === state ? result : { ...result, state: withRanks(result.state) };
}

/** Whether a host may do this of its own accord within its bounds. */
export function isWithin({ host }: Context, state: HostState, input: Input): boolean {
  const { bounds } = host;
  switch (input.kind) {
    case "start":
      return host.starts && state.made < bounds.inits && (bounds.rekeys || isWanting(state));
    case "restart":
      return state.boots < bounds.restarts && (!host.starts || state.made < bounds.inits);
    case "forget":
      return state.forgets < bounds.forgets;
    case "expire":
      return state.expires < bounds.expires;
    case "deliver":
      return true;
  }
}

/** Whether it has no session, or retries for another. */
function isWanting({ attempt, sessions }: HostState): boolean {
  return attempt !== undefined || sessions.every(({ slot }) => slot === "next");
}

function take(context: Context, state: HostState, input: Input): Step {
  switch (input.kind) {
    case "start":
      return sendInit(context, state);
    case "restart":
      return restart(context, state, input.isClockOld);
    case "forget":
      return quiet({ ...state, forgets: state.forgets + 1, seen: [], answered: [] });
    case "expire":
      return quiet(expired(state));
    case "deliver":
      return deliver(context, state, input.message, input.source, input.isHome);
  }
}

/** Node id and key stay; sessions, own INITs, cookies, INITs seen and floors are lost. */
function restart(context: Context, state: HostState, isClockOld: boolean): Step {
  const after: HostState = {
    ...state,
    boots: state.boots + 1,
    isClockOld,
    attempt: undefined,
    cookie: undefined,
    seen: [],
    floors: [],
    sessions: [],
    highest: [],
    answered: [],
  };
  return context.host.starts ? sendInit(context, after) : quiet(after);
}

/** INITs that were seen are remembered longer than sessions live, floors until the end. */
function expired(state: HostState): HostState {
  const { expires } = state;
  return { ...state, expires: expires + 1, attempt: undefined, cookie: undefined, sessions: [] };
}

function quiet(state: HostState): Step {
  return { state, sent: [], reason: undefined, events: [] };
}

function deliver(
  context: Context,
  state: HostState,
  message: Term,
  source: Term,
  isHome: boolean,
): Step {
  switch (typeOf(message)) {
    case "INIT":
      return receiveInit(context, state, message, source, isHome);
    case "RESP":
      return receiveResp(context, state, message);
    case "CHALLENGE":
      return receiveChallenge(context, state, message);
    case "DATA":
      return receiveData(context, state, message);
  }
}

/** Rule 10: index, window, open, window again, confirmed. Of the counters the model has 0 alone. */
function receiveData(context: Context, state: HostState, message: Term): Step {
  const data = fieldsOf("DATA", message);
  const session = state.sessions.find((s) => s.localIndex === data.receiverIndex);
  if (session === undefined) return dropped(state, "unknown_index");
  if (session.hasFirst && context.rules.keepsWindow) return dropped(state, "replayed");
  if (dataIn(data, session.openKey) === undefined) return dropped(state, "forged");
  const before = recordOf(state, session);
  const confirmed =
    session.slot === "next" ? confirm(context, state, session) : { state, event: undefined };
  const heard = mark(withHeard(confirmed.state, session, nextInstant(state)), session, {
    isHeard: true,
  });
  const events = [
    ...(confirmed.event === undefined ? [] : [confirmed.event]),
    { kind: "data", record: before } as const,
  ];
  const result = { state: heard, sent: [], reason: undefined, events };
  const isAlive = heard.sessions.some((s) => s.localIndex === session.localIndex);
  return confirmed.event === undefined || !isAlive
    ? result
    : sending(result, keepalive(session.sealKey, session.remoteIndex));
}

function withHeard(state: HostState, { localIndex }: Session, now: number): HostState {
  const sessions = state.sessions.map((s) =>
    s.localIndex === localIndex
      ? { ...s, hasFirst: true, heardAt: s.heardAt === 0 ? now : s.heardAt }
      : s,
  );
  return { ...state, sessions };
}
