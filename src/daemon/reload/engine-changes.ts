/**
 * What the engine is told of a configuration that is read anew: a pure function.
 *
 * Peers that go come first, so that what they had is free; settings of all peers stand before the peers that are
 * made with them. Keys come from the configuration as copies, or, on the way back, by the names of those that the
 * engine has kept. A peer whose endpoints did not change is told none: their names have addresses already.
 */
import { isDeepStrictEqual } from "node:util";
import type { Config, PeerConfig } from "../../config/config.ts";
import type { Difference } from "../../config/difference.ts";
import type { KeySource } from "../../core/options.ts";
import type { Change } from "../../engine/messages.ts";
import { mtuOptions, peerOptions, type StartContext } from "../engine-start.ts";

/** What is known beside the configurations. */
export interface ChangeContext extends Pick<StartContext, "linkMtu" | "zoneIndex"> {
  /** The peer's keys in place of those in its configuration. */
  readonly keysOf: (peer: PeerConfig) => readonly KeySource[];
}

/** The changes in the order in which they are applied. */
export function engineChanges(
  { removed, changed, added }: Difference,
  before: Config,
  after: Config,
  context: ChangeContext,
): readonly Change[] {
  const { keysOf, zoneIndex } = context;
  // Where peers were at the end of another run is of no use here.
  const ofPeer = (peer: PeerConfig) => {
    // Without keys: a copy that is not handed on would never be wiped.
    return peerOptions({ ...peer, keys: [] }, { zoneIndex, endpoints: [] });
  };
  const options = (peer: PeerConfig) => ({ ...ofPeer(peer), keys: keysOf(peer) });
  return [
    ...removed.map((name): Change => ({ kind: "remove-peer", name })),
    ...settingChanges(before, after, context),
    ...changed.map(({ peer, hasOtherKeys, hasOtherEndpoints }): Change => {
      const { kind: _, endpoints, ...rest } = ofPeer(peer);
      const keys = hasOtherKeys ? keysOf(peer) : undefined;
      const told = hasOtherEndpoints ? endpoints : undefined;
      return { kind: "update-peer", peer: { ...rest, keys, endpoints: told } };
    }),
    ...added.map((peer): Change => ({ kind: "add-peer", peer: options(peer) })),
  ];
}

function settingChanges(
  before: Config,
  after: Config,
  { linkMtu }: ChangeContext,
): readonly Change[] {
  const [old, device] = [before.interface, after.interface];
  const changes: readonly (readonly [unknown, unknown, Change])[] = [
    [before.limits, after.limits, { kind: "set-limits", limits: after.limits }],
    [
      old.addresses,
      device.addresses,
      { kind: "set-inner-addresses", addresses: device.addresses.map(({ bytes }) => bytes) },
    ],
    [
      mtuOptions(old, linkMtu),
      mtuOptions(device, linkMtu),
      { kind: "set-mtu", ...mtuOptions(device, linkMtu) },
    ],
    [old.copyDscp, device.copyDscp, { kind: "set-copy-dscp", isCopied: device.copyDscp }],
    [isTracing(before), isTracing(after), { kind: "set-tracing", isTracing: isTracing(after) }],
  ];
  return changes.flatMap(([had, has, change]) => (isDeepStrictEqual(had, has) ? [] : [change]));
}

function isTracing({ log }: Config): boolean {
  return log.level === "debug";
}
