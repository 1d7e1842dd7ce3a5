/**
 * What is on the tunnel's device at this moment, read from the kernel's text files: no process.
 *
 * Existence from /proc/net/dev, flags and MTU from /sys/class/net, addresses from the list of interfaces,
 * routes from /proc/net/route and /proc/net/ipv6_route (main table; linux net/ipv4/fib_trie.c,
 * net/ipv6/route.c). The trap: /sys shows the network namespace it was mounted in, which need not be
 * ours; where it may not be, and where the tables are long, `ip` is asked.
 */
import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { endianness, networkInterfaces } from "node:os";
import { formatAddress, formatPrefix, parsePrefix } from "../../core/prefix.ts";
import type { DeviceState } from "./device-state.ts";
import { runProcess } from "./ip-command.ts";
import { readDeviceState } from "./network.ts";
import type { Interfaces } from "./own-addresses.ts";

/** BOUNDED: bytes read of one file: some 8,000 routes, which take a few milliseconds. */
export const LOOK_MAX_BYTES = 1024 * 1024;

/** One for all reads, each of which is over before the next. */
const LOOK_BUFFER = Buffer.alloc(LOOK_MAX_BYTES + 1);

/** linux/if.h */
const IFF_UP = 1;
/** linux/route.h, linux/ipv6_route.h: entries that are no routes which somebody has added. */
const RTF_REJECT = 0x200;
const RTF_ANYCAST = 0x0010_0000;
const RTF_CACHE = 0x0100_0000;
const RTF_LOCAL = 0x8000_0000;
const NOT_ADDED = RTF_REJECT | RTF_ANYCAST | RTF_CACHE | RTF_LOCAL;

/** Where a look takes its facts from. */
export interface LookSources {
  /** A file's text; undefined: it cannot be read, or is longer than the bound. */
  readonly read: (path: string) => Promise<string | undefined>;
  /** Names in a directory; none where it cannot be read. */
  readonly list: (path: string) => Promise<readonly string[]>;
  readonly interfaces: () => Interfaces;
  /** The state from `ip`, where the files do not tell. */
  readonly ask: (device: string) => Promise<DeviceState | undefined>;
}

const KERNEL: LookSources = {
  read: readBounded,
  list: listNames,
  interfaces: networkInterfaces,
  ask: (device) => readDeviceState(device, runProcess),
};

/** The device's state; undefined where no device has this name. */
export async function lookAtDevice(
  device: string,
  sources: LookSources = KERNEL,
): Promise<DeviceState | undefined> {
  const { read, list, interfaces, ask } = sources;
  const [names, classNames, flags, mtu, v4, v6] = await Promise.all([
    read("/proc/net/dev"),
    list("/sys/class/net"),
    read(`/sys/class/net/${device}/flags`),
    read(`/sys/class/net/${device}/mtu`),
    read("/proc/net/route"),
    // Missing where the kernel has no IPv6.
    read("/proc/net/ipv6_route"),
  ]);
  const ours = names === undefined ? [] : deviceNames(names);
  if (names !== undefined && !ours.includes(device)) return undefined;
  const isComplete = flags !== undefined && mtu !== undefined && v4 !== undefined;
  if (!isComplete || !isSameSet(ours, classNames)) return ask(device);
  return {
    isUp: (Number(flags) & IFF_UP) !== 0,
    mtu: Number(mtu),
    addresses: addressesOf(interfaces(), device),
    routes: [...routesV4(v4, device), ...routesV6(v6 ?? "", device)],
  };
}

/** Destinations in /proc/net/route by way of a device, as "10.0.0.0/24". */
export function routesV4(text: string, device: string, order: "LE" | "BE" = endianness()) {
  return rows(text).flatMap(([name, target, , flags, , , , mask]) => {
    if (name !== device || target === undefined || mask === undefined) return [];
    if ((Number.parseInt(flags ?? "", 16) & NOT_ADDED) !== 0) return [];
    // Both are printed as a number of this host's byte order.
    const bytes = Buffer.from(target, "hex");
    if (order === "LE") bytes.reverse();
    return [formatPrefix({ family: 4, bytes, length: maskLength(Number.parseInt(mask, 16)) })];
  });
}

/** Destinations in /proc/net/ipv6_route by way of a device, as "2001:db8::/32". */
export function routesV6(text: string, device: string): readonly string[] {
  return rows(text).flatMap((row) => {
    const [target, length] = row;
    const flags = Number.parseInt(row[8] ?? "", 16);
    if (row[9] !== device || target === undefined || (flags & NOT_ADDED) !== 0) return [];
    const bytes = Buffer.from(target, "hex");
    return [formatPrefix({ family: 6, bytes, length: Number.parseInt(length ?? "", 16) })];
  });
}

function addressesOf(interfaces: Interfaces, device: string): readonly string[] {
  return (interfaces[device] ?? []).flatMap(({ cidr }) => {
    const parsed = parsePrefix(cidr ?? "");
    return "fault" in parsed ? [] : [`${formatAddress(parsed.address)}/${parsed.prefix.length}`];
  });
}

/** The names in /proc/net/dev, after its two title lines. */
function deviceNames(text: string): readonly string[] {
  return text
    .split("\n")
    .slice(2)
    .flatMap((line) => line.slice(0, Math.max(0, line.lastIndexOf(":"))).trim() || []);
}

/** Whether /sys lists exactly our namespace's devices; a bond's driver keeps a file beside them. */
function isSameSet(ours: readonly string[], classNames: readonly string[]): boolean {
  const theirs = classNames.filter((name) => name !== "bonding_masters");
  return theirs.length === ours.length && ours.every((name) => theirs.includes(name));
}

function rows(text: string): readonly (readonly string[])[] {
  return text.split("\n").map((line) => line.trim().split(/\s+/));
}

/** Bits that are set: a mask of a route has no holes. */
function maskLength(mask: number): number {
  let length = 0;
  for (let rest = mask >>> 0; rest !== 0; rest >>>= 1) length += rest & 1;
  return length;
}

/** Without /sys, `ip` is asked. */
async function listNames(path: string): Promise<readonly string[]> {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** Read at once and not by a stream: these files are made while they are read, and a look costs a tenth so. */
async function readBounded(path: string): Promise<string | undefined> {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, "r");
    let length = 0;
    for (;;) {
      // procfs gives at most a page or so a read.
      const bytes = readSync(descriptor, LOOK_BUFFER, length, LOOK_BUFFER.length - length, null);
      length += bytes;
      if (bytes === 0) return LOOK_BUFFER.toString("latin1", 0, length);
      if (length > LOOK_MAX_BYTES) return undefined;
    }
  } catch {
    // A device that goes away between two reads, or a kernel without this file: the look decides.
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
