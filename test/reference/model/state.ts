/**
 * What one host knows, by the rules of docs/protocol.md: the plain model of a running tunnel.
 *
 * It does no cryptography and reads no bytes but headers; the functions beside it say what each event does.
 * A host has one configured peer: the other end of a pair, its hub, or (the hub) a group with learned nodes.
 * The trap: it must not look into src/core, or it would agree with every fault there.
 */
import type { Address, Ip } from "./address.ts";
import { Bucket } from "./bucket.ts";
import type { InitSent, Packet, RespSent, Sent, Token } from "./records.ts";
import {
  FIRST_REST,
  FLOORS_OF_GROUP,
  FLOORS_OF_PAIR,
  GROUP_NEWCOMERS,
  GROUP_RESERVE,
  GROUP_RESERVE_BURST,
  GROUP_SHARE,
  GROUP_SHARE_BURST,
  REJECT,
} from "./rules.ts";
import type { Tally } from "./tally.ts";

/** Where to and, if that matters, from which own address; 0: the kernel chooses. */
export interface Way {
  readonly remote: Address;
  readonly local: Ip;
}

/** One end of a session. */
export interface Session {
  readonly peer: Peer;
  readonly wire: RespSent;
  readonly isInitiator: boolean;
  readonly born: number;
  readonly stamp: number;
  /** The other node, and the one that started. */
  readonly node: string;
  readonly initiator: string;
  /** Where its INIT or RESP went. */
  readonly paths: Way[];
  isConfirmed: boolean;
  isEnded: boolean;
  heardAt: number | undefined;
  nextCounter: number;
  /** Counters accepted, and the highest of them. */
  readonly seen: Set<number>;
  highest: number;
  addressFrames: number;
}

/** An own INIT that may be answered; `version` is the one that was sent last. */
export interface Pending {
  readonly peer: Peer;
  version: InitSent;
  /** All that were sent of it, one for each cookie. */
  readonly versions: InitSent[];
  readonly sentAt: number;
  readonly to: Way;
}

export interface Attempt {
  readonly startedAt: number;
  tries: number;
  resends: number;
  pendings: Pending[];
}

export type Timer =
  | "retry"
  | "giveUp"
  | "rekey"
  | "confirm"
  | "unanswered"
  | "passive"
  | "keepalive"
  | "stale"
  | "contest";

export type PeerKind = "pair" | "hub" | "group" | "node";

/** What makes a peer a node of a group. */
export interface Membership {
  readonly nodeId: string;
  readonly source: Ip;
  addresses: Ip[];
  contest: { readonly since: number; sent: number; readonly claims: Map<Ip, Peer> } | undefined;
  restUntil: number;
  rest: number;
  readonly takenFrom: Map<Ip, Peer>;
}

export interface Peer {
  readonly kind: PeerKind;
  readonly membership: Membership | undefined;
  readonly roaming: "validated" | "on" | "off";
  readonly hasConfigured: boolean;
  readonly keepalive: number;
  configured: readonly Way[];
  endpoint: Way | undefined;
  endpointSince: number;
  current: Session | undefined;
  previous: Session | undefined;
  halfOpen: Session[];
  attempt: Attempt | undefined;
  cookie: { readonly text: string; readonly until: number } | undefined;
  pathChallenge: { readonly to: Way; readonly token: Token } | undefined;
  challengedAt: number;
  confirming: { readonly session: Session; readonly since: number; sent: number } | undefined;
  waiting: Packet[];
  isFlushable: boolean;
  isUp: boolean;
  lastHeardAt: number;
  readonly timers: Record<Timer, number>;
  readonly budget: Bucket;
  readonly lane: Bucket;
}

/** What an INIT drew. */
export interface Drawn {
  readonly kind: "resp" | "challenge" | "nothing";
  readonly resp: Session | undefined;
  readonly until: number;
  repeats: number;
}

/** A datagram as it reaches the socket; `sent` is missing where no host sent these bytes. */
export interface Arrival {
  readonly from: Address;
  readonly local: Ip;
  readonly bytes: Uint8Array;
  /** TOS of the outer header. */
  readonly tos: number;
  readonly sent: Sent | undefined;
}

/** A datagram that the host must send in this phase. */
export interface Expected {
  readonly type: number;
  readonly to: Way;
  readonly length: number;
  readonly receiverIndex: number | undefined;
  readonly counter: number | undefined;
  readonly sent: Sent;
  /** Its random parts are known now. */
  readonly onSent: ((bytes: Uint8Array) => void) | undefined;
}

/** What was configured. */
export interface ModelOptions {
  readonly name: string;
  readonly nodeId: string;
  readonly listenPort: number;
  readonly own: readonly Ip[];
  /** Own inner addresses. */
  readonly inner: readonly Ip[];
  readonly limits: Limits;
  readonly peer: {
    readonly kind: "pair" | "hub" | "group";
    readonly roaming: Peer["roaming"];
    readonly configured: readonly Address[];
    readonly keepaliveSeconds: number;
    /** Whether an inner source is the peer's to use; in a group, whether nodes may claim it. */
    readonly isInside: (inner: Ip) => boolean;
  };
  readonly tally: Tally;
  /** The bytes that the core drew for the jitter of its retries, oldest first. */
  readonly jitters: number[];
}

export interface Limits {
  readonly sourceRatePerSecond: number;
  readonly sourceBurst: number;
  readonly sources: number;
  readonly handshakesPerSecond: number;
  readonly handshakeBurst: number;
  readonly handshakesPerSecondTotal: number;
}

