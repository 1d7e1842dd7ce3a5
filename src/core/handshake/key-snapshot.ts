/**
 * Which keys of a peer are needed, and which can be removed (docs/operations.md has the steps of a rotation).
 *
 * The trap: a side that answers says only which keys it accepts; with which it would start shows when it starts, and
 * not before. So a key whose removal nobody can vouch for is "unknown" here, however long it was not used.
 */

import type { KeySnapshot } from "../options.ts";
import { isNode, type Peer, type Psk, type Session } from "../peers/peer.ts";
import type { Instant } from "../time.ts";
import { NOT_YET } from "./key-use.ts";

/** The keys of a peer in the order of the configuration; of a group's node the one that it has. */
export function keySnapshots(peer: Peer, now: Instant): KeySnapshot[] {
  if (!isNode(peer)) return peer.psks.map((psk) => keySnapshot(peer, psk, now));
  const { current, halfOpen, psks } = peer;
  const psk = current?.psk ?? halfOpen[0]?.psk;
  return psks.filter((one) => one === psk).map((one) => keySnapshot(peer, one, now));
}

function keySnapshot(peer: Peer, psk: Psk, now: Instant): KeySnapshot {
  const { startedAt, peerStartedAt, heardAt } = psk.use;
  const isOfGroup = peer.kind === "group";
  return {
    fingerprint: psk.ring.fingerprint,
    use: isOfGroup ? useOfGroup(peer, psk) : useOf(peer, psk),
    startedMs: since(startedAt, now),
    peerStartedMs: since(peerStartedAt, now),
    heardMs: since(heardAt, now),
    sites: isOfGroup ? lastUsers(peer, psk) : undefined,
  };
}

/**
 * Removing a key is safe when this side starts with another that the other side has, no session is under it, and the
 * other side, which may have to start at any time, did so last with another.
 */
function useOf(peer: Peer, psk: Psk): KeySnapshot["use"] {
  const [first] = peer.psks;
  if (isNode(peer)) return "in-use";
  if (psk === first || first === undefined) return "first";
  if (peer.sessions().some((session) => session.psk === psk)) return "in-use";
  if (first.use.heardAt === NOT_YET) return "first-unproven";
  // A hub never starts: it is enough that it accepts another.
  if (peer.kind === "hub") return "removable";
  const lastStart = Math.max(...peer.psks.map(({ use }) => use.peerStartedAt));
  if (lastStart === NOT_YET) return "unknown";
  return psk.use.peerStartedAt === lastStart ? "peer-starts" : "removable";
}

/** A hub never starts, so the order of its keys says nothing: what counts is what each site used last. */
function useOfGroup(peer: Peer, psk: Psk): KeySnapshot["use"] {
  const nodes = peer.group?.nodes.values() ?? [];
  const isUnder = (session: Session) => session.psk === psk;
  if (Array.from(nodes).some((node) => node.sessions().some(isUnder))) return "in-use";
  if (lastUsers(peer, psk) > 0) return "peer-starts";
  const others = peer.psks.filter((other) => other !== psk);
  return others.some(({ use }) => use.peerStartedAt !== NOT_YET) ? "removable" : "unknown";
}

/** Nodes that started with this key last, whether they are there or not. */
function lastUsers({ psks }: Peer, psk: Psk): number {
  const others = psks.filter((other) => other !== psk);
  const isLast = ([nodeId, at]: [string, Instant]) =>
    others.every(({ use }) => (use.nodes.get(nodeId) ?? NOT_YET) < at);
  return Array.from(psk.use.nodes).filter(isLast).length;
}

function since(at: Instant, now: Instant): number | undefined {
  return at === NOT_YET ? undefined : now - at;
}
