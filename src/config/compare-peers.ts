/**
 * What must hold between the values of a configuration: keys, names, prefixes, endpoints, MTU.
 *
 * Two peers may not have the same prefix; one inside another is right, because the longest prefix wins
 * (`warnings.ts` mentions it). An endpoint inside its own peer's prefixes, or inside the interface's
 * networks, would send the tunnel's datagrams into the tunnel; a /0 is left out, for it covers every
 * endpoint, and a default route through the tunnel leaves marked datagrams alone.
 */
import { containsAddress, formatAddress, formatPrefix, type Prefix } from "../core/prefix.ts";
import type { Config } from "./config.ts";
import type { SourcedKey } from "./key-source.ts";
import type { LineOf, Path } from "./locate.ts";
import { networkOf } from "./network-of.ts";
import { outerFamily } from "./outer-family.ts";
import type { ResolvedPeer } from "./resolve-peer.ts";
import { MAX_MTU_IPV4 } from "./schema.ts";
import type { Report } from "./settings.ts";
import { shown } from "./shown.ts";

/** Largest inner packet whose outer IPv6 packet has at most 65,535 bytes: less 40, 8 (UDP) and 32 (DATA). */
export const MAX_MTU_IPV6 = 65_455;

/** Numbers of the tables default, main and local (linux/rtnetlink.h). */
const KERNEL_TABLES: readonly number[] = [253, 254, 255];

/** Reports every contradiction between the peers, and between them and the interface. */
export function compareValues(
  device: Config["interface"],
  peers: readonly ResolvedPeer[],
  report: Report,
  lineOf: LineOf,
): void {
  compareNames(peers, report, lineOf);
  compareKeys(peers, report, lineOf);
  comparePrefixes(peers, report, lineOf);
  const networks = device.addresses.map(networkOf);
  for (const peer of peers) {
    checkEndpointPrefixes(peer, networks, report);
    checkEndpointFamily(peer, device.listen.address, report);
    if (peers.length > 1 && !peer.hasPrefixes) {
      const expected = "expected at least one prefix where there is more than one peer";
      report(peer.path, `has no allowed_ips; ${expected}`);
    }
  }
  checkMtu(device, report);
  checkMark(device, peers, report);
}

function compareNames(peers: readonly ResolvedPeer[], report: Report, lineOf: LineOf): void {
  const first = new Map<string, ResolvedPeer>();
  for (const peer of peers) {
    const other = first.get(peer.name);
    if (other === undefined) {
      first.set(peer.name, peer);
      continue;
    }
    const place = at(lineOf([...other.path, "name"]));
    report(
      [...peer.path, "name"],
      `${shown(peer.name)} is the name of another peer${place}; expected a name of its own`,
    );
  }
}

function compareKeys(peers: readonly ResolvedPeer[], report: Report, lineOf: LineOf): void {
  const owned = peers.flatMap((peer) => peer.keys.map((one) => ({ ...one, peer })));
  // Sorted and not in a map: a map's key would be the key as text, which could not be overwritten.
  let first: KeyOwner | undefined;
  for (const one of owned.toSorted((a, b) => Buffer.compare(a.key, b.key))) {
    if (first === undefined || Buffer.compare(first.key, one.key) !== 0) first = one;
    else report(one.path, sameKeyText(one.peer, first, lineOf));
  }
}

interface KeyOwner extends SourcedKey {
  readonly peer: ResolvedPeer;
}

function sameKeyText(peer: ResolvedPeer, other: KeyOwner, lineOf: LineOf): string {
  const place = at(lineOf(other.path));
  if (other.peer === peer) {
    return `is the same key as another of this peer${place}; expected different keys; remove one`;
  }
  const owner = `peer ${shown(other.peer.name)}${place}`;
  return `is the same key as that of ${owner}; expected a key of its own for each peer; make one with \`iptun keygen\``;
}

function comparePrefixes(peers: readonly ResolvedPeer[], report: Report, lineOf: LineOf): void {
  const owners = new Map<string, { readonly peer: ResolvedPeer; readonly path: Path }>();
  for (const peer of peers) {
    for (const { prefix, path } of peer.prefixes) {
      const text = formatPrefix(prefix);
      const owner = owners.get(text);
      if (owner === undefined) {
        owners.set(text, { peer, path });
        continue;
      }
      const whose =
        owner.peer === peer ? "this peer's already" : `peer ${shown(owner.peer.name)}'s already`;
      const place = at(lineOf(owner.path));
      report(path, `${shown(text)} is ${whose}${place}; expected each prefix once; remove one`);
    }
  }
}

function checkEndpointPrefixes(
  peer: ResolvedPeer,
  networks: readonly Prefix[],
  report: Report,
): void {
  for (const { endpoint, path } of peer.endpoints) {
    if (endpoint.address !== undefined) {
      checkOutside(peer, endpoint.address, path, networks, report);
    }
  }
}

function checkOutside(
  peer: ResolvedPeer,
  address: Uint8Array,
  path: Path,
  networks: readonly Prefix[],
  report: Report,
): void {
  const covers = (prefix: Prefix) => prefix.length > 0 && containsAddress(prefix, address);
  const allowed = peer.prefixes.find(({ prefix }) => covers(prefix))?.prefix;
  const cover = allowed ?? networks.find(covers);
  if (cover === undefined) return;
  const whose =
    cover === allowed ? "the peer's own allowed_ips" : "the network of interface.address";
  report(
    path,
    `${shown(formatAddress(address))} lies inside ${whose} (${formatPrefix(cover)}), so the tunnel's datagrams would go into the tunnel; expected an address outside of it`,
  );
}

function checkEndpointFamily(peer: ResolvedPeer, listen: Uint8Array, report: Report): void {
  const family = outerFamily(listen);
  if (family === "both") return;
  for (const { endpoint, path } of peer.endpoints) {
    const { address } = endpoint;
    if (address === undefined) continue;
    const isIpv4 = !formatAddress(address).includes(":");
    if (isIpv4 === (family === 4)) continue;
    report(
      path,
      `${shown(formatAddress(address))} is IPv${isIpv4 ? 4 : 6}, but the socket listens on IPv${family} only; expected the same family; change it or interface.listen`,
    );
  }
}

/** A default route has a table with the number of the mark; those of the kernel have routes of their own. */
function checkMark(
  { routes, fwmark }: Config["interface"],
  peers: readonly ResolvedPeer[],
  report: Report,
): void {
  const isDefault = peers.some(({ prefixes }) =>
    prefixes.some(({ prefix }) => prefix.length === 0),
  );
  if (!routes || !isDefault || !KERNEL_TABLES.includes(fwmark)) return;
  const why = "is also the number of the default route's table, and one of the kernel's own";
  report(["interface", "fwmark"], `${fwmark} ${why}; expected another; change it, or leave it out`);
}

function checkMtu(device: Config["interface"], report: Report): void {
  const isIpv4 = outerFamily(device.listen.address) === 4;
  const limit = isIpv4 ? MAX_MTU_IPV4 : MAX_MTU_IPV6;
  if (device.mtu === "auto" || device.mtu <= limit) return;
  const why = isIpv4 ? "over IPv4" : "where datagrams can travel over IPv6";
  report(["interface", "mtu"], `is ${device.mtu}; expected at most ${limit} ${why}; lower it`);
}

function at(line: number | undefined): string {
  return line === undefined ? "" : ` (line ${line})`;
}