export interface Model {
  readonly options: ModelOptions;
  readonly tally: Tally;
  now: number;
  wallMicros: number;
  own: readonly Ip[];
  lastStamp: number;
  readonly entry: Peer;
  readonly nodes: Map<string, Peer>;
  /** Oldest confirmation first. */
  readonly floors: Map<string, number>;
  readonly floorsKept: number;
  readonly seen: Map<InitSent, Drawn>;
  /** By own index. */
  readonly sessions: Map<number, Session>;
  readonly pendings: Map<number, Pending>;
  readonly secrets: { present: number; before: number; madeAt: number };
  /** Longest idle first. */
  readonly sources: Map<Ip, Bucket>;
  readonly handshakes: { readonly all: Bucket; readonly reserved: Bucket };
  readonly shares: Map<Ip, Bucket>;
  readonly reserves: Map<Ip, Bucket>;
  work: number;
  readonly deferred: Arrival[];
  readonly drops: Map<string, number>;
  readonly expected: Expected[];
  readonly delivered: Packet[];
}

let secretsMade = 0;

/** A cookie secret that no other equals. */
export function newSecret(): number {
  secretsMade += 1;
  return secretsMade;
}

/** A host that has just started. */
export function newModel(options: ModelOptions, now: number): Model {
  const { handshakesPerSecondTotal: total } = options.limits;
  const isOfGroup = options.peer.kind !== "pair";
  return {
    options,
    tally: options.tally,
    now,
    wallMicros: 0,
    own: options.own,
    lastStamp: 0,
    entry: newEntry(options, now),
    nodes: new Map(),
    floors: new Map(),
    floorsKept: isOfGroup ? FLOORS_OF_GROUP : FLOORS_OF_PAIR,
    seen: new Map(),
    sessions: new Map(),
    pendings: new Map(),
    secrets: { present: newSecret(), before: newSecret(), madeAt: now },
    sources: new Map(),
    handshakes: {
      all: new Bucket(0.75 * total, 0.75 * total, now),
      reserved: new Bucket(0.25 * total, 0.25 * total, now),
    },
    shares: new Map(),
    reserves: new Map(),
    work: 0,
    deferred: [],
    drops: new Map(),
    expected: [],
    delivered: [],
  };
}

function newEntry({ peer, limits }: ModelOptions, now: number): Peer {
  const budget =
    peer.kind === "group"
      ? new Bucket(GROUP_NEWCOMERS, GROUP_NEWCOMERS, now)
      : new Bucket(limits.handshakesPerSecond, limits.handshakeBurst, now);
  return {
    ...emptyPeer(limits, now),
    kind: peer.kind,
    membership: undefined,
    roaming: peer.roaming,
    hasConfigured: peer.configured.length > 0,
    keepalive: peer.keepaliveSeconds > 0 ? peer.keepaliveSeconds * 1_000 : Infinity,
    configured: peer.configured.map((remote) => ({ remote, local: 0 })),
    budget,
  };
}

/** A node of a group, made when its handshake is answered. */
export function newNode(model: Model, nodeId: string, source: Ip): Peer {
  const { entry, options, now } = model;
  return {
    ...emptyPeer(options.limits, now),
    kind: "node",
    membership: {
      nodeId,
      source,
      addresses: [],
      contest: undefined,
      restUntil: now,
      rest: FIRST_REST,
      takenFrom: new Map(),
    },
    roaming: entry.roaming,
    hasConfigured: false,
    keepalive: entry.keepalive,
    configured: [],
  };
}

function emptyPeer(limits: Limits, now: number) {
  const never = Number.POSITIVE_INFINITY;
  return {
    endpoint: undefined,
    endpointSince: now,
    current: undefined,
    previous: undefined,
    halfOpen: [],
    attempt: undefined,
    cookie: undefined,
    pathChallenge: undefined,
    challengedAt: -never,
    confirming: undefined,
    waiting: [],
    isFlushable: false,
    isUp: false,
    lastHeardAt: -never,
    timers: {
      retry: never,
      giveUp: never,
      rekey: never,
      confirm: never,
      unanswered: never,
      passive: never,
      keepalive: never,
      stale: never,
      contest: never,
    },
    budget: new Bucket(limits.handshakesPerSecond, limits.handshakeBurst, now),
    lane: new Bucket(limits.handshakesPerSecond, limits.handshakeBurst, now),
  };
}

/** A bucket of a source that proved its address, made full where there is none. */
export function shareOf(
  shares: Map<Ip, Bucket>,
  source: Ip,
  kind: "share" | "reserve",
  now: number,
): Bucket {
  const [rate, burst] =
    kind === "share" ? [GROUP_SHARE, GROUP_SHARE_BURST] : [GROUP_RESERVE, GROUP_RESERVE_BURST];
  const bucket = shares.get(source) ?? new Bucket(rate, burst, now);
  shares.set(source, bucket);
  return bucket;
}

export function everyPeer({ entry, nodes }: Model): Peer[] {
  return nodes.size === 0 ? [entry] : [entry, ...nodes.values()];
}

export function drop(model: Model, reason: string, count = 1): void {
  if (count > 0) model.drops.set(reason, (model.drops.get(reason) ?? 0) + count);
}

/** The index that the other side sends. */
export function indexOf({ wire, isInitiator }: Session): number {
  return isInitiator ? wire.init.index : wire.index;
}

export function isSameRemote(a: Way | undefined, remote: Address): boolean {
  return a !== undefined && a.remote === remote;
}

/** A session may seal and open while it is there and younger than 180 s. */
export function isUsable(model: Model, session: Session | undefined): session is Session {
  return session !== undefined && !session.isEnded && model.now - session.born < REJECT;
}
