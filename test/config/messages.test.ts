/**
 * Every mistake in a configuration, and the exact line that it gives.
 *
 * `configText` puts what is tested at line 3 (interface) or line 6 (peer).
 */
import { describe, expect, it } from "vitest";
import { KEY_A, KEY_B } from "../helpers/config-samples.ts";
import { configText, problemsOf } from "./config-files.ts";

const LISTEN = 'expected "address:port", such as "[::]:1194", "0.0.0.0:1194" or "192.0.2.1:1194"';
const ENDPOINT =
  'expected "host:port", such as "vpn.example.org:1194", "192.0.2.1:1194" or "[2001:db8::1]:1194"';
const NAME =
  'expected 1 to 15 of a-z, A-Z, 0-9, ".", "_", "@" and "-", no "-" first, and not ".", "..", "all" or "default"';
const KEY = "make one with `iptun keygen`";

describe("interface", () => {
  const cases: readonly (readonly [line: string, expected: string])[] = [
    [
      'name = "abcdefghijklmnop"',
      'name: "abcdefghijklmnop" has 16 bytes; expected at most 15; shorten it',
    ],
    ['name = "äöüäöüäö"', 'name: "äöüäöüäö" has 16 bytes; expected at most 15; shorten it'],
    ['name = ""', `name: "" cannot name a device; ${NAME}`],
    ['name = "a/b"', `name: "a/b" cannot name a device; ${NAME}`],
    ['name = "a b"', `name: "a b" cannot name a device; ${NAME}`],
    ['name = "a:b"', `name: "a:b" cannot name a device; ${NAME}`],
    ['name = "tun%d"', `name: "tun%d" cannot name a device; ${NAME}`],
    ['name = ".."', `name: ".." cannot name a device; ${NAME}`],
    ['name = "default"', `name: "default" cannot name a device; ${NAME}`],
    ['name = "tun&x"', `name: "tun&x" cannot name a device; ${NAME}`],
    ['name = "tün"', `name: "tün" cannot name a device; ${NAME}`],
    ["name = 'a\"b'", `name: "a\\"b" cannot name a device; ${NAME}`],
    ['name = "-x"', `name: "-x" cannot name a device; ${NAME}`],
    ["name = 5", "name: is 5; expected a device name of 1 to 15 bytes"],
    ['device = "a/b"', `device: "a/b" cannot name a device; ${NAME}`],
    ["mtu = 1279", 'mtu: is 1279; expected "auto" or a whole number from 1280 to 65475'],
    ["mtu = 65476", 'mtu: is 65476; expected "auto" or a whole number from 1280 to 65475'],
    ["mtu = 1420.5", 'mtu: is 1420.5; expected "auto" or a whole number from 1280 to 65475'],
    ["mtu = nan", 'mtu: is NaN; expected "auto" or a whole number from 1280 to 65475'],
    ['mtu = "1420"', 'mtu: is "1420"; expected "auto" or a whole number from 1280 to 65475'],
    ["mtu = [1420]", 'mtu: is a list; expected "auto" or a whole number from 1280 to 65475'],
    [
      "mtu = 1979-05-27",
      'mtu: is a date or time; expected "auto" or a whole number from 1280 to 65475',
    ],
    ["mtu.size = 1420", 'mtu: is a table; expected "auto" or a whole number from 1280 to 65475'],
    [
      "mtu = 65456",
      "mtu: is 65456; expected at most 65455 where datagrams can travel over IPv6; lower it",
    ],
    ["mtu = 9007199254740992", "mtu: is a number of 2^53 or more; expected a smaller one"],
    ["mtu = 18446744073709552896", "mtu: is a number of 2^53 or more; expected a smaller one"],
    ["copy_dscp = 1", "copy_dscp: is 1; expected true or false"],
    ["fwmark = -1", "fwmark: is -1; expected a whole number from 0 to 4294967295"],
    [
      "fwmark = 0x1_0000_0000",
      "fwmark: is 4294967296; expected a whole number from 0 to 4294967295",
    ],
    ['routes = "yes"', 'routes: is "yes"; expected true or false'],
    ['firewall = "yes"', 'firewall: is "yes"; expected "auto", true or false'],
    ["firewall = 1", 'firewall: is 1; expected "auto", true or false'],
    [
      'state_dir = "state"',
      'state_dir: "state" is not an absolute path; expected one such as "/var/lib/iptun"',
    ],
    [
      'state_dir = "/a\\u0000b"',
      "state_dir: holds a control character; expected printable text on one line",
    ],
    ['listen = "[::]"', `listen: "[::]" has no port; ${LISTEN}`],
    ['listen = "::"', `listen: "::" has an IPv6 address without brackets; ${LISTEN}`],
    ['listen = "::1:1194"', `listen: "::1:1194" has an IPv6 address without brackets; ${LISTEN}`],
    ['listen = "1194"', `listen: "1194" has no port; ${LISTEN}`],
    ['listen = "0.0.0.0:65536"', `listen: "0.0.0.0:65536" has a port above 65535; ${LISTEN}`],
    ['listen = "0.0.0.256:1"', `listen: "0.0.0.256:1" has no valid IPv4 address; ${LISTEN}`],
    [
      'listen = "[fe80::1%eth0]:1"',
      `listen: "[fe80::1%eth0]:1" has a zone, which is not supported; remove it; ${LISTEN}`,
    ],
    ['listen = "localhost:1194"', `listen: "localhost:1194" has a host name; ${LISTEN}`],
    ['listen = "[ff02::1]:1194"', `listen: "[ff02::1]:1194" is a multicast address; ${LISTEN}`],
    [
      'listen = "[10.0.0.1]:1194"',
      `listen: "[10.0.0.1]:1194" has no IPv6 address between its brackets; ${LISTEN}`,
    ],
    [
      "adress = []",
      'adress: unknown key "adress"; expected name, address, mtu, mtu_probe_seconds, listen, device, routes, fwmark, copy_dscp, firewall, state_dir; did you mean address?',
    ],
    [
      "allowed_ips = []",
      'allowed_ips: unknown key "allowed_ips"; expected name, address, mtu, mtu_probe_seconds, listen, device, routes, fwmark, copy_dscp, firewall, state_dir; did you mean allowed_ips in [[peer]]?',
    ],
  ];

  it.each(cases)("refuses %s", (line, expected) => {
    expect(problemsOf(configText({ device: line }))).toEqual([`c.toml:3: interface.${expected}`]);
  });
});

