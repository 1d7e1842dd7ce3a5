/**
 * Two hosts with two tunnels between them whose routes lead in a circle.
 *
 *   sender                 left                                       right
 *   eth0 10.88.1.2 ------- eth1   10.88.1.1                           eth0   192.0.2.2, 192.0.2.12
 *                          eth0   192.0.2.1 ----------veth-----------
 *                          iptun0 10.77.0.1 --- endpoint 192.0.2.2    iptun0 10.77.0.2
 *                          iptun1 10.78.0.1 --- endpoint 192.0.2.12   iptun1 10.78.0.2
 *
 * The datagrams of one tunnel are routed through the other: of two processes on the left, or of one with two
 * peers. Sessions come up over a rule of their own for the outer network; `close` takes it away, and the ring is
 * there. Before, the two processes have another: what the sender sends to nowhere goes out through one tunnel and
 * comes back by the other.
 */
import { Daemon, makeKey, type PeerSettings } from "./daemon.ts";
import { addAddress, type Host, type Lab, wire } from "./lab.ts";
import { ADDRESSES, PORT, twoHosts } from "./topology.ts";
import { ping } from "./traffic.ts";

/** The right host's outer address for each tunnel. */
const ENDPOINTS = [ADDRESSES.right.outer4, "192.0.2.12"] as const;
const OUTER_NETWORK = "192.0.2.0/24";
const NUMBERS = [0, 1] as const;
const SENDER_NETWORK = "10.88.1.0/24";
const NOWHERE_NETWORK = "10.99.0.0/24";
/** Datagrams of a run come back as one packet, whose drop counts once: a daemon that was slow would count too few. */
const ONE_BY_ONE = { gso: false } as const;
/** What nobody answers, and both hosts route into a tunnel. */
export const NOWHERE = "10.99.0.1";

type Number = (typeof NUMBERS)[number];

/** A ring that is still open. */
export interface Ring {
  readonly left: Host;
  readonly right: Host;
  /** What to ping from the left host. */
  readonly target: string;
  /** The tunnels of the left host. */
  readonly daemons: readonly Daemon[];
  /** Makes the routes lead in a circle. */
  readonly close: () => void;
}

/** Two processes on the left host, each the tunnel that the other's endpoint is routed into. */
export async function ringOfProcesses(lab: Lab): Promise<Ring & { readonly sender: Host }> {
  const { left, right } = hosts(lab);
  const sender = addSender(lab, left);
  for (const host of [left, right]) host.sysctl("net.ipv4.ip_forward", "1");
  const keys = await twoKeys(lab);
  const daemons = [
    tunnel(left, 0, [toRight(0, keys[0], [`${ENDPOINTS[1]}/32`, NOWHERE_NETWORK])]),
    // It takes the sender's packets back, and must not route their source away from the sender.
    tunnel(left, 1, [toRight(1, keys[1], ["0.0.0.0/0"])], false),
  ];
  const far = [
    tunnel(right, 0, [toLeft(keys[0], inner(0, "left"), [SENDER_NETWORK])]),
    tunnel(right, 1, [toLeft(keys[1], inner(1, "left"), [NOWHERE_NETWORK])]),
  ];
  await startAll([...far, ...daemons]);
  left.ip("route", "add", `${ENDPOINTS[0]}/32`, "dev", "iptun1");
  return { ...(await opened(left, right, daemons)), sender };
}

/** One process on the left host with two peers, whose datagrams are routed into its own device. */
export async function ringOfPeers(lab: Lab): Promise<Ring> {
  const { left, right } = hosts(lab);
  const keys = await twoKeys(lab);
  const peers = NUMBERS.map((at) => toRight(at, keys[at], [`${ENDPOINTS[1 - at]}/32`]));
  const daemon = tunnel(left, 0, peers);
  const far = NUMBERS.map((at) => tunnel(right, at, [toLeft(keys[at], inner(0, "left"))]));
  await startAll([...far, daemon]);
  return await opened(left, right, [daemon]);
}

function hosts(lab: Lab): { readonly left: Host; readonly right: Host } {
  const both = twoHosts(lab);
  addAddress(both.right, "eth0", `${ENDPOINTS[1]}/24`);
  both.left.ip("rule", "add", "to", OUTER_NETWORK, "lookup", "99", "priority", "10");
  both.left.ip("route", "add", OUTER_NETWORK, "dev", "eth0", "table", "99");
  return both;
}

function addSender(lab: Lab, left: Host): Host {
  const sender = lab.addHost("sender");
  wire(
    { host: sender, device: "eth0", addresses: ["10.88.1.2/24"] },
    { host: left, device: "eth1", addresses: ["10.88.1.1/24"] },
  );
  sender.ip("route", "add", "default", "via", "10.88.1.1");
  return sender;
}

async function twoKeys(lab: Lab): Promise<readonly [string, string]> {
  return [await makeKey(lab.dir, "key0"), await makeKey(lab.dir, "key1")];
}

/** A tunnel's inner address on one side. */
function inner(at: Number, side: "left" | "right"): string {
  return `10.${77 + at}.0.${side === "left" ? 1 : 2}`;
}

function tunnel(host: Host, at: Number, peers: readonly PeerSettings[], routes = true): Daemon {
  const side = host.name === "left" ? "left" : "right";
  const device = `iptun${at}`;
  const listen = `0.0.0.0:${PORT + at}`;
  const addresses = [`${inner(at, side)}/24`];
  const settings = { device, addresses, listen, routes, peers, offload: ONE_BY_ONE };
  return new Daemon(host, settings, { subdir: device });
}

function toRight(at: Number, keyFile: string, more: readonly string[]): PeerSettings {
  const endpoint = `${ENDPOINTS[at]}:${PORT + at}`;
  const allowedIps = [`${inner(at, "right")}/32`, ...more];
  return { name: `right${at}`, keyFile, endpoint, allowedIps };
}

function toLeft(keyFile: string, address: string, more: readonly string[] = []): PeerSettings {
  return { name: "left", keyFile, allowedIps: [`${address}/32`, ...more] };
}

async function startAll(daemons: readonly Daemon[]): Promise<void> {
  await Promise.all(daemons.map((daemon) => daemon.start()));
}

/** Waits until every peer of the left host has a session. */
async function opened(left: Host, right: Host, daemons: readonly Daemon[]): Promise<Ring> {
  const target = inner(0, "right");
  await Promise.all(NUMBERS.map((at) => ping(left, inner(at, "right"), 3, 0.2)));
  for (const daemon of daemons) {
    await daemon.waitForStatus("sessions", ({ peers }) =>
      peers.every(({ state }) => state === "up"),
    );
  }
  const close = () => {
    left.ip("rule", "del", "priority", "10");
  };
  return { left, right, target, daemons, close };
}
