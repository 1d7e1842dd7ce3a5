/**
 * What is different between two configurations, in words, and what of it cannot be changed while the tunnel runs.
 *
 * A pure function. A peer is who has its name: another name is another peer. Keys are compared by their
 * fingerprints, because the bytes of those in use are wiped; who knows the fingerprints gives them beside each
 * configuration. How a difference is applied is the daemon's.
 */
import { isDeepStrictEqual } from "node:util";
import { formatAddress, formatPrefix } from "../core/prefix.ts";
import type { Config, HostPort, PeerConfig } from "./config.ts";
import { defaultFamilies } from "./default-families.ts";

/** A configuration with the fingerprints of each peer's keys, by the peer's name. */
export interface NamedConfig {
  readonly config: Config;
  readonly fingerprints: ReadonlyMap<string, readonly string[]>;
}

/** A peer that has other settings. */
export interface ChangedPeer {
  readonly peer: PeerConfig;
  readonly hasOtherKeys: boolean;
  readonly hasOtherEndpoints: boolean;
}

/** The difference between two configurations. */
export interface Difference {
  /** A line for each change, such as "peer branch: allowed_ips + 10.9.0.0/24". */
  readonly lines: readonly string[];
  /** What needs a restart, a line each; nothing may be applied where there is one. */
  readonly refusals: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly ChangedPeer[];
  readonly added: readonly PeerConfig[];
}

/** Compares; `largestMtu`: bytes of the longest packet that the running tunnel can hold. */
export function difference(
  before: NamedConfig,
  after: NamedConfig,
  largestMtu: number,
): Difference {
  const pairs = after.config.peers.map((peer) => ({ peer, old: named(before.config, peer.name) }));
  const lines = (peer: PeerConfig, old: PeerConfig) => peerLines(old, peer, before, after);
  const gone = before.config.peers.filter(({ name }) => named(after.config, name) === undefined);
  const kept = pairs.flatMap(({ peer, old }) => (isSameKind(peer, old) ? [{ peer, old }] : []));
  const made = pairs.filter(({ peer, old }) => !isSameKind(peer, old));
  const other = kept.filter(({ peer, old }) => lines(peer, old).length > 0);
  const remade = made.flatMap(({ old }) => (old === undefined ? [] : [old.name]));
  return {
    lines: [
      ...interfaceLines(before.config, after.config),
      ...settingLines("limits", LIMIT_KEYS, before.config.limits, after.config.limits),
      ...settingLines("log", LOG_KEYS, before.config.log, after.config.log),
      ...gone.map(({ name }) => `peer ${name}: removed`),
      ...made.map(({ peer, old }) => madeLine(peer, old)),
      ...other.flatMap(({ peer, old }) => lines(peer, old)),
    ],
    refusals: refusals(before.config, after.config, largestMtu),
    removed: [...gone.map(({ name }) => name), ...remade],
    changed: other.map(({ peer, old }) => ({
      peer,
      hasOtherKeys: keysOf(before, peer) !== keysOf(after, peer),
      hasOtherEndpoints: endpointsOf(old) !== endpointsOf(peer),
    })),
    added: made.map(({ peer }) => peer),
  };
}

function named({ peers }: Config, name: string): PeerConfig | undefined {
  return peers.find((peer) => peer.name === name);
}

function isSameKind(peer: PeerConfig, old: PeerConfig | undefined): old is PeerConfig {
  return old?.kind === peer.kind;
}

/** Every key of a peer of another kind is another key. */
function madeLine({ name, kind }: PeerConfig, old: PeerConfig | undefined): string {
  return old === undefined
    ? `peer ${name}: added`
    : `peer ${name}: made anew, as a ${kind} in place of a ${old.kind}`;
}

function peerLines(
  old: PeerConfig,
  peer: PeerConfig,
  before: NamedConfig,
  after: NamedConfig,
): readonly string[] {
  const [had, has] = [before, after].map((one) => one.fingerprints.get(peer.name) ?? []);
  const words = [
    ...listWords("key", had ?? [], has ?? []),
    ...listWords("allowed_ips", prefixesOf(old), prefixesOf(peer)),
    ...valueWords("endpoint", endpointsOf(old), endpointsOf(peer)),
    ...valueWords("failover_ms", old.failoverMs, peer.failoverMs),
    ...valueWords("keepalive", old.keepaliveSeconds, peer.keepaliveSeconds),
    ...valueWords("roaming", old.roaming, peer.roaming),
    ...valueWords("rate", rateOf(old), rateOf(peer)),
  ];
  return words.map((text) => `peer ${peer.name}: ${text}`);
}

