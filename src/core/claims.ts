/**
 * Inner addresses of a learned group: the first live node keeps one (PROTOCOL, "Groups").
 *
 *     routes: configured prefix -> the group's entry        who may claim at all: the longest prefix says
 *     group.addresses: one address -> a node                who holds it now: the first that brought it
 *
 * A claim on an address that another node holds makes the hub ask the holder, three times in a second; only
 * its silence moves the address. BOUNDED: one contest a holder at a time, and no address in it twice.
 */
import { GROUP_ADDRESSES, PROBE_PERIOD_MS, PROBES } from "./constants.ts";
import { sendProbe } from "./control.ts";
import type { DropReason } from "./drop-reason.ts";
import { isMartian } from "./martian.ts";
import { holderOf } from "./members.ts";
import type { Peer } from "./peer.ts";
import { formatPrefix, type Prefix } from "./prefix.ts";
import type { State } from "./state.ts";
import { after, type Instant } from "./time.ts";

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
    return !peer.hasMartians && isMartian(arena, offset, family) ? "inner_martian" : undefined;
  }
  if (owner?.group === undefined || owner.group !== peer.group) return "inner_source";
  return claim(state, peer, family, arena, offset, now);
}

/** A node sends with a source that its group's prefixes cover. */
function claim(
  state: State,
  node: Peer,
  family: 4 | 6,
  arena: Uint8Array,
  offset: number,
  now: Instant,
): DropReason | undefined {
  const { membership, group } = node;
  if (membership === undefined || group === undefined) return "inner_source";
  const holder = holderOf(group, family, arena, offset);
  if (holder === node) return undefined;
  if (isMartian(arena, offset, family) || isOwn(state, family, arena, offset)) {
    return "inner_source";
  }
  const prefix = hostPrefix(family, arena, offset);
  if (holder !== undefined) {
    membership.refusedClaims += 1;
    contend(state, holder, node, prefix, now);
    return "inner_taken";
  }
  if (membership.addresses.length >= GROUP_ADDRESSES) return "inner_claims";
  give(node, prefix);
  return undefined;
}

/** Another node claims an address: its holder is asked, as often as the contest's timer says. */
function contend(state: State, holder: Peer, by: Peer, prefix: Prefix, now: Instant): void {
  const { membership } = holder;
  if (membership === undefined) return;
  if (membership.contest === undefined) {
    membership.contest = { since: now, sent: 0, claims: new Map() };
    probeHolder(state, holder, now);
  }
  const { claims } = membership.contest;
  const text = formatPrefix(prefix);
  if (claims.has(text)) return;
  claims.set(text, { prefix, by });
  state.events.push({ kind: "claim", peer: by.name, holder: holder.name, prefix });
}

/** The contest's timer is due: another probe, or the end. */
export function probeHolder(state: State, holder: Peer, now: Instant): void {
  const contest = holder.membership?.contest;
  if (contest === undefined) return;
  if (contest.sent >= PROBES) {
    decide(state, holder, now);
    return;
  }
  contest.sent += 1;
  holder.timers.set("contest", after(now, PROBE_PERIOD_MS));
  const { current, endpoint } = holder;
  if (current !== undefined && endpoint !== undefined) sendProbe(state, current, endpoint, now);
}

/** A holder that was heard since the first probe keeps what it has; a silent one loses what was claimed. */
function decide(state: State, holder: Peer, now: Instant): void {
  const { membership, group } = holder;
  const contest = membership?.contest;
  if (membership === undefined || contest === undefined || group === undefined) return;
  membership.contest = undefined;
  if (holder.lastHeardAt >= contest.since) return;
  for (const { prefix, by } of contest.claims.values()) {
    const index = membership.addresses.findIndex((own) => isSamePrefix(own, prefix));
    if (index === -1) continue;
    membership.addresses.splice(index, 1);
    group.addresses.remove(prefix);
    const mayTake =
      by.current?.isUsable(now) && (by.membership?.addresses.length ?? 0) < GROUP_ADDRESSES;
    if (mayTake) give(by, prefix);
    state.events.push({ kind: "moved", peer: by.name, holder: holder.name, prefix });
  }
}

function give(node: Peer, prefix: Prefix): void {
  node.group?.addresses.insert(prefix, node);
  node.membership?.addresses.push(prefix);
}

function isOwn(state: State, family: 4 | 6, arena: Uint8Array, offset: number): boolean {
  const length = family === 4 ? 4 : 16;
  return state.innerAddresses.some(
    (own) => own.length === length && own.every((byte, index) => arena[offset + index] === byte),
  );
}

function hostPrefix(family: 4 | 6, arena: Uint8Array, offset: number): Prefix {
  const bytes = arena.slice(offset, offset + (family === 4 ? 4 : 16));
  return { family, bytes, length: bytes.length * 8 };
}

function isSamePrefix(a: Prefix, b: Prefix): boolean {
  return a.family === b.family && a.bytes.every((byte, index) => byte === b.bytes[index]);
}
