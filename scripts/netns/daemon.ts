/**
 * iptun in a lab: its config written, its keys made by its own `keygen`, its process watched.
 *
 * What a test knows of a running daemon it knows as an operator does: from `iptun status --json`, the
 * exit code and the log. Only who waits asks the control socket itself, as that command does: each command is a
 * process whose start takes a quarter of a second of CPU from what it asks about. The trap: two daemons in two
 * namespaces share one /run, so each has a runtime directory of its own.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fetchStatus, postTo } from "../../src/daemon/control/control-client.ts";
import { API_PATH } from "../../src/daemon/control/control-paths.ts";
import { DaemonError } from "../../src/daemon/failure.ts";
import type { ReloadAnswer } from "../../src/daemon/reload/reloader.ts";
import type { Host } from "./lab.ts";
import { Child, expectSuccess, type Finished, finish, ROOT, until } from "./process.ts";
import type { Status } from "./status.ts";

/** A question costs a millisecond of CPU, which a daemon that starts on a busy machine needs more. */
const STATUS_EVERY_MS = 50;
/** No figure of the product: a machine that does twenty other things starts a Node.js process in as many seconds. */
const START_MS = 45_000;

// The built command.
const IPTUN = [process.execPath, join(ROOT, "dist/main.js")] as const;

export interface PeerSettings {
  readonly name: string;
  /** One of the two. */
  readonly keyFile?: string | readonly string[];
  readonly key?: string;
  /** A group, whose hub this host is. */
  readonly learn?: boolean;
  /** "host:port", or several; absent: learned. */
  readonly endpoint?: string | readonly string[];
  readonly failoverMs?: number;
  readonly allowedIps?: readonly string[];
  readonly keepalive?: number;
  readonly roaming?: "validated" | "on" | "off";
  /** Such as "45mbit". */
  readonly rate?: string;
}

/** Offloads of the kernel that may be used; all by default. */
export interface OffloadSettings {
  readonly tso?: boolean;
  readonly uso?: boolean;
  readonly gso?: boolean;
  readonly gro?: boolean;
}

/** What a lab sets of a config; the rest keeps its default. */
export interface Settings {
  readonly device: string;
  readonly addresses: readonly string[];
  readonly listen: string;
  readonly mtu?: number | "auto";
  readonly mtuProbeSeconds?: number;
  readonly routes?: boolean;
  /** What the UDP socket is bound to. */
  readonly outerDevice?: string;
  readonly copyDscp?: boolean;
  readonly firewall?: boolean;
  readonly fwmark?: number;
  readonly peers: readonly PeerSettings[];
  readonly offload?: OffloadSettings;
  /** Where metrics are served, "address:port", and whether the status page is. */
  readonly metrics?: { readonly listen: string; readonly page?: boolean };
  /** Keys of [hooks]. */
  readonly hooks?: Readonly<Record<string, number | readonly string[]>>;
  readonly logLevel?: "info" | "debug";
}

/** The TOML of `settings`; `stateDir` belongs to the host. */
function configText(settings: Settings, stateDir: string): string {
  const lines = [
    "[interface]",
    ...assign("name", settings.device),
    ...assign("address", settings.addresses),
    ...assign("listen", settings.listen),
    ...assign("mtu", settings.mtu),
    ...assign("mtu_probe_seconds", settings.mtuProbeSeconds),
    ...assign("routes", settings.routes),
    ...assign("device", settings.outerDevice),
    ...assign("copy_dscp", settings.copyDscp),
    ...assign("firewall", settings.firewall),
    ...assign("fwmark", settings.fwmark),
    ...assign("state_dir", stateDir),
  ];
  if (settings.offload !== undefined) {
    lines.push("[offload]", ...Object.entries(settings.offload).flatMap(([k, v]) => assign(k, v)));
  }
  if (settings.metrics !== undefined) {
    lines.push("[metrics]", ...Object.entries(settings.metrics).flatMap(([k, v]) => assign(k, v)));
  }
  if (settings.hooks !== undefined) {
    lines.push("[hooks]", ...Object.entries(settings.hooks).flatMap(([k, v]) => assign(k, v)));
  }
  for (const peer of settings.peers) {
    lines.push(
      "[[peer]]",
      ...assign("name", peer.name),
      ...assign("key_file", peer.keyFile),
      ...assign("key", peer.key),
      ...assign("learn", peer.learn),
      ...assign("endpoint", peer.endpoint),
      ...assign("failover_ms", peer.failoverMs),
      ...assign("allowed_ips", peer.allowedIps),
      ...assign("keepalive", peer.keepalive),
      ...assign("roaming", peer.roaming),
      ...assign("rate", peer.rate),
    );
  }
  lines.push("[log]", ...assign("level", settings.logLevel ?? "info"), 'format = "text"');
  return `${lines.join("\n")}\n`;
}

// JSON's strings, numbers, booleans and lists of strings are TOML too.
function assign(
  key: string,
  value: string | number | boolean | readonly string[] | undefined,
): string[] {
  return value === undefined ? [] : [`${key} = ${JSON.stringify(value)}`];
}

/** Makes a key file in `dir` with `iptun keygen`; returns its path. */
export async function makeKey(
  dir: string,
  name = "link.key",
  options: readonly "--group"[] = [],
): Promise<string> {
  const file = join(dir, name);
  const command = [...IPTUN, "keygen", ...options, "--out", file];
  expectSuccess(await finish(new Child(command)), command);
  return file;
}

export interface DaemonOptions {
  /** Takes the place of `node dist/main.js`. */
  readonly program?: readonly string[];
  /** Put before the program: `setpriv` and its like. */
  readonly wrapper?: readonly string[];
  /** Folder of its files below the host's; for a second daemon on one host. */
  readonly subdir?: string;
}