describe("interface address", () => {
  const LIST = 'expected a list of addresses with prefix length, such as ["10.0.0.1/24"]';
  const PREFIX = 'expected an address with its prefix length, such as "10.0.0.1/24"';
  const cases: readonly (readonly [value: string, expected: string])[] = [
    [
      '["10.0.0.1"]',
      `"10.0.0.1" has no prefix length; ${PREFIX}; write "/32" after it if it stands alone`,
    ],
    [
      '["fd00::1"]',
      `"fd00::1" has no prefix length; ${PREFIX}; write "/128" after it if it stands alone`,
    ],
    ['["10.0.0.1/33"]', '"10.0.0.1/33" has a prefix length that is not 0 to 32'],
    ['["10.0.0.1/024"]', '"10.0.0.1/024" has a prefix length that is not 0 to 32'],
    ['["10.0.0.01/24"]', '"10.0.0.01/24" is not an IPv4 or IPv6 prefix'],
    [
      '["10.0.0.1/0"]',
      '"10.0.0.1/0" has prefix length 0, which would take in every address; expected 1 or more',
    ],
    ['["0.0.0.0/8"]', '"0.0.0.0/8" is the unspecified address; expected the address of one host'],
    ['["224.0.0.1/24"]', '"224.0.0.1/24" is a multicast address; expected the address of one host'],
    ['["10.0.0.1/24", "10.0.0.1/16"]', '"10.0.0.1/16" is listed twice; remove one'],
    ['"10.0.0.1/24"', `is "10.0.0.1/24"; ${LIST}`],
    ["[1]", `is 1; ${LIST}`],
    ['["10.0.0.1/24", ["a"]]', `is a list; ${LIST}`],
  ];

  it.each(cases)("refuses %s", (value, expected) => {
    const text = `[interface]\naddress = ${value}\n[[peer]]\nkey = "${KEY_A}"\n`;
    expect(problemsOf(text)).toEqual([`c.toml:2: interface.address: ${expected}`]);
  });

  it("names the line of the element in a list of several lines", () => {
    const text = `[interface]\naddress = [\n  "10.0.0.1/24", # one\n  "10.0.0.2",\n]\n[[peer]]\nkey = "${KEY_A}"\n`;
    expect(problemsOf(text)).toEqual([
      `c.toml:4: interface.address: "10.0.0.2" has no prefix length; ${PREFIX}; write "/32" after it if it stands alone`,
    ]);
  });
});

