/**
 * What is on a network device already, read from `ip -j`.
 *
 * Asked once before the device is opened: a device that exists is attached to, and what it carries is
 * left as it is. Only the fields that decide are read; the rest of iproute2's JSON is ignored.
 */

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
    addresses: list(infos).flatMap(addressOf),
    routes: routeJsons.flatMap(records).flatMap(destinationOf),
  };
}

type Json = Record<string, unknown>;

/** The objects of a JSON array; `ip` prints nothing at all for an empty list of some kinds. */
function records(json: string): readonly Json[] {
  const parsed: unknown = json.trim() === "" ? [] : JSON.parse(json);
  return list(parsed);
}

function list(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null;
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
