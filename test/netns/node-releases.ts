/**
 * Releases of Node.js and npm, as scripts/nodes fetched them, and the package installed with one of each.
 *
 * Everything happens with a PATH of one folder, in which node and what the daemon runs are and nothing else.
 */
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import {
  Child,
  expectSuccess,
  type Finished,
  finish,
  ROOT,
  runNow,
} from "../../scripts/netns/process.ts";

const RELEASES = join(ROOT, "node_modules/.iptun-nodes/node_modules");
/** Programs that the daemon or the tests run. */
const PROGRAMS = ["ip", "nft"] as const;
/** What a busy machine may take. */
const INSTALL_MS = 120_000;

/** The executable of a release: "node-22", or "node-arm64" for the emulator. */
export function nodeOf(release: string): string {
  return join(RELEASES, release, "bin/node");
}

/** The name of an installation, in a test's title and elsewhere. */
export function nameOf(node: number, npm: number): string {
  return `Node.js ${node} with npm ${npm}`;
}

/** An empty prefix into which the package is installed. */
export class Installed {
  readonly name: string;
  readonly prefix: string;
  /** The executable of its Node.js. */
  readonly node: string;
  /** Put before a command: its PATH. */
  readonly alone: readonly string[];
  readonly #npm: string;

  constructor(folder: string, node: number, npm: number) {
    this.name = nameOf(node, npm);
    this.prefix = join(folder, `node-${node}-npm-${npm}`);
    this.node = nodeOf(`node-${node}`);
    this.#npm = join(RELEASES, `npm-${npm}`, "bin/npm-cli.js");
    const path = join(this.prefix, "path");
    this.alone = ["/usr/bin/env", `PATH=${path}`];
    rmSync(this.prefix, { recursive: true, force: true });
    mkdirSync(path, { recursive: true });
    symlinkSync(this.node, join(path, "node"));
    symlinkSync(this.iptun, join(path, "iptun"));
    for (const program of PROGRAMS) symlinkSync(placeOf(program), join(path, program));
  }

  /** The command, where npm puts it. */
  get iptun(): string {
    return join(this.prefix, "bin/iptun");
  }

  /** The folder of the package. */
  get folder(): string {
    return join(this.prefix, "lib/node_modules/iptun");
  }

  /** Installs the package without a network and an npm cache. */
  async install(packed: string): Promise<Finished> {
    const options = ["--global", "--offline", "--cache", join(this.prefix, "cache")];
    const npm = ["node", this.#npm, "install", ...options, "--prefix", this.prefix, packed];
    return await this.run(npm, INSTALL_MS);
  }

  /** Runs a command that must succeed, with its PATH. */
  async run(command: readonly string[], timeoutMs?: number): Promise<Finished> {
    const finished = await finish(new Child([...this.alone, ...command]), timeoutMs);
    expectSuccess(finished, command);
    return finished;
  }

  /** Whether its PATH has a program of this name. */
  async has(program: string): Promise<boolean> {
    const script =
      "process.exitCode = require('node:child_process').spawnSync(process.argv[1]).error ? 1 : 0";
    const found = await finish(new Child([...this.alone, "node", "-e", script, program]));
    return found.code === 0;
  }
}

function placeOf(program: string): string {
  return runNow(["sh", "-c", 'command -v "$1"', "sh", program]).trim();
}
