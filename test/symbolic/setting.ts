/**
 * The settings that are explored: who is there, what the attacker holds, and the bounds of a run.
 *
 * An outsider has the network and no key. A member of a group holds its key as well: it can make
 * handshakes in anybody's name, and what is claimed against it is less (properties.ts).
 */
import type { Bounds, HostSpec } from "./host.ts";
import { type Key, nodeTerm } from "./messages.ts";
import type { Rules } from "./rules.ts";
import { fresh, publicName, type Term } from "./term.ts";

export interface Setting {
  readonly name: string;
  readonly hosts: readonly HostSpec[];
  readonly attacker: "outsider" | "member";
  /** Datagrams that a member makes itself; an outsider cannot make one that is looked at. */
  readonly composed: number;
  /** Whether datagrams come from the attacker's own address too. */
  readonly spoofs: boolean;
}

/** The one key of every setting. */
export const PSK = fresh("psk");
/** Node id of the dishonest member, the smallest of all. */
export const MEMBER = nodeTerm(0);
/** The attacker's own address. */
export const EVE = publicName("address of Eve");

export function addressOf({ name }: HostSpec): Term {
  return publicName(`address of ${name}`);
}

/** Small enough for each to be explored to its end in a second or so. */
export const BOUNDS: Bounds = {
  inits: 2,
  rekeys: true,
  restarts: 1,
  forgets: 0,
  expires: 0,
  resends: 1,
  repeats: { endpoint: 1, anywhere: 1 },
};

/** A kind of host, with its own bounds where they are not the usual ones. */
export type HostKind = Pick<HostSpec, "kind" | "starts"> & { readonly bounds?: Partial<Bounds> };

export const CLIENT: HostKind = { kind: "pair", starts: true };
export const SERVER: HostKind = { kind: "pair", starts: false };
export const HUB: HostKind = { kind: "hub", starts: false };
export const SITE: HostKind = { kind: "site", starts: true };

export interface SettingOptions {
  readonly attacker?: Setting["attacker"];
  readonly composed?: number;
  /** True unless told: without it a search is shorter. */
  readonly spoofs?: boolean;
  readonly bounds?: Partial<Bounds>;
  /** All hosts have one node id, as after a disk was cloned. */
  readonly isCloned?: boolean;
}

/** Hosts A, B, C ... of these kinds under one key. */
export function setting(
  name: string,
  kinds: readonly HostKind[],
  rules: Rules,
  options: SettingOptions = {},
): Setting {
  const hosts = kinds.map((kind, at) => ({
    ...kind,
    name: "ABC".charAt(at),
    nodeId: nodeTerm(options.isCloned ? 1 : at + 1),
    key: keyFor(kind, rules),
    bounds: { ...BOUNDS, ...options.bounds, ...kind.bounds },
  }));
  const { attacker = "outsider", composed = 0, spoofs = true } = options;
  return { name, hosts, attacker, composed, spoofs };
}

function keyFor({ kind }: HostKind, { scopesDiffer }: Rules): Key {
  return { psk: PSK, scope: kind === "pair" || !scopesDiffer ? "pair" : "group" };
}
