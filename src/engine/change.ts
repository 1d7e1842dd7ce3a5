/**
 * One change of the control side, taken to the core and the socket.
 *
 * Nothing here fails: what a change needs was checked by whoever made it.
 */
import { keyBytes } from "../core/handshake/keys.ts";
import type { Instant } from "../core/time.ts";
import type { Tunnel } from "../core/tunnel.ts";
import type { Change, KeyedPeer } from "./messages.ts";
import type { UdpPort } from "./ports.ts";

/** The part of the core that a configuration reaches. */
export type ChangedTunnel = Pick<
  Tunnel,
  | "addPeer"
  | "removePeer"
  | "updatePeer"
  | "setEndpoints"
  | "setLimits"
  | "setInnerAddresses"
  | "setMtu"
  | "setCopyDscp"
  | "setOwnAddresses"
  | "setLinkMtu"
  | "announce"
>;

/** What a change may reach. */
export interface ChangeTargets {
  readonly tunnel: ChangedTunnel;
  readonly udp: Pick<UdpPort, "bindDevice">;
  readonly setTracing: (isTracing: boolean) => void;
}

/** The names of peers' keys, as they are reported; the keys are overwritten. */
export function nameKeys(
  tunnel: Pick<Tunnel, "fingerprintOf">,
  peers: readonly KeyedPeer[],
): { readonly kind: "key-names"; readonly names: readonly (readonly string[])[] } {
  const names = peers.map(({ kind, keys }) =>
    keyBytes(keys).map((key) => tunnel.fingerprintOf(key, kind)),
  );
  for (const key of keyBytes(peers.flatMap(({ keys }) => keys))) key.fill(0);
  return { kind: "key-names", names };
}

/** Applies the change. */
export function applyChange(change: Change, targets: ChangeTargets, now: Instant): void {
  const { tunnel, udp } = targets;
  switch (change.kind) {
    case "add-peer":
      tunnel.addPeer(change.peer, now);
      break;
    case "remove-peer":
      tunnel.removePeer(change.name, now);
      break;
    case "update-peer":
      tunnel.updatePeer(change.peer, now);
      break;
    case "set-endpoints":
      tunnel.setEndpoints(change.name, change.endpoints, now);
      break;
    case "set-limits":
      tunnel.setLimits(change.limits, now);
      break;
    case "set-inner-addresses":
      tunnel.setInnerAddresses(change.addresses, now);
      break;
    case "set-mtu":
      tunnel.setMtu(change.mtu, change.pathMtu, now);
      break;
    case "set-copy-dscp":
      tunnel.setCopyDscp(change.isCopied);
      break;
    case "set-tracing":
      targets.setTracing(change.isTracing);
      break;
    case "own-links":
      udp.bindDevice();
      tunnel.setOwnAddresses(change.addresses);
      tunnel.setLinkMtu(change.linkMtu, now);
      tunnel.announce(now);
      break;
    default:
      change satisfies never;
  }
}
