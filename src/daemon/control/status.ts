/**
 * The status document: what the control socket answers and `iptun status` prints.
 *
 * JSON only: addresses are text, absent values are null, ages are seconds. It holds no key material; a
 * key appears as its fingerprint. Fields are only ever added, because scripts read it.
 */
import type { Config, HostPort } from "../../config/config.ts";
import type { DropCounters, DropReason } from "../../core/drop-reason.ts";
import type {
  AttemptSnapshot,
  KeySnapshot,
  PacingSnapshot,
  PeerCounters,
  PeerSnapshot,
  PlainEndpoint,
  QualitySnapshot,
  RefusedSnapshot,
  SessionSnapshot,
  SourceSnapshot,
  TunnelSnapshot,
} from "../../core/options.ts";
import { formatAddress, formatEndpoint, formatPrefix } from "../../core/prefix.ts";
import type { EngineCounters, EngineFeatures } from "../../engine/messages.ts";
import { addressText } from "../host/network-plan.ts";
import { type OffloadState, offloadState } from "../host/offloads.ts";
import type { StrangerStatus } from "../log/stranger-list.ts";
import type { Rates } from "./history.ts";

export interface SessionStatus {
  readonly slot: SessionSnapshot["slot"];
  readonly isInitiator: boolean;
  readonly ageSeconds: number;
  /** First 8 hex digits that name the key. */
  readonly fingerprint: string;
  /** Datagrams sealed, and highest counter opened. */
  readonly sent: number;
  readonly received: number;
}

/** A key of a peer; ages in seconds, null: not since the start of this process. */
export interface KeyStatus {
  readonly fingerprint: string;
  /** What it is needed for; "removable": for nothing. */
  readonly use: KeySnapshot["use"];
  /** Since this side, and the other, last started a confirmed session with it; since it was last heard. */
  readonly startedSeconds: number | null;
  readonly peerStartedSeconds: number | null;
  readonly heardSeconds: number | null;
  /** Of a group's key: sites that started with it last, there or not. */
  readonly sites: number | null;
}

/** Of the last 64 s in which packets flowed; null: not known. */
export interface QualityStatus {
  /** Smoothed (RFC 6298), least, and that which 95 % are not above; and what one differs by from the next. */
  readonly roundTripMs: number | null;
  readonly minRoundTripMs: number | null;
  readonly p95RoundTripMs: number | null;
  readonly jitterMs: number | null;
  /** Shares of the datagrams sent, 0 to 1. */
  readonly outboundLoss: number | null;
  readonly inboundLoss: number | null;
}

/** Packets that were refused for an inner address. */
export interface RefusedStatus {
  /** The last of them. */
  readonly address: string;
  readonly reason: DropReason;
  readonly packets: number;
}

export interface PeerStatus {
  readonly name: string;
  /** "node": a site that the group its name begins with has learned. */
  readonly kind: PeerSnapshot["kind"];
  readonly state: PeerSnapshot["state"];
  /** Where datagrams go, as "192.0.2.1:1194"; null: not known. */
  readonly endpoint: string | null;
  /** As configured, "host:port", in order of preference; none: learned. */
  readonly configuredEndpoints: readonly string[];
  readonly allowedIps: readonly string[];
  /** Inner addresses that a node holds, and its packets refused because another node holds their source. */
  readonly addresses: readonly string[];
  readonly refusedClaims: number;
  /** Packets of the peer from inner sources that it may not send from; null: none. */
  readonly refusedSource: RefusedStatus | null;
  /** Handshakes under way; null: none is. */
  readonly attempt: { readonly tries: number; readonly ageSeconds: number } | null;
  readonly fingerprints: readonly string[];
  /** In the order of the configuration; of a node its own. */
  readonly keys: readonly KeyStatus[];
  readonly sessions: readonly SessionStatus[];
  /** Seconds since the last authenticated datagram; null: none yet. */
  readonly silentSeconds: number | null;
  readonly handshakeAgeSeconds: number | null;
  readonly remoteMtu: number | null;
  /** Bytes of the largest inner packet for the peer, and of the outer packet that its path is known to carry. */
  readonly mtu: number;
  readonly pathMtu: number | null;
  /** Configured here, and on the other side as its handshake said; 0: none. */
  readonly keepaliveSeconds: number;
  readonly remoteKeepaliveSeconds: number | null;
  readonly quality: QualityStatus;
  /** Over the last second; null: not known, or a group's own entry. */
  readonly rates: Rates | null;
  /** Packets and bytes that wait for the peer's rate; those that did too long were dropped or marked. null: no rate. */
  readonly pacing: Readonly<PacingSnapshot> | null;
  readonly waitingPackets: number;
  readonly counters: Readonly<PeerCounters>;
}

