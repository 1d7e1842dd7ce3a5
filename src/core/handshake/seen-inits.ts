/**
 * INITs seen before, a key: what each drew, and how often it may draw it again (rule 1).
 *
 * An INIT is known by its mac, which was verified before it is looked up and covers every other byte,
 * so equal macs mean equal datagrams. A racing copy must not starve the sender: of the repeated
 * answers one is kept for the peer's own endpoint.
 */
import {
  REPEATED_ANSWERS,
  REPEATED_ANSWERS_ANYWHERE,
  SEEN_INIT_MS,
  SEEN_INITS,
} from "../constants.ts";
import { after, type Instant } from "../time.ts";

/** What an INIT drew: the bytes of a RESP, a CHALLENGE (made anew for each source, for this node), or nothing. */
export type Drawn =
  | { readonly kind: "resp"; readonly bytes: Uint8Array; readonly nodeId: Uint8Array }
  | { readonly kind: "challenge"; readonly nodeId: Uint8Array }
  | { readonly kind: "nothing" };

interface Seen {
  readonly drawn: Drawn;
  readonly until: Instant;
  answersUsed: number;
}

/** BOUNDED: 4096 INITs, 10 minutes each; the oldest is forgotten. */
export class SeenInits {
  readonly #seen = new Map<string, Seen>();

  get size(): number {
    return this.#seen.size;
  }

  has(mac: Uint8Array, now: Instant): boolean {
    this.#forget(now);
    return this.#seen.has(keyOf(mac));
  }

  remember(mac: Uint8Array, drawn: Drawn, now: Instant): void {
    this.#forget(now);
    const key = keyOf(mac);
    // One that is judged anew goes to the end, for entries lie in the order of their age, and draws no more for it.
    const answersUsed = this.#seen.get(key)?.answersUsed ?? 0;
    this.#seen.delete(key);
    const oldest = this.#seen.keys().next();
    if (this.#seen.size >= SEEN_INITS && !oldest.done) this.#seen.delete(oldest.value);
    this.#seen.set(key, { drawn, until: after(now, SEEN_INIT_MS), answersUsed });
  }

  /** The node that sent the INIT; undefined: it drew nothing, or was not seen. */
  nodeOf(mac: Uint8Array): Uint8Array | undefined {
    const drawn = this.#seen.get(keyOf(mac))?.drawn;
    return drawn === undefined || drawn.kind === "nothing" ? undefined : drawn.nodeId;
  }

  /** What the INIT draws once more, or undefined: its answers are used up. */
  repeat(mac: Uint8Array, isFromPeerEndpoint: boolean): Drawn | undefined {
    const seen = this.#seen.get(keyOf(mac));
    if (seen === undefined || seen.drawn.kind === "nothing") return undefined;
    const limit = isFromPeerEndpoint ? REPEATED_ANSWERS : REPEATED_ANSWERS_ANYWHERE;
    if (seen.answersUsed >= limit) return undefined;
    seen.answersUsed += 1;
    return seen.drawn;
  }

  /** Entries lie in the order of their age. */
  #forget(now: Instant): void {
    for (const [key, seen] of this.#seen) {
      if (seen.until > now) return;
      this.#seen.delete(key);
    }
  }
}

function keyOf(mac: Uint8Array): string {
  return String.fromCharCode(...mac);
}