describe("MTU and outer family", () => {
  it("allows 65475 where the socket is IPv4 only", () => {
    expect(problemsOf(configText({ device: 'mtu = 65475\nlisten = "0.0.0.0:1194"' }))).toEqual([]);
  });

  it("refuses more than 65455 on an IPv6 address", () => {
    const text = configText({ device: 'listen = "[2001:db8::1]:1194"\nmtu = 65456' });
    expect(problemsOf(text)).toEqual([
      "c.toml:4: interface.mtu: is 65456; expected at most 65455 where datagrams can travel over IPv6; lower it",
    ]);
  });
});

describe("peer", () => {
  const key = `key = "${KEY_A}"`;
  const cases: readonly (readonly [lines: string, line: number, expected: string])[] = [
    [
      "",
      4,
      "peer[b]: has no key; expected key_file or key; make one with `iptun keygen --out FILE`",
    ],
    ['key = ""', 6, `peer[b].key: the key is empty; ${KEY}`],
    [
      'key = "correct horse battery staple"',
      6,
      `peer[b].key: the key is not standard base64 (passphrases are not accepted); ${KEY}`,
    ],
    ['key = "AAAA"', 6, `peer[b].key: the key has 3 bytes, expected 32; ${KEY}`],
    [`key = "${"A".repeat(43)}="`, 6, `peer[b].key: the key is all zero; ${KEY}`],
    [`key = "${"/".repeat(42)}8="`, 6, `peer[b].key: the key is one byte repeated; ${KEY}`],
    [
      "key = 5",
      6,
      "peer[b].key: is a number; expected one line of base64 as `iptun keygen` prints it, or a list of such",
    ],
    [
      "key = []",
      6,
      "peer[b].key: is a list; expected one line of base64 as `iptun keygen` prints it, or a list of such",
    ],
    [
      `key = ["${KEY_A}", 5]`,
      6,
      "peer[b].key: is a list; expected one line of base64 as `iptun keygen` prints it, or a list of such",
    ],
    [
      "key_file = 5",
      6,
      "peer[b].key_file: is 5; expected the path of a key file, or a list of paths",
    ],
    ['key_file = ""', 6, "peer[b].key_file: is empty; expected the path of a key file"],
    ['key_file = "none.key"', 6, 'peer[b].key_file: key file "none.key" does not exist'],
    [
      `key_file = "${KEY_A}"`,
      6,
      "peer[b].key_file: holds a key itself; expected the path of a key file; use key instead",
    ],
    [`${key}\nendpoint = "a.example"`, 7, `peer[b].endpoint: "a.example" has no port; ${ENDPOINT}`],
    [
      `${key}\nendpoint = "a.example:0"`,
      7,
      `peer[b].endpoint: "a.example:0" has port 0; ${ENDPOINT}`,
    ],
    [
      `${key}\nendpoint = "2001:db8::1:1194"`,
      7,
      `peer[b].endpoint: "2001:db8::1:1194" has an IPv6 address without brackets; ${ENDPOINT}`,
    ],
    [
      `${key}\nendpoint = "a_-.example:1"`,
      7,
      `peer[b].endpoint: "a_-.example:1" has no valid host name; ${ENDPOINT}`,
    ],
    [
      `${key}\nendpoint = "10.1:1194"`,
      7,
      `peer[b].endpoint: "10.1:1194" has no valid IPv4 address; ${ENDPOINT}`,
    ],
    [
      `${key}\nendpoint = "0.0.0.0:1194"`,
      7,
      `peer[b].endpoint: "0.0.0.0:1194" is the unspecified address; ${ENDPOINT}`,
    ],
    [
      `${key}\nendpoint = "255.255.255.255:1194"`,
      7,
      `peer[b].endpoint: "255.255.255.255:1194" is the broadcast address; ${ENDPOINT}`,
    ],
    [
      `${key}\nendpoint = 1194`,
      7,
      'peer[b].endpoint: is 1194; expected "host:port" or a list of such',
    ],
    [
      `${key}\nrate = "45mbps"`,
      7,
      'peer[b].rate: is "45mbps"; expected bits a second from "64kbit" to "100gbit", such as "45mbit"',
    ],
    [
      `${key}\nrate = "63kbit"`,
      7,
      'peer[b].rate: is "63kbit"; expected bits a second from "64kbit" to "100gbit", such as "45mbit"',
    ],
    [`${key}\nrate = 45`, 7, 'peer[b].rate: is 45; expected a rate such as "45mbit"'],
    [
      `${key}\nkeepalive = 65536`,
      7,
      "peer[b].keepalive: is 65536; expected a whole number from 0 to 65535 seconds",
    ],
    [
      `${key}\nroaming = true`,
      7,
      'peer[b].roaming: is true; expected "validated" or "on" or "off"',
    ],
    [
      `${key}\nallowed_ips = "10.0.0.0/24"`,
      7,
      'peer[b].allowed_ips: is "10.0.0.0/24"; expected a list of prefixes, such as ["10.0.0.0/24"]',
    ],
    [
      `${key}\nallowed_ips = ["10.0.0.1"]`,
      7,
      'peer[b].allowed_ips: "10.0.0.1" has no prefix length; expected a prefix, such as "10.0.0.0/24"; write "10.0.0.1/32" for one address',
    ],
    [
      `${key}\nallowed_ips = ["fd00::1"]`,
      7,
      'peer[b].allowed_ips: "fd00::1" has no prefix length; expected a prefix, such as "10.0.0.0/24"; write "fd00::1/128" for one address',
    ],
    [
      `${key}\nallowed_ips = ["10.0.0.1/24"]`,
      7,
      'peer[b].allowed_ips: "10.0.0.1/24" has host bits set; expected "10.0.0.0/24"; write "10.0.0.1/32" for one address',
    ],
    [
      `${key}\nallowed_ips = ["fd00::1/64"]`,
      7,
      'peer[b].allowed_ips: "fd00::1/64" has host bits set; expected "fd00::/64"; write "fd00::1/128" for one address',
    ],
    [
      `${key}\nallowed_ips = ["::ffff:10.0.0.0/104"]`,
      7,
      'peer[b].allowed_ips: "::ffff:10.0.0.0/104" is an IPv4-mapped prefix, expected its IPv4 form',
    ],
    [
      `${key}\nallowed_ips = ["all"]`,
      7,
      'peer[b].allowed_ips: "all" has no prefix length; expected a prefix, such as "10.0.0.0/24"; write "all/32" for one address',
    ],
    [
      `${key}\nallowed_ips = ["10.1.0.0/16", "10.1.0.0/16"]`,
      7,
      `peer[b].allowed_ips: "10.1.0.0/16" is this peer's already (line 7); expected each prefix once; remove one`,
    ],
    [
      `${key}\nallowed_ips = ["192.0.2.0/24"]\nendpoint = "192.0.2.9:1194"`,
      8,
      `peer[b].endpoint: "192.0.2.9" lies inside the peer's own allowed_ips (192.0.2.0/24), so the tunnel's datagrams would go into the tunnel; expected an address outside of it`,
    ],
    [
      `${key}\nendpoint = "10.0.0.9:5"`,
      7,
      `peer[b].endpoint: "10.0.0.9" lies inside the network of interface.address (10.0.0.0/24), so the tunnel's datagrams would go into the tunnel; expected an address outside of it`,
    ],
    [
      `${key}\nendpoint = "[::ffff:10.0.0.9]:5"`,
      7,
      `peer[b].endpoint: "10.0.0.9" lies inside the network of interface.address (10.0.0.0/24), so the tunnel's datagrams would go into the tunnel; expected an address outside of it`,
    ],
    [
      `${key}\nallowed_ips = ["2001:db8::/32"]\nendpoint = "[2001:db8::9]:1194"`,
      8,
      `peer[b].endpoint: "2001:db8::9" lies inside the peer's own allowed_ips (2001:db8::/32), so the tunnel's datagrams would go into the tunnel; expected an address outside of it`,
    ],
    [
      `${key}\nkey_file = "none.key"`,
      7,
      "peer[b].key_file: is given together with key; expected one of the two; remove the other",
    ],
    [
      `key = ["${KEY_A}", "${KEY_A}"]`,
      6,
      "peer[b].key: is the same key as another of this peer (line 6); expected different keys; remove one",
    ],
    [
      `${key}\nkeep_alive = 5`,
      7,
      'peer[b].keep_alive: unknown key "keep_alive"; expected name, key, key_file, learn, endpoint, failover_ms, allowed_ips, keepalive, roaming, rate; did you mean keepalive?',
    ],
    [
      `${key}\nAllowedIPs = []`,
      7,
      'peer[b]: unknown key "AllowedIPs"; expected name, key, key_file, learn, endpoint, failover_ms, allowed_ips, keepalive, roaming, rate; did you mean allowed_ips?',
    ],
    [
      `${key}\ncolour = 5`,
      7,
      'peer[b].colour: unknown key "colour"; expected name, key, key_file, learn, endpoint, failover_ms, allowed_ips, keepalive, roaming, rate',
    ],
    [
      `${key}\n"${KEY_B}" = 5`,
      7,
      "peer[b]: unknown key (name not shown); expected name, key, key_file, learn, endpoint, failover_ms, allowed_ips, keepalive, roaming, rate",
    ],
  ];

  it.each(cases)("refuses %s", (lines, line, expected) => {
    expect(problemsOf(configText({ peer: lines }))).toContain(`c.toml:${line}: ${expected}`);
  });

  it.each([
    ['name = ""', '"" cannot'],
    ['name = "a b"', '"a b" cannot'],
    [`name = "${"n".repeat(33)}"`, `"${"n".repeat(33)}" cannot`],
    [`name = "${KEY_B}"`, "text that looks like a key (not shown) cannot"],
  ])("refuses the peer's %s", (line, expected) => {
    const text = `[interface]\naddress = ["10.0.0.1/24"]\n[[peer]]\n${line}\nkey = "${KEY_A}"\n`;
    expect(problemsOf(text)).toEqual([
      `c.toml:4: peer[#1].name: ${expected} name a peer; expected 1 to 32 letters, digits, ".", "_", "@" or "-"`,
    ]);
  });
});

