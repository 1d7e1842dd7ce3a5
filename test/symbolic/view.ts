/**
 * What follows from the datagrams that were sent: what is known, and what can be delivered. Each part is
 * computed when it is first asked for.
 */
import type { Attacker } from "./attacker.ts";
import type { HostState } from "./host.ts";
import type { Knowledge } from "./knowledge.ts";
import { PSK } from "./setting.ts";
import type { Term } from "./term.ts";

/** What can be delivered once some datagrams were sent. */
export interface Deliverer {
  recorded(sent: readonly Term[]): readonly Term[];
  /** Whether one of them can have an effect on a host. */
  concerns(state: HostState, message: Term): boolean;
}

/** A datagram that can be delivered at no cost. */
interface Recorded {
  readonly message: Term;
  /** It was not sent as it stands. */
  readonly isForged: boolean;
}

export class View {
  /** No other view's. */
  readonly number: number;
  readonly sent: readonly Term[];
  readonly recorded: readonly Recorded[];
  readonly #attacker: Attacker;
  #known: Knowledge | undefined;
  #inits: readonly Term[] | undefined;

  constructor(number: number, attacker: Attacker, deliverer: Deliverer, sent: readonly Term[]) {
    this.number = number;
    this.sent = sent;
    this.#attacker = attacker;
    const all = new Set(sent);
    this.recorded = deliverer
      .recorded(sent)
      .map((message) => ({ message, isForged: !all.has(message) }));
  }

  get known(): Knowledge {
    this.#known ??= this.#attacker.knowledge(this.sent);
    return this.#known;
  }

  /** What is known once the PSK is told. */
  get revealed(): Knowledge {
    return this.#attacker.knowledge(this.sent, PSK);
  }

  /** INITs that a member can make. */
  get inits(): readonly Term[] {
    this.#inits ??= this.#attacker.inits(this.known, this.sent);
    return this.#inits;
  }
}
