/**
 * A host of a lab on which iptun is installed as README says: the command on the PATH, files in /etc, /var/lib and /run.
 *
 * Namespaces of one machine share these folders, so each process here sees the host's own in their place, and names
 * come from a hosts file there. The trap: what is written outside of them is the machine's.
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "./lab.ts";
import { type Child, expectSuccess, ROOT, type RunOptions } from "./process.ts";

const OWN = ["/etc", "/run", "/var/lib"] as const;
/** Takes "FOLDER=PLACE ..." apart: bind(2) the first over the second, then the command. */
const WITH_OWN_FOLDERS = `for pair in $1; do mount --bind "\${pair%%=*}" "\${pair##*=}" || exit; done; shift; exec "$@"`;
const { PATH } = process.env;

/** A host, and what is its own. */
export class InstalledHost {
  readonly host: Host;
  /** Where its own folders lie on the machine: "/etc" is `root` + "/etc". */
  readonly root: string;
  readonly #bin: string;
  /** Cases of the shell: where files of which host lie. */
  readonly #sources: string[] = [];

  /** `addresses`: what a name means here. */
  constructor(host: Host, addresses: Readonly<Record<string, string>> = {}) {
    this.host = host;
    this.root = join(host.dir, "root");
    this.#bin = join(host.dir, "bin");
    for (const folder of OWN) mkdirSync(join(this.root, folder), { recursive: true });
    mkdirSync(this.#bin);
    symlinkSync(join(ROOT, "dist/main.js"), join(this.#bin, "iptun"));
    const lines = Object.entries(addresses).map(([name, address]) => `${address} ${name}\n`);
    writeFileSync(join(this.root, "etc/hosts"), lines.join(""));
    writeFileSync(join(this.root, "etc/nsswitch.conf"), "hosts: files\n");
  }

  /** Lets `scp -p root@NAME:FILE FILE` here take files of another host. */
  canCopyFrom(name: string, other: InstalledHost): void {
    this.#sources.push(`root@${name}:*) from=${other.root} ;;`);
    const which = `case $2 in ${this.#sources.join(" ")} *) exit 1 ;; esac`;
    const script = `#!/bin/sh\n[ "$1" = -p ] || exit 1\n${which}\nexec cp -p "$from\${2#*:}" "$3"\n`;
    writeFileSync(join(this.#bin, "scp"), script, { mode: 0o755 });
  }

  /** Starts a line of shell whose one command takes the shell's place. */
  start(line: string): Child {
    return this.host.start(this.#command(`exec ${line}`), { env: this.#env });
  }

  /** Runs a line of shell that must succeed; returns its stdout. */
  async run(line: string, options: RunOptions = {}): Promise<string> {
    const command = this.#command(line);
    const finished = await this.host.run(command, { ...options, env: this.#env });
    return expectSuccess(finished, [line]);
  }

  #command(line: string): readonly string[] {
    const pairs = OWN.map((folder) => `${join(this.root, folder)}=${folder}`);
    return ["sh", "-c", WITH_OWN_FOLDERS, "sh", pairs.join(" "), "sh", "-c", line];
  }

  get #env(): Readonly<Record<string, string>> {
    return { PATH: `${this.#bin}:${PATH}`, XDG_RUNTIME_DIR: "/run", NO_COLOR: "1" };
  }
}
