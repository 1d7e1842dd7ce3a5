/**
 * Keys are searched in everything that a tunnel shows: output, log, status, errors, arguments, environment, cores.
 *
 * The needles are the pre-shared key, its sub-keys, and the session keys as they lie in the daemon's key table, each
 * as bytes and in every way of writing them that a program would use. The trap: a search that finds nothing proves
 * nothing, so the same search must find the key in its file, and the session keys in the daemon's memory.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../../scripts/netns/daemon.ts";
import { type Lab, openLab } from "../../scripts/netns/lab.ts";
import { ROOT, until } from "../../scripts/netns/process.ts";
import { countNeedles } from "../../scripts/netns/search.ts";
import { ADDRESSES, type Pair, startPair } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";
import { figure } from "../helpers/figure.ts";
import { keysOfFile, keyTable, sessionKeysOf, writtenIn } from "./known-secrets.ts";

const METRICS = "127.0.0.1:9586";

let lab: Lab;
let pair: Pair;
/** What was shown, by where. */
const shown = new Map<string, Buffer>();
let needles: readonly Buffer[] = [];

beforeAll(async () => {
  lab = openLab();
  const hook = join(lab.dir, "hook");
  const hookOutput = join(lab.dir, "hook.out");
  writeFileSync(
    hook,
    `#!/bin/sh\nenv >> ${hookOutput}\ncat /proc/$PPID/environ >> ${hookOutput}\n`,
    {
      mode: 0o755,
    },
  );
  const settings = {
    logLevel: "debug" as const,
    metrics: { listen: METRICS, page: true },
    hooks: { up: [hook], peer_up: [hook] },
  };
  const reporting = [
    "--report-on-signal",
    "--report-signal=SIGWINCH",
    `--report-directory=${lab.dir}`,
  ];
  const program = [process.execPath, ...reporting, join(ROOT, "dist/main.js")];
  pair = await startPair(lab, { left: { settings }, right: { program } });
  await ping(pair.left.host, ADDRESSES.right.inner4, 20, 0.02);
  const sessionKeys = sessionKeysOf(pair.left);
  expect(sessionKeys.length).toBeGreaterThanOrEqual(2);
  needles = writtenIn([...(await keysOfFile(pair.keyFile)), ...sessionKeys]);
  await collect(pair.left);
  shown.set("diagnostic report of Node", await reportOf(pair.right));
  shown.set(
    "environment of a hook",
    readFileSync(await until("hook", 5000, () => there(hookOutput))),
  );
});
afterAll(() => lab.close());

describe("no key is in what a tunnel shows", () => {
  it("S1 the search finds the key in its file and the session keys in the key table", async () => {
    expect(countNeedles(readFileSync(pair.keyFile), needles)).toBeGreaterThan(0);
    expect(countNeedles(keyTable(pair.left), needles)).toBeGreaterThan(1);
  });

  it("S1 commands, log, metrics, page, errors, state, arguments and environment have none", () => {
    const bytes = [...shown.values()].reduce((sum, { length }) => sum + length, 0);
    const hits = [...shown].filter(([, content]) => countNeedles(content, needles) > 0);
    figure(
      "S1",
      `${needles.length} forms of the keys in ${bytes} bytes of ${shown.size} places`,
      `${hits.length} hits`,
      "0",
    );
    expect(hits.map(([place]) => place)).toEqual([]);
    for (const [place, content] of shown)
      expect([place, content.length > 0]).toEqual([place, true]);
  });

  it("S3 a daemon that is aborted leaves no core", async () => {
    const pattern = readFileSync("/proc/sys/kernel/core_pattern", "latin1").trim();
    const limits = readFileSync(`/proc/${pair.left.child.pid}/limits`, "latin1");
    const { signal, stderr } = await pair.left.stop("SIGABRT");
    const cores = readdirSync(".").filter((name) => /^core/.test(name));
    figure("S3", `SIGABRT, core pattern ${pattern}`, `${cores.length} core files`, "0");
    expect([signal, cores]).toEqual(["SIGABRT", []]);
    expect(limits).toMatch(/^Max core file size\s+0\s+0\s/m);
    expect(countNeedles(Buffer.from(stderr), needles)).toBe(0);
  });
});

