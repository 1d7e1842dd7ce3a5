/**
 * A learned group as its hub holds it: nodes under one key, and the inner addresses that each brought.
 *
 * The record only; what happens to nodes is in members.ts, to addresses in claims.ts. `Node` is the peer: peer.ts closes
 * the circle, so that no file imports in one.
 */
import {
  GROUP_NODES,
  GROUP_RESERVE_BURST,
  GROUP_RESERVE_PER_SECOND,
  GROUP_SOURCE_BURST,
  GROUP_SOURCE_PER_SECOND,
} from "../constants.ts";
import type { Prefix } from "../prefix.ts";
import type { Instant } from "../time.ts";
import { TokenBucket } from "../token-bucket.ts";
import { RouteTable } from "./routes.ts";

export class GroupOf<Node extends object> {
  /** By key and node id as text. BOUNDED: GROUP_NODES. */
  readonly nodes = new Map<string, Node>();
  /** Learned inner addresses, each as a prefix of full length. BOUNDED: GROUP_ADDRESSES a node. */
  readonly addresses = new RouteTable<Node>();
  /** Handshakes of each source, and what each can draw of those that are reserved. */
  readonly shares = new SourceShares(GROUP_SOURCE_PER_SECOND, GROUP_SOURCE_BURST);
  readonly reserves = new SourceShares(GROUP_RESERVE_PER_SECOND, GROUP_RESERVE_BURST);
}

/**
 * A budget for each source that proved its address, so that a member with many node ids has no more of the
 * hub than one with one. BOUNDED: GROUP_NODES sources; the one asked for longest ago is forgotten.
 */
export class SourceShares {
  readonly #ratePerSecond: number;
  readonly #burst: number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(ratePerSecond: number, burst: number) {
    this.#ratePerSecond = ratePerSecond;
    this.#burst = burst;
  }

  /** Takes one handshake of a source, if it has one left. */
  take(source: string, now: Instant): boolean {
    const bucket =
      this.#buckets.get(source) ?? new TokenBucket(this.#ratePerSecond, this.#burst, now);
    this.#buckets.delete(source);
    const oldest = this.#buckets.keys().next();
    if (this.#buckets.size >= GROUP_NODES && !oldest.done) this.#buckets.delete(oldest.value);
    this.#buckets.set(source, bucket);
    return bucket.take(now);
  }
}

/** What makes a peer a node of a group. */
export interface MembershipOf<Entry extends object, Node extends Entry> {
  /** The group's own entry in the configuration. */
  readonly entry: Entry;
  /** Key in `GroupOf.nodes`. */
  readonly nodeId: string;
  /** Source of its first handshake, which proved it: the bytes that stand for one customer's address. */
  readonly source: string;
  /** Inner addresses that it holds. BOUNDED: GROUP_ADDRESSES. */
  readonly addresses: Prefix[];
  contest: ContestOf<Node> | undefined;
  /** It is not asked again before this, and how long the last rest was, milliseconds. */
  restUntil: Instant;
  restMs: number;
  /** From whom it got addresses that it holds, by the address as text. */
  readonly takenFrom: Map<string, Node>;
  /** Packets of it that were refused because another node holds their source. */
  refusedClaims: number;
}

/** Other nodes claim addresses of this one: it is asked whether it is there. */
export interface ContestOf<Node extends object> {
  readonly since: Instant;
  /** Probes sent. */
  sent: number;
  /** Who gets an address when no answer comes, by the address as text; the first to claim it. */
  readonly claims: Map<string, { readonly prefix: Prefix; readonly by: Node }>;
}
