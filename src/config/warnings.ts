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
import { defaultFamilies, takesAll } from "./default-families.ts";
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
    ...halfDefaultWarnings(config),
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
    // Everything lies inside a default route.
    const isOther = outer !== undefined && outer.prefix.length > 0 && outer.peer !== inner.peer;
    if (!isOther) return [];
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

/** An endpoint that another peer's prefixes cover is reached through that peer; a default route leaves it alone. */
function endpointWarnings({ peers, interface: device }: Config): readonly string[] {
  if (!device.routes) return [];
  return peers.flatMap((peer) => {
    const addresses = peer.endpoints.flatMap(({ host }) => parseAddress(host) ?? []);
    const isInside = (prefix: Prefix) => addresses.some((one) => containsAddress(prefix, one));
    return peers
      .filter((other) => other !== peer)
      .filter(({ allowedIps }) => allowedIps.some((one) => one.length > 0 && isInside(one)))
      .map(
        (other) =>
          `peer[${peer.name}].endpoint: it lies inside allowed_ips of peer ${other.name} and will be reached through that peer`,
      );
  });
}

/** A default route of one family leaves the traffic of the other outside. */
function halfDefaultWarnings(config: Config): readonly string[] {
  const [family, other] = defaultFamilies(config);
  if (family === undefined || other !== undefined) return [];
  const missing =
    family === 4
      ? 'IPv6 goes outside the tunnel; add "::/0" to'
      : 'IPv4 goes outside the tunnel; add "0.0.0.0/0" to';
  return config.peers
    .filter((peer) => takesAll(peer, family))
    .map(
      ({ name }) =>
        `peer[${name}].allowed_ips: has the default route of IPv${family} only, so ${missing} take it along`,
    );
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
