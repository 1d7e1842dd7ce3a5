/**
 * What a tunnel's control side looks at again and again: traffic and drops always, packet lines and the firewall while wanted.
 *
 * What is wanted may change with the configuration; an idle tunnel wakes up for nothing that is not.
 */
import type { Config } from "../config/config.ts";
import { wantsFirewall } from "../config/default-families.ts";
import { SECOND_MS } from "../core/time.ts";
import { SAMPLE_MS } from "./control/history.ts";
import { HOST_POLL_MS } from "./host/host-changes.ts";
import { DROP_SUMMARY_MS } from "./log/drop-summary.ts";
import { Repeats, type StartTimer } from "./repeats.ts";

/** Milliseconds between two fetches of packet lines, at debug level. */
export const TRACE_POLL_MS = SECOND_MS;

/** What is done. */
export interface PollWork {
  readonly sample: () => Promise<void>;
  readonly drops: () => Promise<void>;
  readonly trace: () => Promise<void>;
  /** Of the firewall there are no news. */
  readonly firewall: () => Promise<void>;
  /** Hears of work that threw; it goes on nevertheless. */
  readonly failed: (error: unknown) => void;
}

/** The repeated work of one tunnel. */
export class Polls {
  readonly #startTimer: StartTimer;
  readonly #work: PollWork;
  readonly #wanted = new Map<"trace" | "firewall", Repeats>();
  /** What is repeated until the end, by whomever. */
  readonly repeats: Repeats;
  #isClosed = false;

  constructor(startTimer: StartTimer, work: PollWork) {
    this.#startTimer = startTimer;
    this.#work = work;
    this.repeats = new Repeats(startTimer, work.failed);
  }

  start(config: Config): void {
    this.repeats.every(SAMPLE_MS, this.#work.sample);
    this.repeats.every(DROP_SUMMARY_MS, this.#work.drops);
    this.adopt(config);
  }

  /** Another configuration wants other looks. */
  adopt(config: Config): void {
    this.#set("trace", config.log.level === "debug", TRACE_POLL_MS);
    this.#set("firewall", wantsFirewall(config), HOST_POLL_MS);
  }

  close(): void {
    this.#isClosed = true;
    this.repeats.close();
    for (const repeats of this.#wanted.values()) repeats.close();
  }

  #set(kind: "trace" | "firewall", isWanted: boolean, periodMs: number): void {
    if (this.#isClosed || isWanted === this.#wanted.has(kind)) return;
    this.#wanted.get(kind)?.close();
    this.#wanted.delete(kind);
    if (!isWanted) return;
    const repeats = new Repeats(this.#startTimer, this.#work.failed);
    repeats.every(periodMs, this.#work[kind]);
    this.#wanted.set(kind, repeats);
  }
}
