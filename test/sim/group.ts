/**
 * A hub with a group of sites under one key, as the tests of learned groups want it.
 *
 *     site n at 192.0.2.n, inner 10.77.0.n and fd77::n  --->  hub at 198.51.100.1, inner 10.77.0.250
 *
 * The hub's kernel forwards between sites: `forwarding` does that here, with what the tunnel gave it.
 */
import type { PeerSnapshot } from "../../src/core/options.ts";
import { formatAddress } from "../../src/core/prefix.ts";
import { udpPacket, viewPacket } from "../helpers/packets.ts";
import type { Host } from "./host.ts";
import { addSite, newWorld, type PeerSpec, RIGHT, type Site, type SiteSpec } from "./pair.ts";
import type { World } from "./world.ts";

/** The hub's own inner address. */
export const HUB_INNER = "10.77.0.250";
const HUB_INNER6 = "fd77::fa";
export const GROUP_NETWORKS = ["10.77.0.0/16", "fd77::/32"] as const;

/** A group whose sites have sent nothing yet. */
export interface Group {
  readonly world: World;
  readonly hub: Host;
  readonly hubSite: Site;
  readonly sites: readonly Site[];
  readonly key: Uint8Array;
  /** Adds another site; its inner addresses are those of `number`. */
  readonly addOne: (number: number, spec?: Partial<SiteSpec>) => Site;
}

export interface GroupOptions {
  readonly seed?: number;
  readonly sites?: number;
  /** Peers of the hub beside the group. */
  readonly others?: readonly PeerSpec[];
  readonly group?: Partial<PeerSpec>;
  /** The hub's own inner addresses; HUB_INNER unless told. */
  readonly inner?: readonly string[];
  readonly crypto?: "twin" | "stub";
}

/** Inner IPv6 address of a site. */
export function inner6Of(number: number): string {
  return `fd77::${number.toString(16)}`;
}

/** Inner IPv4 address of a site. */
export function innerOf(number: number): string {
  return `10.77.${number >> 8}.${number & 0xff}`;
}

export function newGroup(options: GroupOptions = {}): Group {
  const world = newWorld(options.seed);
  const key = world.random.bytes(32);
  const crypto = options.crypto === undefined ? {} : { crypto: options.crypto };
  const group: PeerSpec = {
    name: "branch",
    kind: "group",
    keys: [key],
    allowedIps: GROUP_NETWORKS,
  };
  const hubSite = addSite(world, {
    name: "hub",
    addresses: [RIGHT.ip],
    inner: options.inner ?? [HUB_INNER],
    peers: [{ ...group, ...options.group }, ...(options.others ?? [])],
    ...crypto,
  });
  const addOne = (number: number, spec: Partial<SiteSpec> = {}): Site =>
    addSite(world, {
      name: `site${number}`,
      addresses: [`192.0.2.${number}`],
      peers: [
        { name: "hub", kind: "hub", keys: [key], endpoints: [RIGHT], allowedIps: GROUP_NETWORKS },
      ],
      ...crypto,
      ...spec,
    });
  const sites = Array.from({ length: options.sites ?? 2 }, (_, index) => addOne(index + 1));
  return { world, hub: hubSite.host, hubSite, sites, key, addOne };
}

/** A packet from a site with its own or another's inner address; to the hub unless told. */
export function say(site: Site, from: string, to?: string): void {
  const hub = from.includes(":") ? HUB_INNER6 : HUB_INNER;
  site.host.send(udpPacket(from, to ?? hub, Uint8Array.of(1)));
}

/** Every site brings its own address; returns when all have a session. */
export function bringUp({ world, sites, hub }: Group): void {
  for (const [index, site] of sites.entries()) say(site, innerOf(index + 1));
  world.until("every site is known", () => nodesOf(hub).length === sites.length, 5_000);
  world.advance(200);
  hub.delivered.length = 0;
}

/** The group's nodes as the hub shows them. */
export function nodesOf(hub: Host): readonly PeerSnapshot[] {
  return hub.snapshot().peers.filter(({ kind }) => kind === "node");
}

/** Who holds an inner address: the outer address of a node, or "nobody". */
export function holder(hub: Host, address: string): string {
  const node = nodesOf(hub).find(({ addresses }) =>
    addresses.some(({ bytes }) => formatAddress(bytes) === address),
  );
  return node?.endpoint === undefined ? "nobody" : formatAddress(node.endpoint.address);
}

/** The hub's kernel: what is not for the hub itself goes back into the tunnel. */
export function forwarding({ hub, world }: Pick<Group, "hub" | "world">): () => void {
  return world.every(5, () => {
    const packets = hub.delivered.splice(0).map(({ bytes }) => bytes);
    hub.send(...packets.filter((bytes) => viewPacket(bytes).destination !== HUB_INNER));
  });
}
