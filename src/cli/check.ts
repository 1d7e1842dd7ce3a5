/**
 * `iptun check`: reads a configuration as `run` would and says what would be done, without doing it.
 *
 * Keys appear as fingerprints. Nothing is opened but the configuration and its key files, so it needs no
 * permission beyond reading those; names are not resolved.
 */
import { type Config, HOOK_KINDS } from "../config/config.ts";
import { defaultFamilies, wantsFirewall } from "../config/default-families.ts";
import { loadConfig, wipeKeys } from "../config/load.ts";
import { ConfigError } from "../config/problem.ts";
import { configWarnings } from "../config/warnings.ts";
import { LEAST_INNER_MTU } from "../core/constants.ts";
import type { HandshakeCrypto } from "../core/crypto.ts";
import { deriveKeyRing, wipeKeyRing } from "../core/handshake/keys.ts";
import { formatEndpoint, formatPrefix } from "../core/prefix.ts";
import { loadSodium } from "../crypto/sodium.ts";
import { hostPortText } from "../daemon/control/status.ts";
import { hookWarnings } from "../daemon/hooks/hook-warnings.ts";
import { forwardingWarnings } from "../daemon/host/forwarding.ts";
import { hostWarnings } from "../daemon/host/host-warnings.ts";
import { addressText, planNetwork } from "../daemon/host/network-plan.ts";
import { offloadState, offloadText } from "../daemon/host/offloads.ts";
import { columns, rateText } from "./layout.ts";
import type { Terminal } from "./terminal.ts";

interface PeerPlan {
  readonly name: string;
  readonly kind: Config["peers"][number]["kind"];
  /** In order of preference. */
  readonly endpoints: readonly string[];
  readonly failoverMs: number;
  readonly allowedIps: readonly string[];
  /** Whether it takes everything the kernel routes into the device. */
  readonly isCatchAll: boolean;
  readonly fingerprints: readonly string[];
  readonly keepaliveSeconds: number;
  readonly roaming: string;
  /** null: none. */
  readonly rateBitsPerSecond: number | null;
}

/** What `run` would do. */
interface Plan {
  readonly file: string;
  readonly interface: {
    readonly name: string;
    readonly addresses: readonly string[];
    readonly mtu: number | "auto";
    readonly listen: string;
    readonly device: string | null;
    readonly routes: boolean;
    readonly fwmark: number;
    readonly copyDscp: boolean;
    /** Whether packets to inner addresses from elsewhere are dropped. */
    readonly firewall: boolean;
    readonly stateDir: string;
  };
  readonly peers: readonly PeerPlan[];
  /** Prefixes that get a route into the device. */
  readonly routes: readonly string[];
  /** Families whose default route leads into the device, by a table of its own. */
  readonly defaultRoute: readonly ("IPv4" | "IPv6")[];
  readonly limits: Config["limits"];
  /** Offloads that may be used; whether the kernel has them shows only when it runs. */
  readonly offload: Config["offload"];
  /** "address:port" of the listener, and whether the status page is there; null: none. */
  readonly metrics: { readonly listen: string; readonly page: boolean } | null;
  readonly hooks: Config["hooks"];
  readonly log: Config["log"];
  readonly warnings: readonly string[];
}

/** Checks the file and prints the plan, or every problem as JSON where that was asked for. */
export async function check(file: string, isJson: boolean, terminal: Terminal): Promise<void> {
  const plan = await readPlan(file, isJson, terminal);
  if (isJson) {
    await terminal.out(`${JSON.stringify({ ok: true, ...plan }, undefined, 2)}\n`);
    return;
  }
  await terminal.out(planText(plan));
  for (const warning of plan.warnings) {
    await terminal.err(`iptun: warning: ${file}: ${warning}\n`);
  }
}

async function readPlan(file: string, isJson: boolean, terminal: Terminal): Promise<Plan> {
  try {
    const config = loadConfig(file);
    const crypto = await loadSodium();
    const plan = planOf(config, crypto);
    wipeKeys(config);
    return plan;
  } catch (error) {
    if (isJson && error instanceof ConfigError) {
      const { problems } = error;
      await terminal.out(`${JSON.stringify({ ok: false, file, problems }, undefined, 2)}\n`);
    }
    throw error;
  }
}

function planOf(config: Config, crypto: HandshakeCrypto): Plan {
  const { interface: device } = config;
  return {
    file: config.file,
    interface: {
      name: device.name,
      addresses: device.addresses.map(addressText),
      mtu: device.mtu,
      listen: formatEndpoint({ ...device.listen, scope: 0 }),
      device: device.device === "" ? null : device.device,
      routes: device.routes,
      fwmark: device.fwmark,
      copyDscp: device.copyDscp,
      firewall: wantsFirewall(config),
      stateDir: device.stateDir,
    },
    peers: config.peers.map((peer) => peerPlan(peer, crypto)),
    routes: plannedRoutes(config),
    defaultRoute: defaultFamilies(config).map((family) => (family === 4 ? "IPv4" : "IPv6")),
    limits: config.limits,
    offload: config.offload,
    metrics: metricsPlan(config.metrics),
    hooks: config.hooks,
    log: config.log,
    warnings: [
      ...configWarnings(config),
      ...forwardingWarnings(config),
      ...hostWarnings(config),
      ...hookWarnings(config.hooks),
    ],
  };
}

