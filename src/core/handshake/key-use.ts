/**
 * What was seen of a key: who started sessions with it and when, and when it was last heard.
 *
 * Only sessions that were confirmed count, and what was authenticated on them. Nothing in the protocol follows from
 * it; key-snapshot.ts tells from it when an old key can go.
 */
import { GROUP_NODES } from "../constants.ts";
import type { Instant } from "../time.ts";

/** Before the first time. A number, so that writing an instant over it allocates nothing. */
export const NOT_YET = Number.NEGATIVE_INFINITY as Instant;

/** When a key was used, as one side saw it; minus infinity: not yet. */
export class KeyUse {
  /** A session that this side started under it was confirmed. */
  startedAt = NOT_YET;
  /** The same of one that the other side started. */
  peerStartedAt = NOT_YET;
  /** Something sealed in a session under it opened. Always a number, so that writing it allocates nothing. */
  heardAt = NOT_YET;
  /** When each node of a group last started with it. BOUNDED: GROUP_NODES, the longest ago goes. */
  readonly #nodes = new Map<string, Instant>();

  /** Node ids as text, and when each last started with the key. */
  get nodes(): ReadonlyMap<string, Instant> {
    return this.#nodes;
  }

  /** A session that this side started was confirmed. */
  started(now: Instant): void {
    this.startedAt = now;
    this.heardAt = now;
  }

  /** The same of one that the other side started; `nodeId`: a node of a group is that. */
  peerStarted(nodeId: Uint8Array | undefined, now: Instant): void {
    this.peerStartedAt = now;
    this.heardAt = now;
    if (nodeId === undefined) return;
    const text = String.fromCharCode(...nodeId);
    this.#nodes.delete(text);
    const oldest = this.#nodes.keys().next();
    if (this.#nodes.size >= GROUP_NODES && !oldest.done) this.#nodes.delete(oldest.value);
    this.#nodes.set(text, now);
  }
}
