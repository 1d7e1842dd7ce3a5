/** What is different between two configurations: in words, by peers, and what needs a restart. */
import { describe, expect, it } from "vitest";
import type { Config, PeerConfig } from "../../src/config/config.ts";
import { difference, type NamedConfig } from "../../src/config/difference.ts";
import { address, config, peerConfig, prefix } from "../daemon/config.ts";

function named(
  given: Config,
  fingerprints: Readonly<Record<string, readonly string[]>> = { b: ["0a0a0a0a"] },
): NamedConfig {
  return { config: given, fingerprints: new Map(Object.entries(fingerprints)) };
}

function linesOf(before: Config, after: Config): readonly string[] {
  return difference(named(before), named(after), 9_216).lines;
}

function peerLines(changes: Partial<PeerConfig>, old: Partial<PeerConfig> = {}) {
  return linesOf(config({ peers: [peerConfig(old)] }), config({ peers: [peerConfig(changes)] }));
}

describe("a difference", () => {
  it("is none between two configurations that say the same", () => {
    expect(difference(named(config()), named(config()), 9_216)).toEqual({
      ...{ lines: [], refusals: [], removed: [], changed: [], added: [] },
    });
  });

  const cases: readonly (readonly [Partial<PeerConfig>, readonly string[]])[] = [
    [
      { allowedIps: [prefix("10.9.0.0/16"), prefix("10.8.0.0/24")] },
      ["peer b: allowed_ips + 10.8.0.0/24"],
    ],
    [{ allowedIps: [] }, ["peer b: allowed_ips - 10.9.0.0/16"]],
    [
      { isCatchAll: true, allowedIps: [prefix("0.0.0.0/0")] },
      ["peer b: allowed_ips + everything", "peer b: allowed_ips - 10.9.0.0/16"],
    ],
    [
      { endpoints: [{ host: "fd00::2", port: 7 }] },
      ["peer b: endpoint 192.0.2.2:1194 -> [fd00::2]:7"],
    ],
    [{ endpoints: [] }, ["peer b: endpoint 192.0.2.2:1194 -> none"]],
    [{ failoverMs: 500 }, ["peer b: failover_ms 2000 -> 500"]],
    [{ keepaliveSeconds: 25 }, ["peer b: keepalive 0 -> 25"]],
    [{ roaming: "off" }, ["peer b: roaming validated -> off"]],
    [{ rateBitsPerSecond: 45.5e6 }, ["peer b: rate none -> 45.5mbit"]],
    [{ kind: "hub" }, ["peer b: made anew, as a hub in place of a pair"]],
  ];
  it.each(cases)("of a peer with %j is said", (changes, expected) => {
    expect(peerLines(changes)).toEqual(expected);
  });

  it("of keys is said by their fingerprints, their order too", () => {
    const keys = (before: readonly string[], after: readonly string[]) =>
      difference(named(config(), { b: before }), named(config(), { b: after }), 9_216);
    expect(keys(["aa", "bb"], ["cc", "aa"]).lines).toEqual([
      "peer b: key + cc",
      "peer b: key - bb",
    ]);
    expect(keys(["aa", "bb"], ["bb", "aa"]).lines).toEqual(["peer b: key order bb, aa"]);
    expect(keys(["aa"], ["bb"]).changed).toMatchObject([
      { hasOtherKeys: true, hasOtherEndpoints: false },
    ]);
  });

  it("of peers is who went, who came and who has other settings", () => {
    const peers = (...names: readonly string[]) => names.map((name) => peerConfig({ name }));
    const before = config({ peers: [...peers("a", "b", "c"), peerConfig({ name: "d" })] });
    const site = peerConfig({ name: "d", kind: "group" });
    const moved = peerConfig({ name: "c", endpoints: [] });
    const after = config({ peers: [moved, ...peers("b", "e"), site] });
    const found = difference(named(before), named(after), 9_216);
    expect(found.removed).toEqual(["a", "d"]);
    expect(found.changed).toMatchObject([{ peer: moved, hasOtherEndpoints: true }]);
    expect(found.added.map(({ name }) => name)).toEqual(["e", "d"]);
    expect(found.lines.slice(0, 3)).toEqual([
      "peer a: removed",
      "peer e: added",
      "peer d: made anew, as a group in place of a pair",
    ]);
  });

  it("of the interface, the limits and the log is said", () => {
    const before = config();
    const after: Config = {
      ...config({
        interface: {
          addresses: [address("10.0.0.1/24"), address("10.0.1.1/24")],
          ...{ mtu: "auto", mtuProbeSeconds: 5, routes: false, fwmark: 9 },
          ...{ copyDscp: true, firewall: true },
        },
        log: { level: "debug", format: "json" },
      }),
      limits: { ...before.limits, sources: 64 },
    };
    expect(linesOf(before, after)).toEqual([
      "interface: address + 10.0.1.1/24",
      "interface: address - fd00::1/64",
      "interface: mtu 1420 -> auto",
      "interface: mtu_probe_seconds 600 -> 5",
      "interface: routes true -> false",
      "interface: fwmark 0 -> 9",
      "interface: copy_dscp false -> true",
      "interface: firewall auto -> true",
      "limits: sources 4096 -> 64",
      "log: level info -> debug",
      "log: format auto -> json",
    ]);
  });
});

