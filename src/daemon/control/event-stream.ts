/**
 * The events of the tunnel for those who listen on the control socket, as server-sent events (WHATWG HTML §9.2).
 *
 * Each is one line of JSON with an id; a listener that was away names the last one it has seen and gets those after.
 * BOUNDED: the last EVENTS_KEPT are kept, and what a listener does not read is the sink's to bound. The trap: ids of an
 * earlier run of the daemon mean nothing in this one, so an id begins with the time at which the run began.
 */
import type { TunnelEvent } from "../../core/options.ts";
import { formatEndpoint, formatPrefix } from "../../core/prefix.ts";
import type { Level } from "../log/event-log.ts";
import type { Sink } from "./control-answer.ts";

/** Events that a late listener can still get. */
export const EVENTS_KEPT = 256;

type Plain = Readonly<Record<string, string | number | boolean | null>>;

/** An event as it is sent: what the log says of it, and its own fields. */
export interface EventDocument {
  readonly id: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly level: Level;
  readonly message: string;
  /** Of a tunnel's event; or "drops": since the last of this reason; or "more": of a kind whose lines are limited. */
  readonly kind: TunnelEvent["kind"] | "drops" | "more";
}

/** Where a listener begins: after an event it has seen, or with so many of the last. */
export interface Since {
  readonly lastEventId: string | undefined;
  readonly last: number;
}

/** Keeps the last events and tells those who listen. */
export class EventStream {
  readonly #wallMs: () => number;
  readonly #run: number;
  readonly #kept: string[] = [];
  readonly #sinks = new Set<Sink>();
  #count = 0;

  /** `wallMs`: milliseconds since 1970. */
  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
    this.#run = wallMs();
  }

  publish(level: Level, message: string, event: Plain & Pick<EventDocument, "kind">): void {
    this.#count += 1;
    const text = this.#frame(this.#count, { level, message, ...event });
    this.#kept.push(text);
    if (this.#kept.length > EVENTS_KEPT) this.#kept.shift();
    for (const sink of this.#sinks) sink.write(text);
  }

  /** Sends what is kept since then, and what comes, until the sink is closed. */
  listen(sink: Sink, since: Since): void {
    const missed = this.#missed(since);
    const kept = Math.min(missed, this.#kept.length);
    if (missed > kept) sink.write(this.#lost(missed - kept));
    if (kept > 0) sink.write(this.#kept.slice(-kept).join(""));
    this.#sinks.add(sink);
    sink.closed(() => this.#sinks.delete(sink));
  }

  /** Events that the listener is to get though they are over. */
  #missed({ lastEventId, last }: Since): number {
    if (lastEventId === undefined) return Math.min(last, this.#kept.length);
    const [run, number] = lastEventId.split("-").map(Number);
    const isOfThisRun = run === this.#run && number !== undefined && number <= this.#count;
    return isOfThisRun ? this.#count - number : this.#count;
  }

  #lost(count: number): string {
    const number = this.#count - this.#kept.length;
    const message = `${count} events were lost`;
    return this.#frame(number, { level: "warn", message, kind: "lost", count });
  }

  #frame(number: number, fields: object): string {
    const id = `${this.#run}-${number}`;
    const at = new Date(this.#wallMs()).toISOString();
    return `id: ${id}\ndata: ${JSON.stringify({ id, at, ...fields })}\n\n`;
  }
}

/** A tunnel's event without bytes: addresses and prefixes are text, what is not known is null. */
export function plainEvent(event: TunnelEvent): Plain & Pick<EventDocument, "kind"> {
  switch (event.kind) {
    case "session":
      return { ...event, endpoint: event.endpoint ? formatEndpoint(event.endpoint) : null };
    case "endpoint": {
      const from = event.from ? formatEndpoint(event.from) : null;
      return { ...event, from, to: formatEndpoint(event.to) };
    }
    case "dead":
      return { ...event, endpoint: formatEndpoint(event.endpoint) };
    case "stranger":
      return { ...event, source: formatEndpoint(event.source) };
    case "claim":
    case "moved":
      return { ...event, prefix: formatPrefix(event.prefix) };
    default:
      return event;
  }
}
