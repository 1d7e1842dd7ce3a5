/**
 * What the core is told and what it tells: peer options in, events and a snapshot out.
 *
 * All of it is plain data that survives structured cloning, because the core runs in a worker and the
 * control side in the main thread. Key bytes go in and never come out; outward a key is its fingerprint.
 */
import type { DropCounters, DropReason } from "./drop-reason.ts";
import type { Prefix } from "./prefix.ts";

/** How a peer's endpoint may move, PROTOCOL rule 12. */
export type Roaming = "validated" | "on" | "off";

/** A UDP address as plain data: 16 bytes (IPv4 mapped), port, scope. */
export interface PlainEndpoint {
  readonly address: Uint8Array;
  readonly port: number;
  readonly scope: number;
}

/**
 * What a configured peer is: the other side of a pair; a group's hub, this host being one of its sites; or a
 * group, this host being its hub, which learns the nodes and their addresses.
 */
export type PeerKind = "pair" | "hub" | "group";

/** A key that a peer has, or had since keys are set aside: named, because its bytes are wiped. */
export interface HeldKey {
  readonly fingerprint: string;
}

/** A 32-byte key, which stays the caller's to wipe, or one that is held. */
export type KeySource = Uint8Array | HeldKey;

export interface PeerOptions {
  /** "pair" unless told. The keys of the other two are a group's. */
  readonly kind?: PeerKind;
  /** Unique among the peers. */
  readonly name: string;
  /** The first is used to start, all are accepted. */
  readonly keys: readonly KeySource[];
  /** Resolved addresses of the configured endpoint, in order of preference; may be empty. */
  readonly endpoints: readonly PlainEndpoint[];
  /** Whether the config names an endpoint, resolved or not: such a peer's endpoint is never forgotten. */
  readonly hasConfiguredEndpoint: boolean;
  /** Inner prefixes that belong to this peer. */
  readonly allowedIps: readonly Prefix[];
  /** Seconds between keepalives while nothing else is sent; 0: none but the passive one. */
  readonly keepaliveSeconds: number;
  readonly roaming: Roaming;
  /** Milliseconds of silence after which another of several endpoints is tried; 2,000 unless told, infinite: never. */
  readonly failoverMs?: number;
  /** What is sent to the peer, or to each node of a group, bits a second with outer headers; absent: as it comes. */
  readonly rateBitsPerSecond?: number | undefined;
  /** Where the peer was when an earlier run ended: tried first, and forgotten if it stays silent. */
  readonly lastEndpoint?: PlainEndpoint | undefined;
}

/** Another set of options for a peer that is there; what is absent stays as it is. A peer stays of its kind. */
export interface PeerUpdate extends Omit<PeerOptions, "kind" | "keys" | "endpoints"> {
  readonly keys?: readonly KeySource[] | undefined;
  readonly endpoints?: readonly PlainEndpoint[] | undefined;
}

export interface LimitOptions {
  /** Failing datagrams a second that one source may send. */
  readonly sourceRatePerSecond: number;
  readonly sourceBurst: number;
  /** Sources tracked. */
  readonly sources: number;
  /** Handshakes a second of one peer. */
  readonly handshakesPerSecond: number;
  readonly handshakeBurst: number;
  /** Handshakes a second of all peers together. */
  readonly handshakesPerSecondTotal: number;
}

/** PROTOCOL "Limits". */
export const DEFAULT_LIMITS: LimitOptions = {
  sourceRatePerSecond: 100,
  sourceBurst: 200,
  sources: 4096,
  handshakesPerSecond: 20,
  handshakeBurst: 5,
  handshakesPerSecondTotal: 300,
};

