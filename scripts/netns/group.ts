/**
 * A group in a lab: one hub, and sites with one key, each on a wire of its own.
 *
 *      site n                                       hub
 *   iptun0 10.77.0.n/24                        iptun0 10.77.0.254/24
 *   eth0   198.18.n.2/24  ------veth------     wire<n> 198.18.n.1/24
 *
 * The outer networks are those for measurements between networks (RFC 2544), which route nowhere. The hub's
 * kernel forwards between the sites.
 */
import { Daemon, makeKey } from "./daemon.ts";
import { type Lab, wire } from "./lab.ts";
import { PORT, TUN } from "./topology.ts";

const NETWORK = "10.77.0.0/24";
/** The hub's inner address. */
export const HUB_ADDRESS = "10.77.0.254";

/** Inner address of a site. */
export function siteAddress(number: number): string {
  return `10.77.0.${number}`;
}

export interface GroupLab {
  readonly hub: Daemon;
  readonly keyFile: string;
  /** A site, not started; its inner addresses are its own unless told. */
  readonly addSite: (number: number, addresses?: readonly string[]) => Daemon;
}

/** A hub that forwards, not started. */
export async function makeGroup(lab: Lab): Promise<GroupLab> {
  const host = lab.addHost("hub");
  host.sysctl("net.ipv4.ip_forward", "1");
  const keyFile = await makeKey(host.dir, "group.key", ["--group"]);
  const hub = new Daemon(host, {
    device: TUN,
    addresses: [`${HUB_ADDRESS}/24`],
    listen: `0.0.0.0:${PORT}`,
    peers: [{ name: "branch", keyFile, learn: true, allowedIps: [NETWORK] }],
  });
  const addSite = (
    number: number,
    addresses: readonly string[] = [`${siteAddress(number)}/24`],
  ): Daemon => {
    const site = lab.addHost(`site${number}`);
    wire(
      { host, device: `wire${number}`, addresses: [`198.18.${number}.1/24`] },
      { host: site, device: "eth0", addresses: [`198.18.${number}.2/24`] },
    );
    return new Daemon(site, {
      device: TUN,
      addresses,
      listen: `0.0.0.0:${PORT}`,
      peers: [
        {
          name: "hub",
          keyFile,
          endpoint: `198.18.${number}.1:${PORT}`,
          allowedIps: [NETWORK],
          keepalive: 1,
        },
      ],
    });
  };
  return { hub, keyFile, addSite };
}
