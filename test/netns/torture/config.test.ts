/**
 * H10 and H11 by the real command: bad key files and bad configurations end a start with 78 and a line that names file and
 * line, soon, in little memory, and without a byte of the key. test/config asks the same of the code itself, in many more ways.
 */
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Daemon } from "../../../scripts/netns/daemon.ts";
import { type Host, withLab } from "../../../scripts/netns/lab.ts";
import { cpuSeconds, peakMiB } from "../../../scripts/netns/proc.ts";
import { finish } from "../../../scripts/netns/process.ts";
import { figure } from "../../helpers/figure.ts";
import { TORTURE } from "../../helpers/full.ts";
import { slowness } from "../../helpers/slowness.ts";

const CONFIG_FAULT = 78;
const LIMIT_MS = 1_000;
const LIMIT_MIB = 100;
const KEY = Buffer.alloc(32, "torture!").toString("base64");

/** Each makes a file of a bad kind at the path. */
const KEY_FILES: Readonly<Record<string, (path: string, host: Host) => unknown>> = {
  missing: () => undefined,
  empty: (path) => write(path, ""),
  "31 bytes": (path) => write(path, `${Buffer.alloc(31, 7).toString("base64")}\n`),
  "33 bytes": (path) => write(path, `${Buffer.alloc(33, 7).toString("base64")}\n`),
  "trailing junk": (path) => write(path, `${KEY}\njunk\n`),
  "two newlines": (path) => write(path, `${KEY}\n\n`),
  "no base64": (path) => write(path, `${"*".repeat(44)}\n`),
  "mode 0644": (path) => write(path, `${KEY}\n`, 0o644),
  "mode 0640 of another group": (path) => {
    write(path, `${KEY}\n`, 0o640);
    chownSync(path, 0, 4_242);
  },
  "of another owner": (path) => {
    write(path, `${KEY}\n`);
    chownSync(path, 4_242, 0);
  },
  "a symbolic link": (path) => {
    write(`${path}.target`, `${KEY}\n`);
    symlinkSync(`${path}.target`, path);
  },
  "a FIFO": (path, host) => host.output(["mkfifo", path]),
  "a directory": (path) => mkdirSync(path),
  "a device": (path) => symlinkSync("/dev/zero", path),
};

/** Texts that are not TOML, each with the line of its fault. */
const TEXTS: readonly (readonly [text: string, line: number])[] = [
  ["[interface]\nname = iptun0\n", 2],
  ["[interface\n", 1],
  ["[log]\n[log]\n", 2],
  ["[[peer]]\n[peer]\n", 2],
  ["[]\n", 1],
  ["a\n", 1],
  ["a = \n", 1],
  ["= 1\n", 1],
  ["a = 1\na = 2\n", 2],
  ["a = [1, 2\n\nb = 3\n", 3],
  ["a = {b = 1,}\n", 1],
  ["a = {b = 1}\n[a.c]\n", 2],
  ['a = "\n', 1],
  ['a = "\\x41"\n', 1],
  ['a = "\\uZZZZ"\n', 1],
  ["a = '''x\n", 2],
  ["a = 1__0\n", 1],
  ["a = 0x\n", 1],
  ["a = 1e\n", 1],
  ["a = tru\n", 1],
  ["a = 2020-13-01\n", 1],
  ["a = nan1\n", 1],
  ["\u0000\n", 1],
  ["a = 1 b = 2\n", 1],
  ["a.b = 1\na = 2\n", 2],
  [`a = ${"[".repeat(20_000)}\n`, 1],
  ['[interface]\nname = "iptun0"\nmtu = "many"\n', 3],
  ['[interface]\nname = "iptun0"\nunknown = 1\n', 3],
];

it.runIf(TORTURE !== undefined)(
  "H10 key files of every bad kind are refused with 78 and a line, without the key",
  async () => {
    await withLab(async (lab) => {
      const host = lab.addHost("host");
      const kinds = Object.entries(KEY_FILES);
      const wrong: string[] = [];
      for (const [at, [kind, make]] of kinds.entries()) {
        const path = join(host.dir, `${at}.key`);
        await make(path, host);
        const started = await start(host, path);
        const faults = faultsOf(started);
        if (!started.stderr.includes(`${at}.key`)) faults.push("the file is not named");
        if (started.stderr.trim().split("\n").length !== 1) faults.push("not one line");
        if (faults.length > 0) wrong.push(`${kind}: ${faults.join(", ")}: ${started.stderr}`);
      }
      const measured = `${kinds.length - wrong.length} of ${kinds.length} refused with 78 and one line`;
      figure("H10", `${kinds.length} bad key files`, measured, "exit 78, a message, no key bytes");
      expect(wrong).toEqual([]);
    });
  },
  600_000,
);

it.runIf(TORTURE !== undefined)(
  "H11 configurations that are none end with 78 and the line of the fault, soon, in little memory",
  async () => {
    await withLab(async (lab) => {
      const host = lab.addHost("host");
      const wrong: string[] = [];
      let [longest, most] = [0, 0];
      for (const [text, line] of TEXTS) {
        const started = await start(host, "/none", text);
        longest = Math.max(longest, started.cpuMs);
        most = Math.max(most, started.mib);
        const faults = faultsOf(started);
        if (!started.stderr.includes(`.toml:${line}`)) faults.push(`not line ${line}`);
        if (faults.length > 0)
          wrong.push(`${text.slice(0, 40)}: ${faults.join(", ")}: ${started.stderr}`);
      }
      const measured = `${TEXTS.length - wrong.length} of ${TEXTS.length} with their line, longest ${Math.round(longest)} ms of CPU, at most ${Math.round(most)} MiB`;
      figure(
        "H11",
        `${TEXTS.length} configurations that are none`,
        measured,
        "78, line, < 1 s, < 100 MB",
      );
      expect(wrong).toEqual([]);
    });
  },
  600_000,
);

interface Started {
  readonly code: number | undefined;
  readonly stderr: string;
  /** Of CPU: by the clock a start takes what else the machine does. */
  readonly cpuMs: number;
  /** The most memory that it ever had. */
  readonly mib: number;
}

/** Starts the daemon with this key file, or with this text in place of its configuration, and waits for its end. */
async function start(host: Host, keyFile: string, text?: string): Promise<Started> {
  const daemon = new Daemon(host, {
    device: "iptun0",
    addresses: ["10.77.0.1/24"],
    listen: "[::]:1194",
    peers: [{ name: "far", keyFile, allowedIps: ["10.77.0.9/32"] }],
  });
  if (text !== undefined) writeFileSync(daemon.configFile, text);
  const child = daemon.spawn();
  let [mib, cpuMs] = [0, 0];
  const look = setInterval(() => {
    try {
      mib = Math.max(mib, peakMiB(child.pid));
      cpuMs = Math.max(cpuMs, cpuSeconds(child.pid) * 1_000);
    } catch {
      // It has ended.
    }
  }, 5);
  const { code, stderr } = await finish(child, 20_000);
  clearInterval(look);
  return { code, stderr, cpuMs, mib };
}

function faultsOf({ code, stderr, cpuMs, mib }: Started): string[] {
  return [
    ...(code === CONFIG_FAULT ? [] : [`exit code ${code}`]),
    ...(cpuMs < LIMIT_MS * slowness() ? [] : [`${Math.round(cpuMs)} ms`]),
    ...(mib < LIMIT_MIB ? [] : [`${Math.round(mib)} MiB`]),
    ...(stderr.includes(KEY.slice(0, 12)) ? ["a key in the message"] : []),
  ];
}

function write(path: string, text: string, mode = 0o600): void {
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
}
