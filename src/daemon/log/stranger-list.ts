/**
 * The last strangers: who sends handshakes that no key here opens, how often that was reported, and when last.
 *
 * The log has a line for each; this is what remains to be asked for. The core reports an address at most once a
 * minute, so a count is of reports, not of datagrams. BOUNDED, because sources can be forged: the one reported
 * longest ago makes room.
 */
import type { TunnelEvent } from "../../core/options.ts";
import { formatEndpoint } from "../../core/prefix.ts";
import { SECOND_MS } from "../../core/time.ts";

/** BOUNDED: strangers that are remembered. */
export const REMEMBERED_STRANGERS = 16;

/** Somebody whose handshakes do not open. */
export interface StrangerStatus {
  /** As "192.0.2.1:1194". */
  readonly source: string;
  /** "bad_mac": made with another key than one here; "unknown_hint": for a key that is not here at all. */
  readonly reason: "bad_mac" | "unknown_hint";
  /** Reports, at most one a minute. */
  readonly reports: number;
  /** Seconds since the last. */
  readonly ageSeconds: number;
}

interface Seen {
  readonly reason: StrangerStatus["reason"];
  readonly reports: number;
  readonly atMs: number;
}

/** Remembers those that events tell of. */
export class StrangerList {
  readonly #seen = new Map<string, Seen>();

  event(event: TunnelEvent, nowMs: number): void {
    if (event.kind !== "stranger") return;
    const source = formatEndpoint(event.source);
    const reports = (this.#seen.get(source)?.reports ?? 0) + 1;
    this.#seen.delete(source);
    const [oldest] = this.#seen.keys();
    if (this.#seen.size === REMEMBERED_STRANGERS && oldest !== undefined) this.#seen.delete(oldest);
    this.#seen.set(source, { reason: event.reason, reports, atMs: nowMs });
  }

  /** The latest first. */
  status(nowMs: number): readonly StrangerStatus[] {
    return Array.from(this.#seen, ([source, { reason, reports, atMs }]) => {
      return { source, reason, reports, ageSeconds: Math.round((nowMs - atMs) / SECOND_MS) };
    }).reverse();
  }
}
