/**
 * Inner addresses of a learned group: the first live node keeps one (PROTOCOL, "Groups").
 *
 *     routes: configured prefix -> the group's entry        who may claim at all: the longest prefix says
 *     group.addresses: one address -> a node                who holds it now: the first that brought it
 *
 * A claim on an address that another node holds makes the hub ask the holder, three times in a second; only
 * its silence moves the address, and its next packet takes it back. A holder that answered is not asked again
 * for a while, twice as long each time: else who claims without end would catch it in its first short outage.
 * BOUNDED: one contest a holder at a time, and no address in it twice.
 */
import { GROUP_ADDRESSES, PROBE_PERIOD_MS, PROBES, REST_MOST_MS } from "../constants.ts";
import type { DropReason } from "../drop-reason.ts";
import { isMartian } from "../inbound/martian.ts";
import { containsAddress, formatPrefix, type Prefix } from "../prefix.ts";
import { sendProbe } from "../session/control.ts";
import type { State } from "../state.ts";
import { after, type Instant } from "../time.ts";
import { holderOf } from "./members.ts";
import { type Contest, type Group, isNode, type Node, type Peer } from "./peer.ts";

/** Why a peer may not send with the inner source at `offset`; undefined: it may. A node holds the address then. */
export function mayBring(
  state: State,
  peer: Peer,
  family: 4 | 6,
  arena: Uint8Array,
  offset: number,
  now: Instant,
): DropReason | undefined {
  const { routes } = state;
  const owner = family === 4 ? routes.lookup4(arena, offset) : routes.lookup6(arena, offset);
  if (owner === peer) {
    const isRefused = isMartian(arena, offset, family) && !isMeant(peer, family, arena, offset);
    return isRefused ? "inner_martian" : undefined;
  }
  if (!isNode(peer) || owner?.group !== peer.group) return "inner_source";
  return claim(state, peer, family, arena, offset, now);
}

/** Whether one of the peer's prefixes is of such addresses by name and covers this one. */
function isMeant(peer: Peer, family: 4 | 6, arena: Uint8Array, offset: number): boolean {
  const { bytes } = hostPrefix(family, arena, offset);
  return peer.martians.some((prefix) => containsAddress(prefix, bytes));
}

/** A node sends with a source that its group's prefixes cover. */
function claim(
  state: State,
  node: Node,
  family: 4 | 6,
  arena: Uint8Array,
  offset: number,
  now: Instant,
): DropReason | undefined {
  const holder = holderOf(node.group, family, arena, offset);
  if (holder === node) return undefined;
  if (isMartian(arena, offset, family) || isOwn(state, family, arena, offset)) {
    return "inner_source";
  }
  if (holder === undefined) {
    give(node, hostPrefix(family, arena, offset));
    return undefined;
  }
  if (takeBack(holder, node, family, arena, offset)) return undefined;
  node.membership.refusedClaims += 1;
  contend(state, holder, node, family, arena, offset, now);
  return "inner_taken";
}

/** A node that lost an address to the holder while it was silent is back: it was the first. */
function takeBack(
  holder: Node,
  node: Node,
  family: 4 | 6,
  arena: Uint8Array,
  offset: number,
): boolean {
  const { takenFrom } = holder.membership;
  if (takenFrom.size === 0) return false;
  const prefix = hostPrefix(family, arena, offset);
  if (takenFrom.get(formatPrefix(prefix)) !== node) return false;
  release(holder, prefix);
  give(node, prefix);
  return true;
}

/** Another node claims an address: its holder is asked, unless it answered such a question lately. */
function contend(
  state: State,
  holder: Node,
  by: Node,
  family: 4 | 6,
  arena: Uint8Array,
  offset: number,
  now: Instant,
): void {
  const { membership } = holder;
  const { contest } = membership;
  if (contest === undefined && now < membership.restUntil) return;
  const prefix = hostPrefix(family, arena, offset);
  const text = formatPrefix(prefix);
  if (contest !== undefined) {
    if (!contest.claims.has(text)) contest.claims.set(text, { prefix, by });
    return;
  }
  membership.contest = { since: now, sent: 0, claims: new Map([[text, { prefix, by }]]) };
  // One a contest, however many addresses are claimed in it.
  state.events.push({ kind: "claim", peer: by.name, holder: holder.name, prefix });
  probeHolder(state, holder, now);
}

/** The contest's timer is due: another probe, or the end. */
export function probeHolder(state: State, holder: Node, now: Instant): void {
  const { contest } = holder.membership;
  if (contest === undefined) return;
  if (contest.sent >= PROBES) {
    decide(state, holder, contest, now);
    return;
  }
  contest.sent += 1;
  holder.timers.set("contest", after(now, PROBE_PERIOD_MS));
  const { current, endpoint } = holder;
  if (current !== undefined && endpoint !== undefined) sendProbe(state, current, endpoint, now);
}

/** A holder that was heard since the first probe keeps what it has; a silent one loses what was claimed. */
function decide(state: State, holder: Node, contest: Contest, now: Instant): void {
  const { membership, group } = holder;
  membership.contest = undefined;
  if (holder.lastHeardAt >= contest.since) {
    membership.restMs = Math.min(2 * membership.restMs, REST_MOST_MS);
    membership.restUntil = after(now, membership.restMs);
    return;
  }
  for (const [text, { prefix, by }] of contest.claims) {
    if (holderOf(group, prefix.family, prefix.bytes, 0) !== holder) continue;
    release(holder, prefix);
    if (!by.current?.isUsable(now)) continue;
    give(by, prefix);
    by.membership.takenFrom.set(text, holder);
    state.events.push({ kind: "moved", peer: by.name, holder: holder.name, prefix });
  }
}

/** Takes back addresses that nodes hold and may not any more: outside the group's prefixes, or our own. */
export function releaseStrange(state: State, group: Group): void {
  const { routes } = state;
  for (const node of group.nodes.values()) {
    for (const prefix of [...node.membership.addresses]) {
      const { family, bytes } = prefix;
      const owner = family === 4 ? routes.lookup4(bytes, 0) : routes.lookup6(bytes, 0);
      if (owner?.group !== group || isOwn(state, family, bytes, 0)) release(node, prefix);
    }
  }
}

/** BOUNDED: a node that brings more than GROUP_ADDRESSES loses the one that it brought first. */
function give(node: Node, prefix: Prefix): void {
  const { addresses } = node.membership;
  const [oldest] = addresses;
  if (addresses.length >= GROUP_ADDRESSES && oldest !== undefined) release(node, oldest);
  node.group.addresses.insert(prefix, node);
  addresses.push(prefix);
}

/** Takes an address from the node that holds it. */
function release({ membership, group }: Node, prefix: Prefix): void {
  const { addresses, takenFrom } = membership;
  addresses.splice(
    addresses.findIndex(({ bytes }) => isSame(bytes, prefix.bytes)),
    1,
  );
  takenFrom.delete(formatPrefix(prefix));
  group.addresses.remove(prefix);
}

function isOwn(state: State, family: 4 | 6, arena: Uint8Array, offset: number): boolean {
  const { bytes } = hostPrefix(family, arena, offset);
  return state.innerAddresses.some((own) => isSame(own, bytes));
}

function hostPrefix(family: 4 | 6, arena: Uint8Array, offset: number): Prefix {
  const bytes = arena.slice(offset, offset + (family === 4 ? 4 : 16));
  return { family, bytes, length: bytes.length * 8 };
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