function interfaceLines({ interface: old }: Config, { interface: device }: Config) {
  const addresses = [old, device].map((one) =>
    one.addresses.map(({ bytes, prefixLength }) => `${formatAddress(bytes)}/${prefixLength}`),
  );
  const words = [
    ...listWords("address", addresses[0] ?? [], addresses[1] ?? []),
    ...valueWords("mtu", old.mtu, device.mtu),
    ...valueWords("mtu_probe_seconds", old.mtuProbeSeconds, device.mtuProbeSeconds),
    ...valueWords("routes", old.routes, device.routes),
    ...valueWords("fwmark", old.fwmark, device.fwmark),
    ...valueWords("copy_dscp", old.copyDscp, device.copyDscp),
    ...valueWords("firewall", old.firewall, device.firewall),
  ];
  return words.map((text) => `interface: ${text}`);
}

const LIMIT_KEYS = {
  sourceRatePerSecond: "source_rate_per_second",
  sourceBurst: "source_burst",
  sources: "sources",
  handshakesPerSecond: "handshakes_per_second",
  handshakeBurst: "handshake_burst",
  handshakesPerSecondTotal: "handshakes_per_second_total",
} as const satisfies Record<keyof Config["limits"], string>;

const LOG_KEYS = { level: "level", format: "format" } as const;

const OFFLOAD_KEYS = { tso: "tso", uso: "uso", gso: "gso", gro: "gro" } as const;

function settingLines<Table extends object>(
  table: string,
  keys: Readonly<Record<keyof Table & string, string>>,
  old: Table,
  fresh: Table,
): readonly string[] {
  return (Object.keys(keys) as (keyof Table & string)[]).flatMap((key) =>
    valueWords(keys[key], String(old[key]), String(fresh[key])).map((text) => `${table}: ${text}`),
  );
}

/** The socket, the device and the state directory are made once; another configuration of them is another tunnel. */
function refusals(before: Config, after: Config, largestMtu: number): readonly string[] {
  const [old, device] = [before.interface, after.interface];
  const fixed = [
    ...valueWords("interface.name", old.name, device.name),
    ...valueWords("interface.listen", listenOf(before), listenOf(after)),
    ...valueWords("interface.device", old.device, device.device),
    ...valueWords("interface.state_dir", old.stateDir, device.stateDir),
    ...settingLines("offload", OFFLOAD_KEYS, before.offload, after.offload),
    ...valueWords("metrics.listen", metricsOf(before), metricsOf(after)),
    ...valueWords("metrics.page", before.metrics?.hasPage ?? "", after.metrics?.hasPage ?? ""),
    ...(isDeepStrictEqual(before.hooks, after.hooks) ? [] : ["hooks"]),
  ].map((text) => `${text}: needs a restart`);
  return [...fixed, ...markRefusals(before, after), ...mtuRefusals(after, largestMtu)];
}

/** The mark is also the number of the table that a default route stands in. */
function markRefusals(before: Config, after: Config): readonly string[] {
  const isUsed = [before, after].some((config) => defaultFamilies(config).length > 0);
  if (!isUsed) return [];
  const [old, fresh] = [before.interface.fwmark, after.interface.fwmark];
  return valueWords("interface.fwmark", old, fresh).map(
    (text) => `${text}: needs a restart where a default route leads through the tunnel`,
  );
}

function mtuRefusals({ interface: { mtu } }: Config, largest: number): readonly string[] {
  if (mtu === "auto" || mtu <= largest) return [];
  return [`interface.mtu ${mtu}: needs a restart, for buffers hold ${largest}`];
}

/** What went and what came; where neither, but the order is another: that. */
function listWords(
  name: string,
  old: readonly string[],
  fresh: readonly string[],
): readonly string[] {
  const gone = old.filter((one) => !fresh.includes(one)).map((one) => `${name} - ${one}`);
  const come = fresh.filter((one) => !old.includes(one)).map((one) => `${name} + ${one}`);
  const kept = (from: readonly string[], of: readonly string[]) =>
    from.filter((one) => of.includes(one)).join(", ");
  const isMoved = kept(old, fresh) !== kept(fresh, old);
  return [...come, ...gone, ...(isMoved ? [`${name} order ${fresh.join(", ")}`] : [])];
}

function valueWords<T extends string | number | boolean>(
  name: string,
  old: T,
  fresh: T,
): readonly string[] {
  const text = (value: T) => (value === "" ? "none" : String(value));
  return old === fresh ? [] : [`${name} ${text(old)} -> ${text(fresh)}`];
}

function keysOf({ fingerprints }: NamedConfig, { name }: PeerConfig): string {
  return (fingerprints.get(name) ?? []).join();
}

function prefixesOf({ isCatchAll, allowedIps }: PeerConfig): readonly string[] {
  return isCatchAll ? ["everything"] : allowedIps.map(formatPrefix);
}

function endpointsOf({ endpoints }: PeerConfig): string {
  return endpoints.map(placeText).join(", ");
}

function placeText({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function rateOf({ rateBitsPerSecond: rate }: PeerConfig): string {
  return rate === undefined ? "" : `${rate / 1e6}mbit`;
}

function metricsOf({ metrics }: Config): string {
  return metrics === undefined ? "" : placeText(metrics.listen);
}

function listenOf({ interface: { listen } }: Config): string {
  return placeText({ host: formatAddress(listen.address), port: listen.port });
}
