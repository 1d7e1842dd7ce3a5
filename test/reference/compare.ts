/**
 * What a tunnel remembers against what the model says it must, after every phase of every turn.
 *
 * Bounds of tables are checked here too, with the numbers of docs/protocol.md and not against the model.
 */

import type { Endpoint } from "../../src/core/address.ts";
import type { Peer as CorePeer } from "../../src/core/peers/peer.ts";
import type { Prefix } from "../../src/core/prefix.ts";
import type { Instant } from "../../src/core/time.ts";
import { type Address, addressOf, addressText, type Ip, ipText } from "./model/address.ts";
import {
  type Attempt,
  indexOf,
  type Model,
  type Peer,
  type Session,
  type Way,
} from "./model/state.ts";
import type { Running } from "./running.ts";
import { same, Violation } from "./violation.ts";

/** Bounds of docs/protocol.md. */
const MOST = {
  pendings: 4,
  resends: 3,
  halfOpenOfPeer: 8,
  halfOpenOfNode: 4,
  waiting: 128,
  otherPaths: 3,
  addresses: 64,
  seen: 4_096,
} as const;

/** Compares everything of every peer. */
export function compareAll(running: Running, peers: ReadonlySet<CorePeer>, name: string): void {
  const { model, aead } = running;
  let nodes: ReadonlyMap<string, CorePeer> | undefined;
  for (const peer of peers) {
    nodes ??= peer.group?.nodes;
    if (peer.kind !== "node") comparePeer(peer, model.entry, name);
  }
  compareNodes(nodes, model, name);
  // A half-open session is in the table once its RESP has shown its index.
  same("keys", name, "key slots in use", aead.slotsInUse, 2 * model.sessions.size);
}

function compareNodes(
  nodes: ReadonlyMap<string, CorePeer> | undefined,
  model: Model,
  name: string,
): void {
  if (nodes === undefined && model.nodes.size === 0) return;
  same("nodes", name, "number of nodes", nodes?.size ?? 0, model.nodes.size);
  for (const [key, node] of nodes ?? []) {
    // A key of the table is the fingerprint and the node id.
    const expected = model.nodes.get(key.slice(-16));
    if (expected === undefined) throw new Violation("nodes", `${name} keeps a node too long`);
    comparePeer(node, expected, node.name);
    compareAddresses(node, expected, name);
  }
}

function comparePeer(core: CorePeer, model: Peer, name: string): void {
  compareSession(core.current, model.current, name, "current");
  compareSession(core.previous, model.previous, name, "previous");
  same("slots", name, "number waiting", core.halfOpen.length, model.halfOpen.length);
  for (let at = 0; at < core.halfOpen.length; at += 1) {
    compareSession(core.halfOpen[at], model.halfOpen[at], name, "waiting");
  }
  compareEndpoint(core.endpoint, model.endpoint, name, "endpoint");
  compareEndpoint(core.pathChallenge?.to, model.pathChallenge?.to, name, "challenged path");
  compareAttempt(core.attempt, model.attempt, name);
  same("waiting", name, "waiting packets", core.waiting.count, model.waiting.length);
  checkBounds(core, name);
}

function compareAttempt(core: CorePeer["attempt"], model: Attempt | undefined, name: string): void {
  same("attempt", name, "number of INITs", core?.tries, model?.tries);
  same("attempt", name, "number of resends", core?.resends, model?.resends);
  same("attempt", name, "answerable INITs", core?.pendings.length, model?.pendings.length);
}

type CoreSession = CorePeer["current"];

function compareSession(
  core: CoreSession,
  model: Session | undefined,
  name: string,
  slot: string,
): void {
  const index = model === undefined ? undefined : indexOf(model);
  if (core?.localIndex !== index || core?.born !== model?.born) {
    const text = `${sessionText(core, core?.localIndex)}, by the rules ${sessionText(model, index)}`;
    throw new Violation("slots", `${name}: ${slot} is ${text}`);
  }
  same("slots", name, "counter to send", core?.nextCounter, model?.nextCounter);
  same("slots", name, "counters received", core?.receivedPackets, model?.seen.size);
}

function sessionText(
  session: Pick<Session, "isInitiator" | "born"> | undefined,
  index: number | undefined,
): string {
  if (session === undefined) return "none";
  return `${index?.toString(16)} (${session.isInitiator ? "own" : "theirs"}, born ${session.born})`;
}

