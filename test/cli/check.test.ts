/**
 * `iptun check`: the plan of a right configuration, every problem of a wrong one.
 */
import { describe, expect, it } from "vitest";
import { runCli } from "../../src/cli/program.ts";
import { deriveKeyRing } from "../../src/core/handshake/keys.ts";
import { loadSodium } from "../../src/crypto/sodium.ts";
import { Journal } from "../../src/daemon/host/journal.ts";
import { ownIdentity } from "../../src/daemon/process/run-identity.ts";
import { ConfigFiles, configText } from "../config/config-files.ts";
import { KEY_A, KEY_B } from "../helpers/config-samples.ts";
import { FakeTerminal } from "./fake-terminal.ts";

describe("check of a right configuration", () => {
  it("says what a group and a group's hub are", async () => {
    const group = configText({
      peer: `key = "group:${KEY_A}"\nlearn = true\nallowed_ips = ["10.0.0.0/24"]`,
    });
    const hub = configText({ peer: `key = "group:${KEY_A}"\nendpoint = "192.0.2.1:1194"` });
    const { terminal } = await check(group);
    expect(terminal.stdout).toContain("kind         group, of which this host is the hub");
    expect(terminal.stdout).toContain("endpoint     none: learned from each site's packets");
    const site = await check(hub);
    expect(site.terminal.stdout).toContain("kind         hub of a group, of which this host is a");
    const name = await fingerprint(KEY_A, true);
    expect(site.terminal.stdout).toContain(`key          ${name}`);
    expect(terminal.stdout).toContain(`key          ${name}`);
  });

  it("prints the plan", async () => {
    const { code, terminal, file } = await check(TWO_PEERS);
    const [a, b] = [await fingerprint(KEY_A), await fingerprint(KEY_B)];
    expect(code).toBe(0);
    expect(terminal.stderr).toBe("");
    expect(terminal.stdout).toBe(`${file}: ok
  interface  iptun0
  addresses  10.0.0.1/24, fd00::1/64
  mtu        auto: what each peer's path carries
  listen     [::]:1194
  device     eth0
  routes     10.1.0.0/16, fd00:1::/64, 10.2.0.0/16
  fwmark     0x2a
  dscp       not copied
  state      /var/lib/iptun
  offloads   tso, gso, gro; switched off: uso
  log        info, auto
peer b
  endpoint     vpn.example.org:1194
  allowed ips  10.1.0.0/16, fd00:1::/64, 10.0.0.2/32
  keys         ${a}, ${b}
  keepalive    25 s
  roaming      validated
peer c
  endpoint     [2001:db8::1]:1195
  allowed ips  10.2.0.0/16
  key          ${await fingerprint(KEY_C)}
  keepalive    off
  roaming      off
`);
  });

  it("prints the same as JSON", async () => {
    const { code, terminal, file } = await check(TWO_PEERS, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(terminal.stdout)).toMatchObject({
      ok: true,
      file,
      interface: {
        name: "iptun0",
        addresses: ["10.0.0.1/24", "fd00::1/64"],
        mtu: "auto",
        listen: "[::]:1194",
        device: "eth0",
        routes: true,
        fwmark: 42,
        copyDscp: false,
        firewall: false,
        stateDir: "/var/lib/iptun",
      },
      peers: [
        {
          name: "b",
          endpoints: ["vpn.example.org:1194"],
          allowedIps: ["10.1.0.0/16", "fd00:1::/64", "10.0.0.2/32"],
          isCatchAll: false,
          fingerprints: [await fingerprint(KEY_A), await fingerprint(KEY_B)],
          keepaliveSeconds: 25,
          roaming: "validated",
          rateBitsPerSecond: null,
        },
        { name: "c", endpoints: ["[2001:db8::1]:1195"] },
      ],
      routes: ["10.1.0.0/16", "fd00:1::/64", "10.2.0.0/16"],
      defaultRoute: [],
      limits: { sources: 4096 },
      offload: { tso: true, uso: false, gso: true, gro: true },
      log: { level: "info", format: "auto" },
      warnings: [],
    });
  });

  it("says what the only peer without prefixes gets", async () => {
    const { terminal } = await check(configText());
    expect(terminal.stdout).toContain(
      "  allowed ips  everything that is routed into the device; no default route is installed\n",
    );
    expect(terminal.stdout).toContain("  routes     none but those of the addresses\n");
    expect(terminal.stdout).toContain(
      "  endpoint     none: learned from the peer's first packet\n",
    );
  });

  it("says that DSCP is copied", async () => {
    const { terminal } = await check(configText({ device: "copy_dscp = true" }));
    expect(terminal.stdout).toContain("  dscp       copied to the outer header\n");
  });

  it("says what becomes of a default route", async () => {
    const peer = `key = "${KEY_A}"\nallowed_ips = ["0.0.0.0/0", "10.9.0.0/16", "::/0"]`;
    const { terminal } = await check(configText({ peer }));
    const json = await check(configText({ peer }), "--json");
    expect(terminal.stdout).toContain(`  routes     10.9.0.0/16
  default    all IPv4 and IPv6 into the tunnel, but for more specific routes of the main table
  fwmark     chosen at the start
  dscp       not copied
  firewall   packets to the addresses from elsewhere are dropped
`);
    expect(JSON.parse(json.terminal.stdout)).toMatchObject({
      interface: { fwmark: 0, firewall: true },
      routes: ["10.9.0.0/16"],
      defaultRoute: ["IPv4", "IPv6"],
    });
  });

  it("says what a killed run has left, until that is undone", async () => {
    const state = new ConfigFiles().directory;
    const dead = { ...ownIdentity(), startTicks: 1 };
    const journal = new Journal(state, "iptun0", dead);
    await journal.record({ kind: "firewall" });
    const left = await check(configText({ device: `state_dir = "${state}"` }));
    await journal.keep([]);
    const undone = await check(configText({ device: `state_dir = "${state}"` }));
    expect(left.terminal.stderr).toContain(
      `interface.state_dir: ${state}/iptun0.journal tells of a run that was killed and has left rules, routes or a firewall on this host; the next start undoes them\n`,
    );
    expect([left.code, undone.terminal.stderr]).toEqual([0, ""]);
  });

  it("says that routes are switched off", async () => {
    const peer = `key = "${KEY_A}"\nallowed_ips = ["0.0.0.0/0"]`;
    const { terminal } = await check(configText({ device: "routes = false", peer }));
    expect(terminal.stdout).toContain("  routes     none (routes = false)\n");
    expect(terminal.stdout).toContain("  allowed ips  0.0.0.0/0\n");
  });

  it("prints an IPv4-only listening address as such", async () => {
    const { terminal } = await check(configText({ device: 'listen = "0.0.0.0:4000"' }));
    expect(terminal.stdout).toContain("  listen     0.0.0.0:4000\n");
  });

  it("prints warnings on standard error, or in the JSON", async () => {
    const text = configText({ device: "mtu = 9000" });
    const warning =
      "interface.mtu: 9000 makes outer IPv6 packets of 9080 bytes, which paths of 1500 bytes carry in fragments; 1420 avoids that";
    const plain = await check(text);
    const json = await check(text, "--json");
    expect(plain.terminal.stderr).toBe(`iptun: warning: ${plain.file}: ${warning}\n`);
    expect(json.terminal.stderr).toBe("");
    expect(JSON.parse(json.terminal.stdout)).toMatchObject({ warnings: [warning] });
  });

  it.each(["", "--json"])("never prints a key (%s)", async (flag) => {
    const { terminal } = await check(TWO_PEERS, ...(flag === "" ? [] : [flag]));
    for (const key of [KEY_A, KEY_B, KEY_C]) {
      for (const form of formsOf(key))
        expect(terminal.stdout + terminal.stderr).not.toContain(form);
    }
  });
});

