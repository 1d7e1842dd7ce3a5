/**
 * Configurations that are right: every value arrives, every default is in place.
 */
import { describe, expect, it } from "vitest";
import { defaultFamilies, wantsFirewall } from "../../src/config/default-families.ts";
import { readKeyFile } from "../../src/config/key-source.ts";
import { checkConfig, wipeKeys } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { DEFAULT_LIMITS } from "../../src/core/options.ts";
import { formatAddress, formatPrefix } from "../../src/core/prefix.ts";
import { KEY_A, KEY_B } from "../helpers/config-samples.ts";
import { ConfigFiles, configOf, configText } from "./config-files.ts";

describe("a configuration", () => {
  it("may be one peer and its key", () => {
    const config = configOf(`[[peer]]\nkey = "${KEY_A}"\n`);
    const { interface: device, peers, limits, offload, log } = config;
    expect(device).toEqual({
      name: "iptun0",
      addresses: [],
      mtu: "auto",
      mtuProbeSeconds: 600,
      listen: { address: new Uint8Array(16), port: 1194 },
      device: "",
      routes: true,
      fwmark: 0,
      copyDscp: false,
      firewall: "auto",
      stateDir: "/var/lib/iptun",
    });
    expect(peers).toHaveLength(1);
    expect(peers[0]).toMatchObject({
      name: "peer1",
      endpoints: [],
      isCatchAll: true,
      keepaliveSeconds: 0,
      roaming: "validated",
    });
    expect(limits).toEqual(DEFAULT_LIMITS);
    expect(offload).toEqual({ tso: true, uso: true, gso: true, gro: true });
    expect(log).toEqual({ level: "info", format: "auto" });
  });

  it("says every value", () => {
    const files = new ConfigFiles();
    const config = files.load(FULL);
    const { interface: device, peers } = config;
    expect(config.file).toBe(files.path("c.toml"));
    expect(
      device.addresses.map((one) => [formatAddress(one.bytes), one.prefixLength, one.family]),
    ).toEqual([
      ["10.0.0.1", 24, 4],
      ["fd00::1", 64, 6],
    ]);
    expect(device).toMatchObject({
      name: "tun7",
      mtu: 1300,
      mtuProbeSeconds: 30,
      device: "eth0",
      routes: false,
      fwmark: 0x1234,
      copyDscp: true,
      firewall: true,
      stateDir: "/tmp/state",
    });
    expect(formatAddress(device.listen.address)).toBe("192.0.2.1");
    expect(device.listen.port).toBe(4000);
    expect(peers.map((peer) => peer.name)).toEqual(["b", "Zürich-1"]);
    expect(peers.map((peer) => peer.endpoints)).toEqual([
      [{ host: "vpn.example.org", port: 1195 }],
      [],
    ]);
    expect(peers.map((peer) => peer.allowedIps.map(formatPrefix))).toEqual([
      ["0.0.0.0/0", "fd00:1::/32"],
      ["10.2.0.0/16"],
    ]);
    expect(peers.map((peer) => peer.keepaliveSeconds)).toEqual([25, 65_535]);
    expect(peers.map((peer) => peer.roaming)).toEqual(["on", "off"]);
    expect(peers.map((peer) => peer.isCatchAll)).toEqual([false, false]);
    expect(config.limits).toEqual({
      sourceRatePerSecond: 1,
      sourceBurst: 2,
      sources: 64,
      handshakesPerSecond: 4,
      handshakeBurst: 5,
      handshakesPerSecondTotal: 6,
    });
    expect(config.offload).toEqual({ tso: false, uso: true, gso: false, gro: false });
    expect(config.log).toEqual({ level: "debug", format: "json" });
  });

  it("may use dotted keys, inline tables and quoted names", () => {
    const text = `interface.mtu = 1400\n"interface".'routes' = false\npeer = [{ name = "b", key = "${KEY_A}" }]\n`;
    expect(configOf(text).interface).toMatchObject({ mtu: 1400, routes: false });
  });

  it("may write whole numbers in every form of TOML", () => {
    const device = "mtu = 1_400\nfwmark = 0xff";
    expect(configOf(configText({ device })).interface).toMatchObject({ mtu: 1400, fwmark: 255 });
  });
});

