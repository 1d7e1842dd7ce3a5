/** Which inner addresses the firewall keeps others from: those that only the tunnel has. */
import type { InterfaceAddress } from "../../config/config.ts";
import { formatAddress } from "../../core/prefix.ts";
import type { Log } from "../../log.ts";
import type { FirewallPlan } from "./firewall.ts";
import { type Interfaces, withoutZone } from "./own-addresses.ts";

/** The addresses of `device` by family; what another device has too is asked for by that one, and is left out. */
export function protectedAddresses(
  addresses: readonly InterfaceAddress[],
  device: string,
  interfaces: Interfaces,
  log: Log,
): FirewallPlan["addresses"] {
  const others = addressesElsewhere(interfaces, device);
  const protectable = addresses.filter(({ bytes }) => {
    const text = formatAddress(bytes);
    const owner = others.get(text);
    if (owner === undefined) return !isLinkLocal(bytes);
    log.warn(`${text} is an address of ${owner} too: packets to it from elsewhere are let in`);
    return false;
  });
  const of = (family: 4 | 6) =>
    protectable.filter((one) => one.family === family).map(({ bytes }) => formatAddress(bytes));
  return { 4: of(4), 6: of(6) };
}

/** Each address of other devices, with the device's name. */
function addressesElsewhere(interfaces: Interfaces, device: string): ReadonlyMap<string, string> {
  const others = Object.entries(interfaces).filter(([name]) => name !== device);
  return new Map(
    others.flatMap(([name, infos = []]) =>
      infos.map(({ address }) => [withoutZone(address), name] as const),
    ),
  );
}

/** fe80::/10, which every device may have (RFC 4291 §2.5.6). */
function isLinkLocal(bytes: Uint8Array): boolean {
  return bytes.length === 16 && bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80;
}