async function collect(daemon: Daemon): Promise<void> {
  const config = ["--config", daemon.configFile];
  const commands: readonly (readonly string[])[] = [
    ...[["status"], ["status", "-v"], ["status", "--json"], ["rekey"], ["check", ...config]],
    ...[
      ["check", "--json", ...config],
      ["doctor", "--json", ...config],
      ["doctor", ...config],
    ],
    ...[
      ["events", "--json", "-n", "100"],
      ["run", ...config],
    ],
    ...[
      ["ping", "right", "-c", "1"],
      ["ping", "nobody"],
      ["speedtest", "right", "--seconds", "1"],
      ["reload"],
    ],
  ];
  for (const command of commands) {
    const bounded = command[0] === "events" ? ["timeout", "2"] : [];
    const { stdout, stderr } = await daemon.command(command, bounded);
    shown.set(`iptun ${command.join(" ")}`, Buffer.from(stdout + stderr));
  }
  for (const path of ["/metrics", "/", "/v1/status", "/v1/history?seconds=60"]) {
    const address = `http://${METRICS}${path}`;
    const program = `fetch(${JSON.stringify(address)}).then(async (a) => console.log(await a.text()))`;
    shown.set(address, Buffer.from(await daemon.host.output([process.execPath, "-e", program])));
  }
  await collectErrors(daemon);
  for (const entry of readdirSync(daemon.stateDir)) {
    shown.set(entry, readFileSync(join(daemon.stateDir, entry)));
  }
  const { pid } = daemon.child;
  for (const name of ["cmdline", "environ"]) {
    shown.set(`/proc/${pid}/${name}`, readFileSync(`/proc/${pid}/${name}`));
  }
  shown.set("log", Buffer.from(daemon.log));
}

/** Configurations that hold the key itself, each wrong in another way. */
async function collectErrors(daemon: Daemon): Promise<void> {
  const key = readFileSync(pair.keyFile, "latin1").trim();
  const faults = {
    syntax: `[[peer]]\nkey = "${key}\n`,
    type: `[[peer]]\nkey = ["${key}", 7]\n`,
    name: `[[peer]]\n"${key}" = 1\n`,
    path: `[[peer]]\nkey_file = "${key}"\n`,
    twice: `[[peer]]\nkey = "${key}"\nkey = "${key}"\n`,
    shared: `[[peer]]\nkey = "${key}"\n[[peer]]\nkey = "${key}"\n`,
    junk: `[[peer]]\nkey = "${key}x"\n`,
  };
  for (const [name, text] of Object.entries(faults)) {
    const file = join(lab.dir, `${name}.toml`);
    writeFileSync(file, text, { mode: 0o600 });
    const { code, stdout, stderr } = await daemon.command(["check", "--config", file]);
    expect([name, code]).toEqual([name, 78]);
    shown.set(`error: ${name}`, Buffer.from(stdout + stderr));
  }
}

/** What Node writes of a process that was started to report on a signal. */
async function reportOf(daemon: Daemon): Promise<Buffer> {
  daemon.child.signal("SIGWINCH");
  const read = () => {
    const name = readdirSync(lab.dir).find((entry) => /^report\..*json$/.test(entry));
    const content = name === undefined ? "" : readFileSync(join(lab.dir, name), "utf8");
    return content.trimEnd().endsWith("}") ? Buffer.from(content) : undefined;
  };
  return await until("a report", 10_000, read);
}

function there(file: string): string | undefined {
  try {
    return readFileSync(file).length > 0 ? file : undefined;
  } catch {
    return undefined;
  }
}