export interface SourceStatus {
  readonly address: string;
  /** Datagrams charged for failing a check, and those refused while the source's bucket was empty. */
  readonly charged: number;
  readonly refused: number;
}

export interface StatusDocument {
  readonly version: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly residentBytes: number;
  readonly interface: {
    readonly name: string;
    /** As "10.0.0.1/24". */
    readonly addresses: readonly string[];
    /** The device's, which somebody may have changed. */
    readonly mtu: number;
    readonly listenPort: number;
    readonly isLinkUp: boolean;
  } & HostStatus;
  /** Seconds left to confirm the configuration before the one before comes back; null: nothing waits for that. */
  readonly confirmSecondsLeft: number | null;
  readonly features: Omit<EngineFeatures, "tunName" | "udpPort" | "descriptors"> & OffloadState;
  readonly peers: readonly PeerStatus[];
  readonly sessions: number;
  readonly drops: Readonly<DropCounters>;
  /** Packets for an inner destination that no peer has; null: none. */
  readonly refusedDestination: RefusedStatus | null;
  /** The last whose handshakes no key here opened. */
  readonly strangers: readonly StrangerStatus[];
  /** Diffie-Hellman computations made on behalf of received messages. */
  readonly handshakeComputations: number;
  readonly sources: readonly SourceStatus[];
  readonly engine: EngineCounters;
}

/** A device's link. */
export interface LinkState {
  readonly isUp: boolean;
  /** Bytes of the longest packet. */
  readonly mtu: number;
}

/** What is set on the host at this moment. */
export interface HostStatus {
  readonly defaultRoute: {
    readonly families: readonly ("IPv4" | "IPv6")[];
    /** Mark of the outer datagrams, and number of the routing table. */
    readonly mark: number;
  } | null;
  /** "failed": wanted, but nft is missing or refused it. */
  readonly firewall: "on" | "off" | "failed";
}

/** What the document is made of. */
export interface StatusInput {
  readonly version: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly residentBytes: number;
  readonly config: Pick<Config, "interface" | "peers" | "offload">;
  readonly features: EngineFeatures;
  /** The device's own state. */
  readonly link: LinkState;
  readonly host: HostStatus;
  readonly strangers: readonly StrangerStatus[];
  readonly confirmSecondsLeft?: number | undefined;
  readonly snapshot: TunnelSnapshot;
  readonly counters: EngineCounters;
  readonly rates: (peer: string) => Rates | undefined;
}

/** The document from a snapshot of the engine. */
export function statusDocument(input: StatusInput): StatusDocument {
  const { config, features, snapshot, counters } = input;
  const { tunName, udpPort, descriptors: _, ...offered } = features;
  return {
    version: input.version,
    pid: input.pid,
    uptimeSeconds: input.uptimeSeconds,
    residentBytes: input.residentBytes,
    interface: {
      name: tunName,
      addresses: config.interface.addresses.map(addressText),
      mtu: input.link.mtu,
      listenPort: udpPort,
      isLinkUp: input.link.isUp,
      ...input.host,
    },
    confirmSecondsLeft: input.confirmSecondsLeft ?? null,
    features: { ...offered, ...offloadState(config.offload, features.offloads) },
    peers: snapshot.peers.map((peer) => peerStatus(peer, input)),
    sessions: snapshot.sessions,
    drops: snapshot.drops,
    refusedDestination: refusedStatus(snapshot.refusedDestination),
    strangers: input.strangers,
    handshakeComputations: snapshot.handshakeComputations,
    sources: snapshot.sources.flatMap(sourceStatus),
    engine: counters,
  };
}

/** Charges from which a source is worth showing: a genuine peer pays for a challenge now and then. */
const NOTABLE_CHARGES = 20;

