/**
 * What is allowed in a configuration but rarely meant: one line each, never a reason to refuse.
 */
import {
  containsAddress,
  formatAddress,
  formatPrefix,
  type Prefix,
  parseAddress,
  prefixesOverlap,
} from "../core/prefix.ts";
import type { Config, PeerConfig } from "./config.ts";
import { outerFamily } from "./outer-family.ts";

/** Bytes of an Ethernet packet, and of the headers around an inner one: UDP 8, DATA 32, IP 20 or 40. */
const LINK_MTU = 1500;
const IPV4_OVERHEAD = 60;
const IPV6_OVERHEAD = 80;

/** Warnings about a checked configuration, each "key: text". */
export function configWarnings(config: Config): readonly string[] {
  return [
    ...mtuWarnings(config),
    ...addressWarnings(config),
    ...swappedWarnings(config),
    ...nestedWarnings(config.peers),
    ...endpointWarnings(config),
    ...passiveWarnings(config),
  ];
}

function mtuWarnings({ interface: device }: Config): readonly string[] {
  const overhead = outerFamily(device.listen.address) === 4 ? IPV4_OVERHEAD : IPV6_OVERHEAD;
  if (device.mtu === "auto" || device.mtu + overhead <= LINK_MTU) return [];
  const family = overhead === IPV4_OVERHEAD ? "IPv4" : "IPv6";
  return [
    `interface.mtu: ${device.mtu} makes outer ${family} packets of ${device.mtu + overhead} bytes, which paths of ${LINK_MTU} bytes carry in fragments; ${LINK_MTU - overhead} avoids that`,
  ];
}

function addressWarnings({ interface: device }: Config): readonly string[] {
  if (device.addresses.length > 0) return [];
  return ["interface.address: none is given, so the device gets no address"];
}

/** A peer that is allowed this host's own address: the two sides' files were probably swapped. */
function swappedWarnings({ interface: device, peers }: Config): readonly string[] {
  const own = new Set(
    device.addresses.map(({ bytes }) => `${formatAddress(bytes)}/${bytes.length * 8}`),
  );
  return peers.flatMap((peer) =>
    peer.allowedIps
      .map(formatPrefix)
      .filter((text) => own.has(text))
      .map(
        (text) =>
          `peer[${peer.name}].allowed_ips: ${text} is this host's own interface.address; the peer's was probably meant`,
      ),
  );
}

interface OwnedPrefix {
  readonly peer: PeerConfig;
  readonly prefix: Prefix;
}

/** Sorted, a prefix follows those around it, so that one pass with a stack of them finds the nearest. */
function nestedWarnings(peers: readonly PeerConfig[]): readonly string[] {
  const owned = peers.flatMap((peer) => peer.allowedIps.map((prefix) => ({ peer, prefix })));
  const around: OwnedPrefix[] = [];
  return owned.toSorted(byAddress).flatMap((inner) => {
    while (!isInside(inner, around.at(-1))) around.pop();
    const outer = around.at(-1);
    around.push(inner);
    if (outer === undefined || outer.peer === inner.peer) return [];
    return [
      `peer[${inner.peer.name}].allowed_ips: ${formatPrefix(inner.prefix)} lies inside ${formatPrefix(outer.prefix)} of peer ${outer.peer.name}; the longer prefix wins`,
    ];
  });
}

function byAddress({ prefix: a }: OwnedPrefix, { prefix: b }: OwnedPrefix): number {
  return a.family - b.family || Buffer.compare(a.bytes, b.bytes) || a.length - b.length;
}

/** Whether nothing is around, or what is covers the prefix. */
function isInside(inner: OwnedPrefix, outer: OwnedPrefix | undefined): boolean {
  return outer === undefined || prefixesOverlap(outer.prefix, inner.prefix);
}

/** An endpoint that another peer's prefixes cover is reached through that peer. */
function endpointWarnings({ peers, interface: device }: Config): readonly string[] {
  if (!device.routes) return [];
  return peers.flatMap((peer) => {
    const addresses = peer.endpoints.flatMap(({ host }) => parseAddress(host) ?? []);
    const isInside = (prefix: Prefix) => addresses.some((one) => containsAddress(prefix, one));
    return peers
      .filter((other) => other !== peer)
      .filter((other) => other.allowedIps.some(isInside))
      .map(
        (other) =>
          `peer[${peer.name}].endpoint: it lies inside allowed_ips of peer ${other.name} and will be reached through that peer`,
      );
  });
}

/** Nobody can start a session with a host that has neither an endpoint nor a known port. */
function passiveWarnings({ peers, interface: device }: Config): readonly string[] {
  if (device.listen.port !== 0) return [];
  return peers
    .filter((peer) => peer.endpoints.length === 0)
    .map(
      (peer) =>
        `peer[${peer.name}].endpoint: none is given, and interface.listen has no fixed port that the peer could send to`,
    );
}
