/**
 * Whether this host's kernel forwards packets, which a hub needs for its sites to reach each other.
 *
 * Source: Documentation/networking/ip-sysctl.rst. Only read; what to do about it is the operator's.
 */
import { readFileSync } from "node:fs";
import type { PeerKind } from "../../core/options.ts";

/** The switch of each family, as sysctl(8) names it. */
export const FORWARDING_SWITCHES = {
  4: "net.ipv4.ip_forward",
  6: "net.ipv6.conf.all.forwarding",
} as const;

/** What counts of a peer. */
export interface ForwardedPeer {
  readonly name: string;
  readonly kind: PeerKind;
  readonly allowedIps: readonly { readonly family: 4 | 6 }[];
}

/** One line for each family in which a group's sites have addresses and the kernel does not forward. */
export function forwardingWarnings(
  { peers }: { readonly peers: readonly ForwardedPeer[] },
  read: (path: string) => string | undefined = readText,
): readonly string[] {
  const groups = peers.filter(({ kind }) => kind === "group");
  return ([4, 6] as const).flatMap((family) => {
    const group = groups.find(({ allowedIps }) => allowedIps.some((ip) => ip.family === family));
    const name = FORWARDING_SWITCHES[family];
    const value = read(`/proc/sys/${name.replaceAll(".", "/")}`)?.trim();
    if (group === undefined || value !== "0") return [];
    return [
      `peer[${group.name}].learn: this host does not forward IPv${family}, so its sites cannot reach each other; sysctl -w ${name}=1`,
    ];
  });
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // A kernel without this family has no such file, and nothing to forward.
    return undefined;
  }
}
