/**
 * `iptun init` with values that are wrong, or do not go together: one line each, and nothing written.
 */
import { describe, expect, it } from "vitest";
import { runCli } from "../../src/cli/program.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { FLAGS, refusal } from "./init-fixtures.ts";

const ENDPOINT =
  'expected "host:port", such as "vpn.example.org:1194", "192.0.2.1:1194" or "[2001:db8::1]:1194"';
const INTO = "so the tunnel's datagrams would go into the tunnel; expected a network without it";

describe("init without an endpoint", () => {
  it("is a usage error that names the options, and asks nobody", async () => {
    const terminal = new FakeTerminal();
    expect(await runCli(["init", "--name", "hub"], terminal)).toBe(2);
    expect(terminal.questions).toEqual([]);
    expect(terminal.stderr).toBe(
      "iptun: init needs an endpoint: give --endpoint HOST:PORT where the other host reaches this one, or --peer-endpoint HOST:PORT\n",
    );
  });
});

describe("a value of init alone", () => {
  const cases: readonly (readonly [args: readonly string[], expected: string])[] = [
    [
      ["--interface", "a-name-of-16-chr"],
      '--interface: "a-name-of-16-chr" has 16 bytes; expected at most 15; shorten it',
    ],
    [
      ["--name", "a b"],
      '--name: "a b" cannot name a peer; expected 1 to 32 letters, digits, ".", "_", "@" or "-"',
    ],
    [
      ["--peer", "../b"],
      '--peer: "../b" cannot name a peer; expected 1 to 32 letters, digits, ".", "_", "@" or "-"',
    ],
    [["--endpoint", "hub.example.org"], `--endpoint: "hub.example.org" has no port; ${ENDPOINT}`],
    [
      ["--peer-endpoint", "0.0.0.0:1"],
      `--peer-endpoint: "0.0.0.0:1" is the unspecified address; ${ENDPOINT}`,
    ],
    [["--endpoint", "h:0"], `--endpoint: "h:0" has port 0; ${ENDPOINT}`],
    [
      ["--networks", "10.0.0.1/24"],
      '--networks: "10.0.0.1/24" has host bits set; expected "10.0.0.0/24"; write "10.0.0.1/32" for one address',
    ],
    [
      ["--peer-networks", "10.0.0.0/33"],
      '--peer-networks: "10.0.0.0/33" has a prefix length that is not 0 to 32',
    ],
    [
      ["--networks", "10.0.0.0/8,10.0.0.0/8"],
      '--networks: "10.0.0.0/8" is listed twice; remove one',
    ],
    [
      ["--address", "10.77.0.1"],
      '--address: "10.77.0.1" has no prefix length; expected an address with its prefix length, such as "10.0.0.1/24"; write "/32" after it if it stands alone',
    ],
    [
      ["--address", "10.77.0.0/24"],
      '--address: "10.77.0.0/24" is the network itself; expected a host in it',
    ],
    [
      ["--peer-address", "10.77.0.255/24"],
      '--peer-address: "10.77.0.255/24" is the network\'s broadcast address; expected a host in it',
    ],
    [
      ["--address", ","],
      '--address: has no address; expected addresses with prefix length, such as "10.77.0.1/24,fd77::1/64"',
    ],
    [
      ["--address", "10.77.0.1/32"],
      '--peer-address: has no address; expected addresses with prefix length, such as "10.77.0.1/24,fd77::1/64"',
    ],
  ];

  it.each(cases)("%j is refused", async (args, expected) => {
    const isGiven = args.some((one) => one.endsWith("endpoint"));
    const reached = isGiven ? [] : ["--endpoint", "h:1"];
    expect(await refusal(...reached, ...args)).toEqual([expected]);
  });

  it("of several each has its line", async () => {
    const lines = await refusal("--endpoint", "h", "--networks", "x", "--address", "y");
    expect(lines.map((line) => line.split(":")[0])).toEqual([
      ...["--endpoint", "--address", "--networks"],
    ]);
  });

  it("that looks like a key is not repeated", async () => {
    const key = "q8Mc0CMzIIZmQDVWzvOAvDZsdNvQhgiI1qQoK7kg4fY=";
    const lines = await refusal("--endpoint", key);
    expect(lines).toEqual([
      `--endpoint: text that looks like a key (not shown) has no port; ${ENDPOINT}`,
    ]);
  });
});

describe("values of init that do not go together", () => {
  const cases: readonly (readonly [args: readonly string[], expected: string])[] = [
    [["--name", "a", "--peer", "a"], '--peer: "a" is this host\'s name; expected another'],
    [
      ["--peer-endpoint", "203.0.113.5:1194"],
      "--peer-endpoint: is this host's --endpoint; expected another",
    ],
    [
      ["--networks", "10.1.0.0/16", "--peer-networks", "10.1.0.0/16"],
      '--peer-networks: "10.1.0.0/16" is in --networks too; expected each network behind one host; remove one',
    ],
    [
      ["--networks", "203.0.113.0/24"],
      `--networks: --endpoint (203.0.113.5) lies inside 203.0.113.0/24, ${INTO}`,
    ],
    [
      ["--peer-endpoint", "[fd77::9]:1", "--address", "fd77::1/64"],
      `--address: --peer-endpoint (fd77::9) lies inside fd77::/64, ${INTO}`,
    ],
    [
      ["--address", "10.77.0.1/24", "--peer-networks", "10.77.0.128/25"],
      "--address: 10.77.0.0/24 takes in 10.77.0.128/25 of --peer-networks; expected a range of its own for the tunnel",
    ],
    [
      ["--address", "10.77.0.1/24", "--networks", "10.77.0.0/24"],
      "--address: 10.77.0.0/24 takes in 10.77.0.0/24 of --networks; expected a range of its own for the tunnel",
    ],
    [
      ["--address", "10.77.0.1/24", "--peer-address", "10.77.0.1/24"],
      '--peer-address: "10.77.0.1/24" is this host\'s too; expected another',
    ],
    [
      ["--address", "10.77.0.1/24,fd77::1/64", "--peer-address", "10.77.0.2/24"],
      "--peer-address: has no IPv6 address, and --address has one; expected the same families",
    ],
    [
      ["--address", "10.77.0.1/24", "--peer-address", "10.77.0.2/24,fd77::2/64"],
      "--peer-address: has an IPv6 address, and --address has none; expected the same families",
    ],
    [
      ["--peer", "iptun0"],
      '--peer-out: "iptun0.toml" is this host\'s own file; expected another, or another --peer',
    ],
  ];

  it.each(cases)("%j are refused", async (args, expected) => {
    const given = new Set(args);
    const rest = ["--name", "n", "--endpoint", "203.0.113.5:1194"];
    const base = given.has("--name") ? rest.slice(2) : rest;
    expect(await refusal(...base, ...args)).toEqual([expected]);
  });

  it("but a network around the inner range, a default route and a part of a network may", async () => {
    const around = ["--networks", "10.0.0.0/8,0.0.0.0/0,::/0", "--peer-networks", "10.1.0.0/16"];
    await expect(refusal(...FLAGS, ...around)).rejects.toThrow("not refused");
  });
});
