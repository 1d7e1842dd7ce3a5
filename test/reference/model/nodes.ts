/**
 * A group's nodes as its hub has them: they come with a handshake and go with their last session.
 */
import type { Ip } from "./address.ts";
import { type Model, newNode, type Peer } from "./state.ts";

/** Whom a handshake of this node concerns: the pair's peer, a node, or the group that does not know it yet. */
export function peerOf(model: Model, nodeId: string): Peer {
  return model.nodes.get(nodeId) ?? model.entry;
}

/** The same for a handshake that is answered: a new node of a group is made. */
export function admit(model: Model, nodeId: string, source: Ip): Peer {
  if (model.entry.kind !== "group") return model.entry;
  const known = model.nodes.get(nodeId);
  if (known !== undefined) return known;
  const node = newNode(model, nodeId, source);
  model.nodes.set(nodeId, node);
  return node;
}

/** A node without a session has no addresses; one that waits for none either is forgotten. */
export function settleNode(model: Model, peer: Peer): void {
  const { membership } = peer;
  if (membership === undefined || peer.current !== undefined) return;
  membership.addresses = [];
  membership.takenFrom.clear();
  membership.contest = undefined;
  if (peer.halfOpen.length > 0) return;
  model.nodes.delete(membership.nodeId);
  for (const timer of Object.keys(peer.timers) as (keyof Peer["timers"])[]) {
    peer.timers[timer] = Infinity;
  }
}

/** The node that holds an inner address. */
export function holderOf(model: Model, inner: Ip): Peer | undefined {
  for (const node of model.nodes.values()) {
    if (node.membership?.addresses.includes(inner) === true) return node;
  }
  return undefined;
}
