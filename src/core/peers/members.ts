/**
 * The hub's side of a learned group: its nodes come and go (PROTOCOL, "Groups"); claims.ts has their addresses.
 *
 * A node is made when its handshake is answered and forgotten with its last session. The trap: every member
 * has the key and may say any node id, so the table is bounded, in all and for each source that proved itself.
 */
import type { Endpoint } from "../address.ts";
import { GROUP_NODES, GROUP_NODES_PER_SOURCE, REST_FIRST_MS } from "../constants.ts";
import { hex } from "../handshake/keys.ts";
import { drop, type State } from "../state.ts";
import type { Instant } from "../time.ts";
import { type Group, isNode, type Node, Peer, type Psk } from "./peer.ts";

/** Whose address a handshake of a group is counted for: the one that its node proved, or this one, which a cookie did. */
export function originOf(peer: Peer, source: Endpoint): string {
  return peer.membership?.source ?? sourceKey(source);
}

/** Whom a handshake under this key comes from: the pair's peer, the group's node, or the entry of a group that does not know the node. */
export function knownPeer(psk: Psk, nodeId: Uint8Array): Peer {
  return psk.peer.group?.nodes.get(keyOf(psk, nodeId)) ?? psk.peer;
}

/** The same, with a node made where it is new; whoever calls has asked `hasRoomFor`. */
export function admit(
  state: State,
  psk: Psk,
  nodeId: Uint8Array,
  source: Endpoint,
  now: Instant,
): Peer {
  const entry = psk.peer;
  const { group } = entry;
  if (group === undefined) return entry;
  const known = group.nodes.get(keyOf(psk, nodeId));
  if (known !== undefined) return known;
  const node = makeNode(state, psk, nodeId, sourceKey(source), now);
  group.nodes.set(keyOf(psk, nodeId), node);
  return node;
}

/** Whether the group has room for a node that is not there: in all, and for the source that it proved. */
export function hasRoomFor(psk: Psk, nodeId: Uint8Array, source: Endpoint): boolean {
  const { group } = psk.peer;
  if (group === undefined || group.nodes.has(keyOf(psk, nodeId))) return true;
  return (
    group.nodes.size < GROUP_NODES && nodesFrom(group, sourceKey(source)) < GROUP_NODES_PER_SOURCE
  );
}

function makeNode(state: State, psk: Psk, nodeId: Uint8Array, source: string, now: Instant): Node {
  const entry = psk.peer;
  const options = {
    name: nodeName(entry, nodeId),
    keys: [],
    endpoints: [],
    hasConfiguredEndpoint: false,
    allowedIps: [],
    keepaliveSeconds: entry.keepaliveSeconds,
    roaming: entry.roaming,
    rateBitsPerSecond: entry.rateBitsPerSecond,
  };
  const membership = {
    entry,
    nodeId: keyOf(psk, nodeId),
    source,
    addresses: [],
    contest: undefined,
    restUntil: now,
    restMs: REST_FIRST_MS,
    takenFrom: new Map<string, Node>(),
    refusedClaims: 0,
  };
  const node = new Peer(options, state.limits, state, now, membership) as Node;
  node.psks = entry.psks;
  return node;
}

/** Eight digits of the node id, or all where another node has the same eight: an id can be chosen. */
function nodeName({ name, group }: Peer, nodeId: Uint8Array): string {
  const short = `${name}/${hex(nodeId.subarray(0, 4))}`;
  const isTaken = Array.from(group?.nodes.values() ?? []).some((node) => node.name === short);
  return isTaken ? `${name}/${hex(nodeId)}` : short;
}

/** A node that has no session any more gives its addresses back; one that waits for none either is forgotten. */
export function settleNode(state: State, peer: Peer): void {
  if (!isNode(peer) || peer.current !== undefined) return;
  const { membership, group } = peer;
  for (const prefix of membership.addresses) group.addresses.remove(prefix);
  membership.addresses.length = 0;
  membership.takenFrom.clear();
  membership.contest = undefined;
  if (peer.halfOpen.length > 0) return;
  group.nodes.delete(membership.nodeId);
  drop(state, "queue_timeout", peer.waiting.clear() + (peer.pacer?.clear() ?? 0));
  state.flushable.delete(peer);
  state.paceable.delete(peer);
  peer.timers.clearAll();
  state.heap.remove(peer);
  addCounters(membership.entry, peer);
}

/** Every peer: the configured ones, and behind a group its nodes. */
export function* everyPeer(state: State): Generator<Peer> {
  for (const peer of state.peers.values()) {
    yield peer;
    if (peer.group !== undefined) yield* peer.group.nodes.values();
  }
}

/** The peer or node of this name. */
export function peerNamed(state: State, name: string): Peer | undefined {
  const configured = state.peers.get(name);
  if (configured !== undefined) return configured;
  for (const peer of everyPeer(state)) if (peer.name === name) return peer;
  return undefined;
}

/** The node that holds an inner address of the group. */
export function holderOf(
  group: Group,
  family: 4 | 6,
  arena: Uint8Array,
  offset: number,
): Node | undefined {
  return family === 4
    ? group.addresses.lookup4(arena, offset)
    : group.addresses.lookup6(arena, offset);
}

/** BOUNDED: at most GROUP_NODES are looked at, once for each new node. */
function nodesFrom(group: Group, source: string): number {
  let count = 0;
  for (const { membership } of group.nodes.values()) if (membership.source === source) count += 1;
  return count;
}

/** One customer's address: all of IPv4, a /64 of IPv6. */
function sourceKey({ remote }: Endpoint): string {
  const [first = 0, second = 0, third = 0, fourth = 0] = remote;
  const isMapped = first === 0 && second === 0;
  return isMapped ? `${third},${fourth}` : `${first},${second}`;
}

/** What a forgotten node did stays in its group's sum. */
function addCounters(entry: Peer, node: Peer): void {
  const [sum, own] = [entry.counters, node.counters];
  for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += own[name];
}

/** A node is a key and a node id: who holds an old key is nobody under the new one. */
function keyOf({ ring }: Psk, nodeId: Uint8Array): string {
  return ring.fingerprint + String.fromCharCode(...nodeId);
}