function metricsPlan(metrics: Config["metrics"]): Plan["metrics"] {
  return metrics === undefined
    ? null
    : { listen: hostPortText(metrics.listen), page: metrics.hasPage };
}

function peerPlan(peer: Config["peers"][number], crypto: HandshakeCrypto): PeerPlan {
  return {
    name: peer.name,
    kind: peer.kind,
    endpoints: peer.endpoints.map(hostPortText),
    failoverMs: peer.failoverMs,
    allowedIps: peer.allowedIps.map(formatPrefix),
    isCatchAll: peer.isCatchAll,
    fingerprints: peer.keys.map((key) => {
      const ring = deriveKeyRing(crypto, key, peer.kind !== "pair");
      wipeKeyRing(crypto, ring);
      return ring.fingerprint;
    }),
    keepaliveSeconds: peer.keepaliveSeconds,
    roaming: peer.roaming,
    rateBitsPerSecond: peer.rateBitsPerSecond ?? null,
  };
}

/** The destinations of the daemon's own `ip route add` commands, for a device that does not exist yet. */
function plannedRoutes({ interface: device, peers, offload }: Config): readonly string[] {
  const routes = device.routes ? peers.flatMap((peer) => peer.allowedIps) : [];
  const { name, addresses } = device;
  const mtu = { mtu: LEAST_INNER_MTU, routeMtus: new Map<string, number>() };
  const input = { device: name, addresses, ...mtu, routes, hasSuperPackets: offload.tso };
  const { up } = planNetwork(input, undefined);
  return up.flatMap(([object, verb, destination = ""]) =>
    object === "route" && verb === "add" ? [destination] : [],
  );
}

function planText(plan: Plan): string {
  const { interface: device } = plan;
  const blocks = [
    `${plan.file}: ok\n`,
    columns(
      [
        ["interface", device.name],
        ["addresses", listText(device.addresses)],
        ["mtu", device.mtu === "auto" ? "auto: what each peer's path carries" : `${device.mtu}`],
        ["listen", device.listen],
        ["device", device.device ?? "any"],
        ["routes", routesText(plan)],
        ...defaultRouteRows(plan),
        ["fwmark", markText(plan)],
        ["dscp", device.copyDscp ? "copied to the outer header" : "not copied"],
        ...(device.firewall
          ? [["firewall", "packets to the addresses from elsewhere are dropped"]]
          : []),
        ["state", device.stateDir],
        ["offloads", offloadText(offloadState(plan.offload))],
        ...metricsRows(plan),
        ...hookRows(plan),
        ["log", `${plan.log.level}, ${plan.log.format}`],
      ],
      2,
    ),
    ...plan.peers.map((peer) => `peer ${peer.name}\n${columns(peerRows(peer), 2)}`),
  ];
  return blocks.join("");
}

function hookRows({ hooks }: Plan): readonly (readonly string[])[] {
  return HOOK_KINDS.flatMap((kind) => {
    const words = hooks.commands[kind];
    return words.length === 0 ? [] : [[`hook ${kind}`, words.join(" ")]];
  });
}

function routesText({ interface: device, routes }: Plan): string {
  if (!device.routes) return "none (routes = false)";
  return routes.length === 0 ? "none but those of the addresses" : listText(routes);
}

/** Only where there is a listener. */
function metricsRows({ metrics }: Plan): readonly (readonly string[])[] {
  if (metrics === null) return [];
  const { listen, page } = metrics;
  const shown = page ? ` and the status page http://${listen}/` : "";
  return [["metrics", `http://${listen}/metrics${shown}`]];
}

/** Only where there is one. */
function defaultRouteRows({ defaultRoute }: Plan): readonly (readonly string[])[] {
  if (defaultRoute.length === 0) return [];
  const exception = "but for more specific routes of the main table";
  return [["default", `all ${defaultRoute.join(" and ")} into the tunnel, ${exception}`]];
}

function markText({ interface: { fwmark }, defaultRoute }: Plan): string {
  if (fwmark !== 0) return `0x${fwmark.toString(16)}`;
  return defaultRoute.length === 0 ? "none" : "chosen at the start";
}

const KINDS: Readonly<Record<PeerPlan["kind"], string | undefined>> = {
  pair: undefined,
  hub: "hub of a group, of which this host is a site",
  group: "group, of which this host is the hub: sites and their addresses are learned",
};

function peerRows(peer: PeerPlan): readonly (readonly string[])[] {
  const kind = KINDS[peer.kind];
  const learnedFrom = peer.kind === "group" ? "each site's packets" : "the peer's first packet";
  const everything = "everything that is routed into the device; no default route is installed";
  return [
    ...(kind === undefined ? [] : [["kind", kind]]),
    ["endpoint", peer.endpoints.join(", ") || `none: learned from ${learnedFrom}`],
    ...(peer.endpoints.length > 1 ? [["failover", `after ${peer.failoverMs} ms`]] : []),
    ["allowed ips", peer.isCatchAll ? everything : listText(peer.allowedIps)],
    [peer.fingerprints.length === 1 ? "key" : "keys", peer.fingerprints.join(", ")],
    ["keepalive", peer.keepaliveSeconds === 0 ? "off" : `${peer.keepaliveSeconds} s`],
    ["roaming", peer.roaming],
    ...(peer.rateBitsPerSecond === null ? [] : [["rate", rateText(peer.rateBitsPerSecond)]]),
  ];
}

function listText(values: readonly string[]): string {
  return values.length === 0 ? "none" : values.join(", ");
}
