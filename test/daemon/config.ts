/** A checked configuration for the daemon's tests; each test overrides what it is about. */
import type { Config, HooksConfig, PeerConfig } from "../../src/config/config.ts";
import { DEFAULT_LIMITS } from "../../src/core/options.ts";
import { type Prefix, parsePrefix } from "../../src/core/prefix.ts";

/** One peer "b" at a fixed address; 10.0.0.0/24 inside. */
export function peerConfig(changes: Partial<PeerConfig> = {}): PeerConfig {
  return {
    name: "b",
    kind: "pair",
    keys: [new Uint8Array(32).fill(7)],
    endpoints: [{ host: "192.0.2.2", port: 1194 }],
    failoverMs: 2_000,
    rateBitsPerSecond: undefined,
    allowedIps: [prefix("10.9.0.0/16")],
    isCatchAll: false,
    keepaliveSeconds: 0,
    roaming: "validated",
    ...changes,
  };
}

/** No program at all. */
export const NO_HOOKS: HooksConfig = {
  commands: { up: [], down: [], peer_up: [], peer_down: [], endpoint_changed: [], quality: [] },
  qualityLoss: 0.05,
  qualityRttMs: 200,
  timeoutMs: 10_000,
};

/** A configuration with the given peers and interface settings. */
export function config(
  changes: {
    readonly interface?: Partial<Config["interface"]>;
    readonly peers?: readonly PeerConfig[];
    readonly hooks?: HooksConfig;
    readonly offload?: Partial<Config["offload"]>;
    readonly metrics?: Config["metrics"];
    readonly log?: Config["log"];
  } = {},
): Config {
  return {
    file: "/etc/iptun.toml",
    interface: {
      name: "iptun0",
      addresses: [address("10.0.0.1/24"), address("fd00::1/64")],
      mtu: 1420,
      mtuProbeSeconds: 600,
      listen: { address: new Uint8Array(16), port: 1194 },
      device: "",
      routes: true,
      fwmark: 0,
      copyDscp: false,
      firewall: "auto",
      stateDir: "/var/lib/iptun",
      ...changes.interface,
    },
    peers: changes.peers ?? [peerConfig()],
    limits: DEFAULT_LIMITS,
    hooks: changes.hooks ?? NO_HOOKS,
    offload: { tso: true, uso: true, gso: true, gro: true, ...changes.offload },
    metrics: changes.metrics,
    log: changes.log ?? { level: "info", format: "auto" },
  };
}

/** A prefix from its text. */
export function prefix(text: string): Prefix {
  return parsed(text).prefix;
}

/** An interface address from its text. */
export function address(text: string): Config["interface"]["addresses"][number] {
  const { prefix, address } = parsed(text);
  return { family: prefix.family, bytes: address, prefixLength: prefix.length };
}

function parsed(text: string) {
  const result = parsePrefix(text);
  if ("fault" in result) throw new Error(`${text} ${result.fault}`);
  return result;
}
