/**
 * The address families whose default route leads through the tunnel: those of which a peer names everything,
 * where routes are installed, and what follows from it. A peer without prefixes takes everything too, but
 * brings no route.
 */
import type { Config } from "./config.ts";

/** In the order 4, 6. */
export function defaultFamilies({
  interface: device,
  peers,
}: Pick<Config, "interface" | "peers">): readonly (4 | 6)[] {
  if (!device.routes) return [];
  return ([4, 6] as const).filter((family) => peers.some((peer) => takesAll(peer, family)));
}

/** Whether packets to inner addresses from elsewhere are to be dropped. */
export function wantsFirewall(config: Pick<Config, "interface" | "peers">): boolean {
  const { firewall } = config.interface;
  return firewall === "auto" ? defaultFamilies(config).length > 0 : firewall;
}

/** Whether a peer names everything of a family. */
export function takesAll(
  { isCatchAll, allowedIps }: Config["peers"][number],
  family: 4 | 6,
): boolean {
  return !isCatchAll && allowedIps.some((one) => one.length === 0 && one.family === family);
}
