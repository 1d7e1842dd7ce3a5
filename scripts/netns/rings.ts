/**
 * Two hosts with two tunnels between them whose routes lead in a circle, in three ways.
 *
 *   left                                       right
 *   iptun0 10.77.0.1 --- endpoint 192.0.2.2    iptun0 10.77.0.2
 *   iptun1 10.78.0.1 --- endpoint 192.0.2.12   iptun1 10.78.0.2
 *   eth0   192.0.2.1 ----------veth----------- eth0   192.0.2.2, 192.0.2.12
 *
 * The datagrams of one tunnel are routed through the other: two processes on the left, or one with two peers.
 * Sessions come up over a rule of their own for the outer network; `close` takes the rule away and the ring is
 * there. Or both tunnels are sound, and what a third host sends goes out through one and comes back by the other.
 */
import { Daemon, makeKey, type PeerSettings } from "./daemon.ts";
import { type Host, type Lab, wire } from "./lab.ts";
import { ADDRESSES, PORT, twoHosts } from "./topology.ts";
import { ping } from "./traffic.ts";

/** The right host's outer address for each tunnel. */
const ENDPOINTS = [ADDRESSES.right.outer4, "192.0.2.12"] as const;
const OUTER_NETWORK = "192.0.2.0/24";
const NUMBERS = [0, 1] as const;
/** Where nobody is, and where the sender of the third ring is. */
const NOWHERE = "10.99.0.0/24";
const SENDER_NETWORK = "10.88.1.0/24";

type Number = (typeof NUMBERS)[number];

/** A ring that is still open. */
export interface Ring {
  /** Where to ping from. */
  readonly host: Host;
  /** What to ping. */
  readonly target: string;
  /** The tunnels of the left host. */
  readonly daemons: readonly Daemon[];
  /** Makes the routes lead in a circle. */
  readonly close: () => void;
}

/** Two processes on the left host, each the tunnel that the other's endpoint is routed into. */
export async function ringOfProcesses(lab: Lab): Promise<Ring> {
  const { left, right } = hosts(lab);
  const keys = await twoKeys(lab);
  const daemons = NUMBERS.map((at) =>
    tunnel(left, at, [toRight(at, keys[at], [`${ENDPOINTS[1 - at]}/32`])]),
  );
  await startAll([...NUMBERS.map((at) => tunnel(right, at, [toLeft(at, keys[at])])), ...daemons]);
  return await opened(left, daemons);
}

/** One process on the left host with two peers, whose datagrams are routed into its own device. */
export async function ringOfPeers(lab: Lab): Promise<Ring> {
  const { left, right } = hosts(lab);
  const keys = await twoKeys(lab);
  const peers = NUMBERS.map((at) => toRight(at, keys[at], [`${ENDPOINTS[1 - at]}/32`]));
  const daemon = tunnel(left, 0, peers);
  const far = NUMBERS.map((at) => tunnel(right, at, [toLeft(at, keys[at], inner(0, "left"))]));
  await startAll([...far, daemon]);
  return await opened(left, [daemon]);
}

/** Packets of a third host for nowhere: the left host routes them into one tunnel, the right one back by the other. */
export async function ringOfRoutes(lab: Lab): Promise<Ring & { readonly others: readonly Host[] }> {
  const { left, right } = hosts(lab);
  const sender = lab.addHost("sender");
  wire(
    { host: sender, device: "eth0", addresses: ["10.88.1.2/24"] },
    { host: left, device: "eth1", addresses: ["10.88.1.1/24"] },
  );
  sender.ip("route", "add", "default", "via", "10.88.1.1");
  for (const host of [left, right]) host.sysctl("net.ipv4.ip_forward", "1");
  const keys = await twoKeys(lab);
  const daemons = [
    tunnel(left, 0, [toRight(0, keys[0], [NOWHERE])]),
    tunnel(left, 1, [toRight(1, keys[1], ["0.0.0.0/0"])], false),
  ];
  const far = [
    tunnel(right, 0, [toLeft(0, keys[0], inner(0, "left"), [SENDER_NETWORK])]),
    tunnel(right, 1, [toLeft(1, keys[1], inner(1, "left"), [NOWHERE])]),
  ];
  await startAll([...far, ...daemons]);
  const ring = await opened(left, daemons);
  return { ...ring, host: sender, target: "10.99.0.1", others: [left, right] };
}

function hosts(lab: Lab): { readonly left: Host; readonly right: Host } {
  const both = twoHosts(lab);
  both.right.ip("address", "add", `${ENDPOINTS[1]}/24`, "dev", "eth0");
  both.left.ip("rule", "add", "to", OUTER_NETWORK, "lookup", "99", "priority", "10");
  both.left.ip("route", "add", OUTER_NETWORK, "dev", "eth0", "table", "99");
  return both;
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
  return new Daemon(host, { device, addresses, listen, routes, peers }, { subdir: device });
}

function toRight(at: Number, keyFile: string, more: readonly string[]): PeerSettings {
  const endpoint = `${ENDPOINTS[at]}:${PORT + at}`;
  const allowedIps = [`${inner(at, "right")}/32`, ...more];
  return { name: `right${at}`, keyFile, endpoint, allowedIps };
}

function toLeft(
  at: Number,
  keyFile: string,
  address = inner(at, "left"),
  more: readonly string[] = [],
): PeerSettings {
  return { name: "left", keyFile, allowedIps: [`${address}/32`, ...more] };
}

async function startAll(daemons: readonly Daemon[]): Promise<void> {
  await Promise.all(daemons.map((daemon) => daemon.start()));
}

/** Waits until every peer of the left host has a session. */
async function opened(left: Host, daemons: readonly Daemon[]): Promise<Ring> {
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
  return { host: left, target, daemons, close };
}
