/**
 * Two sites with two routers between them, so that a link in the middle can be narrower than the sites' own.
 *
 *   left                r1                             r2                right
 *   eth0 192.0.2.1 ---- eth0 .254   eth1 198.18.0.1 -- eth1 .2   eth0 203.0.113.254 ---- eth0 203.0.113.1
 *        2001:db8:1::1       ::fe        2001:db8:9::1      ::2       2001:db8:2::fe          2001:db8:2::1
 *
 * The sites know nothing of the middle; routers tell them by ICMP, unless they are made silent.
 */
import { makeKey } from "./daemon.ts";
import { type Host, type Lab, wire } from "./lab.ts";
import { hostPort, type Pair, type SideOptions, sideDaemon } from "./topology.ts";

/** Outer addresses of the sites. */
export const OUTER = {
  left: { four: "192.0.2.1", six: "2001:db8:1::1" },
  right: { four: "203.0.113.1", six: "2001:db8:2::1" },
} as const;

export interface TwoRoutersOptions {
  /** Outer family; IPv4 unless told. */
  readonly family?: 4 | 6;
  /** MTU of all links; 1500 unless told. */
  readonly linkMtu?: number;
  /** MTU of the link in the middle; `linkMtu` unless told. */
  readonly middleMtu?: number;
  /** The routers send no ICMP. */
  readonly isSilent?: boolean;
  readonly left?: SideOptions;
  readonly right?: SideOptions;
}

export interface TwoRouters extends Pair {
  readonly r1: Host;
  readonly r2: Host;
}

/** Hosts and daemons, not started. */
export async function makeTwoRouters(
  lab: Lab,
  options: TwoRoutersOptions = {},
): Promise<TwoRouters> {
  const { family = 4, linkMtu = 1500, middleMtu = linkMtu } = options;
  const [left, r1, r2, right] = ["left", "r1", "r2", "right"].map((name) => lab.addHost(name));
  if (!left || !r1 || !r2 || !right) throw new Error("no hosts");
  for (const router of [r1, r2]) {
    router.sysctl("net.ipv4.ip_forward", "1");
    router.sysctl("net.ipv6.conf.all.forwarding", "1");
  }
  join(
    left,
    ["192.0.2.1/24", "2001:db8:1::1/64"],
    r1,
    ["192.0.2.254/24", "2001:db8:1::fe/64"],
    linkMtu,
  );
  join(
    right,
    ["203.0.113.1/24", "2001:db8:2::1/64"],
    r2,
    ["203.0.113.254/24", "2001:db8:2::fe/64"],
    linkMtu,
  );
  wire(
    { host: r1, device: "eth1", addresses: ["198.18.0.1/30", "2001:db8:9::1/64"] },
    { host: r2, device: "eth1", addresses: ["198.18.0.2/30", "2001:db8:9::2/64"] },
    middleMtu,
  );
  route(r1, "203.0.113.0/24", "198.18.0.2", "2001:db8:2::/64", "2001:db8:9::2");
  route(r2, "192.0.2.0/24", "198.18.0.1", "2001:db8:1::/64", "2001:db8:9::1");
  route(left, "default", "192.0.2.254", "default", "2001:db8:1::fe");
  route(right, "default", "203.0.113.254", "default", "2001:db8:2::fe");
  if (options.isSilent === true) for (const router of [r1, r2]) await silence(router);
  const keyFile = await makeKey(lab.dir);
  const { four, six } = OUTER.right;
  const endpoint = hostPort(family === 4 ? four : six);
  return {
    left: sideDaemon(left, "left", keyFile, { endpoint, ...options.left }),
    right: sideDaemon(right, "right", keyFile, options.right),
    keyFile,
    ...{ r1, r2 },
  };
}

/** Sets what the link in the middle carries. */
export function setMiddle({ r1, r2 }: TwoRouters, mtu: number): void {
  for (const router of [r1, r2]) router.ip("link", "set", "eth1", "mtu", String(mtu));
}

/** A router that drops every ICMP error it would send, as some firewalls do. */
async function silence(router: Host): Promise<void> {
  const rules =
    "add table inet silent; " +
    "add chain inet silent out { type filter hook output priority 0; }; " +
    "add rule inet silent out icmp type destination-unreachable drop; " +
    "add rule inet silent out icmpv6 type packet-too-big drop";
  await router.output(["nft", rules]);
}

function join(a: Host, ofA: readonly string[], b: Host, ofB: readonly string[], mtu: number): void {
  wire(
    { host: a, device: "eth0", addresses: ofA },
    { host: b, device: "eth0", addresses: ofB },
    mtu,
  );
}

function route(host: Host, to4: string, via4: string, to6: string, via6: string): void {
  host.ip("route", "add", to4, "via", via4);
  host.ip("-6", "route", "add", to6, "via", via6);
}