describe("an interface", () => {
  it.each(["tun0", "a_b.c-d", "a@b", ".x", "123456789012345"])("may be named %s", (name) => {
    expect(problemsOf(configText({ device: `name = "${name}"` }))).toEqual([]);
  });

  it("has at most 256 addresses", () => {
    const addresses = Array.from({ length: 257 }, (_, at) => `"10.0.${at >> 8}.${at & 255}/32"`);
    const text = (count: number) =>
      `[interface]\naddress = [${addresses.slice(0, count)}]\n[[peer]]\nkey = "${KEY_A}"\n`;
    expect(problemsOf(text(256))).toEqual([]);
    expect(problemsOf(text(257))).toEqual([
      "c.toml:2: interface.address: is a list; expected at most 256 entries",
    ]);
  });
});

describe("an endpoint beside the interface's networks", () => {
  it.each(["10.0.1.9:5", "[fd00::9]:5", "host.example:5"])("may be %s", (endpoint) => {
    const peer = `key = "${KEY_A}"\nendpoint = "${endpoint}"`;
    expect(problemsOf(configText({ peer }))).toEqual([]);
  });
});

describe("endpoint and listening family", () => {
  it.each([
    [
      "0.0.0.0:1194",
      "[2001:db8::1]:1194",
      '"2001:db8::1" is IPv6, but the socket listens on IPv4 only',
    ],
    [
      "192.0.2.7:1194",
      "[2001:db8::1]:1194",
      '"2001:db8::1" is IPv6, but the socket listens on IPv4 only',
    ],
    [
      "[2001:db8::7]:1194",
      "192.0.2.1:1194",
      '"192.0.2.1" is IPv4, but the socket listens on IPv6 only',
    ],
  ])("refuses with listen %s the endpoint %s", (listen, endpoint, expected) => {
    const device = `listen = "${listen}"`;
    const text = configText({ device, peer: `key = "${KEY_A}"\nendpoint = "${endpoint}"` });
    expect(problemsOf(text)).toEqual([
      `c.toml:7: peer[b].endpoint: ${expected}; expected the same family; change it or interface.listen`,
    ]);
  });

  it.each([
    ["[::]:1194", "192.0.2.1:1194"],
    ["[::]:1194", "[2001:db8::1]:1194"],
    ["0.0.0.0:1194", "192.0.2.1:1194"],
    ["0.0.0.0:1194", "host.example:1194"],
  ])("accepts with listen %s the endpoint %s", (listen, endpoint) => {
    const device = `listen = "${listen}"`;
    const text = configText({ device, peer: `key = "${KEY_A}"\nendpoint = "${endpoint}"` });
    expect(problemsOf(text)).toEqual([]);
  });
});

