/**
 * Looks at the host for the doctor: files of /proc and /sys, `ip`, `nft`, `timedatectl`, and the resolver.
 *
 * Nothing is changed and nothing is sent but questions to name servers. All that is outside is injected. What cannot
 * be looked at is `undefined` and never a failure. BOUNDED: names and ways that are looked at.
 */
import { lookup } from "node:dns/promises";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { release } from "node:os";
import { fileURLToPath } from "node:url";
import { parseAddress, parsePrefix } from "../../core/prefix.ts";
import { DaemonError, EXIT, messageOf } from "../failure.ts";
import { familyFlag, type RunProcess, runProcess } from "../host/ip-command.ts";
import { type Json, objects, records } from "../host/json.ts";
import { CAP_NET_ADMIN } from "../process/confine.ts";
import { checkTunDevice, hasCapability } from "../process/privileges.ts";
import type {
  DeviceEvidence,
  Evidence,
  NameEvidence,
  RouteEvidence,
  WayEvidence,
} from "./evidence.ts";
import type { Subject } from "./subject.ts";

/** BOUNDED: names that are resolved, and addresses whose way is asked for. */
const MOST_NAMES = 32;
const MOST_WAYS = 32;

/** What the doctor looks with. */
export interface Instruments {
  /** A file's text; undefined: it cannot be read. */
  readonly read: (path: string) => string | undefined;
  /** Names in a directory; none where it cannot be read. */
  readonly list: (path: string) => readonly string[];
  /** Milliseconds since 1970 of a file's last change; undefined: it cannot be looked at. */
  readonly changedMs: (path: string) => number | undefined;
  readonly runProcess: RunProcess;
  readonly lookup: (host: string) => Promise<readonly string[]>;
  /** Rejects with a DaemonError where the driver cannot be opened. */
  readonly checkTun: () => Promise<void>;
  readonly release: string;
  readonly wallMs: () => number;
  readonly nowMs: () => number;
}

/** Those of this process. */
export const INSTRUMENTS: Instruments = {
  read: (path) => quietly(() => readFileSync(path, "latin1")),
  list: (path) => quietly(() => readdirSync(path)) ?? [],
  changedMs: (path) => quietly(() => statSync(path).mtimeMs),
  runProcess,
  lookup: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
  checkTun: () => checkTunDevice(),
  release: release(),
  wallMs: () => Date.now(),
  nowMs: () => performance.now(),
};

/** What is asked about. */
export interface Question {
  readonly subject: Subject | undefined;
  /** Whether the tunnel runs, so that its routes are there. */
  readonly isRunning: boolean;
  /** The configuration's file. */
  readonly file: string | undefined;
}

/** Everything that can be seen. */
export async function gather(
  question: Question,
  instruments: Instruments = INSTRUMENTS,
): Promise<Evidence> {
  const { subject, isRunning, file } = question;
  const { read, runProcess: run } = instruments;
  const [tun, device, names, ruleset, isSynchronized] = await Promise.all([
    lookAtTun(instruments),
    subject === undefined ? undefined : lookAtDevice(subject.device, run),
    resolveNames(subject, instruments),
    readRuleset(run),
    lookAtSync(instruments),
  ]);
  const [outerWays, innerWays] = await Promise.all([
    findOuterWays(subject, names, instruments),
    isRunning ? findInnerWays(subject, instruments) : [],
  ]);
  return {
    release: instruments.release,
    hasNetAdmin: hasCapability(read("/proc/self/status") ?? "", CAP_NET_ADMIN),
    tun,
    device,
    receiveMax: numberIn(read("/proc/sys/net/core/rmem_max")),
    sendMax: numberIn(read("/proc/sys/net/core/wmem_max")),
    clock: { ...lookAtClock(file, instruments), isSynchronized },
    names,
    outerWays,
    innerWays,
    ...lookAtFilters(instruments),
    forwards: {
      4: switchIn(read("/proc/sys/net/ipv4/ip_forward")),
      6: switchIn(read("/proc/sys/net/ipv6/conf/all/forwarding")),
    },
    ruleset,
    hasLegacyRules: lookForLegacyRules(instruments),
  };
}

async function lookAtTun({ checkTun }: Instruments): Promise<Evidence["tun"]> {
  try {
    await checkTun();
    return { kind: "ok", text: "" };
  } catch (error) {
    const isDenied = error instanceof DaemonError && error.exitCode === EXIT.NO_PERMISSION;
    return { kind: isDenied ? "denied" : "missing", text: messageOf(error) };
  }
}

