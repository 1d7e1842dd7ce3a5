/**
 * A model host's sessions: made, confirmed, put into slots (rules 2, 6, 7, 8).
 */
import {
  type Context,
  currentOf,
  floorOf,
  type HostEvent,
  type HostState,
  isSamePeer,
  type Session,
  type SessionRecord,
  withFloor,
} from "./host.ts";
import { rankOf } from "./messages.ts";
import type { Term } from "./term.ts";

/** What a handshake leaves. */
export interface NewSession {
  readonly session: Omit<Session, "slot" | "heardAt" | "hasFirst">;
  readonly remoteEphemeral: Term;
  readonly initMac: Term;
  readonly resp: Term;
}

/** A half-open session, and its ghost. */
export function withSession(state: HostState, made: NewSession): HostState {
  const session: Session = { ...made.session, slot: "next", heardAt: 0, hasFirst: false };
  const { isInitiator, sealKey, openKey, nodeId } = session;
  const { remoteEphemeral, initMac, resp } = made;
  const record: SessionRecord = {
    isInitiator,
    sealKey,
    openKey,
    nodeId,
    remoteEphemeral,
    initMac,
    resp,
    isConfirmed: false,
    isHeard: false,
  };
  return { ...state, sessions: [...state.sessions, session], log: [...state.log, record] };
}

/** The ghost of a session. */
export function recordOf({ log }: HostState, { openKey, isInitiator }: Session): SessionRecord {
  const record = log.findLast((r) => r.openKey === openKey && r.isInitiator === isInitiator);
  if (record === undefined) throw new Error("a session without a record");
  return record;
}

/** Confirms a session (rule 6): by the RESP, or by the first data. */
export function confirm(
  context: Context,
  state: HostState,
  session: Session,
): { readonly state: HostState; readonly event: HostEvent } {
  const settled = session.isInitiator ? state : raiseFloor(context, state, session);
  const installed = install(context, settled, session);
  const isCurrent = installed.sessions.some(
    (s) => s.openKey === session.openKey && s.slot === "current",
  );
  const marked = mark(
    { ...installed, attempt: isCurrent ? undefined : installed.attempt },
    session,
    {
      isConfirmed: true,
    },
  );
  return { state: marked, event: { kind: "confirmed", record: recordOf(marked, session) } };
}

/** Changes the ghost of a session. */
export function mark(
  state: HostState,
  session: Session,
  change: Partial<Pick<SessionRecord, "isConfirmed" | "isHeard">>,
): HostState {
  const record = recordOf(state, session);
  return { ...state, log: state.log.map((r) => (r === record ? { ...r, ...change } : r)) };
}

/** The node's floor, and its half-open sessions with lower stamps, which are lost. */
function raiseFloor({ rules }: Context, state: HostState, session: Session): HostState {
  const { nodeId, stamp } = session;
  const highest = Math.max(stamp, floorOf(state.highest, nodeId) ?? 0);
  const floor = rules.floorsNeverFall ? Math.max(stamp, floorOf(state.floors, nodeId) ?? 0) : stamp;
  return {
    ...state,
    highest: withFloor(state.highest, nodeId, highest),
    floors: withFloor(state.floors, nodeId, floor),
    sessions: state.sessions.filter(
      (s) => !(s.slot === "next" && s.nodeId === nodeId && s.stamp < stamp),
    ),
  };
}

/** The better of the two is current, the other previous; the third ends. */
function install(context: Context, state: HostState, session: Session): HostState {
  const { nodeId } = session;
  const current = currentOf(context, state, nodeId);
  const previous = state.sessions.find(
    (s) => s.slot === "previous" && isSamePeer(context, s.nodeId, nodeId),
  );
  const others = state.sessions.filter((s) => s !== session && s !== current && s !== previous);
  const inSlot = (s: Session | undefined, slot: Session["slot"]): Session[] =>
    s === undefined ? [] : [{ ...s, slot }];
  const rest = (): Session[] => {
    if (current === undefined || supersedes(context, session, current)) {
      return [...inSlot(session, "current"), ...inSlot(current, "previous")];
    }
    const isBetter = previous === undefined || supersedes(context, session, previous);
    return [...inSlot(current, "current"), ...inSlot(isBetter ? session : previous, "previous")];
  };
  return { ...state, sessions: [...others, ...rest()] };
}

/** Rule 8. Ten seconds do not pass in the model. */
function supersedes(context: Context, session: Session, other: Session): boolean {
  if (!context.rules.settlesCrossing || !crosses(session, other)) return session.born >= other.born;
  return rankOf(initiatorOf(context, session)) < rankOf(initiatorOf(context, other));
}

function crosses(one: Session, other: Session): boolean {
  if (one.isInitiator === other.isInitiator) return false;
  const [older, younger] = one.born < other.born ? [one, other] : [other, one];
  return older.heardAt === 0 || younger.born <= older.heardAt;
}

function initiatorOf({ host }: Context, session: Session): Term {
  return session.isInitiator ? host.nodeId : session.nodeId;
}