describe("several peers", () => {
  it("refuses the same key twice", () => {
    const text = twoPeers({ key: KEY_A });
    expect(problemsOf(text)).toEqual([
      'c.toml:9: peer[c].key: is the same key as that of peer "b" (line 5); expected a key of its own for each peer; make one with `iptun keygen`',
    ]);
  });

  it("refuses the same name twice", () => {
    expect(problemsOf(twoPeers({ name: "b" }))).toEqual([
      'c.toml:8: peer[b].name: "b" is the name of another peer (line 4); expected a name of its own',
    ]);
  });

  it("refuses the same prefix twice", () => {
    expect(problemsOf(twoPeers({ prefixes: '["10.3.0.0/16", "10.1.0.0/16"]' }))).toEqual([
      `c.toml:10: peer[c].allowed_ips: "10.1.0.0/16" is peer "b"'s already (line 6); expected each prefix once; remove one`,
    ]);
  });

  it("accepts a prefix inside another peer's, because the longest wins", () => {
    expect(problemsOf(twoPeers({ prefixes: '["10.1.2.0/24"]' }))).toEqual([]);
  });

  it("refuses a peer without prefixes", () => {
    expect(problemsOf(twoPeers({ prefixes: "[]" }))).toEqual([
      "c.toml:7: peer[c]: has no allowed_ips; expected at least one prefix where there is more than one peer",
    ]);
  });

  it("names a peer without a name by its place", () => {
    const text = `${twoPeers({})}[[peer]]\nkey = "${KEY_A}"\nallowed_ips = ["10.9.0.0/16"]\n`;
    expect(problemsOf(text)).toEqual([
      'c.toml:12: peer[peer3].key: is the same key as that of peer "b" (line 5); expected a key of its own for each peer; make one with `iptun keygen`',
    ]);
  });
});

