/**
 * The end of a handshake attempt: its ephemeral secrets are wiped, its indices freed (rules 3 and 5).
 */
import type { Peer, Pending } from "../peers/peer.ts";
import type { State } from "../state.ts";

/** Ends the attempt, if there is one. */
export function endAttempt(state: State, peer: Peer): void {
  const { attempt } = peer;
  if (attempt === undefined) return;
  peer.attempt = undefined;
  peer.timers.clear("retry");
  peer.timers.clear("giveUp");
  for (const pending of attempt.pendings) forgetPending(state, pending);
}

/** Wipes one own INIT's secrets; an answer to it finds nothing. */
export function forgetPending(state: State, pending: Pending): void {
  pending.noise.wipe();
  state.pendings.delete(pending.index);
}
