/**
 * Two networks behind the two sites, which forward between them through the tunnel.
 *
 *   lan-a               left                  right               lan-b
 *   eth0 10.88.1.2 ---- eth1 10.88.1.1        eth1 10.88.2.1 ---- eth0 10.88.2.2
 *        fd88:1::2           fd88:1::1             fd88:2::1           fd88:2::2
 *                       eth0 (topology.ts) ------- eth0
 *
 * The hosts of the networks know nothing of the tunnel; they find its smaller MTU by ICMP.
 */
import { makeKey } from "./daemon.ts";
import { type Host, type Lab, wire } from "./lab.ts";
import { type Pair, sideDaemon, startDaemons, twoHosts } from "./topology.ts";

/** Addresses of the hosts on the networks. */
export const LAN = {
  a: { four: "10.88.1.2", six: "fd88:1::2" },
  b: { four: "10.88.2.2", six: "fd88:2::2" },
} as const;

/** A host on each network, and the sites between. */
export interface Lans {
  readonly lanA: Host;
  readonly lanB: Host;
  readonly pair: Pair;
}

/** Starts the tunnel and waits until it is up. */
export async function startLans(lab: Lab): Promise<Lans> {
  const { left, right } = twoHosts(lab);
  const keyFile = await makeKey(lab.dir);
  const pair: Pair = {
    left: sideDaemon(left, "left", keyFile, { peer: { allowedIps: lansOf(2) } }),
    right: sideDaemon(right, "right", keyFile, { peer: { allowedIps: lansOf(1) } }),
    keyFile,
  };
  const lanA = addLan(lab, "lan-a", left, 1);
  const lanB = addLan(lab, "lan-b", right, 2);
  await startDaemons(pair);
  return { lanA, lanB, pair };
}

/** What belongs to a side: the site and its network. */
export function lansOf(side: 1 | 2): readonly string[] {
  return [`10.77.0.${side}/32`, `fd77::${side}/128`, `10.88.${side}.0/24`, `fd88:${side}::/64`];
}

/** Puts a host behind a site. */
export function addLan(lab: Lab, name: string, site: Host, side: 1 | 2): Host {
  const host = lab.addHost(name);
  wire(
    { host, device: "eth0", addresses: [`10.88.${side}.2/24`, `fd88:${side}::2/64`] },
    { host: site, device: "eth1", addresses: [`10.88.${side}.1/24`, `fd88:${side}::1/64`] },
  );
  host.ip("route", "add", "default", "via", `10.88.${side}.1`);
  host.ip("-6", "route", "add", "default", "via", `fd88:${side}::1`);
  site.sysctl("net.ipv4.ip_forward", "1");
  site.sysctl("net.ipv6.conf.all.forwarding", "1");
  return host;
}

/** Switches features of a device, by ethtool's short names, in one go: some need others. */
export async function setFeatures(
  host: Host,
  device: string,
  features: Readonly<Record<string, boolean>>,
): Promise<void> {
  const words = Object.entries(features).flatMap(([name, isOn]) => [name, isOn ? "on" : "off"]);
  await host.output(["ethtool", "-K", device, ...words]);
}