describe("tables", () => {
  const peer = `\n[[peer]]\nkey = "${KEY_A}"\n`;
  const cases: readonly (readonly [text: string, expected: readonly string[]])[] = [
    ["", ["c.toml: has no peer; expected at least one [[peer]]"]],
    ["peer = []", ["c.toml: has no peer; expected at least one [[peer]]"]],
    [
      `${peer}[peers.hub]\nname = "x"`,
      [
        'c.toml:4: peers: unknown key "peers"; expected interface, peer, limits, offload, metrics, hooks, log; did you mean peer?',
      ],
    ],
    [
      `[peer]\nkey = "${KEY_A}"`,
      ["c.toml:1: peer: is a table; expected [[peer]], once for each peer"],
    ],
    ["peer = [5]", ["c.toml:1: peer[peer1]: is 5; expected a table: [[peer]]"]],
    [`interface = 5${peer}`, ["c.toml:1: interface: is 5; expected a table: [interface]"]],
    [`limits = []${peer}`, ["c.toml:1: limits: is a list; expected a table: [limits]"]],
    [`log = "debug"${peer}`, ['c.toml:1: log: is "debug"; expected a table: [log]']],
    [
      `[log]\nlevel = "verbose"\nformat = 3${peer}`,
      [
        'c.toml:2: log.level: is "verbose"; expected "error" or "warn" or "info" or "debug"',
        'c.toml:3: log.format: is 3; expected "auto" or "text" or "json"',
      ],
    ],
    [
      `[limits]\nsources = 63\nhandshake_burst = 0${peer}`,
      [
        "c.toml:2: limits.sources: is 63; expected a whole number from 64 to 65536",
        "c.toml:3: limits.handshake_burst: is 0; expected a whole number from 1 to 1000000",
      ],
    ],
    [`offload = false${peer}`, ["c.toml:1: offload: is false; expected a table: [offload]"]],
    [
      `[offload]\ntso = 0\nuso = "off"\ngso = [true]\ngro = {}${peer}`,
      [
        "c.toml:2: offload.tso: is 0; expected true or false",
        'c.toml:3: offload.uso: is "off"; expected true or false',
        "c.toml:4: offload.gso: is a list; expected true or false",
        "c.toml:5: offload.gro: is a table; expected true or false",
      ],
    ],
    [
      `[offload]\nuro = false\nlro = false\nmtu = 1420${peer}`,
      [
        'c.toml:2: offload.uro: unknown key "uro"; expected tso, uso, gso, gro; did you mean uso?',
        'c.toml:3: offload.lro: unknown key "lro"; expected tso, uso, gso, gro; did you mean gro?',
        'c.toml:4: offload.mtu: unknown key "mtu"; expected tso, uso, gso, gro; did you mean mtu in [interface]?',
      ],
    ],
    [
      `[interface]\ngro = false${peer}`,
      [
        'c.toml:2: interface.gro: unknown key "gro"; expected name, address, mtu, mtu_probe_seconds, listen, device, routes, fwmark, copy_dscp, firewall, state_dir; did you mean gro in [offload]?',
      ],
    ],
    [
      `[offloads]\ntso = false${peer}`,
      [
        'c.toml:1: offloads: unknown key "offloads"; expected interface, peer, limits, offload, metrics, hooks, log; did you mean offload?',
      ],
    ],
    [
      `[interfaces]\nmtu = 1420${peer}`,
      [
        'c.toml:1: interfaces: unknown key "interfaces"; expected interface, peer, limits, offload, metrics, hooks, log; did you mean interface?',
      ],
    ],
    [
      `mtu = 1420${peer}`,
      [
        'c.toml:1: mtu: unknown key "mtu"; expected interface, peer, limits, offload, metrics, hooks, log; did you mean mtu in [interface]?',
      ],
    ],
    [
      `[interface]\na.b.c.d.e.f.g.h.i = 1${peer}`,
      [
        'c.toml:2: interface.a: unknown key "a"; expected name, address, mtu, mtu_probe_seconds, listen, device, routes, fwmark, copy_dscp, firewall, state_dir',
        "c.toml:2: interface.a.b.c.d.e.f.g: is nested deeper than 8 levels",
      ],
    ],
  ];

  it.each(cases)("refuses %s", (text, expected) => {
    expect(problemsOf(text).toSorted()).toEqual([...expected].toSorted());
  });
});

