/**
 * Real programs as hooks: environment, output, time, what they leave behind; and what `check` says of them.
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { until } from "../../../scripts/netns/process.ts";
import { KILL_AFTER_MS, runHook } from "../../../src/daemon/hooks/hook-process.ts";
import { hookWarnings } from "../../../src/daemon/hooks/hook-warnings.ts";
import { startTimer } from "../../../src/daemon/timers.ts";
import { NO_HOOKS } from "../config.ts";
import { ManualTimers, settle } from "../timers.ts";

const directory = mkdtempSync(join(tmpdir(), "iptun-hook-"));
const LONG_MS = 20_000;
afterAll(() => rmSync(directory, { recursive: true }));

describe("a program", () => {
  it("gets its words as they are, and no variable but PATH and those that it needs", async () => {
    const file = script("echo", 'printf "%s|" "$@" $(env | cut -d= -f1 | sort)');
    const { line, exitCode } = await run([file, "two words", "$HOME;x"], { IPTUN_EVENT: "up" });
    expect(exitCode).toBe(0);
    expect(line).toBe("two words|$HOME;x|IPTUN_EVENT|PATH|PWD|");
  });

  it("is told of by its first line, without control characters and of bounded length", async () => {
    const file = script("talk", "printf 'one \\033[31m\\ntwo\\n'; head -c 5000000 /dev/zero");
    const { line } = await run([file]);
    expect(line).toBe("one \\u001b[31m");
    const long = script("long", "head -c 5000 /dev/zero | tr '\\0' x");
    expect((await run([long])).line).toMatch(/^x{1,400}$/);
  });

  it("that fails says its exit code", async () => {
    expect(await run([script("fail", "exit 7")])).toMatchObject({ exitCode: 7, fault: undefined });
  });

  it("that is not there is a fault", async () => {
    const { exitCode, fault } = await run([join(directory, "absent")]);
    expect([exitCode, fault]).toEqual([undefined, expect.stringContaining("ENOENT")]);
  });

  it("that the kernel refuses at once is a fault", async () => {
    const file = script("plain", "true");
    const loop = join(directory, "loop");
    symlinkSync(loop, loop);
    const faults = [await run([join(file, "below")]), await run([loop])].map(({ fault }) => fault);
    expect(faults).toEqual([expect.stringContaining("ENOTDIR"), expect.stringContaining("ELOOP")]);
  });

  it("for which there are no descriptors left is a fault", () => {
    const file = join(directory, "no-descriptors.mts");
    const source = (name: string) => new URL(`../../../src/daemon/${name}`, import.meta.url).href;
    writeFileSync(
      file,
      `import { openSync } from "node:fs";
      import { runHook } from ${JSON.stringify(source("hooks/hook-process.ts"))};
      import { startTimer } from ${JSON.stringify(source("timers.ts"))};
      try { for (;;) openSync("/dev/null", "r"); } catch {}
      console.log((await runHook(["/bin/true"], {}, 1_000, startTimer).ended).fault);`,
    );
    const command = 'ulimit -n 256; exec "$0" --import tsx "$1"';
    const said = execFileSync("/bin/sh", ["-c", command, process.execPath, file], {
      encoding: "latin1",
      timeout: LONG_MS,
    });
    expect(said).toContain("EMFILE");
  });

  it("that ends in time at SIGTERM takes along what does not", async () => {
    const pids = join(directory, "deaf-pids");
    const deaf = `(trap '' TERM; echo started; exec sleep 60) > ${pids}.said`;
    const file = script(
      "obedient",
      `trap 'exit 3' TERM; ${deaf} &
      while [ ! -s ${pids}.said ]; do :; done; echo $! > ${pids}.new; mv ${pids}.new ${pids}
      while :; do sleep 0.05; done`,
    );
    const timers = new ManualTimers();
    const { ended } = runHook([file], {}, LONG_MS, timers.start);
    while (!existsSync(pids)) await settle();

    await timers.fire(LONG_MS);

    expect((await ended).exitCode).toBe(3);
    const started = Number(readFileSync(pids, "latin1"));
    await until("end of what it has started", 10_000, () => (isAlive(started) ? undefined : true));
    expect(timers.delays()).toEqual([]);
  });

  it("is ended when its time is over, and so is what it has started", async () => {
    const pids = join(directory, "pids");
    const file = script(
      "hang",
      `trap '' TERM; sleep 60 & echo $! > ${pids}.new; mv ${pids}.new ${pids}; wait; sleep 60`,
    );
    const timers = new ManualTimers();
    const { ended } = runHook([file], {}, LONG_MS, timers.start);
    while (!existsSync(pids)) await settle();

    await timers.fire(LONG_MS);
    await timers.fire(KILL_AFTER_MS);

    expect((await ended).fault).toBe("ended by SIGKILL");
    // The kernel ends each of the group in its own time.
    const started = Number(readFileSync(pids, "latin1"));
    await until("end of what it has started", 10_000, () => (isAlive(started) ? undefined : true));
    expect(timers.delays()).toEqual([]);
  });

  it("may leave something in the background that holds its output", async () => {
    const file = script("daemonize", "sleep 30 & echo done");
    const run = runHook([file], {}, LONG_MS, startTimer);
    expect((await run.ended).line).toBe("done");
    run.kill();
  });
});

describe("check", () => {
  const warnings = (file: string, uid?: number) =>
    hookWarnings({ commands: { ...NO_HOOKS.commands, up: [file] } }, uid);

  it("has no word for a program that only its owner can change", () => {
    expect(warnings(script("fine", "true"))).toEqual([]);
    expect(hookWarnings(NO_HOOKS)).toEqual([]);
  });

  it.each([
    ["is not executable", 0o600, /^hooks.up: ".*" cannot be executed; chmod \+x it/],
    ["its group can change", 0o770, /can be changed by others; chmod go-w it$/],
    ["others can change", 0o707, /can be changed by others; chmod go-w it$/],
  ])("warns of one that %s", (_what, mode, message) => {
    const file = script("odd", "true");
    chmodSync(file, mode);
    expect(warnings(file)).toEqual([expect.stringMatching(message)]);
  });

  it("warns of one that is missing, or a folder", () => {
    expect(warnings(join(directory, "absent"))[0]).toMatch(/cannot be executed/);
    expect(warnings(directory)[0]).toMatch(/is no program$/);
  });
});

function run(command: readonly string[], variables: Readonly<Record<string, string>> = {}) {
  return runHook(command, variables, LONG_MS, startTimer).ended;
}

function script(name: string, text: string): string {
  const file = join(directory, name);
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o700);
  return file;
}

/** A zombie that nobody has waited for yet is not. */
function isAlive(pid: number): boolean {
  try {
    // A process that nobody has waited for yet is a zombie (man 5 proc).
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}
