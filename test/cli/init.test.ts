/**
 * `iptun init` by flags: what it writes, and that it writes all of it or nothing.
 */
import { existsSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { init as initCommand } from "../../src/cli/init.ts";
import { runCli } from "../../src/cli/program.ts";
import { parsePrefix } from "../../src/core/prefix.ts";
import { ConfigFiles } from "../config/config-files.ts";
import { FakeTerminal, systemError } from "./fake-terminal.ts";
import { FLAGS, init, loaded, modes, texts } from "./init-fixtures.ts";

const EXPOSED = "standard output is a file that others can use (mode 0644)";

describe("init", () => {
  it("makes a configuration, its key and the other host's file, each for its owner alone", async () => {
    const { code, files } = await init(FLAGS);
    expect(code).toBe(0);
    expect(modes(files)).toEqual({
      "branch.toml": 0o600,
      "iptun0.key": 0o600,
      "iptun0.toml": 0o600,
    });
  });

  it("makes two configurations that fit each other", async () => {
    const { files } = await init(FLAGS);
    const [here, there] = [loaded(files, "iptun0.toml"), loaded(files, "branch.toml")];
    expect(here).toMatchObject({
      name: "iptun0",
      addresses: ["10.77.0.1/24", "fd77::1/64"],
      port: 1194,
      peer: "branch",
      endpoints: [],
      allowedIps: ["10.77.0.2/32", "fd77::2/128"],
      keepalive: 0,
    });
    expect(there).toEqual({
      name: "iptun0",
      addresses: ["10.77.0.2/24", "fd77::2/64"],
      port: 0,
      peer: "hub",
      endpoints: ["203.0.113.5:1194"],
      allowedIps: ["10.77.0.1/32", "fd77::1/128"],
      keepalive: 25,
      key: here.key,
    });
  });

  it("gives each host the networks behind the other", async () => {
    const lists = ["--networks", "10.1.0.0/16", "--peer-networks", "10.2.0.0/16, 2001:db8::/48"];
    const { files } = await init([...FLAGS, ...lists]);
    expect(loaded(files, "iptun0.toml").allowedIps).toEqual([
      ...["10.77.0.2/32", "fd77::2/128", "10.2.0.0/16", "2001:db8::/48"],
    ]);
    expect(loaded(files, "branch.toml").allowedIps).toEqual([
      ...["10.77.0.1/32", "fd77::1/128", "10.1.0.0/16"],
    ]);
  });

  it("lets both call where both can be reached", async () => {
    const { files } = await init([...FLAGS, "--peer-endpoint", "[2001:db8::9]:500"]);
    expect(loaded(files, "iptun0.toml")).toMatchObject({
      port: 1194,
      endpoints: ["[2001:db8::9]:500"],
      keepalive: 0,
    });
    expect(loaded(files, "branch.toml")).toMatchObject({ port: 500, keepalive: 0 });
  });

  it("draws another free range of both families each time where none is given", async () => {
    const made = await Promise.all(
      [1, 2].map(() => init(["--name", "hub", "--endpoint", "hub.example.org:1194"])),
    );
    const [first, second] = made.map(({ files }) => loaded(files, "iptun0.toml").addresses);
    expect(first?.[0]).toMatch(/^10\.\d+\.\d+\.1\/24$/);
    expect(first?.[1]).toMatch(/^fd[0-9a-f]{2}:[0-9a-f:]+::1\/64$/);
    expect(first?.[1]).not.toBe(second?.[1]);
  });

  it("names no key, but its fingerprint", async () => {
    const { terminal, files } = await init(FLAGS);
    const { key } = loaded(files, "iptun0.toml");
    expect(key).toHaveLength(44);
    expect(terminal.stdout).toBe("");
    expect(terminal.stderr).not.toContain(key.slice(0, 12));
    expect(terminal.stderr).toMatch(/, fingerprint [0-9a-f]{8}\n/);
  });

  it("says what to do next, by commands that name the files", async () => {
    const { terminal, files } = await init(FLAGS);
    const [branch, config] = [files.path("branch.toml"), files.path("iptun0.toml")];
    const commands = terminal.stderr.split("Next, as root:\n")[1];
    expect(commands).toBe(
      `  On branch:
    mkdir -p /etc/iptun
    scp -p root@203.0.113.5:${branch} /etc/iptun/iptun0.toml
    iptun check --config /etc/iptun/iptun0.toml
    iptun --config /etc/iptun/iptun0.toml
  On hub:
    rm ${branch}
    iptun check --config ${config}
    iptun --config ${config}
  Then, on branch:
    ping 10.77.0.1
`,
    );
  });

  it("brings the file to the other host where that one can be reached, and lets it forward", async () => {
    const args = ["--name", "site", "--peer-endpoint", "[2001:db8::9]:500"];
    const { terminal, files } = await init([...args, "--peer-networks", "10.2.0.0/16"]);
    const peer = files.path("peer.toml");
    expect(terminal.stderr).toContain(`  On site:
    ssh root@2001:db8::9 mkdir -p /etc/iptun
    scp -p ${peer} 'root@[2001:db8::9]:/etc/iptun/iptun0.toml'
    rm ${peer}
`);
    expect(terminal.stderr).toContain(`  On peer:
    sysctl -w net.ipv4.ip_forward=1
    iptun check --config`);
  });

  it("prints what a configuration is warned of", async () => {
    const { terminal, files } = await init([...FLAGS, "--networks", "0.0.0.0/0"]);
    expect(terminal.stderr).toContain(
      `iptun: warning: ${files.path("branch.toml")}: peer[hub].allowed_ips: has the default route`,
    );
  });
});

describe("init --peer-out", () => {
  it("takes another place for the other host's file", async () => {
    const files = new ConfigFiles();
    await init([...FLAGS, "--peer-out", files.path("other")], files);
    expect(readdirSync(files.directory)).toEqual(["iptun0.key", "iptun0.toml", "other"]);
    expect(loaded(files, "other").peer).toBe("hub");
  });

  it("- prints it, and everything else on standard error", async () => {
    const { terminal, files } = await init([...FLAGS, "--peer-out", "-"]);
    expect(readdirSync(files.directory)).toEqual(["iptun0.key", "iptun0.toml"]);
    files.write("printed.toml", terminal.stdout);
    expect(loaded(files, "printed.toml")).toMatchObject({
      peer: "hub",
      key: loaded(files, "iptun0.toml").key,
    });
    expect(terminal.stderr).not.toContain("warning");
  });

  it("- warns where standard output is a file that others can read", async () => {
    const terminal = new FakeTerminal();
    terminal.fileMode = 0o644;
    await init([...FLAGS, "--peer-out", "-"], new ConfigFiles(), terminal);
    expect(terminal.stderr).toContain(
      `iptun: warning: ${EXPOSED}; chmod 600 it, or use --peer-out FILE\n`,
    );
  });

  it.each(["EPIPE", "ENOSPC"])("- keeps nothing where printing fails with %s", async (error) => {
    const terminal = new FakeTerminal();
    terminal.outError = systemError(error);
    const { code, files } = await init([...FLAGS, "--peer-out", "-"], new ConfigFiles(), terminal);
    expect(code).toBe(1);
    expect(readdirSync(files.directory)).toEqual([]);
    expect(terminal.stderr).toContain(
      `iptun: cannot write the other host's file to standard output: ${error}: no such luck; nothing was kept\n`,
    );
  });
});

describe("init writes all or nothing", () => {
  it.each([
    ["iptun0.toml", "a configuration"],
    ["iptun0.key", "a key"],
    ["branch.toml", "a configuration"],
  ])("where %s is there", async (name, noun) => {
    const files = new ConfigFiles();
    files.write(name, "precious");
    const { code, terminal } = await init(FLAGS, files);
    expect(code).toBe(1);
    expect(texts(files)).toEqual({ [name]: "precious" });
    const line = `iptun: ${files.path(name)} exists already; ${noun} is never overwritten\n`;
    expect(terminal.stderr).toBe(line);
  });

  it("where the other host's file has no directory", async () => {
    const files = new ConfigFiles();
    const { code, terminal } = await init([...FLAGS, "--peer-out", files.path("no/b")], files);
    expect(code).toBe(1);
    expect(readdirSync(files.directory)).toEqual([]);
    expect(terminal.stderr).toContain("its directory does not exist");
  });

  it("where a link to nothing has the name", async () => {
    const files = new ConfigFiles();
    symlinkSync(files.path("target"), files.path("branch.toml"));
    const { code } = await init(FLAGS, files);
    expect(code).toBe(1);
    expect(readdirSync(files.directory)).toEqual(["branch.toml"]);
  });
});

describe("init --dry-run", () => {
  it("prints what would be written, without a key, and writes nothing", async () => {
    const { code, terminal, files } = await init([...FLAGS, "--dry-run"]);
    expect(code).toBe(0);
    expect(readdirSync(files.directory)).toEqual([]);
    expect(terminal.stderr).toBe("");
    expect(terminal.stdout).toMatch(/^key = "\(a new key\)"$/m);
    expect(terminal.stdout).not.toMatch(/[A-Za-z0-9+/]{43}=/);

    const real = await init(FLAGS, files);
    const { "iptun0.key": key = "", ...written } = texts(files);
    expect(real.code).toBe(0);
    for (const text of Object.values(written)) {
      expect(terminal.stdout).toContain(text.replace(key.trimEnd(), "(a new key)"));
    }
  });

  it("says which file would be in the way", async () => {
    const files = new ConfigFiles();
    files.write("branch.toml", "precious");
    const { code, terminal } = await init([...FLAGS, "--dry-run"], files);
    expect(code).toBe(1);
    expect(terminal.stdout).toBe("");
    expect(terminal.stderr).toContain("branch.toml exists already");
  });
});

describe("init without --out", () => {
  const answers = { endpoint: "hub.example.org:1194", name: "hub", interface: "wan0" };
  const request = { answers, out: undefined, peerOut: undefined, isDryRun: false };

  it("makes the directory, and files named by interface and peer", async () => {
    const directory = new ConfigFiles().path("iptun");
    await initCommand(request, new FakeTerminal(), undefined, directory);
    expect(readdirSync(directory)).toEqual(["peer.toml", "wan0.key", "wan0.toml"]);
  });

  it("leaves a directory that it did not make, and no other", async () => {
    const terminal = new FakeTerminal();
    terminal.outError = systemError("EPIPE");
    const files = new ConfigFiles();
    const [made, own] = [files.path("made"), files.path("own")];
    mkdirSync(own);
    for (const directory of [made, own]) {
      const run = initCommand({ ...request, peerOut: "-" }, terminal, undefined, directory);
      await expect(run).rejects.toThrow("nothing was kept");
    }
    expect(existsSync(made)).toBe(false);
    expect(readdirSync(own)).toEqual([]);
  });

  it("keeps apart from the networks that this host has", async () => {
    const random = (length: number) => new Uint8Array(length);
    const taken = ["10.0.0.0/8", "172.16.0.0/16"].flatMap((text) => {
      const parsed = parsePrefix(text);
      return "fault" in parsed ? [] : [parsed.prefix];
    });
    const around = { hostName: "h", networks: taken, random };
    const directory = new ConfigFiles().path("iptun");
    const terminal = new FakeTerminal();
    await initCommand({ ...request, isDryRun: true }, terminal, around, directory);
    expect(terminal.stdout).toContain('address = ["192.168.0.1/24", "fd00::1/64"]');
  });
});

it("names each value in its help", async () => {
  const terminal = new FakeTerminal();
  await runCli(["init", "--help"], terminal);
  const flags = ["--endpoint", "--peer-endpoint", "--networks", "--address", "--dry-run"];
  for (const flag of flags) expect(terminal.stdout).toContain(flag);
});

it("writes a key file's name that a TOML string must escape", async () => {
  const files = new ConfigFiles();
  const out = join(files.directory, 'a "b" \\c.toml');
  const terminal = new FakeTerminal();
  expect(await runCli(["init", ...FLAGS, "--out", out], terminal)).toBe(0);
  expect(loaded(files, 'a "b" \\c.toml').peer).toBe("branch");
});