export interface TunnelOptions {
  /** 16 random bytes, PROTOCOL §2. */
  readonly nodeId: Uint8Array;
  /** Largest inner packet, bytes: of every peer, or with `pathMtu` the most that any path may give. */
  readonly mtu: number;
  /** The MTU of each peer is found out; absent: it is `mtu`. */
  readonly pathMtu?: PathMtuOptions | undefined;
  /** UDP port the socket is bound to: an endpoint with an own address and this port is refused. */
  readonly listenPort: number;
  /** Own outer addresses, 16 bytes each. */
  readonly ownAddresses: readonly Uint8Array[];
  /** Own inner addresses, 4 or 16 bytes each, which no node of a group can hold; none unless told. */
  readonly innerAddresses?: readonly Uint8Array[];
  /** Whether the DSCP of a packet is copied to its datagram; not unless told. */
  readonly copyDscp?: boolean;
  /** Whether round-trip time and loss of each peer are measured (rule 20); not unless told. */
  readonly measuresQuality?: boolean;
  readonly limits: LimitOptions;
  readonly offloads: OffloadOptions;
}

export interface PathMtuOptions {
  /** Largest MTU of this host's links, bytes of an IP packet. */
  readonly linkMtu: number;
  /** Milliseconds before a larger size is asked for again. */
  readonly raiseMs: number;
}

/** What the device and the socket take in one piece. */
export interface OffloadOptions {
  /** TCP and UDP super-packets towards the TUN. */
  readonly joinTcp: boolean;
  readonly joinUdp: boolean;
  /** Runs of datagrams as one message to the socket. */
  readonly runs: boolean;
}

/** Something worth a line in the log; drained by `pollEvent`. Instants are not in it: the reader knows when it reads. */
export type TunnelEvent =
  /** A session is confirmed; `isNew`: the peer had none (else a rekey). */
  | {
      readonly kind: "session";
      readonly peer: string;
      readonly isNew: boolean;
      readonly isInitiator: boolean;
      readonly fingerprint: string;
      readonly endpoint: PlainEndpoint | undefined;
    }
  /** The last session ended. */
  | {
      readonly kind: "down";
      readonly peer: string;
      readonly reason: "closed" | "expired" | "removed";
    }
  /** The endpoint was learned or moved. */
  | {
      readonly kind: "endpoint";
      readonly peer: string;
      readonly from: PlainEndpoint | undefined;
      readonly to: PlainEndpoint;
    }
  /** The endpoint in use is silent; the others are tried. */
  | { readonly kind: "dead"; readonly peer: string; readonly endpoint: PlainEndpoint }
  /** A learned endpoint was forgotten after 180 s of silence. */
  | { readonly kind: "stale"; readonly peer: string; readonly endpointForgotten: boolean }
  /** Handshakes go unanswered: resolve the peer's name again. */
  | { readonly kind: "unanswered"; readonly peer: string; readonly seconds: number }
  /** Datagrams from an address do not open under any key here; at most one a minute an address. */
  | {
      readonly kind: "stranger";
      readonly source: PlainEndpoint;
      readonly reason: "bad_mac" | "unknown_hint";
    }
  /** A node of a group sends from an inner address that another holds, which is asked whether it is there. */
  | {
      readonly kind: "claim";
      readonly peer: string;
      readonly holder: string;
      readonly prefix: Prefix;
    }
  /** The holder did not answer: the address is the claimant's. */
  | {
      readonly kind: "moved";
      readonly peer: string;
      readonly holder: string;
      readonly prefix: Prefix;
    }
  /** The largest inner packet for a peer is another, `from` was it before; `pathMtu`: the outer packet that passed. */
  | {
      readonly kind: "mtu";
      readonly peer: string;
      readonly from: number;
      readonly mtu: number;
      readonly pathMtu: number;
    }
  /** Events were lost because nobody drained the ring. */
  | { readonly kind: "lost"; readonly count: number };

/** An answer of a probe that an operator asked for. */
export interface PingAnswer {
  /** As it was given with the probe. */
  readonly tag: number;
  /** UDP payload of the probe. */
  readonly bytes: number;
  /** Where it was sent. */
  readonly endpoint: PlainEndpoint;
  /** Between the turns that sent the one and received the other. */
  readonly roundTripMs: number;
}