it.each(["tso", "uso", "gso", "gro"])("offload.%s can be switched off alone", (name) => {
  const all = { tso: true, uso: true, gso: true, gro: true };
  const { offload } = configOf(`${configText()}[offload]\n${name} = false\n`);
  expect(offload).toEqual({ ...all, [name]: false });
});

describe("listen", () => {
  it.each([
    ["[::]:1194", "00000000000000000000000000000000", 1194],
    ["0.0.0.0:0", "00000000000000000000ffff00000000", 0],
    ["192.0.2.1:65535", "00000000000000000000ffffc0000201", 65_535],
    ["[2001:db8::1]:1", "20010db8000000000000000000000001", 1],
    ["[::ffff:192.0.2.1]:1", "00000000000000000000ffffc0000201", 1],
  ])("%s is 16 bytes and a port", (listen, address, port) => {
    const config = configOf(configText({ device: `listen = "${listen}"` }));
    expect(Buffer.from(config.interface.listen.address).toString("hex")).toBe(address);
    expect(config.interface.listen.port).toBe(port);
  });
});

describe("the only peer", () => {
  it.each(["", "allowed_ips = []"])("takes everything with %j", (line) => {
    const [peer] = configOf(configText({ peer: `key = "${KEY_A}"\n${line}` })).peers;
    expect(peer?.isCatchAll).toBe(true);
    expect(peer?.allowedIps.map(formatPrefix)).toEqual(["0.0.0.0/0", "::/0"]);
  });

  it("may name the default routes where no routes are installed", () => {
    const peer = `key = "${KEY_A}"\nallowed_ips = ["0.0.0.0/0", "::/0"]`;
    const [only] = configOf(configText({ device: "routes = false", peer })).peers;
    expect(only?.isCatchAll).toBe(false);
    expect(only?.allowedIps).toHaveLength(2);
  });

  it.each(["true", "false"])("may have its endpoint inside its own /0, routes = %s", (routes) => {
    const peer = `key = "${KEY_A}"\nallowed_ips = ["0.0.0.0/0"]\nendpoint = "192.0.2.1:1194"`;
    expect(configOf(configText({ device: `routes = ${routes}`, peer })).peers).toHaveLength(1);
  });
});

describe("the families whose default route leads through the tunnel", () => {
  it.each([
    ["of a peer that names everything", "", '"0.0.0.0/0", "::/0"', [4, 6]],
    ["of one family", "", '"10.0.0.0/8", "::/0"', [6]],
    ["of halves, which are routes like others", "", '"0.0.0.0/1", "128.0.0.0/1"', []],
    ["of a peer without prefixes", "", "", []],
    ["without routes", "routes = false", '"0.0.0.0/0"', []],
  ])("%s", (_, device, prefixes, expected) => {
    const config = configOf(
      configText({ device, peer: `key = "${KEY_A}"\nallowed_ips = [${prefixes}]` }),
    );
    expect(defaultFamilies(config)).toEqual(expected);
    expect(wantsFirewall(config)).toBe(expected.length > 0);
  });

  it.each([true, false])("do not matter to a firewall that is set to %s", (firewall) => {
    for (const prefixes of ['"::/0"', '"fd01::/16"']) {
      const peer = `key = "${KEY_A}"\nallowed_ips = [${prefixes}]`;
      const config = configOf(configText({ device: `firewall = ${firewall}`, peer }));
      expect(wantsFirewall(config)).toBe(firewall);
    }
  });
});

describe("endpoint", () => {
  it.each([
    ["192.0.2.1:1194", "192.0.2.1", 1194],
    ["[2001:db8::1]:65535", "2001:db8::1", 65_535],
    ["a-b.example:1", "a-b.example", 1],
    ["host_1.example.:1", "host_1.example.", 1],
    ["localhost:1", "localhost", 1],
  ])("%s is a host and a port", (endpoint, host, port) => {
    const peer = `key = "${KEY_A}"\nendpoint = "${endpoint}"`;
    expect(configOf(configText({ peer })).peers[0]?.endpoints).toEqual([{ host, port }]);
  });
});

