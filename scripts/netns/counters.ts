/**
 * Counters of a namespace's kernel: packets that a device carried, and errors of IP, ICMP, TCP and UDP.
 *
 * From `ip -s` and /proc/net/snmp, snmp6 and netstat (man 5 proc), as nstat(8) reads them. The trap: a
 * packet that never leaves the machine has a checksum that nobody makes and nobody looks at, so no error
 * means little unless a device on the way has its checksum offload off.
 */
import type { Host } from "./lab.ts";

/** Packets of a device by direction: RX is what a tunnel's process wrote to it. */
export interface DevicePackets {
  readonly rx: number;
  readonly tx: number;
}

/** Packets of `device` until now; a super-packet is one. */
export function devicePackets(host: Host, device: string): DevicePackets {
  const [link] = JSON.parse(
    host.ip("-j", "-s", "link", "show", device),
  ) as readonly LinkStatistics[];
  if (link === undefined) throw new Error(`${host.name} has no ${device}`);
  return { rx: link.stats64.rx.packets, tx: link.stats64.tx.packets };
}

/** The part of `ip -j -s link` that is read. */
interface LinkStatistics {
  readonly stats64: {
    readonly rx: { readonly packets: number };
    readonly tx: { readonly packets: number };
  };
}

/**
 * Counters that rise when a packet arrives damaged, in both families. The trap: TcpInErrs also counts a SYN that comes
 * again after its connection is there, which is whole and only late; TcpExtTCPSYNChallenge counts those alone.
 */
const DAMAGE = [
  ...["IpInHdrErrors", "IpExtInCsumErrors", "IcmpInErrors", "IcmpInCsumErrors"],
  ...["TcpInErrs", "TcpInCsumErrors", "UdpInCsumErrors"],
  ...["Ip6InHdrErrors", "Icmp6InErrors", "Icmp6InCsumErrors", "Udp6InCsumErrors"],
] as const;

/** Those of the counters of damage that are not zero. */
export async function damage(host: Host): Promise<Readonly<Record<string, number>>> {
  const { TcpExtTCPSYNChallenge: late, ...counters } = await kernelCounters(host, [
    ...DAMAGE,
    "TcpExtTCPSYNChallenge",
  ]);
  const found = Object.entries({ ...counters, TcpInErrs: counters.TcpInErrs - late });
  return Object.fromEntries(found.filter(([, value]) => value !== 0));
}

/** Counters of the kernel by their names in nstat(8); throws when it does not have one of them. */
export async function kernelCounters<Name extends string>(
  host: Host,
  names: readonly Name[],
): Promise<Readonly<Record<Name, number>>> {
  const files = ["snmp", "netstat", "snmp6"].map((name) => `/proc/net/${name}`);
  const counters = parseCounters(await host.output(["cat", ...files]));
  const found = names.map((name) => {
    const value = counters.get(name);
    if (value === undefined) throw new Error(`the kernel has no counter ${name}`);
    return [name, value] as const;
  });
  return Object.fromEntries(found) as Record<Name, number>;
}

/** Lines "Tcp: InErrs ..." with "Tcp: 0 ..." below, and lines "Ip6InHdrErrors 0". */
function parseCounters(text: string): ReadonlyMap<string, number> {
  const counters = new Map<string, number>();
  const names = new Map<string, readonly string[]>();
  for (const line of text.split("\n")) {
    const [first = "", ...rest] = line.trim().split(/\s+/);
    const table = /^(\w+):$/.exec(first)?.[1];
    const known = names.get(first);
    if (table === undefined) counters.set(first, Number(rest[0]));
    else if (known === undefined) names.set(first, rest);
    else for (const [at, name] of known.entries()) counters.set(table + name, Number(rest[at]));
  }
  return counters;
}