/**
 * Why none was sent: nobody has this name; it names a group, whose nodes have names of their own; no address is known; or there
 * is no session, and a handshake is under way.
 */
export type PingRefusal = "no-peer" | "group" | "no-endpoint" | "no-session";

/** What a speed test is to do. */
export interface SpeedOptions {
  /** A peer, or a node of a group. */
  readonly peer: string;
  readonly seconds: number;
  /** UDP payload of its datagrams; undefined: as long as the path carries. */
  readonly bytes: number | undefined;
}

/** Why none was started: as of a ping; one runs; or the path does not carry datagrams of this size. */
export type SpeedRefusal = PingRefusal | "busy" | "too-long";

/** A speed test so far; round-trip times in milliseconds, null where none is known. */
export interface SpeedSnapshot {
  readonly peer: string;
  /** "idle": the round-trip time before; "load"; "last": the last answers; "over". */
  readonly phase: "idle" | "load" | "last" | "over";
  /** Milliseconds of load so far. */
  readonly loadMs: number;
  /** Bytes of a datagram: UDP payload, with outer headers, and of the inner packet that it could have held. */
  readonly datagramBytes: number;
  readonly outerBytes: number;
  readonly innerBytes: number;
  /** Datagrams under load. */
  readonly sent: number;
  readonly answered: number;
  readonly lost: number;
  /** Answered in the time that the rate is taken over, which begins when the rate grows no more; and that time. */
  readonly measuredAnswered: number;
  readonly measuredMs: number;
  readonly idleRoundTripMs: number | null;
  readonly loadedRoundTripMs: number | null;
  readonly mostRoundTripMs: number | null;
}

export interface PeerCounters {
  /** Inner packets and bytes delivered to the TUN. */
  inboundPackets: number;
  inboundBytes: number;
  /** Inner packets and bytes sealed. */
  outboundPackets: number;
  outboundBytes: number;
  keepalivesSent: number;
  keepalivesReceived: number;
  handshakesStarted: number;
  handshakesAnswered: number;
  sessions: number;
  endpointMoves: number;
  /** Datagrams that came after one which was sealed later. */
  reorderedDatagrams: number;
}

export interface SessionSnapshot {
  readonly slot: "current" | "previous" | "next";
  readonly isInitiator: boolean;
  readonly ageMs: number;
  readonly fingerprint: string;
  /** Datagrams sealed and highest counter opened. */
  readonly sent: number;
  readonly received: number;
}

/** A key of a peer, and what it is needed for as far as this side has seen since its start. */
export interface KeySnapshot {
  readonly fingerprint: string;
  /**
   * "first": this side starts with it. "in-use": a session is under it. "peer-starts": the other side, or a site,
   * last started with it. "first-unproven": the other side was not heard under the first key. "unknown": the other
   * side started with none. "removable": it can be removed here.
   */
  readonly use: "first" | "in-use" | "peer-starts" | "first-unproven" | "unknown" | "removable";
  /** Milliseconds since this side, and the other, last started a session with it that was confirmed; undefined: not yet. */
  readonly startedMs: number | undefined;
  readonly peerStartedMs: number | undefined;
  /** Milliseconds since something sealed under it was heard. */
  readonly heardMs: number | undefined;
  /** Of a group's key: sites that started with it last, whether they are there or not. */
  readonly sites: number | undefined;
}

/** Milliseconds, of the last 64 short probes to the endpoint in use. */
export interface RoundTripSnapshot {
  /** As in RFC 6298 §2. */
  readonly smoothed: number;
  readonly min: number;
  readonly p95: number;
  /** Mean difference of one round-trip time from the next. */
  readonly jitter: number;
}