it("several endpoints keep their order, and when the next is tried", () => {
  const endpoints = `["vpn.example.org:1", "192.0.2.1:2"]`;
  const peer = `key = "${KEY_A}"\nendpoint = ${endpoints}\nfailover_ms = 500`;
  expect(configOf(configText({ peer })).peers[0]).toMatchObject({
    endpoints: [
      { host: "vpn.example.org", port: 1 },
      { host: "192.0.2.1", port: 2 },
    ],
    failoverMs: 500,
  });
});

it.each([
  ["64kbit", 64e3],
  ["1.5mbit", 1.5e6],
  ["45mbit", 45e6],
  ["100gbit", 100e9],
  ["", undefined],
])('a rate of "%s" is %s bits a second', (rate, expected) => {
  const peer = `key = "${KEY_A}"\nrate = "${rate}"`;
  expect(configOf(configText({ peer })).peers[0]?.rateBitsPerSecond).toBe(expected);
});

describe("keys", () => {
  it("keep their order", () => {
    const [peer] = configOf(configText({ peer: `key = ["${KEY_B}", "${KEY_A}"]` })).peers;
    expect(peer?.keys.map((key) => Buffer.from(key).toString("base64"))).toEqual([KEY_B, KEY_A]);
  });

  it("are overwritten on request", () => {
    const config = configOf(configText({ peer: `key = ["${KEY_B}", "${KEY_A}"]` }));
    wipeKeys(config);
    expect(config.peers[0]?.keys).toEqual([new Uint8Array(32), new Uint8Array(32)]);
  });

  it.each(["", "\xff", "[[peer]\n"])(
    "leave no bytes of the file behind, also before %j",
    (rest) => {
      const text = `${configText({ peer: `key = "${KEY_A}"` })}${rest}`;
      const bytes = Buffer.from(text, "latin1");
      const identity = { uid: 0, gid: 0 };
      const stats = { mode: 0o600, ...identity };
      const source = { file: "c.toml", identity, credentials: undefined, readKeyFile };
      try {
        wipeKeys(checkConfig({ bytes, stats }, source));
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
      }
      expect(bytes.every((byte) => byte === 0)).toBe(true);
    },
  );

  it("in a key file leave no bytes of it behind, right or wrong", () => {
    const read: Buffer[] = [];
    const identity = { uid: 0, gid: 0 };
    const stats = { mode: 0o600, ...identity };
    for (const text of [`${KEY_A}\n`, ` ${KEY_A}\n`]) {
      const bytes = Buffer.from(configText({ peer: 'key_file = "k"' }));
      const readFile = () => {
        const content = Buffer.from(text);
        read.push(content);
        return { bytes: content, stats };
      };
      const source = { file: "c.toml", identity, credentials: undefined, readKeyFile: readFile };
      try {
        wipeKeys(checkConfig({ bytes, stats }, source));
      } catch (error) {
        expect(String(error)).not.toContain(KEY_A);
      }
    }
    expect(read.map((bytes) => bytes.every((byte) => byte === 0))).toEqual([true, true]);
  });
});

const FULL = `
[interface]
name = "tun7"
address = ["10.0.0.1/24", "fd00::1/64"]
mtu = 1300
mtu_probe_seconds = 30
listen = "192.0.2.1:4000"
device = "eth0"
routes = false
fwmark = 0x1234
copy_dscp = true
firewall = true
state_dir = "/tmp/state"

[[peer]]
name = "b"
key = "${KEY_A}"
endpoint = "vpn.example.org:1195"
allowed_ips = ["0.0.0.0/0", "fd00:1::/32"]
keepalive = 25
roaming = "on"

[[peer]]
name = "Zürich-1"
key = ["${KEY_B}"]
allowed_ips = ["10.2.0.0/16"]
keepalive = 65535
roaming = "off"

[limits]
source_rate_per_second = 1
source_burst = 2
sources = 64
handshakes_per_second = 4
handshake_burst = 5
handshakes_per_second_total = 6

[offload]
tso = false
uso = true
gso = false
gro = false

[log]
level = "debug"
format = "json"
`;
