/**
 * `iptun keygen`: keys that the configuration accepts, in files that only their owner can read.
 */
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { runCli } from "../../src/cli/program.ts";
import { deriveKeyRing, parseKeyText } from "../../src/core/handshake/keys.ts";
import { loadSodium } from "../../src/crypto/sodium.ts";
import { ConfigFiles, configText } from "../config/config-files.ts";
import { FakeTerminal, systemError } from "./fake-terminal.ts";

describe("keygen to standard output", () => {
  it("prints one line of base64 that is a key, and its fingerprint on standard error", async () => {
    const { code, terminal } = await cli("keygen");
    expect(code).toBe(0);
    expect(terminal.stdout).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
    expect(terminal.stderr).toBe(
      `iptun: new key, fingerprint ${await fingerprintOf(terminal.stdout)}\n`,
    );
  });

  it("makes another key each time", async () => {
    const keys = await Promise.all([cli("keygen"), cli("keygen"), cli("keygen")]);
    expect(new Set(keys.map(({ terminal }) => terminal.stdout)).size).toBe(3);
  });

  it.each([
    [0o644, true],
    [0o640, true],
    [0o602, true],
    [0o600, false],
    [undefined, false],
  ])("into a file of mode %o warns: %s", async (mode, isWarned) => {
    const terminal = new FakeTerminal();
    terminal.fileMode = mode;
    expect(await runCli(["keygen"], terminal)).toBe(0);
    expect(terminal.stderr.startsWith("iptun: warning: ")).toBe(isWarned);
    expect(terminal.stdout).toHaveLength(45);
  });

  it("names the mode in the warning", async () => {
    const terminal = new FakeTerminal();
    terminal.fileMode = 0o644;
    await runCli(["keygen"], terminal);
    expect(terminal.stderr.split("\n")[0]).toBe(
      "iptun: warning: standard output is a file that others can use (mode 0644); chmod 600 it, or use --out FILE",
    );
  });

  it("fails where the key cannot be written", async () => {
    const terminal = new FakeTerminal();
    terminal.outError = systemError("ENOSPC");
    expect(await runCli(["keygen"], terminal)).toBe(1);
    expect(terminal.stderr).toBe("iptun: ENOSPC: no such luck\n");
  });
});

describe("keygen to a file", () => {
  it("creates it with mode 0600, and prints only the fingerprint", async () => {
    const path = new ConfigFiles().path("site.key");
    const { code, terminal } = await cli("keygen", "--out", path);
    const text = readFileSync(path, "latin1");
    expect(code).toBe(0);
    expect(statSync(path).mode & 0o7777).toBe(0o600);
    expect(text).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
    expect(terminal.stdout).toBe("");
    expect(terminal.stderr).toBe(
      `iptun: key in ${path}, fingerprint ${await fingerprintOf(text)}\n`,
    );
    expect(terminal.stderr).not.toContain(text.slice(0, 8));
  });

  it("makes a file that a configuration accepts", async () => {
    const files = new ConfigFiles();
    await cli("keygen", "-o", files.path("site.key"));
    expect(files.problems(configText({ peer: 'key_file = "site.key"' }))).toEqual([]);
  });

  it("never overwrites", async () => {
    const files = new ConfigFiles();
    const path = files.write("site.key", "precious");
    const { code, terminal } = await cli("keygen", "--out", path);
    expect(code).toBe(1);
    expect(readFileSync(path, "latin1")).toBe("precious");
    expect(terminal.stderr).toBe(`iptun: ${path} exists already; a key is never overwritten\n`);
  });

  it("does not follow a link to where nothing is", async () => {
    const files = new ConfigFiles();
    symlinkSync(files.path("target"), files.path("link"));
    const { code } = await cli("keygen", "--out", files.path("link"));
    expect(code).toBe(1);
    expect(readdirSync(files.directory)).toEqual(["link"]);
  });

  it("says that the directory is missing", async () => {
    const path = new ConfigFiles().path("none/site.key");
    const { code, terminal } = await cli("keygen", "--out", path);
    expect(code).toBe(1);
    expect(terminal.stderr).toBe(`iptun: cannot create ${path}: its directory does not exist\n`);
  });

  it("says that the name is a directory's", async () => {
    const files = new ConfigFiles();
    mkdirSync(files.path("d"));
    const { code, terminal } = await cli("keygen", "--out", files.path("d"));
    expect(code).toBe(1);
    expect(terminal.stderr).toBe(
      `iptun: ${files.path("d")} exists already; a key is never overwritten\n`,
    );
  });

  it("in a place without room says so", async () => {
    const { code, terminal } = await cli("keygen", "--out", "/proc/iptun-key");
    expect([1, 4]).toContain(code);
    expect(terminal.stderr).toMatch(/^iptun: .*\/proc\/iptun-key.*\n$/);
  });
});

describe("keygen --group", () => {
  it("makes a key that says it is a group's, with the fingerprint of one", async () => {
    const { code, terminal } = await cli("keygen", "--group");
    expect(code).toBe(0);
    expect(terminal.stdout).toMatch(/^group:[A-Za-z0-9+/]{43}=\n$/);
    const parsed = parseKeyText(terminal.stdout);
    if ("fault" in parsed) throw new Error(parsed.fault);
    const { fingerprint } = deriveKeyRing(await loadSodium(), parsed.key, true);
    expect(terminal.stderr).toContain(`fingerprint ${fingerprint}`);
  });
});

async function cli(...args: readonly string[]) {
  const terminal = new FakeTerminal();
  return { code: await runCli(args, terminal), terminal };
}

async function fingerprintOf(text: string): Promise<string> {
  const parsed = parseKeyText(text);
  if ("fault" in parsed) throw new Error(parsed.fault);
  return deriveKeyRing(await loadSodium(), parsed.key).fingerprint;
}