/** null: there is none; undefined: `ip` cannot be asked. */
async function lookAtDevice(
  name: string,
  run: RunProcess,
): Promise<DeviceEvidence | null | undefined> {
  const link = await run("ip", ["-j", "-d", "addr", "show", "dev", name], "");
  if (link.exitCode === undefined) return undefined;
  const [device] = link.exitCode === 0 ? parsed(link.stdout) : [];
  if (device === undefined) return null;
  const [info = {}] = objects([device["linkinfo"]]);
  const [data = {}] = objects([info["info_data"]]);
  return {
    kind: typeof info["info_kind"] === "string" ? info["info_kind"] : String(device["link_type"]),
    isPersistent: data["persist"] === true,
    addresses: objects(device["addr_info"]).map(
      ({ local, prefixlen }) => `${String(local)}/${String(prefixlen)}`,
    ),
  };
}

async function resolveNames(
  subject: Subject | undefined,
  { lookup, nowMs }: Instruments,
): Promise<readonly NameEvidence[]> {
  const named = (subject?.peers ?? []).flatMap(({ name: peer, endpoints }) =>
    endpoints
      .filter(({ host }) => parseAddress(host) === undefined)
      .map(({ host }) => ({ peer, host })),
  );
  return await Promise.all(
    named.slice(0, MOST_NAMES).map(async ({ peer, host }) => {
      const startedMs = nowMs();
      const answer = await lookup(host).catch((error: unknown) => messageOf(error));
      const tookMs = nowMs() - startedMs;
      if (typeof answer === "string") return { peer, host, tookMs, addresses: [], fault: answer };
      const fault = answer.length === 0 ? "the name has no address" : undefined;
      return { peer, host, tookMs, addresses: answer, fault };
    }),
  );
}

/** To the address in use; else to those that are configured or were resolved. */
async function findOuterWays(
  subject: Subject | undefined,
  names: readonly NameEvidence[],
  instruments: Instruments,
): Promise<readonly WayEvidence[]> {
  const targets = (subject?.peers ?? []).flatMap(({ name: peer, address, endpoints }) => {
    const configured = endpoints.flatMap(({ host }) =>
      parseAddress(host) === undefined
        ? names.filter((one) => one.host === host).flatMap(({ addresses }) => addresses)
        : [host],
    );
    return [...new Set(address === undefined ? configured : [address])].map((target) => {
      return { peer, target };
    });
  });
  const mark = subject?.mark ?? 0;
  return await findWays(targets, mark, instruments);
}

/** To the first host of each inner network; a default route is what a mark decides, and is not asked for. */
async function findInnerWays(
  subject: Subject | undefined,
  instruments: Instruments,
): Promise<readonly WayEvidence[]> {
  const targets = (subject?.peers ?? []).flatMap(({ name: peer, allowedIps }) =>
    allowedIps.filter((text) => !text.endsWith("/0")).map((target) => ({ peer, target })),
  );
  return await findWays(targets, 0, instruments);
}

async function findWays(
  targets: readonly Pick<WayEvidence, "peer" | "target">[],
  mark: number,
  { runProcess: run }: Instruments,
): Promise<readonly WayEvidence[]> {
  if (targets.length === 0) return [];
  // Not from /sys, which may be of another network namespace.
  const links = parsed((await run("ip", ["-j", "link", "show"], "")).stdout);
  return await Promise.all(
    targets.slice(0, MOST_WAYS).map(async ({ peer, target }) => {
      const address = firstHost(target);
      const family = familyFlag(address.includes(":") ? 6 : 4);
      const marked = mark === 0 ? [] : ["mark", String(mark)];
      const answer = await run("ip", ["-j", family, "route", "get", address, ...marked], "");
      const [found] = answer.exitCode === 0 ? parsed(answer.stdout) : [];
      if (typeof found?.["dev"] !== "string") return { peer, target, route: undefined };
      const { dev: device, prefsrc } = found;
      const mtu = links.find(({ ifname }) => ifname === device)?.["mtu"];
      const source = typeof prefsrc === "string" ? prefsrc : undefined;
      const route: RouteEvidence = {
        device,
        source,
        mtu: typeof mtu === "number" ? mtu : undefined,
      };
      return { peer, target, route };
    }),
  );
}

