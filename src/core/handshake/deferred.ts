/**
 * Handshakes put off to a later turn, so that very many at once do not hold up the packets.
 *
 * Answering one costs the time of a hundred packets. What a turn may spend on them is bounded; an INIT beyond
 * that is copied, once its mac has shown that it holds a key, and handled in the next turns in its order.
 */
import { HANDSHAKE_WORK_PER_TURN } from "../constants.ts";
import { refuse } from "../inbound/refuse.ts";
import type { State } from "../state.ts";
import type { Instant } from "../time.ts";
import { receiveInit } from "./respond.ts";

/** Begins a turn's share of work, with those that waited. */
export function handleDeferred(state: State, now: Instant): void {
  const { deferred } = state;
  state.handshakeWork = 0;
  let done = 0;
  for (const received of deferred) {
    if (state.handshakeWork >= HANDSHAKE_WORK_PER_TURN) break;
    done += 1;
    const reason = receiveInit(state, received, now);
    if (reason !== undefined) refuse(state, reason, received.rows, received.base, now);
  }
  deferred.splice(0, done);
}
