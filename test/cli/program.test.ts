/**
 * The command line: help, version, usage errors and their exit codes.
 */
import { describe, expect, it } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import { outcomeOf } from "../../src/cli/exit-code.ts";
import { runCli } from "../../src/cli/program.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { DaemonError } from "../../src/daemon/failure.ts";
import { readVersion } from "../../src/daemon/version.ts";
import { FakeTerminal, systemError } from "./fake-terminal.ts";

const NAMES = COMMANDS.map(({ name }) => name).join(", ");

describe("help", () => {
  it.each(["--help", "-h", "help"])("%s goes to standard output with examples", async (flag) => {
    const { code, terminal } = await cli(flag);
    expect(code).toBe(0);
    expect(terminal.stderr).toBe("");
    expect(terminal.stdout).toMatch(/^Usage: iptun /);
    const names = COMMANDS.map(({ name }) => name);
    for (const word of [...names, "Examples:", "Exit codes:"]) {
      expect(terminal.stdout).toContain(word);
    }
  });

  it.each([
    ["run", "--config"],
    ["keygen", "--out"],
    ["check", "--json"],
    ["status", "--interface"],
    ["ping", "--count"],
    ["speedtest", "--seconds"],
  ])("of %s names %s", async (command, option) => {
    const { code, terminal } = await cli(command, "--help");
    expect(code).toBe(0);
    expect(terminal.stdout).toMatch(new RegExp(`^Usage: iptun ${command} `));
    expect(terminal.stdout).toContain(option);
    expect((await cli("help", command)).terminal.stdout).toBe(terminal.stdout);
  });

  it("has lines that fit a terminal of 80 columns", async () => {
    const { terminal } = await cli("--help");
    const longest = Math.max(...terminal.stdout.split("\n").map((line) => line.length));
    expect(longest).toBeLessThanOrEqual(96);
  });
});

describe("version", () => {
  it.each(["--version", "-V"])("%s is that of the package", async (flag) => {
    const { code, terminal } = await cli(flag);
    expect(code).toBe(0);
    expect(terminal.stdout).toBe(`${readVersion()}\n`);
    expect(terminal.stdout).toMatch(/^\d+\.\d+\.\d+/);
  });
});

describe("a usage error", () => {
  const cases: readonly (readonly [args: readonly string[], expected: string])[] = [
    [["foo"], `iptun: unknown command "foo"; expected ${NAMES}\n`],
    [["statsu"], 'iptun: unknown command "statsu"; did you mean status?\n'],
    [["a\nb"], `iptun: unknown command "a\\nb"; expected ${NAMES}\n`],
    [["run"], "iptun: run needs a configuration: iptun run --config FILE\n"],
    [["--config"], "iptun: option '-c, --config <file>' argument missing\n"],
    [["keygen", "--ot", "x"], "iptun: unknown option '--ot'; did you mean --out?\n"],
    [["status", "--jso"], "iptun: unknown option '--jso'; did you mean --json?\n"],
    [["help", "nope"], `iptun: unknown command "nope"; expected ${NAMES}\n`],
    [["help", "chek"], 'iptun: unknown command "chek"; did you mean check?\n'],
    [["--config", ""], "iptun: --config is empty; expected a name after it\n"],
    [["check", "--config", ""], "iptun: --config is empty; expected a name after it\n"],
    [["run", "--config="], "iptun: --config is empty; expected a name after it\n"],
    [["keygen", "--out", ""], "iptun: --out is empty; expected a name after it\n"],
    [["-c", "a", "-c", "b"], "iptun: --config is given twice; expected it once\n"],
    [["check", "-c", "a", "-c", "a"], "iptun: --config is given twice; expected it once\n"],
    [["-c", "a", "run", "-c", "b"], "iptun: --config is given twice; expected it once\n"],
    [["-c", "a", "check", "-c", "b"], "iptun: --config is given twice; expected it once\n"],
    [["keygen", "-o", "/x/a", "-o", "/x/b"], "iptun: --out is given twice; expected it once\n"],
    [["status", "-i", "a", "-i", "b"], "iptun: --interface is given twice; expected it once\n"],
    [["keygen", "x"], "iptun: too many arguments for 'keygen'. Expected 0 arguments but got 1.\n"],
    [["status", "--interface"], "iptun: option '-i, --interface <name>' argument missing\n"],
    [["status", "--interface", "a/b"], 'iptun: "a/b" cannot name an interface\n'],
    [["status", "--interface", ".."], 'iptun: ".." cannot name an interface\n'],
    [["status", "--interface", ""], "iptun: --interface is empty; expected a name after it\n"],
  ];

  it.each(cases)("%j is said on standard error", async (args, expected) => {
    const { code, terminal } = await cli(...args);
    expect(terminal.stderr).toBe(expected);
    expect(terminal.stdout).toBe("");
    expect(code).toBe(2);
  });

  it("without any argument is the help, on standard error", async () => {
    const { code, terminal } = await cli();
    expect(code).toBe(2);
    expect(terminal.stdout).toBe("");
    expect(terminal.stderr).toMatch(/^Usage: iptun /);
  });
});

describe("a configuration that cannot be read", () => {
  it.each([
    [["--config", "/nonexistent/c.toml"]],
    [["-c", "/nonexistent/c.toml"]],
    [["run", "--config", "/nonexistent/c.toml"]],
    [["--config", "/nonexistent/c.toml", "run"]],
    [["check", "-c", "/nonexistent/c.toml"]],
  ])("ends %j with 78", async (args) => {
    const { code, terminal } = await cli(...args);
    expect(code).toBe(78);
    expect(terminal.stderr).toBe("/nonexistent/c.toml: does not exist\n");
  });
});

describe("an outcome", () => {
  it.each([
    [new DaemonError("not running", 3), 3, "iptun: not running\n"],
    [
      new DaemonError("no permission: needs CAP_NET_ADMIN", 4),
      4,
      "iptun: no permission: needs CAP_NET_ADMIN\n",
    ],
    [new Error("one\n  two\nthree"), 1, "iptun: one two three\n"],
    ["text", 1, "iptun: text\n"],
    [systemError("EPIPE"), 0, ""],
    [systemError("EIO"), 1, "iptun: EIO: no such luck\n"],
    [
      new ConfigError("f", [
        { key: "a", text: "x", line: 1 },
        { key: "b", text: "y", line: 2 },
      ]),
      78,
      "f:1: a: x\nf:2: b: y\n",
    ],
  ])("of case %# has its exit code and no stack", (thrown, exitCode, text) => {
    expect(outcomeOf(thrown)).toEqual({ exitCode, text });
  });
});

describe("a reader that had enough", () => {
  it("ends the command quietly", async () => {
    const terminal = new FakeTerminal();
    terminal.outError = systemError("EPIPE");
    expect(await runCli(["--help"], terminal)).toBe(0);
    expect(terminal.stderr).toBe("");
  });
});

async function cli(...args: readonly string[]) {
  const terminal = new FakeTerminal();
  return { code: await runCli(args, terminal), terminal };
}
