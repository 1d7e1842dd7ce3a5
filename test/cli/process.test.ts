/**
 * The real command in a process of its own: outputs, exit codes, closed pipes, start-up cost.
 *
 * Compiled into a directory of the test's own, as `npm run build` would into dist; the addon is dist's.
 */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConfigFiles, configText } from "../config/config-files.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Below the repository, so that packages and package.json are found as from dist. */
const BUILD = mkdtempSync(join(ROOT, "node_modules/.iptun-test-"));
const MAIN = join(BUILD, "dist/main.js");
const { PATH } = process.env;

beforeAll(() => {
  symlinkSync(join(ROOT, "package.json"), join(BUILD, "package.json"));
  mkdirSync(join(BUILD, "dist"));
  symlinkSync(join(ROOT, "dist/native"), join(BUILD, "dist/native"));
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  const options = [
    "-p",
    "tsconfig.json",
    "--outDir",
    join(BUILD, "dist"),
    "--incremental",
    "false",
  ];
  // Type errors have a check of their own; what was emitted is what is tested here.
  spawnSync(process.execPath, [compiler, ...options, "--noCheck"], { cwd: ROOT });
}, 60_000);

afterAll(() => rmSync(BUILD, { recursive: true, force: true }));

describe("the command", () => {
  it("is a script that node runs", () => {
    expect(readFileSync(MAIN, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
  });

  it("prints its version and help on standard output", () => {
    expect(iptun("--version")).toMatchObject({ status: 0, stderr: "" });
    expect(iptun("--version").stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(iptun("--help").stdout).toMatch(/^Usage: iptun /);
  });

  it("ends with 2 for a usage error, 78 for a configuration, 3 where nothing runs", () => {
    const { directory } = new ConfigFiles();
    expect(iptun("foo").status).toBe(2);
    expect(iptun("--config", join(directory, "none.toml")).status).toBe(78);
    expect(iptunWith({ RUNTIME_DIRECTORY: directory }, "status").status).toBe(3);
  });

  it("makes a key that its own check accepts", () => {
    const files = new ConfigFiles();
    const made = iptun("keygen", "--out", files.path("site.key"));
    const file = files.write("c.toml", configText({ peer: 'key_file = "site.key"' }), 0o644);
    const checked = iptun("check", "--config", file);
    expect(made.status).toBe(0);
    expect(statSync(files.path("site.key")).mode & 0o777).toBe(0o600);
    expect(checked).toMatchObject({ status: 0, stderr: "" });
    const fingerprint = /fingerprint ([0-9a-f]{8})\n$/.exec(made.stderr)?.[1];
    expect(checked.stdout).toMatch(new RegExp(`^  key +${fingerprint}$`, "m"));
  });

  it("warns when a key goes to a file that others can read", () => {
    const files = new ConfigFiles();
    const open = shell(`umask 022; "$NODE" "$MAIN" keygen > "${files.path("open")}"`);
    const closed = shell(`umask 077; "$NODE" "$MAIN" keygen > "${files.path("closed")}"`);
    expect(open.stderr).toContain("standard output is a file that others can use (mode 0644)");
    expect(closed.stderr).toMatch(/^iptun: new key, fingerprint [0-9a-f]{8}\n$/);
  });

  it("loads for its version neither schema nor log nor crypto", () => {
    const { stderr } = iptunWith({ NODE_DEBUG: "module,esm" }, "--version");
    const loaded = new Set(stderr.match(/node_modules\/(@?[\w/-]+)/g));
    expect([...loaded]).toContain("node_modules/commander/index");
    for (const name of ["zod", "winston", "libsodium-wrappers", "@iarna/toml"]) {
      expect(
        [...loaded].some((path) => path.startsWith(`node_modules/${name}`)),
        name,
      ).toBe(false);
    }
  });
});

describe("init", () => {
  it("tells editors on this host, and no other, where the configuration's schema is", () => {
    const schema = join(BUILD, "dist/iptun.schema.json");
    const made = () => {
      const files = new ConfigFiles();
      const names = ["--name", "hub", "--peer", "branch", "--endpoint", "203.0.113.5:1194"];
      expect(iptun("init", "--out", files.path("a.toml"), ...names).status).toBe(0);
      return ["a.toml", "branch.toml"].map((name) => readFileSync(files.path(name), "utf8"));
    };
    expect(made().join("")).not.toContain("#:schema");

    writeFileSync(schema, "{}");
    const [here = "", there = ""] = made();
    expect(here.split("\n")[0]).toBe(`#:schema ${schema}`);
    expect(there).not.toContain("#:schema");
  });

  it("does not wait for an answer where standard input is no terminal", () => {
    const fifo = new ConfigFiles().path("fifo");
    const { status, stderr } = shell(`mkfifo "${fifo}"; "$NODE" "$MAIN" init <>"${fifo}"`);
    expect(stderr).toMatch(/^iptun: init needs an endpoint: [^\n]*\n$/);
    expect(status).toBe(2);
  });

  it("asks at a terminal, and takes lines that were typed before the question", () => {
    const files = new ConfigFiles();
    const command = `"$NODE" "$MAIN" init --out "${files.path("a.toml")}"`;
    const lines = "wan0\\nhub\\nbranch\\nhub.example.org:1194\\n\\n\\n\\n\\n\\n";
    const { status, stdout } = shell(`printf '${lines}' | script -qec '${command}' /dev/null`);
    expect(stdout).toContain("Interface of the tunnel on both hosts [iptun0]: ");
    expect(status).toBe(0);
    expect(files.load(readFileSync(files.path("branch.toml"))).peers[0]?.name).toBe("hub");
  });
});

describe("outputs that fail", () => {
  it("end a command quietly where the reader left", () => {
    const { status, stderr } = shell('("$NODE" "$MAIN" --help; echo "rc $?" >&2) | true');
    expect(stderr).toBe("rc 0\n");
    expect(status).toBe(0);
  });

  it("end it with one line where there is no room", () => {
    const { status, stderr } = shell('"$NODE" "$MAIN" keygen > /dev/full');
    expect(status).toBe(1);
    expect(stderr).toMatch(/^iptun: ENOSPC[^\n]*\n$/);
  });

  it("change nothing where it is standard error", () => {
    expect(shell('"$NODE" "$MAIN" foo 2> /dev/full').status).toBe(2);
    expect(shell('"$NODE" "$MAIN" foo 2>&-').status).toBe(2);
  });
});

describe("an exception that nobody handles", () => {
  it("ends the process with one line and no stack", () => {
    const files = new ConfigFiles();
    const preload = files.write("throw.mjs", THROW_ONCE_LISTENED_FOR);
    const file = files.write("c.toml", configText());
    const { status, stderr } = spawn([`--import=${preload}`, MAIN, "check", "-c", file], {});
    expect(status).toBe(1);
    expect(stderr).toBe("iptun: boom line two\n");
  });
});

describe("a signal that comes before the tunnel runs", () => {
  const run = ["run", "--config", "/nonexistent.toml"] as const;
  const implied = ["-c", "/nonexistent.toml"] as const;

  it.each(["SIGTERM", "SIGINT", "SIGQUIT"])("%s ends a tunnel's start with 0", (signal) => {
    for (const args of [run, implied]) {
      const ended = early(`process.kill(process.pid, "${signal}")`, ...args);
      expect(ended).toMatchObject({ status: 0, signal: null, stderr: "" });
    }
  });

  it.each(["SIGHUP", "SIGUSR1", "SIGUSR2"])("%s does not stop a tunnel's start", (signal) => {
    for (const args of [run, implied]) {
      const ended = early(`process.kill(process.pid, "${signal}")`, ...args);
      expect(ended).toMatchObject({ status: 78, signal: null });
    }
  });

  it.each(["SIGTERM", "SIGINT", "SIGHUP"])("%s ends another command by signal", (signal) => {
    for (const args of [["--config", "f", "check"], ["keygen"]]) {
      const ended = early(`process.kill(process.pid, "${signal}")`, ...args);
      expect(ended).toMatchObject({ status: null, signal, stdout: "" });
    }
  });

  it("is listened for before anything is loaded", () => {
    const files = new ConfigFiles();
    const preload = files.write("say.mjs", SAY_WHEN_LISTENED_FOR);
    const { stderr } = spawn([`--import=${preload}`, MAIN, ...run], { NODE_DEBUG: "module,esm" });
    const heard = stderr.indexOf("listens for SIGTERM");
    expect(heard).toBeGreaterThan(-1);
    expect(stderr.indexOf("node_modules/commander")).toBeGreaterThan(heard);
  });
});

describe("a debugger", () => {
  it("that SIGUSR1 opened before the first statement is closed", () => {
    const { stdout, stderr } = debugged(OPEN_BY_SIGNAL, "--version");
    expect(stderr).toContain("Debugger listening on");
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\nat exit: undefined\n$/);
  });

  it("that opens while the program loads is closed by the daemon, which says so", () => {
    const files = new ConfigFiles();
    const file = files.write("c.toml", configText());
    const { status, stdout, stderr } = debugged(OPEN_WHILE_LOADING, "run", "--config", file);
    expect(status).toBeGreaterThan(0);
    expect(stderr).toContain("Debugger listening on");
    expect(stderr).toMatch(/ warn Node's debugger had been opened .*: closed it\n/);
    expect(stdout).toBe("at exit: undefined\n");
  });
});

/** Runs the code just after the first statement of main.ts, when its listeners are in place. */
function early(code: string, ...args: readonly string[]): SpawnSyncReturns<string> {
  const preload = new ConfigFiles().write(
    "early.mjs",
    `process.on("newListener", (event) => {
      if (event === "SIGUSR1") queueMicrotask(() => { ${code}; });
    });`,
  );
  return spawn([`--import=${preload}`, MAIN, ...args], {});
}

/** Runs the code first; no tunnel can start, because the runtime directory is a file. */
function debugged(code: string, ...args: readonly string[]): SpawnSyncReturns<string> {
  const files = new ConfigFiles();
  const preload = files.write("debugger.mjs", code);
  const node = ["--inspect-port=127.0.0.1:0", `--import=${preload}`];
  return spawn([...node, MAIN, ...args], { RUNTIME_DIRECTORY: preload });
}

const SAY_AT_EXIT = `
import { open, url } from "node:inspector";
import { writeSync } from "node:fs";
process.on("exit", () => writeSync(1, "at exit: " + url() + "\\n"));
`;

const OPEN_BY_SIGNAL = `${SAY_AT_EXIT}
process.kill(process.pid, "SIGUSR1");
while (url() === undefined) await new Promise((resolve) => setImmediate(resolve));
`;

/** The turn of the loop after main.ts has looked. */
const OPEN_WHILE_LOADING = `${SAY_AT_EXIT}
const onListener = (event) => {
  if (event !== "SIGUSR1") return;
  process.off("newListener", onListener);
  queueMicrotask(() => open(0, "127.0.0.1"));
};
process.on("newListener", onListener);
`;

const SAY_WHEN_LISTENED_FOR = `
import { writeSync } from "node:fs";
process.on("newListener", (event) => {
  if (event === "SIGTERM") writeSync(2, "listens for SIGTERM\\n");
});
`;

const THROW_ONCE_LISTENED_FOR = `
process.on("newListener", (event) => {
  if (event === "uncaughtException") setImmediate(() => { throw new Error("boom\\nline two"); });
});
`;

function iptun(...args: readonly string[]): SpawnSyncReturns<string> {
  return iptunWith({}, ...args);
}

function iptunWith(
  env: Readonly<Record<string, string>>,
  ...args: readonly string[]
): SpawnSyncReturns<string> {
  return spawn([MAIN, ...args], env);
}

function spawn(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, args, {
    encoding: "utf8",
    env: { PATH, ...env },
    timeout: 20_000,
  });
}

function shell(script: string): SpawnSyncReturns<string> {
  const env = { PATH, NODE: process.execPath, MAIN };
  return spawnSync("/bin/sh", ["-c", script], { encoding: "utf8", env, timeout: 20_000 });
}
