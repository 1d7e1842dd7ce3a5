/**
 * What can happen to one host in one of its states, once some datagrams were sent: the moves that have an
 * effect, each found once.
 */
import type { Attacker } from "./attacker.ts";
import type { HostTable, KnownStep } from "./host-table.ts";
import { typeOf } from "./messages.ts";
import { type Input, isWithin } from "./receive.ts";
import { addressOf, EVE, type Setting } from "./setting.ts";
import type { Term } from "./term.ts";
import type { Deliverer, View } from "./view.ts";

/** Something that happens to the host `at`. */
export interface Move {
  readonly at: number;
  readonly input: Input;
}

export interface EffectiveMove {
  readonly move: Move;
  readonly known: KnownStep;
  /** An outsider's datagram that was not sent as it stands. */
  readonly isForged: boolean;
}

/** A host's own inputs; their places are their keys, and datagrams follow. */
const OWN_INPUTS: readonly Input[] = [
  { kind: "start" },
  { kind: "restart", isClockOld: false },
  { kind: "restart", isClockOld: true },
  { kind: "forget" },
  { kind: "expire" },
];
/** More than there are sources of a datagram. */
const SOURCES = 8;
/** More than there are views. */
const VIEWS = 2 ** 24;

function remembered<T>(known: Map<number, T>, key: number, make: () => T): T {
  const before = known.get(key);
  if (before !== undefined) return before;
  const made = make();
  known.set(key, made);
  return made;
}

export class Moves {
  readonly #at: number;
  readonly #table: HostTable;
  readonly #attacker: Attacker;
  readonly #deliverer: Deliverer;
  /** Where datagrams come from: the others' addresses, then Eve's. */
  readonly #sources: readonly Term[];
  readonly #free = new Map<number, readonly EffectiveMove[]>();
  readonly #composed = new Map<number, readonly EffectiveMove[]>();

  constructor(
    setting: Setting,
    at: number,
    table: HostTable,
    attacker: Attacker,
    deliverer: Deliverer,
  ) {
    this.#at = at;
    this.#table = table;
    this.#attacker = attacker;
    this.#deliverer = deliverer;
    const homes = setting.hosts.filter((_, other) => other !== at).map(addressOf);
    this.#sources = setting.spoofs ? [...homes, EVE] : homes;
  }

  /** Moves that need no datagram of a member. */
  free(number: number, view: View): readonly EffectiveMove[] {
    return remembered(this.#free, number * VIEWS + view.number, () => [
      ...this.#own(number),
      ...this.#recorded(number, view),
    ]);
  }

  /** Datagrams that a member makes. */
  composed(number: number, view: View): readonly EffectiveMove[] {
    return remembered(this.#composed, number * VIEWS + view.number, () => {
      const state = this.#table.stateOf(number);
      const answers = this.#attacker.answers(view.known, view.sent, state);
      return [...view.inits, ...answers].flatMap((message) =>
        this.#deliver(number, message, false),
      );
    });
  }

  #own(number: number): EffectiveMove[] {
    const { context } = this.#table;
    const state = this.#table.stateOf(number);
    return OWN_INPUTS.flatMap((input, key) =>
      isWithin(context, state, input) ? this.#effect(number, key, input, false) : [],
    );
  }

  #recorded(number: number, view: View): EffectiveMove[] {
    const state = this.#table.stateOf(number);
    return view.recorded.flatMap(({ message, isForged }) =>
      this.#deliverer.concerns(state, message) ? this.#deliver(number, message, isForged) : [],
    );
  }

  /** From everywhere that can matter: only an INIT is answered to where it comes from. */
  #deliver(number: number, message: Term, isForged: boolean): EffectiveMove[] {
    const sources = typeOf(message) === "INIT" ? this.#sources : this.#sources.slice(0, 1);
    return sources.flatMap((source, place) => {
      const input: Input = { kind: "deliver", message, source, isHome: source !== EVE };
      const key = OWN_INPUTS.length + message * SOURCES + place;
      return this.#effect(number, key, input, isForged);
    });
  }

  #effect(number: number, key: number, input: Input, isForged: boolean): EffectiveMove[] {
    const known = this.#table.step(number, key, input);
    return known === undefined ? [] : [{ move: { at: this.#at, input }, known, isForged }];
  }
}
