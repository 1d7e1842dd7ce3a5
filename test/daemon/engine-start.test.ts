/** The engine's start message from a configuration. */
import { describe, expect, it } from "vitest";
import { keyBytes } from "../../src/core/handshake/keys.ts";
import { formatEndpoint } from "../../src/core/prefix.ts";
import { engineStart } from "../../src/daemon/engine-start.ts";
import { config, peerConfig } from "./config.ts";

const CONTEXT = {
  nodeId: new Uint8Array(16).fill(1),
  mark: 51,
  ownAddresses: [],
  linkMtu: 9000,
  zoneIndex: () => 3,
  inherited: { tun: undefined, udp: undefined, isUdpGiven: false },
  endpoints: [],
  isStandby: false,
};

describe("the start message", () => {
  it("has device, socket and limits", () => {
    const given = config({ interface: { device: "eth0", mtu: 1280 } });

    const start = engineStart(given, CONTEXT);

    expect(start).toMatchObject({
      tun: { name: "iptun0", mtu: 1280 },
      udp: { address: new Uint8Array(16), port: 1194, mark: 51, device: "eth0" },
      nodeId: CONTEXT.nodeId,
      limits: given.limits,
    });
  });

  it.each([false, true])("says whether DSCP is copied (%s)", (copyDscp) => {
    expect(engineStart(config({ interface: { copyDscp } }), CONTEXT).copyDscp).toBe(copyDscp);
  });

  it("with a fixed MTU asks for no path's, and with an automatic one gives room for any", () => {
    const { tun } = engineStart(
      config({ interface: { mtu: "auto", mtuProbeSeconds: 7 } }),
      CONTEXT,
    );

    expect(tun).toEqual({
      name: "iptun0",
      mtu: 9156,
      pathMtu: { linkMtu: 9000, raiseMs: 7_000 },
    });
    expect(engineStart(config(), CONTEXT).tun).toMatchObject({ mtu: 1420, pathMtu: undefined });
  });

  it.each(["tso", "uso", "gso", "gro"] as const)("asks for all offloads but %s", (name) => {
    const given = config({ offload: { [name]: false } });

    const { offloads } = engineStart(given, CONTEXT);

    expect(offloads).toEqual({ tso: true, uso: true, gso: true, gro: true, [name]: false });
  });

  it.each([
    ["192.0.2.2", ["192.0.2.2:1194"]],
    ["fe80::1%eth0", ["[fe80::1%3]:1194"]],
    ["vpn.example.org", []],
  ])("of a peer at %s has the addresses that are known", (host, expected) => {
    const given = config({ peers: [peerConfig({ endpoints: [{ host, port: 1194 }] })] });

    const [peer] = engineStart(given, CONTEXT).peers;

    expect(peer?.endpoints.map(formatEndpoint)).toEqual(expected);
    expect(peer?.hasConfiguredEndpoint).toBe(true);
  });

  it("of a peer without endpoint says so", () => {
    const given = config({ peers: [peerConfig({ endpoints: [] })] });

    expect(engineStart(given, CONTEXT).peers[0]).toMatchObject({
      endpoints: [],
      hasConfiguredEndpoint: false,
    });
  });

  it("holds copies of the keys, each in memory of its own", () => {
    const memory = new Uint8Array(96).fill(9);
    const keys = [memory.subarray(0, 32), memory.subarray(32, 64)];

    const [peer] = engineStart(config({ peers: [peerConfig({ keys })] }), CONTEXT).peers;

    expect(peer?.keys).toEqual(keys);
    const copies = keyBytes(peer?.keys ?? []);
    expect(copies.map((key) => key.buffer.byteLength)).toEqual([32, 32]);
    expect(copies[0]?.buffer).not.toBe(memory.buffer);
  });

  it.each([
    ["debug", true],
    ["info", false],
  ] as const)("traces packets at level %s: %s", (level, isTracing) => {
    const given = config({ log: { level, format: "auto" } });

    expect(engineStart(given, CONTEXT).isTracing).toBe(isTracing);
  });
});
