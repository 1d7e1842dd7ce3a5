/**
 * What becomes of a datagram that failed before it was trusted: it is counted, and its source pays.
 */
import type { DropReason } from "../drop-reason.ts";
import { MESSAGE } from "../rows.ts";
import { drop, type State } from "../state.ts";
import type { Instant } from "../time.ts";

/** Refused because the source's bucket is empty already. */
const REFUSED: ReadonlySet<DropReason> = new Set(["source_limited", "open_limited"]);
/** Refused for want of something of ours, through no fault of the source. */
const OWN_LIMITS: ReadonlySet<DropReason> = new Set([
  "handshake_budget",
  "group_full",
  "key_table_full",
  "no_room",
]);

/** Counts a datagram that came in message row `base`, and charges its source. */
export function refuse(
  state: State,
  reason: DropReason,
  rows: Int32Array,
  base: number,
  now: Instant,
): void {
  const { sources } = state;
  drop(state, reason);
  if (REFUSED.has(reason)) sources.noteRefused(rows, base + MESSAGE.REMOTE);
  else if (!OWN_LIMITS.has(reason)) sources.charge(rows, base + MESSAGE.REMOTE, now);
}
