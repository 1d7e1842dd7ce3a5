/**
 * What must hold between the values of a configuration: keys, names, prefixes, endpoints, MTU.
 *
 * Two peers may not have the same prefix; one inside another is right, because the longest prefix wins
 * (`warnings.ts` mentions it). An endpoint inside its own peer's prefixes would send the tunnel's
 * datagrams into the tunnel; a /0 is left out, for it covers every endpoint and its routes are the operator's.
 */
import { containsAddress, formatAddress, formatPrefix } from "../core/prefix.ts";
import type { Config } from "./config.ts";
import type { SourcedKey } from "./key-source.ts";
import type { LineOf, Path } from "./locate.ts";
import { outerFamily } from "./outer-family.ts";
import type { ResolvedPeer } from "./resolve-peer.ts";
import { MAX_MTU_IPV4 } from "./schema.ts";
import type { Report } from "./settings.ts";
import { shown } from "./shown.ts";

/** Largest inner packet whose outer IPv6 packet has at most 65,535 bytes: less 40, 8 (UDP) and 32 (DATA). */
export const MAX_MTU_IPV6 = 65_455;

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
  for (const peer of peers) {
    checkEndpointPrefixes(peer, report);
    checkEndpointFamily(peer, device.listen.address, report);
    if (peers.length > 1 && !peer.hasPrefixes) {
      const expected = "expected at least one prefix where there is more than one peer";
      report(peer.path, `has no allowed_ips; ${expected}`);
    }
  }
  checkMtu(device, report);
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
  const seen = new Map<number, KeyOwner[]>();
  for (const peer of peers) {
    for (const one of peer.keys) {
      const alike = seen.get(firstWord(one.key)) ?? [];
      const other = alike.find((before) => Buffer.compare(before.key, one.key) === 0);
      if (other === undefined) seen.set(firstWord(one.key), [...alike, { ...one, peer }]);
      else report(one.path, sameKeyText(peer, other, lineOf));
    }
  }
}

interface KeyOwner extends SourcedKey {
  readonly peer: ResolvedPeer;
}

/** The key's first four bytes: keys are sorted by these, because a key as text could not be overwritten. */
function firstWord(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset).getUint32(0);
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

function checkEndpointPrefixes(peer: ResolvedPeer, report: Report): void {
  const address = peer.endpoint?.address;
  if (address === undefined) return;
  const cover = peer.prefixes.find(
    ({ prefix }) => prefix.length > 0 && containsAddress(prefix, address),
  );
  if (cover === undefined) return;
  report(
    [...peer.path, "endpoint"],
    `${shown(formatAddress(address))} lies inside the peer's own allowed_ips (${formatPrefix(cover.prefix)}), so the tunnel's datagrams would go into the tunnel; expected an address outside of them`,
  );
}

function checkEndpointFamily(peer: ResolvedPeer, listen: Uint8Array, report: Report): void {
  const address = peer.endpoint?.address;
  const family = outerFamily(listen);
  if (address === undefined || family === "both") return;
  const isIpv4 = !formatAddress(address).includes(":");
  if (isIpv4 === (family === 4)) return;
  report(
    [...peer.path, "endpoint"],
    `${shown(formatAddress(address))} is IPv${isIpv4 ? 4 : 6}, but the socket listens on IPv${family} only; expected the same family; change it or interface.listen`,
  );
}

function checkMtu(device: Config["interface"], report: Report): void {
  const isIpv4 = outerFamily(device.listen.address) === 4;
  const limit = isIpv4 ? MAX_MTU_IPV4 : MAX_MTU_IPV6;
  if (device.mtu <= limit) return;
  const why = isIpv4 ? "over IPv4" : "where datagrams can travel over IPv6";
  report(["interface", "mtu"], `is ${device.mtu}; expected at most ${limit} ${why}; lower it`);
}

function at(line: number | undefined): string {
  return line === undefined ? "" : ` (line ${line})`;
}
