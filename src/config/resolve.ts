/**
 * Settings to a Config: every text taken apart, every value compared with the others.
 *
 * Runs to the end whatever it meets: faults go to `report`, and the caller throws when there was one.
 * The trap: keys are read here, so whoever finds that the result is not wanted wipes them.
 */
import { parsePrefix } from "../core/prefix.ts";
import { compareValues } from "./compare-peers.ts";
import type { Config, PeerConfig } from "./config.ts";
import type { KeyContext } from "./key-source.ts";
import type { LineOf } from "./locate.ts";
import { resolveHooks } from "./resolve-hooks.ts";
import { resolveInterface } from "./resolve-interface.ts";
import { resolveMetrics } from "./resolve-metrics.ts";
import { isEmpty, type ResolvedPeer, resolvePeer } from "./resolve-peer.ts";
import type { Settings } from "./schema.ts";

/** What resolving depends on besides the settings. */
export interface ResolveContext extends KeyContext {
  readonly file: string;
  readonly lineOf: LineOf;
}

/** A peer that takes everything: its prefixes. */
const EVERYTHING = ["0.0.0.0/0", "::/0"].flatMap((text) => {
  const parsed = parsePrefix(text);
  return "prefix" in parsed ? [parsed.prefix] : [];
});

/** The configuration; meaningless where something was reported. */
export function resolve(settings: Settings, context: ResolveContext): Config {
  const device = resolveInterface(settings.interface, context.report);
  const peers = settings.peer.flatMap((peer, index) =>
    peer === null ? [] : [resolvePeer(peer, index, device.routes, context)],
  );
  if (isEmpty(context.given(["peer"]))) {
    context.report([], "has no peer; expected at least one [[peer]]");
  }
  compareValues(device, peers, context.report, context.lineOf);
  return {
    file: context.file,
    interface: device,
    peers: peers.map((peer) => peerConfig(peer)),
    limits: limitOptions(settings.limits),
    offload: settings.offload,
    metrics: resolveMetrics(settings.metrics, context.report),
    hooks: resolveHooks(settings.hooks, context.report),
    log: settings.log,
  };
}

function peerConfig(peer: ResolvedPeer): PeerConfig {
  return {
    name: peer.name,
    kind: peer.kind,
    keys: peer.keys.map(({ key }) => key),
    endpoints: peer.endpoints.map(({ endpoint: { host, port } }) => ({ host, port })),
    failoverMs: peer.settings.failover_ms,
    allowedIps: peer.hasPrefixes ? peer.prefixes.map(({ prefix }) => prefix) : EVERYTHING,
    isCatchAll: !peer.hasPrefixes,
    keepaliveSeconds: peer.settings.keepalive,
    roaming: peer.settings.roaming,
    rateBitsPerSecond: peer.rateBitsPerSecond,
  };
}

function limitOptions(limits: Settings["limits"]): Config["limits"] {
  return {
    sourceRatePerSecond: limits.source_rate_per_second,
    sourceBurst: limits.source_burst,
    sources: limits.sources,
    handshakesPerSecond: limits.handshakes_per_second,
    handshakeBurst: limits.handshake_burst,
    handshakesPerSecondTotal: limits.handshakes_per_second_total,
  };
}
