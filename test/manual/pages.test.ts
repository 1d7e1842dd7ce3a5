/** The manual pages: what mandoc says of them, and that nothing is left out. */
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { mdocText, mdocWord } from "../../scripts/manual/mdoc.ts";
import { commandPage, configurationPage } from "../../scripts/manual/pages.ts";
import { flagParts } from "../../src/cli/command-entry.ts";
import { COMMAND_LINE } from "../../src/cli/commands.ts";
import { EXIT_CODE, EXIT_MEANINGS } from "../../src/cli/exit-code.ts";
import { KNOWN_KEYS } from "../../src/config/schema.ts";
import { ConfigFiles } from "../config/config-files.ts";

const PAGES = { "iptun.8": commandPage, "iptun.toml.5": configurationPage };

/** Of other packages, which may not be installed. */
const FOREIGN = /^mandoc: .*referenced manual not found: Xr (?!iptun).*\n/gm;

/** What mandoc makes of a page, or says of it, where both pages are. */
function mandoc(name: string, ...options: readonly string[]): string {
  const files = new ConfigFiles();
  for (const [page, make] of Object.entries(PAGES)) files.write(page, make());
  const cwd = files.directory;
  const { stdout, error } = spawnSync("mandoc", [...options, name], { cwd, encoding: "utf8" });
  if (error !== undefined) throw error;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: bold letters are printed over each other.
  return stdout.replace(/.\u0008/g, "");
}

describe.each(Object.keys(PAGES))("%s", (name) => {
  it("gives mandoc nothing to warn of", () => {
    expect(mandoc(name, "-T", "lint", "-W", "all").replace(FOREIGN, "")).toBe("");
  });
});

describe("iptun(8)", () => {
  it("has every command, every option and every exit code", () => {
    const page = mandoc("iptun.8", "-T", "ascii", "-O", "width=500");
    for (const { name, options } of COMMAND_LINE.commands) {
      const part = new RegExp(`^ {5}${name}\\b.*\\n((?: {6,}.*\\n|\\n)*)`, "m").exec(page)?.[1];
      expect(part, name).toBeDefined();
      for (const { flags } of options) expect(part).toContain(flagParts(flags).long);
    }
    for (const code of Object.values(EXIT_CODE)) {
      expect(page).toMatch(new RegExp(`^ {5}${code} {2,}\\w`, "m"));
    }
    expect(EXIT_MEANINGS.map(({ code }) => code)).toEqual(
      Object.values(EXIT_CODE).toSorted((a, b) => a - b),
    );
  });
});

describe("iptun.toml(5)", () => {
  it("has every table and every key", () => {
    const page = mandoc("iptun.toml.5", "-T", "ascii", "-O", "width=500");
    for (const [table, keys] of Object.entries(KNOWN_KEYS)) {
      if (table === "") continue;
      const part = page.split(`${table.toUpperCase()} TABLE\n`)[1]?.split(/^[A-Z]/m)[0];
      for (const key of keys) expect(part).toMatch(new RegExp(`^ {5}${key}\\b`, "m"));
    }
  });
});

describe("a text as mdoc", () => {
  it.each([
    ["One. Two.", "One.\nTwo."],
    [".Nm is no macro here", "\\&.Nm is no macro here"],
    ["'tis", "\\&'tis"],
    ["a\\b and --flag", "a\\eb and \\-\\-flag"],
    ["run `iptun reload`, then wait", "run \\fBiptun reload\\fR, then wait"],
  ])("%s", (text, expected) => {
    expect(mdocText(text)).toBe(expected);
  });

  it("has no line of 80 bytes, and divides none inside backticks", () => {
    const lines = mdocText(`${"word ".repeat(20)}\`iptun init --dry-run\` ${"x ".repeat(50)}`);
    for (const line of lines.split("\n")) expect(line.length).toBeLessThan(80);
    expect(lines).toContain("\\fBiptun init \\-\\-dry\\-run\\fR");
  });

  it.each([
    ["Nm", "\\&Nm"],
    ["mtu", "mtu"],
  ])("the argument %s is not taken for a macro", (word, expected) => {
    expect(mdocWord(word)).toBe(expected);
  });
});
