/**
 * A lab: network namespaces with unique names, wires between them, the processes inside, and their end.
 *
 *        +-- host "left" --+            +-- host "right" --+
 *        |  eth0           |----veth----|  eth0            |
 *        +-----------------+            +------------------+
 *
 * Closing a lab kills what was started in it (by pid), removes its namespaces and its folder; that also
 * happens on Ctrl-C and on an uncaught error. Each process sees its own namespace's devices in /sys where
 * the kernel lets us mount one: `ip netns exec` would fail where it does not (some user namespaces). The
 * trap: a SIGKILL of the program that owns a lab leaves it behind; the next lab sweeps those whose owner
 * is gone.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Child,
  expectSuccess,
  type Finished,
  finish,
  type RunOptions,
  runNow,
  type StartOptions,
} from "./process.ts";

/** Names of namespaces and folders: owner's pid, number of the lab, host. */
const OWNED = /^iptun-(\d+)-/;
const NETNS_FOLDER = "/run/netns";

/** Runs its arguments with a /sys of the namespace that it is in. */
const WITH_OWN_SYS = [
  "unshare",
  "--mount",
  "sh",
  "-c",
  'mount -t sysfs none /sys 2>/dev/null; exec "$@"',
  "sh",
];

const openLabs = new Set<Lab>();
let labsOpened = 0;

/** One namespace. */
export class Host {
  readonly lab: Lab;
  readonly name: string;
  /** Name as `ip netns` lists it. */
  readonly netns: string;
  /** A folder of this host's own: configs, keys, runtime directory. */
  readonly dir: string;

  constructor(lab: Lab, name: string) {
    this.lab = lab;
    this.name = name;
    this.netns = `${lab.prefix}${name}`;
    this.dir = join(lab.dir, name);
    mkdirSync(this.dir, { mode: 0o700 });
    runNow(["ip", "netns", "add", this.netns]);
    this.ip("link", "set", "lo", "up");
    // A datagram that arrives on another wire than the way back must not vanish in the kernel: the tests
    // want the daemon to see it.
    this.sysctl("net.ipv4.conf.all.rp_filter", "0");
    this.sysctl("net.ipv4.conf.default.rp_filter", "0");
  }

  /** The command that runs `command` inside this namespace; the process id stays the same. */
  inside(command: readonly string[]): readonly string[] {
    const enter = ["nsenter", `--net=${join(NETNS_FOLDER, this.netns)}`, "--"];
    return [...enter, ...WITH_OWN_SYS, ...command];
  }

  /** Starts a process that ends with the lab at the latest. */
  start(command: readonly string[], options: StartOptions = {}): Child {
    const child = new Child(this.inside(command), options);
    this.lab.children.add(child);
    return child;
  }

  /** Runs a command to its end. */
  async run(command: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return await finish(this.start(command, options), options.timeoutMs);
  }

  /** Runs a command that must succeed; returns its stdout. */
  async output(command: readonly string[], options: RunOptions = {}): Promise<string> {
    return expectSuccess(await this.run(command, options), command);
  }

  /** `ip` inside this namespace; throws when it fails. */
  ip(...args: readonly string[]): string {
    return runNow(["ip", "-n", this.netns, ...args]);
  }

  /** Whether a network device exists here. */
  hasDevice(name: string): boolean {
    return (
      this.ip("-o", "link").includes(` ${name}:`) || this.ip("-o", "link").includes(` ${name}@`)
    );
  }

  sysctl(key: string, value: string): void {
    const path = `/proc/sys/${key.replaceAll(".", "/")}`;
    runNow([...this.inside(["sh", "-c", 'printf %s "$2" > "$1"', "sh", path, value])]);
  }
}

/** Namespaces and processes that belong together and end together. */
export class Lab {
  readonly prefix: string;
  /** Folder for everything that the lab writes; removed when it closes. */
  readonly dir: string;
  readonly children = new Set<Child>();
  readonly hosts: Host[] = [];
  /** Files elsewhere that go when the lab closes. */
  readonly leavings = new Set<string>();

  constructor() {
    labsOpened += 1;
    this.prefix = `iptun-${process.pid}-${labsOpened}-`;
    this.dir = join(tmpdir(), `${this.prefix}lab`);
    mkdirSync(this.dir, { mode: 0o700 });
  }

  addHost(name: string): Host {
    const host = new Host(this, name);
    this.hosts.push(host);
    return host;
  }

  /** Ends everything at once: for a normal end and for a signal alike, so without any wait. */
  close(): void {
    openLabs.delete(this);
    for (const child of this.children) child.signal("SIGKILL");
    for (const host of this.hosts) runNow(["ip", "netns", "del", host.netns]);
    for (const path of [...this.leavings, this.dir]) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}

/** Opens a lab; the caller closes it, or the end of this process does. */
export function openLab(): Lab {
  if (labsOpened === 0) {
    closeLabsOnExit();
    sweepDeadLabs();
  }
  const lab = new Lab();
  openLabs.add(lab);
  return lab;
}

/** Runs `body` with a lab that is closed afterwards, whatever happens. */
export async function withLab<T>(body: (lab: Lab) => Promise<T>): Promise<T> {
  const lab = openLab();
  try {
    return await body(lab);
  } finally {
    lab.close();
  }
}

export interface WireEnd {
  readonly host: Host;
  readonly device: string;
  /** Addresses with prefix length. */
  readonly addresses: readonly string[];
}

/** Joins two hosts by a veth pair and brings it up. */
export function wire(a: WireEnd, b: WireEnd, mtu = 1500): void {
  const peer = ["peer", "name", b.device, "netns", b.host.netns];
  a.host.ip("link", "add", a.device, "type", "veth", ...peer);
  for (const end of [a, b]) {
    end.host.ip("link", "set", end.device, "mtu", String(mtu), "up");
    for (const address of end.addresses) addAddress(end.host, end.device, address);
  }
}

/** Adds an address; an IPv6 one is usable at once (no duplicate address detection). */
export function addAddress(host: Host, device: string, address: string): void {
  const options = address.includes(":") ? ["nodad"] : [];
  host.ip("address", "add", address, "dev", device, ...options);
}

/** Removes what a killed program left: namespaces and folders whose owner no longer runs. */
export function sweepDeadLabs(): void {
  for (const netns of ownerless(NETNS_FOLDER)) {
    sweepNamespace(netns);
  }
  for (const folder of ownerless(tmpdir())) {
    rmSync(join(tmpdir(), folder), { recursive: true, force: true });
  }
}

/** Another program may sweep at the same time: what is gone by then is no fault. */
function sweepNamespace(netns: string): void {
  try {
    for (const pid of runNow(["ip", "netns", "pids", netns]).split("\n")) {
      if (pid !== "" && isAlive(Number(pid))) process.kill(Number(pid), "SIGKILL");
    }
    runNow(["ip", "netns", "del", netns]);
  } catch (error) {
    if (existsSync(join(NETNS_FOLDER, netns))) throw error;
  }
}

function ownerless(folder: string): readonly string[] {
  return entries(folder).filter((name) => {
    const pid = OWNED.exec(name)?.[1];
    return pid !== undefined && !isAlive(Number(pid));
  });
}

function entries(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function closeLabsOnExit(): void {
  process.on("exit", closeLabs);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      closeLabs();
      process.kill(process.pid, signal);
    });
  }
}

function closeLabs(): void {
  for (const lab of openLabs) lab.close();
}
