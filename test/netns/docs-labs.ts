/**
 * The hosts on which a page's commands are typed (docs.test.ts): names as the pages use them, iptun installed on each.
 *
 *                            internet 192.0.2.254 (and 203.0.113.80, which stands for any host of it)
 *     hub .1   home .7   berlin .11   paris .12   hq .21   north .22   south .23   west .24        each 192.0.2.x
 *                |          |           |
 *             laptop      desk       printer
 *       192.168.50.2  192.168.1.10  192.168.2.10
 *
 * `home` translates addresses, so nobody can call the laptop. There is no bridge: the router in the middle has a wire and
 * a route to each.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InstalledHost } from "../../scripts/netns/installed.ts";
import { addAddress, type Host, type Lab, wire } from "../../scripts/netns/lab.ts";
import { until } from "../../scripts/netns/process.ts";
import { ADDRESSES, twoHosts } from "../../scripts/netns/topology.ts";

export type DocsHosts = Readonly<Record<string, InstalledHost>>;

const INTERNET = "192.0.2.254";
const ANY_HOST = "203.0.113.80";
/** Last byte of 192.0.2.0/24. */
const PLACES = { hub: 1, berlin: 11, paris: 12, hq: 21, north: 22, south: 23, west: 24 } as const;
const HOME = "192.0.2.7";
/** The command that a page leaves out because another has it: a tunnel between its two hosts. */
const INIT =
  "iptun init --name hub --peer laptop --endpoint hub.example.org:1194 --address 10.77.0.1/24,fd77::1/64";
const RUN = "iptun --config /etc/iptun/iptun0.toml";
const START_MS = 45_000;

/** The hosts of the pages that begin with nothing. */
export const LABS: Readonly<Record<string, (lab: Lab) => Promise<DocsHosts>>> = {
  "README.md": async (lab) => pairOf(lab),
  "docs/quick-start.md": internetOf,
};

/** A hub that the laptop knows by its name and can copy files from. */
function pairOf(lab: Lab): { readonly hub: InstalledHost; readonly laptop: InstalledHost } {
  const hosts = twoHosts(lab);
  const names = { "hub.example.org": ADDRESSES.left.outer4 };
  const hub = new InstalledHost(hosts.left, names);
  const laptop = new InstalledHost(hosts.right, names);
  laptop.canCopyFrom("hub.example.org", hub);
  return { hub, laptop };
}

/** The same with a tunnel that is up and what the pages tell of switched on, and a host with nothing but a user. */
export async function runningPair(lab: Lab): Promise<DocsHosts> {
  const { hub, laptop } = pairOf(lab);
  const plain = new InstalledHost(lab.addHost("plain"));
  // In a user namespace only the caller's own uid means anything.
  const uid = process.getuid?.() ?? 0;
  writeFileSync(join(plain.root, "etc/passwd"), `iptun:x:${uid}:${uid}::/:/usr/sbin/nologin\n`);
  await hub.run(INIT);
  await laptop.run("mkdir -p /etc/iptun");
  await laptop.run("scp -p root@hub.example.org:/etc/iptun/laptop.toml /etc/iptun/iptun0.toml");
  await laptop.run("sed -i '/^listen =/a firewall = true' /etc/iptun/iptun0.toml");
  const metrics = '[metrics]\\nlisten = "127.0.0.1:9586"\\npage = true\\n';
  await laptop.run(`printf '${metrics}' >> /etc/iptun/iptun0.toml`);
  for (const host of [hub, laptop]) host.start(RUN);
  await until("tunnel", START_MS, async () => {
    const ping = laptop.run("ping -c 1 -W 1 10.77.0.1");
    return await ping.then(
      () => true,
      () => undefined,
    );
  });
  return { hub, laptop, plain };
}

async function internetOf(lab: Lab): Promise<DocsHosts> {
  const internet = lab.addHost("internet");
  for (const one of [INTERNET, ANY_HOST]) addAddress(internet, "lo", `${one}/32`);
  forward(internet);
  const hosts: Record<string, Host> = {};
  for (const [name, place] of Object.entries(PLACES)) {
    hosts[name] = connect(lab, internet, name, `192.0.2.${place}`);
  }
  const home = connect(lab, internet, "home", HOME);
  hosts["laptop"] = addBehind(lab, home, "laptop", "192.168.50");
  forward(home);
  await home.output(["nft", masquerade("eth0")]);
  hosts["desk"] = addBehind(lab, hosts["berlin"] as Host, "desk", "192.168.1");
  hosts["printer"] = addBehind(lab, hosts["paris"] as Host, "printer", "192.168.2");
  await (hosts["hub"] as Host).output(["nft", FIREWALL]);
  return install(hosts);
}

/** A host with a wire to the middle. */
function connect(lab: Lab, internet: Host, name: string, address: string): Host {
  const host = lab.addHost(name);
  wire(
    { host, device: "eth0", addresses: [`${address}/32`] },
    { host: internet, device: `to-${name}`, addresses: [] },
  );
  internet.ip("route", "add", `${address}/32`, "dev", `to-${name}`);
  host.ip("route", "add", INTERNET, "dev", "eth0");
  host.ip("route", "add", "default", "via", INTERNET);
  return host;
}

/** A host on a network behind another. */
function addBehind(lab: Lab, router: Host, name: string, network: string): Host {
  const host = lab.addHost(name);
  const last = name === "laptop" ? 2 : 10;
  wire(
    { host, device: "eth0", addresses: [`${network}.${last}/24`] },
    { host: router, device: "eth1", addresses: [`${network}.1/24`] },
  );
  host.ip("route", "add", "default", "via", `${network}.1`);
  return host;
}

function forward(host: Host): void {
  host.sysctl("net.ipv4.ip_forward", "1");
}

function masquerade(device: string): string {
  return (
    "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; };" +
    `add rule ip nat out oifname ${device} masquerade`
  );
}

/** As a hosting provider's image has it: nothing comes in that was not asked for. */
const FIREWALL =
  "add table inet filter; add chain inet filter input { type filter hook input priority 0; policy drop; };" +
  "add rule inet filter input ct state established,related accept;" +
  "add rule inet filter input iif lo accept; add rule inet filter input icmp type echo-request accept";

function install(hosts: Readonly<Record<string, Host>>): DocsHosts {
  const names = Object.fromEntries(
    Object.entries(PLACES).map(([name, place]) => [`${name}.example.org`, `192.0.2.${place}`]),
  );
  const installed: Record<string, InstalledHost> = {};
  for (const [name, host] of Object.entries(hosts))
    installed[name] = new InstalledHost(host, names);
  for (const [name, host] of Object.entries(installed)) {
    mkdirSync(join(host.root, "etc/sysctl.d"), { recursive: true });
    for (const [other, from] of Object.entries(installed)) {
      if (other !== name) host.canCopyFrom(`${other}.example.org`, from);
    }
  }
  return installed;
}
