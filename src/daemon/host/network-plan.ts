/**
 * Which `ip` commands put a configuration on a device and take it off again: pure functions.
 *
 * A command is an argument vector (man 8 ip); `ip-command.ts` runs them. Only what is missing is added,
 * and only what was added is removed, because an attached device may carry others' addresses and
 * routes. Routes are added, never replaced: a replace would take a prefix away from another device.
 */
import type { InterfaceAddress } from "../../config/config.ts";
import { networkOf } from "../../config/network-of.ts";
import { formatAddress, formatPrefix, type Prefix, prefixesOverlap } from "../../core/prefix.ts";
import type { DeviceState } from "./device-state.ts";

/**
 * Packets that a device of our own queues towards the daemon. The kernel's 500 are 11 ms at 500 Mbit/s:
 * a daemon that waits longer than that for a CPU loses packets of flows that it could carry.
 */
const QUEUE_PACKETS = 2_000;
/** The same where a packet may be a super-packet of 64 KB: at most 32 MB, which are 64 ms at 4 Gbit/s. */
const QUEUE_SUPER_PACKETS = 500;

/** Arguments of one `ip` call. */
export type IpCommand = readonly string[];

/** Bytes of the longest packet. */
export interface DeviceMtu {
  /** The device's. */
  readonly mtu: number;
  /** Of routes that have one of their own, by their prefix as text. */
  readonly routeMtus: ReadonlyMap<string, number>;
}

export interface NetworkPlanInput extends DeviceMtu {
  readonly device: string;
  readonly addresses: readonly InterfaceAddress[];
  /** Prefixes to route into the device; empty where routes are switched off. */
  readonly routes: readonly Prefix[];
  /** Whether TCP comes from the device in super-packets. */
  readonly hasSuperPackets: boolean;
}

export interface NetworkPlan {
  /** In order: addresses, link, routes. */
  readonly up: readonly IpCommand[];
  /** Takes off what `up` added to a device that was there before; empty for a device of our own. */
  readonly down: readonly IpCommand[];
}

/** The commands for a device in state `before` (undefined: it does not exist yet and vanishes with the daemon). */
export function planNetwork(input: NetworkPlanInput, before: DeviceState | undefined): NetworkPlan {
  const addresses = input.addresses.filter((one) => !before?.addresses.includes(addressText(one)));
  const routes = routesToAdd(input).filter((one) => !before?.routes.includes(formatPrefix(one)));
  const queuePackets = input.hasSuperPackets ? QUEUE_SUPER_PACKETS : QUEUE_PACKETS;
  const queue = before === undefined ? ["txqueuelen", String(queuePackets)] : [];
  const up = [
    ...addresses.map((one) => addressCommand("add", one, input.device)),
    ["link", "set", "dev", input.device, "mtu", String(input.mtu), ...queue, "up"],
    ...routes.map((one) => routeCommand("add", one, input)),
  ];
  if (before === undefined) return { up, down: [] };
  return { up, down: downCommands(input, before, addresses, routes) };
}

/** What of a configuration is not on the device. */
export interface Lack {
  /** undefined: the device has the MTU that is wanted. */
  readonly mtu: { readonly found: number; readonly wanted: number } | undefined;
  readonly addresses: readonly InterfaceAddress[];
  readonly routes: readonly Prefix[];
}

/** What a device in state `state` lacks. */
export function lackOf(input: NetworkPlanInput, state: DeviceState): Lack {
  const { mtu: wanted, addresses } = input;
  return {
    mtu: state.mtu === wanted ? undefined : { found: state.mtu, wanted },
    addresses: addresses.filter((one) => !state.addresses.includes(addressText(one))),
    routes: [...connectedRoutes(input, state), ...routesToAdd(input)].filter(
      (one) => !state.routes.includes(formatPrefix(one)),
    ),
  };
}

/**
 * The networks of addresses that are there, as far as a wanted route relies on them: the kernel makes their routes with
 * the address, and does not make them again when somebody has taken them away.
 */
function connectedRoutes({ routes, addresses }: NetworkPlanInput, state: DeviceState): Prefix[] {
  const present = addresses.filter((one) => state.addresses.includes(addressText(one)));
  return present
    .filter((address) => routes.some((route) => isConnected(route, address)))
    .map(networkOf)
    .filter(({ bytes, length }) => length < bytes.length * 8);
}

/** Whether there is anything to put back. */
export function isLack({ mtu, addresses, routes }: Lack): boolean {
  return mtu !== undefined || addresses.length > 0 || routes.length > 0;
}

/** The commands that put back what is missing; MTU first, because below 1280 the kernel takes no IPv6 address. */
export function planRepair(
  input: NetworkPlanInput,
  { mtu, addresses, routes }: Lack,
): readonly IpCommand[] {
  const { device } = input;
  const link = mtu === undefined ? [] : [["link", "set", "dev", device, "mtu", `${mtu.wanted}`]];
  return [
    ...link,
    ...addresses.map((one) => addressCommand("replace", one, device)),
    ...routes.map((one) => routeCommand("add", one, input)),
  ];
}

