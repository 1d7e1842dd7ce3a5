/**
 * Two sites with a router between them, which writes into the outer headers what a test wants.
 *
 *   left eth0 192.0.2.1 ----- 192.0.2.254 eth0 [router] eth1 198.51.100.254 ----- 198.51.100.1 eth0 right
 *             2001:db8:1::1   2001:db8:1::fe                 2001:db8:2::fe       2001:db8:2::1
 *
 * The outer addresses are those reserved for documentation.
 */
import { type Host, type Lab, wire } from "./lab.ts";

/** Outer addresses of the sites. */
export const OUTER = {
  left: { four: "192.0.2.1", six: "2001:db8:1::1" },
  right: { four: "198.51.100.1", six: "2001:db8:2::1" },
} as const;
const GATEWAYS = {
  left: { four: "192.0.2.254", six: "2001:db8:1::fe" },
  right: { four: "198.51.100.254", six: "2001:db8:2::fe" },
} as const;
/** The router's device on the left site's wire. */
export const LEFT_DEVICE = "eth0";

/** ECN fields as nft(8) names them. */
export type EcnName = "not-ect" | "ect0" | "ect1" | "ce";

export interface Routed {
  readonly left: Host;
  readonly right: Host;
  readonly router: Router;
}

/** The host between; what it writes, it writes into UDP that comes from the left site. */
export class Router {
  readonly host: Host;

  constructor(host: Host) {
    this.host = host;
  }

  /** Leaves every header as it is. */
  async leave(): Promise<void> {
    await this.#rules(() => []);
  }

  /** Writes an ECN field, and DSCP CS1 (RFC 8622), into every datagram. */
  async rewrite(ecn: EcnName): Promise<void> {
    await this.#rules((family) => [
      "meta l4proto udp",
      `${family} dscp set cs1`,
      `${family} ecn set ${ecn}`,
    ]);
  }

  /** Marks the first `marked` of every `of` datagrams with ECT(0), as a queue that runs full does. */
  async congest(marked: number, of: number): Promise<void> {
    await this.#rules((family) => [
      `meta l4proto udp ${family} ecn ect0`,
      `numgen inc mod ${of} < ${marked}`,
      `counter ${family} ecn set ce`,
    ]);
  }

  /** Datagrams that `congest` has marked. */
  async marked(): Promise<number> {
    const text = await this.host.output(["nft", "list", "chain", "inet", "remark", "forward"]);
    const counts = [...text.matchAll(/counter packets (\d+)/g)].map((match) => Number(match[1]));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async #rules(words: (family: "ip" | "ip6") => readonly string[]): Promise<void> {
    const rules = (["ip", "ip6"] as const).flatMap((family) => {
      const rule = words(family).join(" ");
      const match = `iifname ${LEFT_DEVICE} meta nfproto ${family === "ip" ? "ipv4" : "ipv6"}`;
      return rule === "" ? [] : [`add rule inet remark forward ${match} ${rule}`];
    });
    const chain = "type filter hook forward priority 0;";
    const table = ["add table inet remark", "delete table inet remark", "add table inet remark"];
    const commands = [...table, `add chain inet remark forward { ${chain} }`, ...rules];
    await this.host.output(["nft", commands.join("\n")]);
  }
}

/** Three hosts in a row, without a daemon yet. */
export function routedHosts(lab: Lab): Routed {
  const left = lab.addHost("left");
  const router = lab.addHost("router");
  const right = lab.addHost("right");
  for (const [side, host, device] of [
    ["left", left, LEFT_DEVICE],
    ["right", right, "eth1"],
  ] as const) {
    const { four, six } = GATEWAYS[side];
    wire(
      { host, device: "eth0", addresses: [`${OUTER[side].four}/24`, `${OUTER[side].six}/64`] },
      { host: router, device, addresses: [`${four}/24`, `${six}/64`] },
    );
    host.ip("route", "add", "default", "via", four);
    host.ip("-6", "route", "add", "default", "via", six);
  }
  router.sysctl("net.ipv4.ip_forward", "1");
  router.sysctl("net.ipv6.conf.all.forwarding", "1");
  return { left, right, router: new Router(router) };
}
