/**
 * What all parts of the core share: the tables, the limits, the queues towards the outside.
 *
 * A plain record passed to functions; the tables' bounds stand where they are defined.
 */
import type { Endpoint } from "./address.ts";
import {
  HANDSHAKE_RESERVED_SHARE,
  ICMP_BURST,
  ICMP_PER_SECOND,
  STRANGE_OPENS_PER_SECOND,
} from "./constants.ts";
import type { Aead, HandshakeCrypto } from "./crypto.ts";
import { type DropCounters, type DropReason, dropCounters } from "./drop-reason.ts";
import { EventQueue } from "./event-queue.ts";
import { CookieJar } from "./handshake/cookie.ts";
import { PskTable } from "./handshake/psk.ts";
import { Strangers } from "./handshake/strangers.ts";
import { SourceLimiter } from "./inbound/limiter.ts";
import { RefusedAddress } from "./inbound/refused-address.ts";
import type { LimitOptions, OffloadOptions, PingAnswer, TunnelOptions } from "./options.ts";
import { TransmitQueue } from "./outbound/transmit-queue.ts";
import type { WaitingTotal } from "./outbound/waiting.ts";
import type { PacedTotal } from "./pacing/pacing.ts";
import type { SpeedTest } from "./path/speed-test.ts";
import type { PathMtuState, Peer, Pending, Psk, Session } from "./peers/peer.ts";
import { RouteTable } from "./peers/routes.ts";
import { DeadlineHeap } from "./session/deadlines.ts";
import type { Instant } from "./time.ts";
import { TokenBucket } from "./token-bucket.ts";
import { viewOf } from "./wire.ts";

/** A datagram and the message row it came in. */
export interface Received {
  readonly bytes: Uint8Array;
  readonly rows: Int32Array;
  readonly base: number;
}

export interface State {
  readonly crypto: HandshakeCrypto;
  readonly aead: Aead;
  /** 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Largest inner packet that is taken from the device, bytes. */
  mtu: number;
  copyDscp: boolean;
  readonly pathMtu: PathMtuState;
  readonly measuresQuality: boolean;
  readonly listenPort: number;
  /** 16 bytes each. */
  ownAddresses: readonly Uint8Array[];
  /** 4 or 16 bytes each. */
  innerAddresses: readonly Uint8Array[];
  limits: LimitOptions;
  readonly offloads: OffloadOptions;
  readonly drops: DropCounters;
  /** Packets from the device for which there is no peer. */
  readonly refusedDestination: RefusedAddress;
  /** Genuine INITs that wait for a later turn, oldest first. BOUNDED: DEFERRED_INITS. */
  readonly deferred: Received[];
  /** When the first of them was put off. */
  deferredSince: Instant;
  /** What handshakes have cost in this turn, in Noise opens; a Diffie-Hellman counts as six. */
  handshakeWork: number;
  /** Diffie-Hellman computations caused by received messages. */
  handshakeComputations: number;
  readonly peers: Map<string, Peer>;
  readonly psks: PskTable<Peer>;
  /** Keys that were taken from peers and may come back; undefined: such a key is wiped. BOUNDED: what peers had. */
  keysAside: Psk[] | undefined;
  readonly routes: RouteTable<Peer>;
  /** Sessions and own INITs by the index that the other side sends. */
  readonly sessions: Map<number, Session>;
  readonly pendings: Map<number, Pending>;
  /** All half-open sessions, oldest first. BOUNDED: HALF_OPEN_TOTAL. */
  readonly halfOpen: Set<Session>;
  sources: SourceLimiter;
  readonly strangeOpens: TokenBucket;
  handshakes: { readonly all: TokenBucket; readonly reserved: TokenBucket };
  readonly icmp: TokenBucket;
  readonly cookies: CookieJar;
  readonly strangers: Strangers;
  readonly transmits: TransmitQueue;
  readonly events: EventQueue;
  /** Answers of probes that an operator asked for, oldest first. BOUNDED: PINGS_AWAITED. */
  readonly answers: PingAnswer[];
  /** The one that runs, or ran last. */
  speedTest: SpeedTest | undefined;
  readonly heap: DeadlineHeap<Peer>;
  readonly waiting: WaitingTotal;
  /** Peers whose waiting packets can be sent. */
  readonly flushable: Set<Peer>;
  /** Peers with a rate whose packets may leave; bytes that wait in all; and what hashes of flows are made with. */
  readonly paceable: Set<Peer>;
  readonly paced: PacedTotal;
  readonly flowSeed: number;
  /** Wall clock, microseconds since 1970. */
  wallMicros: number;
  /** Stamp of the last own INIT, microseconds. */
  lastStamp: number;
}

