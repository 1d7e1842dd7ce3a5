/**
 * Blocks of the pages: each command is run by a test or says why not; configurations are ones that iptun takes.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseToml } from "../../src/config/toml.ts";
import { DROP_REASONS } from "../../src/core/drop-reason.ts";
import { PROBLEMS } from "../../src/daemon/doctor/finding.ts";
import { ConfigFiles } from "../config/config-files.ts";
import { KEY_A, KEY_B } from "../helpers/config-samples.ts";
import { figure } from "../helpers/figure.ts";
import { type Block, blocksOf, pages, ROOT, textOf } from "./pages.ts";

const TROUBLESHOOTING = "docs/troubleshooting.md";
const FROM_OPENVPN = "docs/from-openvpn-static.md";
const ALL = pages().flatMap((page) => blocksOf(page));
/** How a shell's block may be called; only "sh" is meant to be. */
const SHELLS = ["sh", "shell", "bash", "console"];

describe("command blocks", () => {
  it("are run by a test, or say why not", () => {
    const blocks = ALL.filter(({ language }) => SHELLS.includes(language));
    const run = blocks.filter(({ mark }) => mark?.kind === "run");
    const notRun = blocks.filter(({ mark }) => mark?.kind === "not run");
    const neither = blocks.filter((block) => !run.includes(block) && !notRun.includes(block));

    expect(neither.map(where)).toEqual([]);
    expect(blocks.filter(({ language }) => language !== "sh").map(where)).toEqual([]);
    figure(
      "docs",
      "command blocks",
      `${run.length} run, ${notRun.length} not, with a reason`,
      "all",
    );
    expect(run.length).toBeGreaterThan(20);
  });

  it("do not hide in blocks without a language", () => {
    const hidden = ALL.filter(({ language, code }) => {
      return language === "" && /^(?:iptun|ip|nft|sysctl|systemctl|curl|cp|perf) /m.test(code);
    });

    expect(hidden.map(where)).toEqual([]);
  });
});

describe("configuration blocks", () => {
  const blocks = ALL.filter(({ language }) => language === "toml");

  it.each(blocks.map((block) => [where(block), block] as const))("iptun takes %s", (_, block) => {
    const files = new ConfigFiles();
    const { code } = block;
    const isGroup = code.includes("learn = true") || code.includes("branch.key");
    files.write("link.key", `${isGroup ? "group:" : ""}${KEY_A}\n`);
    files.write("new.key", `${isGroup ? "group:" : ""}${KEY_B}\n`);
    // The key is wherever the page says; here it is beside the file.
    const text = completed(code)
      .replaceAll(/"(?!new)[\w/@:-]*[\w-]+\.key"/g, '"link.key"')
      .replaceAll('"credential:site.key"', '"link.key"');

    expect(files.problems(text)).toEqual([]);
  });

  it("are there", () => {
    expect(blocks.length).toBeGreaterThan(6);
  });
});

describe("blocks of data", () => {
  it("are JSON where they say so", () => {
    for (const block of ALL.filter(({ language }) => language === "json")) {
      expect(() => JSON.parse(block.code), where(block)).not.toThrow();
    }
  });
});

describe(TROUBLESHOOTING, () => {
  const named = new Set(
    [...textOf(TROUBLESHOOTING).matchAll(/`([a-z]+(?:-[a-z_]+)*)`/g)].flatMap(([, id = ""]) =>
      /^drop-/.test(id) || id in PROBLEMS ? [id] : [],
    ),
  );

  it("names only findings that the doctor has", () => {
    const known = new Set([
      ...Object.keys(PROBLEMS),
      ...Object.keys(DROP_REASONS).map((reason) => `drop-${reason}`),
    ]);
    const cells = [...textOf(TROUBLESHOOTING).matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(
      ([, cell = ""]) => [...cell.matchAll(/`([^`]+)`/g)].map(([, id = ""]) => id),
    );

    expect(cells.length).toBeGreaterThan(30);
    expect(cells.filter((id) => !known.has(id))).toEqual([]);
  });

  it("names every finding that is worse than a note", () => {
    const bad = Object.entries(PROBLEMS).filter(([, [, level]]) => level !== "note");

    expect(bad.map(([id]) => id).filter((id) => !named.has(id))).toEqual([]);
  });
});

describe(FROM_OPENVPN, () => {
  it("has a configuration that `iptun check` takes without a warning", () => {
    const block = ALL.find(({ page, language }) => page === FROM_OPENVPN && language === "toml");
    const files = new ConfigFiles();
    const keyFile = /key_file = "([^"]+)"/.exec(block?.code ?? "")?.[1] ?? "";

    expect(iptun("keygen", "--out", files.path(keyFile)).status).toBe(0);
    // The hook's program is wherever the page says; here it is one that is there.
    const hook = files.write("up", "#!/bin/sh\n", 0o755);
    const file = files.write("iptun0.toml", block?.code.replace("/etc/iptun/up", hook) ?? "");
    const { status, stdout, stderr } = iptun("check", "--json", "--config", file);

    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(JSON.parse(stdout).warnings).toEqual([]);
  });
});

describe("docs/comparison.md", () => {
  it.each([
    ["TCP, one stream, Gbit/s", "tcp-1", 2],
    ["Gbit per CPU second", "tcp-1-per-cpu", 2],
    ["UDP of 64 bytes, thousands a second", "udp-64", 0],
    ["ping while idle, ms", "ping-idle", 2],
    ["memory of one end, resident, MiB", "memory-resident", 0],
  ] as const)("has the figures of bench.json: %s", (row, metric, digits) => {
    const { medians } = JSON.parse(textOf("docs/bench.json"));
    const subjects = ["iptun", "wireguard-go", "openvpn", "fastd"];
    const figures = subjects.map((one) => medians["as-is"][metric][one].median.toFixed(digits));

    expect(textOf("docs/comparison.md")).toContain(`| ${row} | ${figures.join(" | ")} |\n`);
  });
});

/** A fragment with what a configuration needs beside it. */
function completed(code: string): string {
  const parsed = parseToml(code);
  if ("fault" in parsed) throw new Error(parsed.fault.text);
  const { tree } = parsed;
  const isOfPeer = !code.includes("[") || (tree as { peer?: unknown }).peer !== undefined;
  return isOfPeer ? code : `${code}\n[[peer]]\nkey_file = "link.key"\n`;
}

function iptun(...words: readonly string[]) {
  return spawnSync(process.execPath, [join(ROOT, "dist/main.js"), ...words], { encoding: "utf8" });
}

function where({ page, line }: Block): string {
  return `${page}:${line}`;
}
