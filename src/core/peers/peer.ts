/**
 * A peer: the other site, what was configured of it, and what is known of it by the minute.
 *
 * The record only; each event that changes it is one function elsewhere (sessions, initiate, roaming,
 * timers). BOUNDED by the configuration; every table in it states its own bound.
 */
import { type Endpoint, endpointFrom } from "../address.ts";
import { DEFAULT_FAILOVER_MS, GROUP_NEWCOMERS_PER_SECOND, LEAST_INNER_MTU } from "../constants.ts";
import type { NoiseInitiator } from "../handshake/noise.ts";
import type { PskOf } from "../handshake/psk.ts";
import { isMartianPrefix } from "../inbound/martian.ts";
import type { RefusedAddress } from "../inbound/refused-address.ts";
import type {
  LimitOptions,
  PeerCounters,
  PeerKind,
  PeerOptions,
  PlainEndpoint,
  Roaming,
} from "../options.ts";
import { WaitingPackets, type WaitingTotal } from "../outbound/waiting.ts";
import { type PacedTotal, Pacer } from "../pacing/pacing.ts";
import { Path } from "../path/path.ts";
import { Probes, RoundTrip } from "../path/probes.ts";
import { LinkQuality } from "../path/quality.ts";
import type { Prefix } from "../prefix.ts";
import { type DeadlineHeap, NOT_IN_HEAP, type Sleeper, TimerTable } from "../session/deadlines.ts";
import type { SessionOf } from "../session/session.ts";
import type { Instant } from "../time.ts";
import { SECOND_MS } from "../time.ts";
import { TokenBucket } from "../token-bucket.ts";
import { type ContestOf, GroupOf, type MembershipOf } from "./group.ts";

/** A key of a peer, and a session with one. */
export type Psk = PskOf<Peer>;
export type Session = SessionOf<Peer>;
/** A node's place in its group, the group, and a peer that has both. */
export type Membership = MembershipOf<Peer, Node>;
export type Group = GroupOf<Node>;
export type Contest = ContestOf<Node>;
export type Node = Peer & { readonly membership: Membership; readonly group: Group };

/** An own INIT that may still be answered. */
export interface Pending {
  readonly peer: Peer;
  readonly psk: Psk;
  readonly index: number;
  readonly noise: NoiseInitiator;
  /** The 120 bytes as last sent: a resend with a cookie replaces the macs. */
  readonly init: Uint8Array;
  /** Microseconds. */
  readonly stamp: number;
  readonly sentAt: Instant;
  readonly to: Endpoint;
}

/** Handshakes under way with a peer until one succeeds or 90 s have passed. */
export interface Attempt {
  readonly startedAt: Instant;
  /** INITs sent. */
  tries: number;
  /** Resends with a cookie. */
  resends: number;
  /** Oldest first. BOUNDED: PENDING_PER_PEER. */
  readonly pendings: Pending[];
  /** Age of the attempt, milliseconds, at which `unanswered` is reported next. */
  reportAtMs: number;
}

/** A cookie received from the peer, opaque here. */
export interface HeldCookie {
  readonly bytes: Uint8Array;
  readonly until: Instant;
}

/** A path challenge that was sent and not answered. */
export interface PathChallenge {
  readonly to: Endpoint;
  /** 8 bytes. */
  readonly token: Uint8Array;
}

/** Confirming keepalives of a session that was not heard. */
export interface Confirming {
  readonly session: Session;
  readonly since: Instant;
  /** Repetitions sent. */
  sent: number;
}

/** How the MTU is found, for all peers. */
export interface PathMtuState {
  /** False: every peer has the tunnel's fixed MTU. */
  isAuto: boolean;
  /** Largest MTU of this host's links, bytes. */
  linkMtu: number;
  /** Wait before a larger size is asked for again, milliseconds (PMTU_RAISE_TIMER, RFC 8899 §5.1.1). */
  raiseMs: number;
}

