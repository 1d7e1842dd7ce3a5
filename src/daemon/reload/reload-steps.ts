/**
 * A configuration taken over from another, step by step, each with its way back.
 *
 * What may be refused is asked or done first: the host (nothing is changed by asking), the device, then the engine,
 * all of it in one message; last come the default route and the firewall, which need the engine's new mark. A default
 * route that goes away goes before the engine's mark, for what has none is led into the tunnel itself. When a step
 * fails, those before it are taken back, the last first. The same ways back serve who does not confirm.
 *
 * The trap: the keys of the configuration before are wiped. The engine keeps those that its peers lose, and gives
 * them back by name, until `commit`: no key's bytes are kept for the way back.
 */
import type { Config } from "../../config/config.ts";
import { defaultFamilies, takesAll } from "../../config/default-families.ts";
import { difference, type NamedConfig } from "../../config/difference.ts";
import { wipeKeys } from "../../config/load.ts";
import type { KeySource } from "../../core/options.ts";
import { secretCopy } from "../../core/secret.ts";
import type { Log } from "../../log.ts";
import type { EngineLink } from "../engine-link.ts";
import { DaemonError, messageOf } from "../failure.ts";
import type { HostChanges } from "../host/host-changes.ts";
import type { Resolver } from "../names/resolver.ts";
import { type ChangeContext, engineChanges } from "./engine-changes.ts";

/** Milliseconds for which names are waited for that a new default route depends on. */
export const NAMES_WAIT_MS = 3_000;

/** The parts of a running tunnel that a configuration reaches. */
export interface ReloadTargets {
  readonly engine: Pick<EngineLink, "reconfigure">;
  readonly host: Pick<HostChanges, "prepareChange" | "change">;
  readonly resolver: Pick<Resolver, "add" | "remove" | "answered">;
  readonly log: Log;
  /** The outer socket's port. */
  readonly port: number;
  /** SO_MARK of the socket at present. */
  readonly mark: () => number;
  readonly linkMtu: () => number;
  readonly zoneIndex: (zone: string) => number;
  /** Makes the device what a configuration wants; throws where that is refused, and is then as before. */
  readonly changeNetwork: (config: Config) => Promise<void>;
  /** Everything else asks for the configuration from then on. */
  readonly adopt: (config: Config) => void;
  /** Rejects after so many milliseconds. */
  readonly within: (ms: number, work: Promise<void>, late: () => DaemonError) => Promise<void>;
}

/** A way back: undoes one step. */
type Undo = () => Promise<unknown>;

/** A configuration that was taken over, and can be given up again. */
export interface TakenOver {
  /** The way back is given up: keys that nobody has any more are wiped. */
  readonly commit: () => Promise<void>;
  /** Makes what was before; returns what could not be done. */
  readonly rollBack: () => Promise<readonly string[]>;
}

/** Takes `after` over; throws a DaemonError where that is refused, and everything is as it was. */
export async function takeOver(
  before: NamedConfig,
  after: NamedConfig,
  targets: ReloadTargets,
): Promise<TakenOver> {
  const undos: Undo[] = [];
  try {
    await runSteps(before, after, targets, undos);
  } catch (error) {
    for (const line of await takeBack(undos)) targets.log.error(`undoing a reload: ${line}`);
    throw error;
  }
  return {
    commit: async () => {
      const request = { mark: targets.mark(), changes: [], keys: "wipe" } as const;
      await targets.engine.reconfigure(request);
    },
    rollBack: () => takeBack(undos),
  };
}

async function runSteps(
  before: NamedConfig,
  after: NamedConfig,
  targets: ReloadTargets,
  undos: Undo[],
): Promise<void> {
  const [old, fresh] = [before.config, after.config];
  const { host, adopt, changeNetwork, port } = targets;
  const oldMark = targets.mark();
  const mark = await host.prepareChange(fresh);
  const isRouteGoing = defaultFamilies(old).length > 0 && defaultFamilies(fresh).length === 0;
  const changeHost = async () => {
    // Its own way back stands before the step: a failure may leave half of it.
    undos.unshift(() => host.change(old, oldMark, port));
    await host.change(fresh, mark, port);
  };

  await changeNetwork(fresh);
  undos.unshift(() => changeNetwork(old));

  if (isRouteGoing) await changeHost();
  await changeEngine(before, after, mark, targets, "keep");
  undos.unshift(() => changeEngine(after, before, oldMark, targets, "wipe"));

  adopt(fresh);
  changeNames(old, fresh, targets.resolver);
  undos.unshift(async () => {
    adopt(old);
    changeNames(fresh, old, targets.resolver);
  });

  if (isRouteGoing) return;
  await untilNamed(old, fresh, targets);
  await changeHost();
}

/** Everything is tried, whatever fails. */
async function takeBack(undos: readonly Undo[]): Promise<readonly string[]> {
  const complaints: string[] = [];
  for (const undo of undos) {
    await undo().catch((error: unknown) => complaints.push(messageOf(error)));
  }
  return complaints;
}

async function changeEngine(
  before: NamedConfig,
  after: NamedConfig,
  mark: number,
  targets: ReloadTargets,
  keys: "keep" | "wipe",
): Promise<void> {
  const { engine, linkMtu, zoneIndex } = targets;
  const keysOf = (peer: Config["peers"][number]): readonly KeySource[] =>
    keys === "keep" ? peer.keys.map((key) => secretCopy(key)) : namesOf(after, peer.name);
  const context: ChangeContext = { keysOf, zoneIndex, linkMtu: linkMtu() };
  const parts = difference(before, after, Number.POSITIVE_INFINITY);
  const changes = engineChanges(parts, before.config, after.config, context);
  wipeKeys(after.config);
  const fault = await engine.reconfigure({ mark, changes, keys });
  if (fault !== undefined) throw new DaemonError(`nothing is changed: ${fault}`);
}

function namesOf({ fingerprints }: NamedConfig, peer: string): readonly KeySource[] {
  return (fingerprints.get(peer) ?? []).map((fingerprint) => ({ fingerprint }));
}

/** Names of peers that are new or have other endpoints are asked for. */
function changeNames(before: Config, after: Config, resolver: ReloadTargets["resolver"]): void {
  const placesOf = ({ endpoints }: Config["peers"][number]) => JSON.stringify(endpoints);
  const isIn = (config: Config, peer: Config["peers"][number]) =>
    config.peers.some((one) => one.name === peer.name && placesOf(one) === placesOf(peer));
  for (const peer of before.peers) if (!isIn(after, peer)) resolver.remove(peer.name);
  for (const peer of after.peers) if (!isIn(before, peer)) resolver.add(peer);
}

/** A default route leads questions to name servers into the tunnel: what it depends on has to be known before. */
async function untilNamed(before: Config, after: Config, targets: ReloadTargets): Promise<void> {
  const had = defaultFamilies(before);
  const families = defaultFamilies(after).filter((family) => !had.includes(family));
  const peers = after.peers.filter((peer) => families.some((family) => takesAll(peer, family)));
  const names = peers.map(({ name }) => name);
  await targets.within(
    NAMES_WAIT_MS,
    targets.resolver.answered(names),
    () =>
      new DaemonError(
        `the endpoint of peer ${names.join(" or ")} has no address yet, and the default route needs it: see that its name resolves, and reload again`,
      ),
  );
}
