/**
 * A look at the core's own peers, for tests only: every peer with a timer joins its tunnel's heap of deadlines.
 *
 * The heap's `update` is wrapped, and hands over whom it was called for while `observe` runs.
 */

import { Peer } from "../../src/core/peers/peer.ts";
import { DeadlineHeap, type Sleeper } from "../../src/core/session/deadlines.ts";

let found: Set<Peer> | undefined;

const { update } = DeadlineHeap.prototype;
DeadlineHeap.prototype.update = function noteAndUpdate(sleeper: Sleeper): void {
  if (found !== undefined && sleeper instanceof Peer) found.add(sleeper);
  update.call(this, sleeper);
};

/** From here on, peers that set a timer are added to the set. */
export function observe(into: Set<Peer> | undefined): void {
  found = into;
}