export class Peer implements Sleeper {
  readonly name: string;
  readonly kind: PeerKind | "node";
  /** Of a group's entry and of each of its nodes: the group. */
  readonly group: Group | undefined;
  readonly membership: Membership | undefined;
  allowedIps: readonly Prefix[];
  /** Those of its prefixes that are of addresses which else nobody sends from. */
  martians: readonly Prefix[];
  hasConfiguredEndpoint: boolean;
  keepaliveSeconds: number;
  roaming: Roaming;
  rateBitsPerSecond: number | undefined;
  /** The first is used to start. */
  psks: readonly Psk[] = [];
  /** Resolved addresses of the configured endpoint, in order of preference. */
  configured: readonly Endpoint[];
  /** The address in use, confirmed by a handshake or by data. */
  endpoint: Endpoint | undefined;
  /** When it was learned or moved. */
  endpointSince: Instant;
  current: Session | undefined;
  previous: Session | undefined;
  /** Sessions that wait for their first data, oldest first. BOUNDED: HALF_OPEN_PER_NODE a node. */
  halfOpen: Session[] = [];
  attempt: Attempt | undefined;
  cookie: HeldCookie | undefined;
  pathChallenge: PathChallenge | undefined;
  /** When the last path challenge was sent. */
  challengedAt: Instant | undefined;
  confirming: Confirming | undefined;
  readonly waiting: WaitingPackets;
  readonly timers: TimerTable;
  heapIndex = NOT_IN_HEAP;
  /** Answered handshakes (after the AEAD). */
  handshakeBudget: TokenBucket;
  /** Handshakes that are looked at although their source's bucket is empty. */
  reservedLane: TokenBucket;
  /** Packets from sources that it may not send from; undefined: none yet. */
  refusedSource: RefusedAddress | undefined;
  /** Whether a confirmed session was reported and its end was not. */
  isUp = false;
  /** Minus infinity before the first time. Always a number, so that writing it allocates nothing. */
  lastHeardAt = Number.NEGATIVE_INFINITY as Instant;
  /** Grows with everything that is sealed for the peer. */
  sends = 0;
  lastHandshakeAt: Instant | undefined;
  remote: { readonly mtu: number; readonly keepaliveSeconds: number } | undefined;
  /** Milliseconds of silence after which another configured endpoint is tried. */
  failoverMs: number;
  /** Stages of that time that passed; and answers in a row of a preferred endpoint, and of which. */
  readonly failover: { stage: number; answers: number; answering: Endpoint | undefined } = {
    stage: 0,
    answers: 0,
    answering: undefined,
  };
  /** Own probes on their way, and what their answers told. */
  readonly probes = new Probes();
  readonly roundTrip = new RoundTrip();
  /** undefined: what is sent leaves as it comes. Without a rate: what waited for the one before is on its way. */
  pacer: Pacer | undefined;
  /** undefined: it is not measured. */
  readonly quality: LinkQuality | undefined;
  /** undefined: the MTU is fixed. */
  path: Path | undefined;
  /** Largest inner packet that the path carries in one piece, and the largest that is let in: never below 1280. */
  carries: number;
  mtu: number;
  readonly counters: PeerCounters = {
    inboundPackets: 0,
    inboundBytes: 0,
    outboundPackets: 0,
    outboundBytes: 0,
    keepalivesSent: 0,
    keepalivesReceived: 0,
    handshakesStarted: 0,
    handshakesAnswered: 0,
    sessions: 0,
    endpointMoves: 0,
    reorderedDatagrams: 0,
  };

  constructor(
    options: PeerOptions,
    limits: LimitOptions,
    shared: {
      readonly heap: DeadlineHeap<Peer>;
      readonly waiting: WaitingTotal;
      readonly mtu: number;
      readonly pathMtu: PathMtuState;
      readonly measuresQuality: boolean;
      readonly paced: PacedTotal;
      readonly flowSeed: number;
    },
    now: Instant,
    membership?: Membership,
  ) {
    this.name = options.name;
    this.kind = membership === undefined ? (options.kind ?? "pair") : "node";
    this.membership = membership;
    this.group = this.kind === "group" ? new GroupOf() : membership?.entry.group;
    this.allowedIps = options.allowedIps;
    this.martians = options.allowedIps.filter(isMartianPrefix);
    this.hasConfiguredEndpoint = options.hasConfiguredEndpoint;
    this.keepaliveSeconds = options.keepaliveSeconds;
    this.roaming = options.roaming;
    this.failoverMs = options.failoverMs ?? DEFAULT_FAILOVER_MS;
    this.configured = options.endpoints.map(fromPlain);
    const { rateBitsPerSecond: rate } = options;
    this.rateBitsPerSecond = rate;
    // A group's own entry is sent nothing.
    this.pacer =
      rate === undefined || this.kind === "group"
        ? undefined
        : new Pacer(rate, shared.paced, shared.flowSeed, now);
    this.quality = shared.measuresQuality ? new LinkQuality() : undefined;
    this.path = shared.pathMtu.isAuto ? new Path() : undefined;
    this.mtu = shared.pathMtu.isAuto ? LEAST_INNER_MTU : shared.mtu;
    this.carries = this.mtu;
    this.waiting = new WaitingPackets(shared.waiting);
    this.timers = new TimerTable(() => shared.heap.update(this));
    this.endpointSince = now;
    const { handshakesPerSecond, handshakeBurst } = limits;
    // A group's own budget is the one that its new nodes share.
    this.handshakeBudget =
      this.kind === "group"
        ? new TokenBucket(GROUP_NEWCOMERS_PER_SECOND, GROUP_NEWCOMERS_PER_SECOND, now)
        : new TokenBucket(handshakesPerSecond, handshakeBurst, now);
    this.reservedLane = new TokenBucket(handshakesPerSecond, handshakeBurst, now);
  }

  /** Milliseconds between configured keepalives; Infinity: none. */
  get keepaliveMs(): number {
    return this.keepaliveSeconds === 0
      ? Number.POSITIVE_INFINITY
      : this.keepaliveSeconds * SECOND_MS;
  }

  /** Every session that holds keys. */
  sessions(): Session[] {
    return [this.current, this.previous, ...this.halfOpen].filter((s) => s !== undefined);
  }
}

/** Whether it was learned under a group's key; a group's own entry is none of its nodes. */
export function isNode(peer: Peer): peer is Node {
  return peer.membership !== undefined;
}

/** A core endpoint from plain data; the local side is left to the kernel. */
export function fromPlain(plain: PlainEndpoint): Endpoint {
  return endpointFrom(plain.address, plain.port, plain.scope);
}
