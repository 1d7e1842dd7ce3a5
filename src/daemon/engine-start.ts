/**
 * What the engine is started with, made from the configuration: a pure function.
 *
 * Keys are copied into buffers of their own, because those are transferred to the engine's thread and
 * leave nothing behind; the configuration's own copies are the caller's to wipe afterwards.
 */
import type { Config, PeerConfig } from "../config/config.ts";
import { LARGEST_INNER_MTU } from "../core/constants.ts";
import type { PeerOptions } from "../core/options.ts";
import { secretCopy } from "../core/secret.ts";
import { SECOND_MS } from "../core/time.ts";
import type { EngineStart, Inherited, LastEndpoint } from "../engine/messages.ts";
import { literalEndpoint } from "./names/resolver.ts";

/** What is known beside the configuration when the engine starts. */
export interface StartContext {
  /** 16 bytes. */
  readonly nodeId: Uint8Array;
  /** SO_MARK of the outer datagrams; 0: none. */
  readonly mark: number;
  readonly ownAddresses: readonly Uint8Array[];
  /** Largest MTU of this host's links, bytes. */
  readonly linkMtu: number;
  readonly zoneIndex: (zone: string) => number;
  readonly inherited: Inherited;
  /** Where peers were when the last run ended. */
  readonly endpoints: readonly LastEndpoint[];
  /** Whether the engine waits for `begin` once it is loaded. */
  readonly isStandby: boolean;
}

/** The engine's start message; host names in it have no address yet. */
export function engineStart(config: Config, context: StartContext): EngineStart {
  const { name, listen, device } = config.interface;
  return {
    tun: { name, ...mtuOptions(config.interface, context.linkMtu) },
    udp: { ...listen, mark: context.mark, device },
    nodeId: context.nodeId,
    ownAddresses: context.ownAddresses,
    innerAddresses: config.interface.addresses.map(({ bytes }) => bytes),
    copyDscp: config.interface.copyDscp,
    limits: config.limits,
    peers: config.peers.map((peer) => peerOptions(peer, context)),
    offloads: config.offload,
    isTracing: config.log.level === "debug",
    inherited: context.inherited,
    isStandby: context.isStandby,
  };
}

/** The MTU as the engine takes it; `linkMtu`: bytes. */
export function mtuOptions(
  { mtu, mtuProbeSeconds }: Config["interface"],
  linkMtu: number,
): Pick<EngineStart["tun"], "mtu" | "pathMtu"> {
  if (mtu !== "auto") return { mtu, pathMtu: undefined };
  return {
    mtu: LARGEST_INNER_MTU,
    pathMtu: { linkMtu, raiseMs: mtuProbeSeconds * SECOND_MS },
  };
}

/** A peer as the engine takes it, with copies of its keys; host names have no address yet. */
export function peerOptions(
  peer: PeerConfig,
  { zoneIndex, endpoints }: Pick<StartContext, "zoneIndex" | "endpoints">,
): PeerOptions {
  const literals = peer.endpoints.flatMap((one) => literalEndpoint(one, zoneIndex) ?? []);
  return {
    name: peer.name,
    kind: peer.kind,
    keys: peer.keys.map((key) => secretCopy(key)),
    endpoints: literals,
    failoverMs: peer.failoverMs,
    hasConfiguredEndpoint: peer.endpoints.length > 0,
    allowedIps: peer.allowedIps,
    keepaliveSeconds: peer.keepaliveSeconds,
    roaming: peer.roaming,
    rateBitsPerSecond: peer.rateBitsPerSecond,
    lastEndpoint: endpoints.find((one) => one.peer === peer.name)?.endpoint,
  };
}
