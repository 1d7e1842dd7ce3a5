/**
 * The shells' completions, in the shells themselves: each command and flag, and names that are found out.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { flagParts, type OptionEntry } from "../../src/cli/command-entry.ts";
import { COMMAND_LINE } from "../../src/cli/commands.ts";
import { completionScript } from "../../src/cli/completion.ts";
import { SHELLS } from "../../src/cli/completion-table.ts";
import { runCli } from "../../src/cli/program.ts";
import { ConfigFiles } from "../config/config-files.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { Runtime } from "./runtime.ts";
import { completed } from "./shells.ts";
import { peerStatus, statusDocument } from "./status-fixture.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

let directory: string;

/** A folder with configurations, the command in PATH, and a tunnel that runs. */
beforeEach(async () => {
  const files = new ConfigFiles();
  directory = files.directory;
  files.write("site.toml", "");
  files.write("site.txt", "");
  mkdirSync(files.path("folder"));
  mkdirSync(files.path("bin"));
  const main = `cd ${ROOT} && exec node --import tsx src/main.ts "$@"`;
  writeFileSync(files.path("bin/iptun"), `#!/bin/sh\n${main}\n`);
  chmodSync(files.path("bin/iptun"), 0o755);
  vi.stubEnv("PATH", `${files.path("bin")}${delimiter}${process.env["PATH"]}`);
  const peers = [peerStatus({ name: "branch" }), peerStatus({ name: "süd-1" })];
  await new Runtime().daemon("tun7", statusDocument(peers));
});

/** A line, and the only word that its end can become. */
const LINES: readonly (readonly [line: string, word: string])[] = [
  ["iptun stat", "status"],
  ["iptun --vers", "--version"],
  ["iptun status --verb", "--verbose"],
  ["iptun -c site.toml speed", "speedtest"],
  ["iptun init --peer-e", "--peer-endpoint"],
  ["iptun --config s", "site.toml"],
  ["iptun check --config=s", "site.toml"],
  ["iptun check --config f", "folder"],
  ["iptun keygen --out site.tx", "site.txt"],
  ["iptun status --interface t", "tun7"],
  ["iptun ping --interface=t", "tun7"],
  ["iptun completion fi", "fish"],
  ["iptun help rek", "rekey"],
  ["iptun ping br", "branch"],
  ["iptun status -i tun7 --peer s", "süd-1"],
];

/** Of which nothing can become anything. */
const NOTHING = ["iptun nope", "iptun init --name s", "iptun check --verb", "iptun ping branch br"];

describe.each(SHELLS)("in %s", (shell) => {
  it("commands, flags, files, interfaces and peers are completed", async () => {
    const found = await completed(
      shell,
      directory,
      LINES.map(([line]) => line),
    );

    const words = found.map((candidates) => candidates.map(plain));
    expect(words).toEqual(LINES.map(([, word]) => [word]));
  });

  it("every command and every flag can be completed", async () => {
    const { commands } = COMMAND_LINE;
    const lines = ["iptun ", ...commands.map(({ name }) => `iptun ${name} --`)];

    const [names = [], ...flags] = await completed(shell, directory, lines);

    expect(names.toSorted()).toEqual(commands.map(({ name }) => name).toSorted());
    const longOf = (options: readonly OptionEntry[]) =>
      options.map(({ flags }) => flagParts(flags).long);
    const expected = commands.map(({ options }) => [...longOf(options), "--help"].toSorted());
    expect(flags.map((words) => words.filter((word) => word.startsWith("--")).toSorted())).toEqual(
      expected,
    );
  });

  it("a name is never run as a command", async () => {
    // What the socket and the folder say is not checked by them as the configuration is.
    const runtime = new Runtime();
    const peers = ["zeta", "x$(touch ran)", "`touch ran`"].map((name) => peerStatus({ name }));
    await runtime.daemon("tun8", statusDocument(peers));
    await runtime.abandonedSocket("tun9$(touch ran)");

    const [peer] = await completed(shell, directory, [
      "iptun ping -i tun8 z",
      "iptun ping -i tun8 ",
      "iptun status -i tun",
    ]);

    expect(peer).toEqual(["zeta"]);
    expect(existsSync(join(directory, "ran"))).toBe(false);
  });

  it("nothing is made up", async () => {
    expect(await completed(shell, directory, NOTHING)).toEqual(NOTHING.map(() => []));
  });
});

describe("the command", () => {
  it.each(SHELLS)("prints the script for %s", async (shell) => {
    const { code, terminal } = await cli("completion", shell);
    expect(code).toBe(0);
    expect(terminal.stdout).toBe(completionScript(shell, COMMAND_LINE));
    expect(terminal.stdout).toMatch(/^#/);
  });

  it("prints the names of peers", async () => {
    const { code, terminal } = await cli("completion", "peers", "-i", "tun7");
    expect(code).toBe(0);
    expect(terminal.stdout).toBe("branch\nsüd-1\n");
  });

  it("refuses what is no shell", async () => {
    const { code, terminal } = await cli("completion", "tcsh");
    expect(code).toBe(2);
    expect(terminal.stderr).toBe(
      'iptun: no completions for "tcsh"; expected bash, zsh, fish or peers\n',
    );
  });
});

it("gives bash a script without what shellcheck warns of", () => {
  const input = completionScript("bash", COMMAND_LINE);
  const { status, stdout } = spawnSync("shellcheck", ["-s", "bash", "-"], { input });
  expect({ status, output: String(stdout) }).toEqual({ status: 0, output: "" });
});

/** A flag before the value is a word of its own, and a folder may end with "/" or not. */
function plain(word: string): string {
  return word.replace(/^--\w+=(?=.)/, "").replace(/\/$/, "");
}

async function cli(...args: readonly string[]) {
  const terminal = new FakeTerminal();
  return { code: await runCli(args, terminal), terminal };
}
