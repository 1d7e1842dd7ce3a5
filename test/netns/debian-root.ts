/**
 * A copy of this machine's root, for packages to be installed in: what is written there lies in memory, and goes with the lab.
 *
 * An overlay over "/" with /proc, /sys and /dev of the machine, and /run and /tmp of its own. systemd is not there; what
 * maintainer scripts ask of it, a stand-in writes down, which answers for the units that it is told run.
 * The trap: only root of the machine may do this.
 */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Host, Lab } from "../../scripts/netns/lab.ts";
import { Child, expectSuccess, finish } from "../../scripts/netns/process.ts";

const MAKE = `
set -e
base=$1 lab=$2
mount -t tmpfs -o mode=755 none "$base"
mkdir "$base/upper" "$base/work" "$base/root"
mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" none "$base/root"
cd "$base/root"
for own in run tmp; do mount -t tmpfs -o mode=755 none "$own"; done
for shared in proc sys dev; do mount --rbind "/$shared" "$shared"; done
mkdir -p ".$lab" run/systemd/system
mount --bind "$lab" ".$lab"
echo ready
exec sleep 600
`;
const ENTER = `mount -t sysfs none "$1/sys" 2>/dev/null; root=$1; shift; exec chroot "$root" "$@"`;
/** The machine's own may forbid all, as in a container. */
const POLICY = "#!/bin/sh\nexit 0\n";
const SYSTEMCTL = `#!/bin/sh
echo "$*" >>/run/systemctl.log
case "$*" in *list-units*) cat /run/systemctl.units 2>/dev/null ;; esac
exit 0
`;
/** What dpkg writes about itself, caches, and the files of this one. */
const BESIDE =
  /^\/(var\/(lib\/dpkg|log|cache)|usr\/local\/bin\/systemctl$|usr\/sbin\/policy-rc\.d$|etc\/ld\.so\.cache$)/;

/** The copy; ends with its lab. */
export class DebianRoot {
  readonly #base: string;
  readonly #holder: Child;

  private constructor(base: string, holder: Child) {
    this.#base = base;
    this.#holder = holder;
  }

  static async open(lab: Lab): Promise<DebianRoot> {
    const base = join(lab.dir, "debian");
    mkdirSync(base);
    const holder = new Child(["unshare", "--mount", "sh", "-c", MAKE, "sh", base, lab.dir]);
    lab.children.add(holder);
    await holder.waitForOutput(/ready/);
    const root = new DebianRoot(base, holder);
    for (const [path, text] of [
      ["/usr/local/bin/systemctl", SYSTEMCTL],
      ["/usr/sbin/policy-rc.d", POLICY],
    ] as const) {
      writeFileSync(root.#path(path), text, { mode: 0o755 });
    }
    return root;
  }

  /** The command that runs `command` inside, for a host of the lab or for none. */
  inside(command: readonly string[]): readonly string[] {
    const enter = ["nsenter", `--mount=/proc/${this.#holder.pid}/ns/mnt`, "unshare", "--mount"];
    return [...enter, "sh", "-c", ENTER, "sh", join(this.#base, "root"), ...command];
  }

  /** Runs a command that must succeed; returns what it printed on both. */
  async run(command: readonly string[], host?: Host): Promise<string> {
    const inside = this.inside(command);
    const finished =
      host === undefined
        ? await finish(new Child(inside, { env: ENVIRONMENT }))
        : await host.run(inside, { env: ENVIRONMENT });
    return expectSuccess(finished, command) + finished.stderr;
  }

  /** Starts a command on a host of the lab. */
  start(host: Host, command: readonly string[]): Child {
    return host.start(this.inside(command), { env: ENVIRONMENT });
  }

  /** What the stand-in for systemctl was asked since it was asked this last. */
  async systemctlCalls(): Promise<readonly string[]> {
    const log = "/run/systemctl.log";
    const text = await this.run(["sh", "-c", `touch ${log}; cat ${log}; rm ${log}`]);
    return text.split("\n").filter((line) => line !== "");
  }

  /** Lets the stand-in say that these units run. */
  async setRunning(units: readonly string[]): Promise<void> {
    const lines = units.map((unit) => `${unit} loaded active running iptun tunnel`).join("\n");
    await this.run(["sh", "-c", 'printf "%s\\n" "$1" >/run/systemctl.units', "sh", lines]);
  }

  read(path: string): string {
    return readFileSync(this.#path(path), "utf8");
  }

  mode(path: string): number {
    return lstatSync(this.#path(path)).mode & 0o7777;
  }

  /** What is here and not on the machine, or otherwise than there; folders only where they are new. */
  changes(): readonly string[] {
    const upper = `/proc/${this.#holder.pid}/root${this.#base}/upper`;
    const found: string[] = [];
    const walk = (folder: string): void => {
      for (const entry of readdirSync(join(upper, folder), { withFileTypes: true })) {
        const path = join(folder, entry.name);
        if (BESIDE.test(path)) continue;
        if (!entry.isDirectory() || !existsSync(path)) found.push(path);
        if (entry.isDirectory()) walk(path);
      }
    };
    walk("/");
    return found.sort();
  }

  #path(path: string): string {
    return join(`/proc/${this.#holder.pid}/root${this.#base}/root`, path);
  }
}

const ENVIRONMENT = {
  PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  DEBIAN_FRONTEND: "noninteractive",
  XDG_RUNTIME_DIR: "",
  NO_COLOR: "1",
} as const;
