/**
 * What is on a network device already, read from `ip -j`.
 *
 * Asked once before the device is opened: a device that exists is attached to, and what it carries is
 * left as it is. Only the fields that decide are read; the rest of iproute2's JSON is ignored.
 */
import { type Json, objects, records } from "./json.ts";

/** An existing device's state. */
export interface DeviceState {
  readonly isUp: boolean;
  readonly mtu: number;
  /** As "10.0.0.1/24". */
  readonly addresses: readonly string[];
  /** Destinations as "10.0.0.0/24"; host routes carry their length. */
  readonly routes: readonly string[];
}

/** The state from the outputs of `ip -j addr show dev X` and of `ip -j [-4|-6] route show dev X`. */
export function parseDeviceState(addrJson: string, routeJsons: readonly string[]): DeviceState {
  const { flags, mtu, addr_info: infos } = records(addrJson)[0] ?? {};
  return {
    isUp: Array.isArray(flags) && flags.includes("UP"),
    mtu: typeof mtu === "number" ? mtu : 0,
    addresses: objects(infos).flatMap(addressOf),
    routes: routeJsons.flatMap(records).flatMap(destinationOf),
  };
}

function addressOf(info: Json): readonly string[] {
  const { local, prefixlen } = info;
  return typeof local === "string" && typeof prefixlen === "number"
    ? [`${local}/${prefixlen}`]
    : [];
}

function destinationOf(route: Json): readonly string[] {
  const { dst } = route;
  if (typeof dst !== "string") return [];
  if (dst.includes("/") || dst === "default") return [dst];
  return [dst.includes(":") ? `${dst}/128` : `${dst}/32`];
}
