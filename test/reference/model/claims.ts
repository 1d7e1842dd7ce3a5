/**
 * Who has which inner address of a group (docs/protocol.md, "Groups").
 */
import type { Ip } from "./address.ts";
import { holderOf } from "./nodes.ts";
import { LONGEST_REST, NODE_ADDRESSES, PROBE_WAIT, PROBES } from "./rules.ts";
import { seal } from "./seal.ts";
import { drop, isUsable, type Model, type Peer } from "./state.ts";

/** Why a packet from this inner source is refused; undefined: it is not, and a node holds the address now. */
export function bring(model: Model, peer: Peer, inner: Ip): string | undefined {
  const { options, entry } = model;
  if (!options.peer.isInside(inner)) return "inner_source";
  if (entry.kind !== "group") return undefined;
  const { membership } = peer;
  const holder = holderOf(model, inner);
  if (membership === undefined || holder === peer) return undefined;
  if (options.inner.includes(inner)) return "inner_source";
  if (holder?.membership === undefined) {
    give(model, peer, inner);
    return undefined;
  }
  if (holder.membership.takenFrom.get(inner) === peer) {
    model.tally.note("takenBack");
    release(holder, inner);
    give(model, peer, inner);
    return undefined;
  }
  contend(model, holder, peer, inner);
  return "inner_taken";
}

function give(model: Model, { membership }: Peer, inner: Ip): void {
  if (membership === undefined) return;
  model.tally.note("claimed");
  if (membership.addresses.length >= NODE_ADDRESSES) {
    model.tally.note("addressMadeRoom");
    membership.takenFrom.delete(membership.addresses[0] ?? 0);
    membership.addresses.shift();
  }
  membership.addresses.push(inner);
}

function release({ membership }: Peer, inner: Ip): void {
  if (membership === undefined) return;
  membership.addresses = membership.addresses.filter((own) => own !== inner);
  membership.takenFrom.delete(inner);
}

/** The holder is asked, three times in a second, unless it answered such a question lately. */
function contend(model: Model, holder: Peer, by: Peer, inner: Ip): void {
  const { membership } = holder;
  if (membership === undefined) return;
  const { contest } = membership;
  if (contest !== undefined) {
    if (!contest.claims.has(inner)) contest.claims.set(inner, by);
    return;
  }
  if (model.now < membership.restUntil) {
    model.tally.note("contestRested");
    return;
  }
  model.tally.note("contested");
  membership.contest = { since: model.now, sent: 0, claims: new Map([[inner, by]]) };
  probe(model, holder);
}

/** Another probe, or the end. */
export function probe(model: Model, holder: Peer): void {
  const contest = holder.membership?.contest;
  if (contest === undefined) return;
  if (contest.sent === PROBES) {
    decide(model, holder);
    return;
  }
  contest.sent += 1;
  holder.timers.contest = model.now + PROBE_WAIT;
  const { current, endpoint } = holder;
  if (current !== undefined && endpoint !== undefined) {
    seal(model, current, { kind: "probe" }, endpoint);
  }
}

function decide(model: Model, holder: Peer): void {
  const { membership } = holder;
  const contest = membership?.contest;
  if (membership === undefined || contest === undefined) return;
  membership.contest = undefined;
  if (holder.lastHeardAt >= contest.since) {
    model.tally.note("contestKept");
    membership.rest = Math.min(2 * membership.rest, LONGEST_REST);
    membership.restUntil = model.now + membership.rest;
    return;
  }
  for (const [inner, by] of contest.claims) {
    if (holderOf(model, inner) !== holder) continue;
    release(holder, inner);
    if (!isUsable(model, by.current)) continue;
    model.tally.note("contestMoved");
    give(model, by, inner);
    by.membership?.takenFrom.set(inner, holder);
  }
}

/** Inner addresses that a site told (frame 0x07): each as if a packet had come from it. */
export function takeAddresses(model: Model, peer: Peer, addresses: readonly Ip[]): void {
  let refused: string | undefined;
  for (const inner of addresses) refused = bring(model, peer, inner) ?? refused;
  if (refused !== undefined) drop(model, refused);
}