/**
 * The commands that set another MTU. The device comes first, because the kernel may change the routes of a
 * device with it; a route is changed, never replaced, and only one that is ours.
 */
export function planMtu(before: NetworkPlanInput, after: NetworkPlanInput): readonly IpCommand[] {
  const { device, mtu } = after;
  const isNew = mtu !== before.mtu;
  const changed = routesToAdd(after).filter((route) => {
    const wanted = after.routeMtus.get(formatPrefix(route));
    return wanted !== before.routeMtus.get(formatPrefix(route)) || (isNew && wanted !== undefined);
  });
  return [
    ...(isNew ? [["link", "set", "dev", device, "mtu", `${mtu}`]] : []),
    ...changed.map((route) => routeCommand("change", route, after)),
  ];
}

/**
 * The commands that make what another configuration wants of what one has made, for a device that was in state
 * `start` before both. New addresses come before old ones go, because the kernel takes a device's routes along with
 * its last address; those that stay are said once more, because it takes addresses along with the first of their network.
 */
export function planChange(
  before: NetworkPlanInput,
  after: NetworkPlanInput,
  start: DeviceState | undefined,
): readonly IpCommand[] {
  const { device } = after;
  const isOurs = (one: InterfaceAddress) => start?.addresses.includes(addressText(one)) !== true;
  const [goneAddresses, newAddresses] = apart(before.addresses, after.addresses, addressText);
  const [goneRoutes, newRoutes] = apart(routesToAdd(before), routesToAdd(after), formatPrefix);
  const kept = routesToAdd(after).filter((one) => !newRoutes.includes(one));
  const theirs = start?.routes ?? [];
  const gone = goneAddresses.filter(isOurs);
  return [
    ...planMtu({ ...before, routes: kept }, { ...after, routes: kept }),
    ...newAddresses.map((one) => addressCommand("replace", one, device)),
    ...goneRoutes
      .filter((one) => !theirs.includes(formatPrefix(one)))
      .map((one) => routeCommand("del", one, before)),
    ...gone.map((one) => addressCommand("del", one, device)),
    ...(gone.length > 0 ? after.addresses : []).map((one) =>
      addressCommand("replace", one, device),
    ),
    ...newRoutes
      .filter((one) => !theirs.includes(formatPrefix(one)))
      .map((one) => routeCommand("add", one, after)),
  ];
}

/** What only the first list has, and what only the second has. */
function apart<T>(
  first: readonly T[],
  second: readonly T[],
  text: (one: T) => string,
): readonly [readonly T[], readonly T[]] {
  const only = (some: readonly T[], others: readonly T[]) => {
    const texts = new Set(others.map(text));
    return some.filter((one) => !texts.has(text(one)));
  };
  return [only(first, second), only(second, first)];
}

/** "10.0.0.1/24". */
export function addressText(address: InterfaceAddress): string {
  return `${formatAddress(address.bytes)}/${address.prefixLength}`;
}

/**
 * Prefixes that need a route of their own: not a default route (default-route.ts has that, or the
 * operator), and not what an address on the device routes already.
 */
function routesToAdd({ routes, addresses }: NetworkPlanInput): readonly Prefix[] {
  return routes.filter(
    (route) => route.length > 0 && !addresses.some((address) => isConnected(route, address)),
  );
}

function downCommands(
  input: NetworkPlanInput,
  before: DeviceState,
  addresses: readonly InterfaceAddress[],
  routes: readonly Prefix[],
): readonly IpCommand[] {
  const { device } = input;
  const link = ["link", "set", "dev", device, "mtu", String(before.mtu)];
  return [
    ...routes.map((one) => routeCommand("del", one, input)),
    ...addresses.map((one) => addressCommand("del", one, device)),
    before.isUp ? link : [...link, "down"],
  ];
}

function addressCommand(verb: string, address: InterfaceAddress, device: string): IpCommand {
  const command = ["addr", verb, addressText(address), "dev", device];
  // Duplicate address detection has nobody to ask on a TUN and would hold the address back for a second.
  return address.family === 6 && verb !== "del" ? [...command, "nodad"] : command;
}

function routeCommand(
  verb: "add" | "change" | "del",
  prefix: Prefix,
  { device, routeMtus }: NetworkPlanInput,
): IpCommand {
  const text = formatPrefix(prefix);
  const mtu = verb === "del" ? undefined : routeMtus.get(text);
  return ["route", verb, text, "dev", device, ...(mtu === undefined ? [] : ["mtu", `${mtu}`])];
}

function isConnected(route: Prefix, { family, bytes, prefixLength }: InterfaceAddress): boolean {
  const network: Prefix = { family, bytes, length: prefixLength };
  return route.length >= prefixLength && prefixesOverlap(network, route);
}