/** An empty state: no peers. */
export function newState(
  options: TunnelOptions,
  environment: { readonly crypto: HandshakeCrypto; readonly aead: Aead },
  now: Instant,
): State {
  const { limits } = options;
  const seed = environment.crypto.random(16);
  return {
    ...environment,
    nodeId: options.nodeId,
    offloads: options.offloads,
    mtu: options.mtu,
    copyDscp: options.copyDscp ?? false,
    pathMtu: {
      isAuto: options.pathMtu !== undefined,
      linkMtu: options.pathMtu?.linkMtu ?? Number.POSITIVE_INFINITY,
      raiseMs: options.pathMtu?.raiseMs ?? Number.POSITIVE_INFINITY,
    },
    measuresQuality: options.measuresQuality ?? false,
    listenPort: options.listenPort,
    ownAddresses: options.ownAddresses,
    innerAddresses: options.innerAddresses ?? [],
    limits,
    drops: dropCounters(),
    refusedDestination: new RefusedAddress(),
    deferred: [],
    deferredSince: now,
    handshakeWork: 0,
    handshakeComputations: 0,
    peers: new Map(),
    psks: new PskTable(),
    keysAside: undefined,
    routes: new RouteTable(),
    sessions: new Map(),
    pendings: new Map(),
    halfOpen: new Set(),
    sources: new SourceLimiter(limits, seed),
    strangeOpens: new TokenBucket(STRANGE_OPENS_PER_SECOND, STRANGE_OPENS_PER_SECOND, now),
    handshakes: handshakeBudgets(limits, now),
    icmp: new TokenBucket(ICMP_PER_SECOND, ICMP_BURST, now),
    cookies: new CookieJar(environment.crypto, now),
    strangers: new Strangers(now),
    transmits: new TransmitQueue(),
    events: new EventQueue(),
    answers: [],
    speedTest: undefined,
    heap: new DeadlineHeap(),
    waiting: { bytes: 0 },
    flushable: new Set(),
    paceable: new Set(),
    paced: { bytes: 0 },
    flowSeed: viewOf(seed).getInt32(8),
    wallMicros: 0,
    lastStamp: 0,
  };
}

/** What all peers together may have answered, and what of it is kept for known ones. */
export function handshakeBudgets(
  { handshakesPerSecondTotal: total }: LimitOptions,
  now: Instant,
): State["handshakes"] {
  const reserved = total * HANDSHAKE_RESERVED_SHARE;
  return {
    all: new TokenBucket(total - reserved, total - reserved, now),
    reserved: new TokenBucket(reserved, reserved, now),
  };
}

export function drop(state: State, reason: DropReason, count = 1): void {
  state.drops[reason] += count;
}

/** Queues a datagram for `pollTransmit`; `flags` as in a message row. */
export function transmit(state: State, bytes: Uint8Array, to: Endpoint, flags = 0): void {
  if (!state.transmits.push(bytes, to, flags)) drop(state, "no_room");
}

/** A random index that no session and no pending handshake uses. */
export function freshIndex(state: State): number {
  for (;;) {
    const bytes = state.crypto.random(4);
    const index = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    if (!state.sessions.has(index) && !state.pendings.has(index)) return index;
  }
}

/** The next stamp: the wall clock, but always above the last one (rule 2). */
export function nextStamp(state: State): number {
  state.lastStamp = Math.max(Math.floor(state.wallMicros), state.lastStamp + 1);
  return state.lastStamp;
}
