/**
 * The network of nearly every test: two sites with a tunnel between them, and on request a stranger.
 *
 *      left                                right                       stranger
 *   iptun0 10.77.0.1/24              iptun0 10.77.0.2/24
 *          fd77::1/64                       fd77::2/64
 *   eth0   192.0.2.1/24  ---veth---  eth0   192.0.2.2/24
 *          2001:db8:1::1/64                 2001:db8:1::2/64
 *                                    eth1   198.51.100.1/24  ---veth--- eth0 198.51.100.2/24
 *                                           2001:db8:2::1/64                 2001:db8:2::2/64
 *
 * The left site knows the right one's endpoint; the right one learns it, unless told otherwise. The outer
 * addresses are those reserved for documentation, so that no packet of a lab means anything elsewhere.
 */
import { Daemon, type DaemonOptions, makeKey, type PeerSettings, type Settings } from "./daemon.ts";
import { addAddress, type Host, type Lab, wire } from "./lab.ts";

/** The UDP port of every iptun in a lab. */
export const PORT = 1194;
/** The tunnel's device on every site. */
export const TUN = "iptun0";

export type SideName = "left" | "right";

/** Addresses without prefix length, by side. */
export const ADDRESSES = {
  left: { inner4: "10.77.0.1", inner6: "fd77::1", outer4: "192.0.2.1", outer6: "2001:db8:1::1" },
  right: { inner4: "10.77.0.2", inner6: "fd77::2", outer4: "192.0.2.2", outer6: "2001:db8:1::2" },
} as const;

/** The stranger's wire: its own addresses, and those of the right site on it. */
export const STRANGER = {
  outer4: "198.51.100.2",
  outer6: "2001:db8:2::2",
  right4: "198.51.100.1",
  right6: "2001:db8:2::1",
} as const;

/** An endpoint as configs write it. */
export function hostPort(address: string, port = PORT): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Two hosts joined by one wire, without a daemon yet. */
export function twoHosts(lab: Lab, mtu = 1500): { readonly left: Host; readonly right: Host } {
  const left = lab.addHost("left");
  const right = lab.addHost("right");
  wire(wireEnd(left, "left"), wireEnd(right, "right"), mtu);
  return { left, right };
}

function wireEnd(host: Host, side: SideName) {
  const { outer4, outer6 } = ADDRESSES[side];
  return { host, device: "eth0", addresses: [`${outer4}/24`, `${outer6}/64`] };
}

/** A third host with a wire of its own to the right site. */
export function addStranger(right: Host): Host {
  const stranger = right.lab.addHost("stranger");
  wire(
    { host: right, device: "eth1", addresses: [`${STRANGER.right4}/24`, `${STRANGER.right6}/64`] },
    {
      host: stranger,
      device: "eth0",
      addresses: [`${STRANGER.outer4}/24`, `${STRANGER.outer6}/64`],
    },
  );
  return stranger;
}

/** Lets the stranger send from the left site's outer IPv4 address to the right one. */
export function impersonateLeft(stranger: Host): void {
  addAddress(stranger, "lo", `${ADDRESSES.left.outer4}/32`);
  const { outer4 } = ADDRESSES.right;
  stranger.ip("route", "add", `${outer4}/32`, "via", STRANGER.right4, "src", ADDRESSES.left.outer4);
}

export interface SideOptions extends DaemonOptions {
  /** Endpoint of the other side, "host:port"; undefined: learned. The left side has one by default. */
  readonly endpoint?: string | undefined;
  readonly keyFile?: string;
  readonly settings?: Partial<Settings>;
  readonly peer?: Partial<PeerSettings>;
}

/** The daemon of one side, not started. */
export function sideDaemon(
  host: Host,
  side: SideName,
  keyFile: string,
  options: SideOptions = {},
): Daemon {
  const own = ADDRESSES[side];
  const other = side === "left" ? "right" : "left";
  const { inner4, inner6, outer4 } = ADDRESSES[other];
  const endpoint =
    "endpoint" in options ? options.endpoint : side === "left" ? hostPort(outer4) : undefined;
  const settings: Settings = {
    device: TUN,
    addresses: [`${own.inner4}/24`, `${own.inner6}/64`],
    listen: `[::]:${PORT}`,
    peers: [
      {
        name: other,
        keyFile: options.keyFile ?? keyFile,
        allowedIps: [`${inner4}/32`, `${inner6}/128`],
        ...(endpoint === undefined ? {} : { endpoint }),
        ...options.peer,
      },
    ],
    ...options.settings,
  };
  return new Daemon(host, settings, options);
}

/** Two hosts and their daemons. */
export interface Pair {
  readonly left: Daemon;
  readonly right: Daemon;
  readonly keyFile: string;
}

export interface PairOptions {
  readonly mtu?: number;
  readonly left?: SideOptions;
  readonly right?: SideOptions;
}

/** Two hosts with one key, daemons not started. */
export async function makePair(lab: Lab, options: PairOptions = {}): Promise<Pair> {
  const key = makeKey(lab.dir);
  const hosts = twoHosts(lab, options.mtu);
  const keyFile = await key;
  return {
    left: sideDaemon(hosts.left, "left", keyFile, options.left),
    right: sideDaemon(hosts.right, "right", keyFile, options.right),
    keyFile,
  };
}

/** Two hosts with a tunnel that is up. */
export async function startPair(lab: Lab, options: PairOptions = {}): Promise<Pair> {
  const pair = await makePair(lab, options);
  await startDaemons(pair);
  return pair;
}

/** Starts both daemons and waits until both sides have a session. */
export async function startDaemons(pair: Pair): Promise<void> {
  await Promise.all([pair.left.start(), pair.right.start()]);
  await bringUp(pair);
}

/** Sends one packet each second from the left until both sides have a session. */
export async function bringUp(pair: Pair): Promise<void> {
  const knock = pair.left.host.start(["ping", "-n", "-q", ADDRESSES.right.inner4]);
  await Promise.all([pair.left.waitUp(), pair.right.waitUp()]);
  await knock.stop("SIGINT");
}