function compareEndpoint(
  core: Endpoint | undefined,
  model: Way | undefined,
  name: string,
  what: string,
): void {
  const remote = core && addressOf((core.remote[3] ?? 0) >>> 0, core.port);
  const local = core && (core.local[3] ?? 0) >>> 0;
  if (remote === model?.remote && local === model?.local) return;
  const text = `${wayText(remote, local)}, by the rules ${wayText(model?.remote, model?.local)}`;
  throw new Violation("endpoint", `${name}: ${what} is ${text}`);
}

function wayText(remote: Address | undefined, local: Ip | undefined): string {
  return remote === undefined ? "none" : `${addressText(remote)} as ${ipText(local ?? 0)}`;
}

/** Two contests that end at one instant have no order, so their addresses may lie in either. */
function compareAddresses(core: CorePeer, { membership }: Peer, name: string): void {
  const has = core.membership?.addresses.map(innerOf) ?? [];
  const must = membership?.addresses ?? [];
  if (has.length === must.length && has.every((inner) => must.includes(inner))) {
    if (membership !== undefined) membership.addresses = has;
    return;
  }
  const [hasText, mustText] = [has, must].map((list) => list.map(ipText).join(" "));
  throw new Violation("claims", `${name}: ${core.name} has ${hasText}, by the rules ${mustText}`);
}

function innerOf({ bytes }: Prefix): Ip {
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}

/** Stamp floors: exactly those of confirmed sessions, at their highest. */
export function compareFloors({ model }: Running, peers: ReadonlySet<CorePeer>): void {
  const [peer] = peers;
  const floors = peer?.psks[0]?.floors;
  if (floors === undefined) return;
  bound(model.options.name, "floors", model.floors.size, model.floorsKept);
  for (const [node, floor] of model.floors) {
    const nodeId = Uint8Array.from(node, (character) => character.charCodeAt(0));
    const isExact = floors.has(nodeId) && !floors.isAbove(nodeId, floor);
    if (!isExact)
      throw new Violation("floors", `${model.options.name}: a floor fell or is missing`);
    if (!floors.isAbove(nodeId, floor + 1)) {
      throw new Violation("floors", `${model.options.name}: a floor above every confirmed session`);
    }
  }
}

function checkBounds(core: CorePeer, name: string): void {
  bound(name, "answerable INITs", core.attempt?.pendings.length ?? 0, MOST.pendings);
  bound(name, "resends", core.attempt?.resends ?? 0, MOST.resends);
  bound(name, "waiting packets", core.waiting.count, MOST.waiting);
  bound(name, "addresses", core.membership?.addresses.length ?? 0, MOST.addresses);
  if (core.halfOpen.length > 0) checkHalfOpen(core, name);
  for (const { seen } of core.psks) bound(name, "remembered INITs", seen.size, MOST.seen);
}

function checkHalfOpen({ halfOpen }: CorePeer, name: string): void {
  bound(name, "half-open sessions", halfOpen.length, MOST.halfOpenOfPeer);
  for (const { node, otherPaths } of halfOpen) {
    bound(name, "paths of a session", otherPaths.length, MOST.otherPaths);
    const ofNode = halfOpen.filter((other) => isSameNode(node.nodeId, other.node.nodeId));
    bound(name, "half-open sessions of a node", ofNode.length, MOST.halfOpenOfNode);
  }
}

function isSameNode(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, index) => byte === b[index]);
}

function bound(name: string, what: string, count: number, most: number): void {
  if (count > most) throw new Violation("bounds", `${name} has ${count} ${what}, at most ${most}`);
}

/** Every drop is counted, with its reason; and what only the snapshot shows is bounded. */
export function compareDrops({ tunnel, model, aead }: Running, now: Instant): void {
  const { drops, sources, sessions } = tunnel.snapshot(now);
  const { name, limits } = model.options;
  for (const [reason, count] of Object.entries(drops)) {
    same("drops", name, reason, count, model.drops.get(reason) ?? 0);
  }
  bound(name, "sources", sources.length, limits.sources);
  same("keys", name, "key slots of all sessions", aead.slotsInUse, 2 * sessions);
}