describe("check of a wrong configuration", () => {
  const WRONG = configText({ device: "mtu = 5", peer: `key = "${KEY_A}"\nroaming = "of"` });

  it("prints every problem on standard error and exits with 78", async () => {
    const { code, terminal, file } = await check(WRONG);
    expect(code).toBe(78);
    expect(terminal.stdout).toBe("");
    expect(terminal.stderr).toBe(
      `${file}:3: interface.mtu: is 5; expected "auto" or a whole number from 1280 to 65475\n` +
        `${file}:7: peer[b].roaming: is "of"; expected "validated" or "on" or "off"\n`,
    );
  });

  it("prints them as JSON too", async () => {
    const { code, terminal, file } = await check(WRONG, "--json");
    expect(code).toBe(78);
    expect(JSON.parse(terminal.stdout)).toEqual({
      ok: false,
      file,
      problems: [
        {
          line: 3,
          key: "interface.mtu",
          text: 'is 5; expected "auto" or a whole number from 1280 to 65475',
        },
        { line: 7, key: "peer[b].roaming", text: 'is "of"; expected "validated" or "on" or "off"' },
      ],
    });
  });

  it("names a syntax error's line and column", async () => {
    const { code, terminal, file } = await check("[interface]\nmtu = \n");
    expect(code).toBe(78);
    expect(terminal.stderr).toMatch(`${file}:2:7: `);
  });
});

describe("check", () => {
  it("takes the configuration before its name as well", async () => {
    const file = new ConfigFiles().write("c.toml", configText());
    const terminal = new FakeTerminal();
    expect(await runCli(["--config", file, "check"], terminal)).toBe(0);
    expect(terminal.stdout).toContain(`${file}: ok\n`);
  });

  it("needs a configuration", async () => {
    const terminal = new FakeTerminal();
    expect(await runCli(["check"], terminal)).toBe(2);
    expect(terminal.stderr).toBe("iptun: check needs a configuration: iptun check --config FILE\n");
  });

  it("of a file that does not exist exits with 78", async () => {
    const terminal = new FakeTerminal();
    expect(await runCli(["check", "-c", "/nonexistent/c.toml"], terminal)).toBe(78);
    expect(terminal.stderr).toBe("/nonexistent/c.toml: does not exist\n");
  });
});

const KEY_C = "Cs0CKQIHgrVjUtk91j1uE0K7OVXqVQJfoZEvyHqzs9A=";

const TWO_PEERS = `
[interface]
address = ["10.0.0.1/24", "fd00::1/64"]
device = "eth0"
fwmark = 42
[[peer]]
name = "b"
key = ["${KEY_A}", "${KEY_B}"]
endpoint = "vpn.example.org:1194"
allowed_ips = ["10.1.0.0/16", "fd00:1::/64", "10.0.0.2/32"]
keepalive = 25
[[peer]]
name = "c"
key = "${KEY_C}"
endpoint = "[2001:db8::1]:1195"
allowed_ips = ["10.2.0.0/16"]
roaming = "off"
[offload]
uso = false
`;

async function check(text: string, ...args: readonly string[]) {
  const file = new ConfigFiles().write("c.toml", text);
  const terminal = new FakeTerminal();
  return { code: await runCli(["check", "--config", file, ...args], terminal), terminal, file };
}

async function fingerprint(key: string, isGroup = false): Promise<string> {
  return deriveKeyRing(await loadSodium(), Buffer.from(key, "base64"), isGroup).fingerprint;
}

function formsOf(key: string): readonly string[] {
  const bytes = Buffer.from(key, "base64");
  return [key, bytes.toString("hex"), bytes.toString("base64url"), bytes.join(",")];
}