/** The exit code of `iptun doctor`, and what its JSON says. */
export interface Diagnosis {
  readonly code: number | undefined;
  readonly findings: readonly {
    readonly section: string;
    readonly level: "fault" | "warning" | "note" | "ok";
    readonly id: string;
    readonly text: string;
    readonly remedy: string;
  }[];
}

/** One iptun of one host: started, asked, stopped, started again with the same config. */
export class Daemon {
  readonly host: Host;
  readonly settings: Settings;
  readonly configFile: string;
  readonly #options: DaemonOptions;
  readonly #runtimeDir: string;
  readonly stateDir: string;
  #child: Child | undefined;

  constructor(host: Host, settings: Settings, options: DaemonOptions = {}) {
    this.host = host;
    this.settings = settings;
    this.#options = options;
    const dir = join(host.dir, options.subdir ?? "iptun");
    this.stateDir = join(dir, "state");
    this.#runtimeDir = join(dir, "run");
    this.configFile = join(dir, "iptun.toml");
    for (const made of [this.#runtimeDir, this.stateDir]) {
      mkdirSync(made, { recursive: true, mode: 0o700 });
    }
    this.configure(settings);
  }

  /** Writes another configuration into the file, which the running process takes over by a reload. */
  configure(settings: Settings): void {
    writeFileSync(this.configFile, configText(settings, this.stateDir), { mode: 0o600 });
  }

  /** Asks the control socket for a reload; `iptun reload` without the start of a process. */
  async reload(): Promise<ReloadAnswer> {
    return (await postTo(this.socketPath, API_PATH.reload, START_MS)) as ReloadAnswer;
  }

  get #env(): Readonly<Record<string, string>> {
    return { RUNTIME_DIRECTORY: this.#runtimeDir, NO_COLOR: "1" };
  }

  /** The process of the last start. */
  get child(): Child {
    if (this.#child === undefined) throw new Error(`iptun of ${this.host.name} was never started`);
    return this.#child;
  }

  get socketPath(): string {
    return join(this.#runtimeDir, `${this.settings.device}.sock`);
  }

  /** What the last process wrote to stderr. */
  get log(): string {
    return this.child.stderr;
  }

  /** Lines of the log that contain `text`. */
  logLines(text: string): readonly string[] {
    return this.log.split("\n").filter((line) => line.includes(text));
  }

  /** Starts the process without waiting for it to be ready. */
  spawn(words: readonly string[] = []): Child {
    const program = this.#options.program ?? IPTUN;
    const given = [...words, "--config", this.configFile];
    const command = [...(this.#options.wrapper ?? []), ...program, ...given];
    this.#child = this.host.start(command, { env: this.#env });
    return this.#child;
  }

  /** Starts a process that takes the tunnel over from the running one, and waits until that has ended. */
  async replace(): Promise<Finished> {
    const old = this.child;
    this.spawn(["run", "--replace"]);
    return await old.ended;
  }

  /** Starts the process and waits until it answers `iptun status`. */
  async start(): Promise<void> {
    this.spawn();
    const probe = async () => {
      if (!this.child.isRunning) throw new Error(`iptun ended on ${this.host.name}:\n${this.log}`);
      return await this.#tryStatus();
    };
    await until(`status of iptun on ${this.host.name}`, START_MS, probe, STATUS_EVERY_MS);
  }

  /** `iptun status --json`; throws when the daemon does not answer. */
  async status(): Promise<Status> {
    const command = [...IPTUN, "status", "--json"];
    return JSON.parse(await this.host.output(command, { env: this.#env })) as Status;
  }

  /** What the control socket says, or undefined while the daemon does not answer. */
  async #tryStatus(): Promise<Status | undefined> {
    try {
      return await fetchStatus(this.socketPath);
    } catch (error) {
      if (error instanceof DaemonError) return undefined;
      throw error;
    }
  }

  /** Another command about this daemon, such as `ping`; `wrapper` is put before the program. */
  async command(words: readonly string[], wrapper: readonly string[] = []): Promise<Finished> {
    return await this.host.run([...wrapper, ...IPTUN, ...words], { env: this.#env });
  }

  /** What `iptun check` says of its configuration. */
  async check(): Promise<Finished> {
    return await this.command(["check", "--config", this.configFile]);
  }

  /** What `iptun doctor` finds, asked with this configuration unless told; `wrapper` is put before the program. */
  async doctor(
    wrapper: readonly string[] = [],
    question: readonly string[] = ["--config", this.configFile],
  ): Promise<Diagnosis> {
    const command = [...wrapper, ...IPTUN, "doctor", "--json", ...question];
    const { code, stdout, stderr } = await this.host.run(command, { env: this.#env });
    if (stdout === "") throw new Error(`iptun doctor said nothing:\n${stderr}`);
    return { code, ...(JSON.parse(stdout) as Pick<Diagnosis, "findings">) };
  }

  /** Waits until the status satisfies `accepts`, and returns it. */
  async waitForStatus(
    what: string,
    accepts: (status: Status) => boolean,
    timeoutMs = 10_000,
  ): Promise<Status> {
    const probe = async () => {
      const status = await this.#tryStatus();
      return status !== undefined && accepts(status) ? status : undefined;
    };
    return await until(`${what} on ${this.host.name}`, timeoutMs, probe, STATUS_EVERY_MS);
  }

  /** Waits until the first peer has a confirmed session. */
  async waitUp(timeoutMs = 15_000): Promise<Status> {
    const isUp = (status: Status) => status.peers[0]?.state === "up";
    return await this.waitForStatus("session", isUp, timeoutMs);
  }

  /** Ends the process and returns how it ended. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Finished> {
    return await this.child.stop(signal);
  }
}