describe("every key of a configuration", () => {
  const listen = { address: new Uint8Array(16), port: 7 };
  const OTHER: Required<Config["interface"]> = {
    ...{ name: "tun9", addresses: [], mtu: 1_300, mtuProbeSeconds: 5, listen, device: "eth0" },
    ...{ routes: false, fwmark: 9, copyDscp: true, firewall: true, stateDir: "/srv" },
  };
  const keys = Object.keys(OTHER) as (keyof typeof OTHER)[];
  it.each(keys)("in [interface] changes or is refused: %s", (key) => {
    const after = config({ interface: { [key]: OTHER[key] } });
    const { lines, refusals } = difference(named(config()), named(after), 9_216);
    expect(lines.length + refusals.length).toBeGreaterThan(0);
  });

  const OTHER_PEER: Omit<Required<PeerConfig>, "name" | "keys"> = {
    ...{ kind: "hub", endpoints: [], failoverMs: 1, allowedIps: [], isCatchAll: true },
    ...{ keepaliveSeconds: 1, roaming: "on", rateBitsPerSecond: 1e6 },
  };
  it.each(Object.keys(OTHER_PEER) as (keyof typeof OTHER_PEER)[])(
    "in [[peer]] changes: %s",
    (key) => {
      expect(peerLines({ [key]: OTHER_PEER[key] })).not.toEqual([]);
    },
  );

  const OTHER_TABLES: Omit<Required<Config>, "file" | "interface" | "peers"> = {
    limits: { ...config().limits, sourceBurst: 1 },
    offload: { ...config().offload, tso: false },
    metrics: { listen: { host: "127.0.0.1", port: 9 }, hasPage: true },
    hooks: { ...config().hooks, timeoutMs: 7 },
    log: { level: "warn", format: "json" },
  };
  it.each(Object.keys(OTHER_TABLES) as (keyof typeof OTHER_TABLES)[])(
    "in [%s] changes or is refused",
    (key) => {
      const after = { ...config(), [key]: OTHER_TABLES[key] };
      const { lines, refusals } = difference(named(config()), named(after), 9_216);
      expect(lines.length + refusals.length).toBeGreaterThan(0);
    },
  );
});

describe("a restart is needed", () => {
  function refusals(before: Config, after: Config, largest = 9_216): readonly string[] {
    return difference(named(before), named(after), largest).refusals;
  }

  it("for what is made once, and each is named", () => {
    const listen = { address: new Uint8Array(16), port: 7 };
    const other = { name: "tun9", device: "eth0", stateDir: "/srv", listen };
    const after = config({ interface: other, offload: { gro: false } });
    expect(refusals(config(), after)).toEqual([
      "interface.name iptun0 -> tun9: needs a restart",
      "interface.listen [::]:1194 -> [::]:7: needs a restart",
      "interface.device none -> eth0: needs a restart",
      "interface.state_dir /var/lib/iptun -> /srv: needs a restart",
      "offload: gro true -> false: needs a restart",
    ]);
  });

  it("for another mark only where a default route stands on it, before or after", () => {
    const marked = (fwmark: number, allowed: string) =>
      config({ interface: { fwmark }, peers: [peerConfig({ allowedIps: [prefix(allowed)] })] });
    expect(refusals(marked(1, "10.9.0.0/16"), marked(2, "10.9.0.0/16"))).toEqual([]);
    const text =
      "interface.fwmark 1 -> 2: needs a restart where a default route leads through the tunnel";
    expect(refusals(marked(1, "0.0.0.0/0"), marked(2, "10.9.0.0/16"))).toEqual([text]);
    expect(refusals(marked(1, "10.9.0.0/16"), marked(2, "::/0"))).toEqual([text]);
    expect(refusals(marked(1, "10.9.0.0/16"), marked(1, "::/0"))).toEqual([]);
  });

  it("for an MTU that the buffers do not hold", () => {
    const after = config({ interface: { mtu: 20_000 } });
    expect(refusals(config(), after)).toEqual([
      "interface.mtu 20000: needs a restart, for buffers hold 9216",
    ]);
    expect(refusals(config(), after, 20_000)).toEqual([]);
  });
});