/** Of the last 64 s in which packets flowed; undefined where nothing is known yet. */
export interface QualitySnapshot {
  readonly roundTrip: RoundTripSnapshot | undefined;
  /** Shares from 0 to 1 of what was sent in each direction. */
  readonly outboundLoss: number | undefined;
  readonly inboundLoss: number | undefined;
}

/** What waits for a peer's rate, and what became of packets that waited too long. */
export interface PacingSnapshot {
  readonly bitsPerSecond: number;
  readonly packets: number;
  /** On the wire, outer headers included. */
  readonly bytes: number;
  readonly dropped: number;
  /** Marked for congestion in place of a drop. */
  readonly marked: number;
}

/** Packets that were refused for an inner address. */
export interface RefusedSnapshot {
  /** The last of them, 4 or 16 bytes, and what it was refused for. */
  readonly address: Uint8Array;
  readonly reason: DropReason;
  readonly packets: number;
}

/** Handshakes under way. */
export interface AttemptSnapshot {
  readonly ageMs: number;
  /** INITs sent; none of them has led to a session. */
  readonly tries: number;
}

export interface PeerSnapshot {
  readonly name: string;
  /** "node": of the group that its name begins with. */
  readonly kind: PeerKind | "node";
  /** Inner addresses that a node holds. */
  readonly addresses: readonly Prefix[];
  /** Packets of a node that were refused because another holds their source. */
  readonly refusedClaims: number;
  /** Its packets whose inner source it may not send from; undefined: none. */
  readonly refusedSource: RefusedSnapshot | undefined;
  /** undefined: no handshake is under way. */
  readonly attempt: AttemptSnapshot | undefined;
  /** Configured here: 0 is none. */
  readonly keepaliveSeconds: number;
  /** "up": a confirmed session younger than 180 s; "connecting": a handshake is under way; "idle": neither. */
  readonly state: "up" | "connecting" | "idle";
  /** The address in use, or the first configured one while none is. */
  readonly endpoint: PlainEndpoint | undefined;
  readonly isEndpointConfigured: boolean;
  readonly fingerprints: readonly string[];
  /** In the order of the configuration; of a node its own. */
  readonly keys: readonly KeySnapshot[];
  readonly sessions: readonly SessionSnapshot[];
  /** Milliseconds since the last authenticated datagram; undefined: none yet. */
  readonly silentMs: number | undefined;
  /** Milliseconds since the last confirmed handshake. */
  readonly handshakeAgeMs: number | undefined;
  /** The peer's tunnel MTU and keepalive seconds as its handshake said. */
  readonly remoteMtu: number | undefined;
  readonly remoteKeepaliveSeconds: number | undefined;
  /** Largest inner packet for the peer, and the outer packet that is known to pass; undefined: not known, or not asked. */
  readonly mtu: number;
  readonly pathMtu: number | undefined;
  readonly quality: QualitySnapshot;
  /** undefined: the peer has no rate. */
  readonly pacing: PacingSnapshot | undefined;
  readonly waitingPackets: number;
  readonly counters: Readonly<PeerCounters>;
}

/** A source that failed checks lately. */
export interface SourceSnapshot {
  readonly address: Uint8Array;
  /** Datagrams charged, and of those refused while its bucket was empty. */
  readonly charged: number;
  readonly refused: number;
}

/** What is asked for every second, sample.ts: as many figures a name as it says. */
export interface TunnelSample {
  readonly names: readonly string[];
  readonly figures: Float64Array;
}

export interface TunnelSnapshot {
  readonly peers: readonly PeerSnapshot[];
  readonly drops: Readonly<DropCounters>;
  /** Packets for an inner destination that no peer has; undefined: none. */
  readonly refusedDestination: RefusedSnapshot | undefined;
  /** Diffie-Hellman computations made on behalf of received messages. */
  readonly handshakeComputations: number;
  /** The busiest of the tracked sources, at most 16. */
  readonly sources: readonly SourceSnapshot[];
  readonly sessions: number;
}