/** A source that was refused, or fails too often to be a genuine peer. */
function sourceStatus({ address, charged, refused }: SourceSnapshot): readonly SourceStatus[] {
  const isNotable = refused > 0 || charged >= NOTABLE_CHARGES;
  return isNotable ? [{ address: formatAddress(address), charged, refused }] : [];
}

function peerStatus(peer: PeerSnapshot, input: StatusInput): PeerStatus {
  const config = input.config.peers.find((one) => one.name === peer.name);
  return {
    name: peer.name,
    kind: peer.kind,
    state: peer.state,
    endpoint: endpointText(peer.endpoint),
    configuredEndpoints: config?.endpoints.map(hostPortText) ?? [],
    allowedIps: config?.allowedIps.map(formatPrefix) ?? [],
    addresses: peer.addresses.map(({ bytes }) => formatAddress(bytes)),
    refusedClaims: peer.refusedClaims,
    refusedSource: refusedStatus(peer.refusedSource),
    attempt: attemptStatus(peer.attempt),
    fingerprints: peer.fingerprints,
    keys: peer.keys.map(keyStatus),
    sessions: peer.sessions.map(sessionStatus),
    silentSeconds: secondsOrNull(peer.silentMs),
    handshakeAgeSeconds: secondsOrNull(peer.handshakeAgeMs),
    remoteMtu: peer.remoteMtu ?? null,
    mtu: peer.mtu,
    pathMtu: peer.pathMtu ?? null,
    keepaliveSeconds: peer.keepaliveSeconds,
    remoteKeepaliveSeconds: peer.remoteKeepaliveSeconds ?? null,
    quality: qualityStatus(peer.quality),
    rates: ratesStatus(input.rates(peer.name)),
    pacing: peer.pacing ?? null,
    waitingPackets: peer.waitingPackets,
    counters: peer.counters,
  };
}

function keyStatus(key: KeySnapshot): KeyStatus {
  return {
    fingerprint: key.fingerprint,
    use: key.use,
    startedSeconds: secondsOrNull(key.startedMs),
    peerStartedSeconds: secondsOrNull(key.peerStartedMs),
    heardSeconds: secondsOrNull(key.heardMs),
    sites: key.sites ?? null,
  };
}

function refusedStatus(refused: RefusedSnapshot | undefined): RefusedStatus | null {
  return refused === undefined ? null : { ...refused, address: formatAddress(refused.address) };
}

function attemptStatus(attempt: AttemptSnapshot | undefined): PeerStatus["attempt"] {
  return attempt === undefined
    ? null
    : { tries: attempt.tries, ageSeconds: seconds(attempt.ageMs) };
}

function qualityStatus(quality: QualitySnapshot): QualityStatus {
  const { roundTrip, outboundLoss, inboundLoss } = quality;
  return {
    roundTripMs: rounded(roundTrip?.smoothed, 2),
    minRoundTripMs: rounded(roundTrip?.min, 2),
    p95RoundTripMs: rounded(roundTrip?.p95, 2),
    jitterMs: rounded(roundTrip?.jitter, 2),
    outboundLoss: rounded(outboundLoss, 5),
    inboundLoss: rounded(inboundLoss, 5),
  };
}

function ratesStatus(rates: Rates | undefined): Rates | null {
  if (rates === undefined) return null;
  return {
    inboundBytesPerSecond: Math.round(rates.inboundBytesPerSecond),
    outboundBytesPerSecond: Math.round(rates.outboundBytesPerSecond),
  };
}

function rounded(value: number | undefined, places: number): number | null {
  return value === undefined ? null : Math.round(value * 10 ** places) / 10 ** places;
}

function sessionStatus(session: SessionSnapshot): SessionStatus {
  return {
    slot: session.slot,
    isInitiator: session.isInitiator,
    ageSeconds: seconds(session.ageMs),
    fingerprint: session.fingerprint,
    sent: session.sent,
    received: session.received,
  };
}

/** "host:port", with brackets around an IPv6 address. */
export function hostPortText({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function endpointText(endpoint: PlainEndpoint | undefined): string | null {
  return endpoint === undefined ? null : formatEndpoint(endpoint);
}

function secondsOrNull(ms: number | undefined): number | null {
  return ms === undefined ? null : seconds(ms);
}

/** Milliseconds as seconds with one decimal. */
function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
