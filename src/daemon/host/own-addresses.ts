/**
 * This host's addresses as the core needs them, from the operating system's list of interfaces.
 *
 * The core refuses an endpoint that is an own address with the own port: else a forged or mistaken
 * address would make a host talk to itself. The list shows only interfaces that are up and have an
 * address, so it does not tell whether a link is up.
 */
import type { NetworkInterfaceInfo } from "node:os";
import { LARGEST_PATH_MTU } from "../../core/constants.ts";
import { mapAddress, parseAddress } from "../../core/prefix.ts";

/** Interfaces by name, as `os.networkInterfaces()` gives them. */
export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/** What the engine is told of this host. */
export interface OwnLinks {
  readonly addresses: readonly Uint8Array[];
  /** Largest MTU of the links that datagrams may leave by, bytes. */
  readonly linkMtu: number;
}

/** Addresses and link MTU; `device` is the tunnel's own. */
export function ownLinks(
  interfaces: Interfaces,
  device: string,
  mtuOf: (name: string) => number,
): OwnLinks {
  const linkMtu = largestLinkMtu(interfaces, device, mtuOf);
  return { addresses: ownAddresses(interfaces), linkMtu };
}

export function isSameLinks(a: OwnLinks, b: OwnLinks): boolean {
  return a.linkMtu === b.linkMtu && isSameAddressList(a.addresses, b.addresses);
}

/** All addresses, 16 bytes each (IPv4 mapped), in a stable order. */
export function ownAddresses(interfaces: Interfaces): readonly Uint8Array[] {
  const texts = Object.values(interfaces).flatMap(
    (infos) => infos?.map((info) => info.address) ?? [],
  );
  return [...new Set(texts)].sort().flatMap((text) => {
    const bytes = parseAddress(withoutZone(text));
    return bytes === undefined ? [] : [mapAddress(bytes)];
  });
}

/** Whether two lists hold the same addresses in the same order. */
export function isSameAddressList(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return (
    a.length === b.length && a.every((one, index) => Buffer.compare(one, b[index] ?? one) === 0)
  );
}

/** MTU taken where no link is known: Ethernet's. */
const USUAL_LINK_MTU = 1_500;

/**
 * The largest MTU of the links that datagrams may leave by: all that are up and have an address, but
 * loopback and the tunnel's own `device`. `mtuOf` answers with a negative number for one that has just gone.
 */
export function largestLinkMtu(
  interfaces: Interfaces,
  device: string,
  mtuOf: (name: string) => number,
): number {
  const mtus = Object.entries(interfaces)
    .filter(([name, infos]) => name !== device && infos?.some((info) => !info.internal))
    .map(([name]) => mtuOf(name));
  const largest = Math.max(0, ...mtus);
  return largest === 0 ? USUAL_LINK_MTU : Math.min(largest, LARGEST_PATH_MTU);
}

/** "fe80::1%eth0" without its zone. */
export function withoutZone(text: string): string {
  return text.split("%")[0] ?? text;
}

/** The interface index of a zone such as "eth0" or "3"; 0: there is no such interface. */
export function zoneIndex(interfaces: Interfaces, zone: string): number {
  if (/^\d{1,9}$/.test(zone)) return Number(zone);
  for (const info of interfaces[zone] ?? []) {
    if (info.family === "IPv6" && info.scopeid !== 0) return info.scopeid;
  }
  return 0;
}