/** The first address of a network that can be a host's; an address is itself. */
function firstHost(target: string): string {
  const network = parsePrefix(target);
  if ("fault" in network) return target;
  const { bytes, length } = network.prefix;
  const [base = target] = target.split("/");
  if (length >= bytes.length * 8 - 1) return base;
  return base.includes(":") ? base.replace(/::$/, "::1") : base.replace(/0$/, "1");
}

function lookAtClock(
  file: string | undefined,
  { changedMs, wallMs }: Instruments,
): { readonly wallMs: number; readonly file: string; readonly fileMs: number } {
  const files = [fileURLToPath(import.meta.url), ...(file === undefined ? [] : [file])];
  const [youngest = { path: "", ms: 0 }] = files
    .map((path) => ({ path, ms: changedMs(path) ?? 0 }))
    .toSorted((a, b) => b.ms - a.ms);
  return { wallMs: wallMs(), file: youngest.path, fileMs: youngest.ms };
}

/** By systemd-timesyncd's mark, or as timedatectl(1) says. */
async function lookAtSync(instruments: Instruments): Promise<boolean | undefined> {
  const { runProcess: run, changedMs } = instruments;
  if (changedMs("/run/systemd/timesync/synchronized") !== undefined) return true;
  const words = ["show", "--property", "NTPSynchronized", "--value"];
  const { exitCode, stdout } = await run("timedatectl", words, "");
  const answer = stdout.trim();
  return exitCode === 0 && ["yes", "no"].includes(answer) ? answer === "yes" : undefined;
}

/** The larger of a device's own switch and that of all counts (ip-sysctl.rst, "rp_filter"); 1 is strict. */
function lookAtFilters({
  read,
  list,
}: Instruments): Pick<Evidence, "strictFilters" | "filterDrops"> {
  const folder = "/proc/sys/net/ipv4/conf";
  const filterOf = (name: string) => numberIn(read(`${folder}/${name}/rp_filter`)) ?? 0;
  const all = filterOf("all");
  const devices = list(folder).filter((name) => !["all", "default", "lo"].includes(name));
  const netstat = read("/proc/net/netstat");
  return {
    strictFilters: devices.filter((name) => Math.max(all, filterOf(name)) === 1),
    filterDrops: netstat === undefined ? undefined : counterIn(netstat, "IPReversePathFilter"),
  };
}

/** A counter of /proc/net/netstat: a line of names, and one of values in the same order. */
function counterIn(text: string, name: string): number | undefined {
  const lines = text.split("\n").map((line) => line.split(" "));
  for (const [index, names] of lines.entries()) {
    const at = names.indexOf(name);
    if (at >= 0) return numberIn(lines[index + 1]?.[at]);
  }
  return undefined;
}

async function readRuleset(run: RunProcess): Promise<Evidence["ruleset"]> {
  const { exitCode, stdout, stderr, startError } = await run("nft", ["-j", "list", "ruleset"], "");
  const isJson = quietly(() => JSON.parse(stdout)) !== undefined;
  // Without the permission some versions print nothing and are content.
  if (exitCode === 0 && isJson) return { json: stdout };
  if (startError?.includes("ENOENT") === true) return { unseen: "nft is not installed" };
  return { unseen: stderr.split("\n")[0] || (startError ?? "nft shows nothing to this user") };
}

/** Without its driver there is no such file, and no such rule. */
function lookForLegacyRules({ read, changedMs }: Instruments): boolean | undefined {
  const paths = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"];
  const texts = paths.filter((path) => changedMs(path) !== undefined).map(read);
  if (texts.some((text) => text !== undefined && text.trim() !== "")) return true;
  return texts.includes(undefined) ? undefined : false;
}

/** What `ip` printed; its own errors are in English and not JSON. */
function parsed(json: string): readonly Json[] {
  return quietly(() => records(json)) ?? [];
}

function switchIn(text: string | undefined): boolean | undefined {
  const value = numberIn(text);
  return value === undefined ? undefined : value !== 0;
}

function numberIn(text: string | undefined): number | undefined {
  const value = Number.parseInt(text ?? "", 10);
  return Number.isNaN(value) ? undefined : value;
}

/** undefined: it cannot be looked at, and that is no failure. */
function quietly<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