it("reports the problems of all tables at once, sorted by line", () => {
  const text = `[[peer]]
name = "b"
key = "AAAA"
allowed_ips = ["10.0.0.1/24", "0.0.0.0/33"]
endpoint = "nowhere"
[interface]
address = ["10.0.0.1"]
mtu = 100
[log]
level = 1
`;
  const places = problemsOf(text).map((line) => line.split(": ").slice(0, 2).join(" "));
  expect(places).toEqual([
    "c.toml:3 peer[b].key",
    "c.toml:4 peer[b].allowed_ips",
    "c.toml:4 peer[b].allowed_ips",
    "c.toml:5 peer[b].endpoint",
    "c.toml:7 interface.address",
    "c.toml:8 interface.mtu",
    "c.toml:10 log.level",
  ]);
});

describe("a default route's mark", () => {
  const peer = `key = "${KEY_A}"\nallowed_ips = ["::/0"]`;

  it.each([253, 254, 255])("cannot be %d, because its table is the kernel's", (fwmark) => {
    expect(problemsOf(configText({ device: `fwmark = ${fwmark}`, peer }))).toEqual([
      `c.toml:3: interface.fwmark: ${fwmark} is also the number of the default route's table, and one of the kernel's own; expected another; change it, or leave it out`,
    ]);
  });

  it("may be so where no route is installed, or none of length 0", () => {
    const off = configText({ device: "fwmark = 254\nroutes = false", peer });
    const other = configText({ device: "fwmark = 254", peer: peer.replace("::/0", "fd01::/16") });
    expect([problemsOf(off), problemsOf(other)]).toEqual([[], []]);
    expect(problemsOf(configText({ device: "fwmark = 252", peer }))).toEqual([]);
  });
});

/** Two peers; the second, from line 7, as given. */
function twoPeers(second: {
  readonly name?: string;
  readonly key?: string;
  readonly prefixes?: string;
}): string {
  const { name = "c", key = KEY_B, prefixes = '["10.2.0.0/16"]' } = second;
  return `[interface]
address = ["10.0.0.1/24"]
[[peer]]
name = "b"
key = "${KEY_A}"
allowed_ips = ["10.1.0.0/16"]
[[peer]]
name = "${name}"
key = "${key}"
allowed_ips = ${prefixes}
`;
}
