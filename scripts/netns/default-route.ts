/**
 * A client whose default route leads through its tunnel, a neighbour, a router, and what is behind the router.
 *
 *   near                    client                   router                     server
 *   eth0 10.88.1.2 -------- eth1 10.88.1.1
 *                           eth0 192.0.2.1 --------- eth0 192.0.2.2
 *                                                    eth1 198.51.100.1 -------- eth0 198.51.100.2
 *                           iptun0 10.77.0.2 ================================== iptun0 10.77.0.1
 *                                                                               lo   203.0.113.1
 *
 * All of it has IPv6 beside. The address on the server's lo stands for any host of the Internet: it is
 * reached through the router as well as through the tunnel. The client filters reverse paths strictly, which
 * is the hardest case for a tunnel that has the default route.
 */
import { Daemon, type DaemonOptions, makeKey, type Settings } from "./daemon.ts";
import { addAddress, type Host, type Lab, wire } from "./lab.ts";
import { until } from "./process.ts";
import { PORT, TUN } from "./topology.ts";

/** Addresses of a host of the Internet, by family. */
export const SITE = ["203.0.113.1", "2001:db8:99::1"] as const;
/** The neighbour's, and the client's towards it. */
export const NEAR = ["10.88.1.2", "fd88:1::2"] as const;
const TOWARDS_NEAR = ["10.88.1.1", "fd88:1::1"] as const;
/** Inner addresses. */
export const INNER = {
  client: ["10.77.0.2", "fd77::2"],
  server: ["10.77.0.1", "fd77::1"],
} as const;
/** The server's outer addresses: at first, and after it has moved. */
export const SERVER = ["198.51.100.2", "198.51.100.3"] as const;
const EVERYTHING = ["0.0.0.0/0", "::/0"];

export interface DefaultRouteLab {
  readonly near: Host;
  readonly client: Host;
  readonly router: Host;
  readonly server: Host;
  readonly keyFile: string;
  /** Of the server, running. */
  readonly hub: Daemon;
  /** Of the client, not started. */
  readonly tunnel: Daemon;
}

/** Makes the hosts and starts the server's daemon. */
export async function makeDefaultRouteLab(lab: Lab): Promise<DefaultRouteLab> {
  const [near, client, router, server] = [
    ...["near", "client", "router", "server"].map((name) => lab.addHost(name)),
  ] as [Host, Host, Host, Host];
  wireAll(near, client, router, server);
  client.sysctl("net.ipv4.conf.all.rp_filter", "1");
  for (const host of [router, server]) {
    host.sysctl("net.ipv4.ip_forward", "1");
    host.sysctl("net.ipv6.conf.all.forwarding", "1");
  }
  await until("addresses on the client", 5_000, () =>
    client.ip("-6", "address", "show", "tentative") === "" ? true : undefined,
  );
  const keyFile = await makeKey(lab.dir);
  const hub = new Daemon(server, {
    device: TUN,
    addresses: [`${INNER.server[0]}/24`, `${INNER.server[1]}/64`],
    listen: `[::]:${PORT}`,
    peers: [
      { name: "client", keyFile, allowedIps: [`${INNER.client[0]}/32`, `${INNER.client[1]}/128`] },
    ],
  });
  await hub.start();
  return { near, client, router, server, keyFile, hub, tunnel: clientDaemon(client, keyFile) };
}

/** A daemon of the client whose peer, the server, takes everything. */
export function clientDaemon(
  client: Host,
  keyFile: string,
  settings: Partial<Settings> = {},
  options: DaemonOptions = {},
): Daemon {
  const endpoint = `${SERVER[0]}:${PORT}`;
  const peer = { name: "server", keyFile, endpoint, allowedIps: EVERYTHING, keepalive: 1 };
  const addresses = [`${INNER.client[0]}/24`, `${INNER.client[1]}/64`];
  const given = { device: TUN, addresses, listen: `[::]:${PORT}`, peers: [peer] };
  return new Daemon(client, { ...given, ...settings }, options);
}

/** Everything that a default route changes on a host, as its tools show it. */
export async function hostState(host: Host): Promise<string> {
  const commands = [
    ...["ip -N rule", "ip -N -6 rule", "ip -N route show table all"],
    ...["ip -N -6 route show table all", "nft list ruleset"],
    "cat /proc/sys/net/ipv4/conf/all/src_valid_mark",
  ];
  return await host.output([
    "sh",
    "-c",
    commands.map((one) => `echo "# ${one}"; ${one}`).join(";"),
  ]);
}

/** Gives the server another outer address in place of its own. */
export function moveServer({ server }: DefaultRouteLab, from: string, to: string): void {
  // In this order: with its first address a network's further ones go too, and its routes.
  server.ip("address", "del", `${from}/24`, "dev", "eth0");
  addAddress(server, "eth0", `${to}/24`);
  server.ip("route", "add", "default", "via", "198.51.100.1");
}

function wireAll(near: Host, client: Host, router: Host, server: Host): void {
  wire(
    { host: near, device: "eth0", addresses: [`${NEAR[0]}/24`, `${NEAR[1]}/64`] },
    { host: client, device: "eth1", addresses: [`${TOWARDS_NEAR[0]}/24`, `${TOWARDS_NEAR[1]}/64`] },
  );
  wire(
    { host: client, device: "eth0", addresses: ["192.0.2.1/24", "2001:db8:1::1/64"] },
    { host: router, device: "eth0", addresses: ["192.0.2.2/24", "2001:db8:1::2/64"] },
  );
  wire(
    { host: router, device: "eth1", addresses: ["198.51.100.1/24", "2001:db8:2::1/64"] },
    { host: server, device: "eth0", addresses: [`${SERVER[0]}/24`, "2001:db8:2::2/64"] },
  );
  addAddress(server, "lo", `${SITE[0]}/32`);
  addAddress(server, "lo", `${SITE[1]}/128`);
  for (const inner of INNER.client) near.ip("route", "add", inner, "via", towards(inner));
  client.ip("route", "add", "default", "via", "192.0.2.2");
  client.ip("-6", "route", "add", "default", "via", "2001:db8:1::2");
  server.ip("route", "add", "default", "via", "198.51.100.1");
  server.ip("-6", "route", "add", "default", "via", "2001:db8:2::1");
  router.ip("route", "add", `${SITE[0]}/32`, "via", SERVER[0]);
  router.ip("-6", "route", "add", `${SITE[1]}/128`, "via", "2001:db8:2::2");
}

/** The client's address towards the neighbour, of the family of `address`. */
function towards(address: string): string {
  return TOWARDS_NEAR[address.includes(":") ? 1 : 0];
}
