/**
 * What the figures were taken on, and with which versions: enough to judge them, nothing that names the
 * machine or its owner.
 */
import { spawnSync } from "node:child_process";
import { cpus, release } from "node:os";

/** The machine, as readers of the figures need it. */
export interface Machine {
  readonly cpu: string;
  readonly cpus: number;
  readonly kernel: string;
}

/** Describes this machine. */
export function describeMachine(): Machine {
  const all = cpus();
  return {
    cpu: (all[0]?.model ?? "unknown").replace(/\s+/g, " ").trim(),
    cpus: all.length,
    kernel: kernelVersion(),
  };
}

/** The kernel's version in numbers; what a vendor adds to it is left out. */
export function kernelVersion(): string {
  return /^[\d.]+/.exec(release())?.[0] ?? "unknown";
}

/** Versions of the programs that every subject needs. */
export function toolVersions(): Readonly<Record<string, string>> {
  return {
    "Node.js": process.version.slice(1),
    "OpenSSL in Node.js": process.versions.openssl,
    iperf3: versionLine(["iperf3", "--version"]).replace(/^\D+/, ""),
  };
}

/**
 * The first line that a program says of its version, up to the number. Not every program ends with 0
 * after it, so the exit code is not looked at.
 */
export function versionLine(command: readonly string[]): string {
  const [file = "", ...args] = command;
  const { error, stdout } = spawnSync(file, args, { encoding: "utf8", timeout: 5000 });
  if (error !== undefined) throw new Error(`${file} does not start`, { cause: error });
  return /^.*?\d[\w.+~-]*/m.exec(stdout)?.[0] ?? "unknown";
}
