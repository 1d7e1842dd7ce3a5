/**
 * Random runs of a setting: moves that the search would take, and datagrams spliced without any thought.
 */
import type { Random } from "../helpers/random.ts";
import { Attacker } from "./attacker.ts";
import type { Context, HostState } from "./host.ts";
import { fromParts, typeOf } from "./messages.ts";
import type { Move } from "./moves.ts";
import { valuesFor } from "./naive.ts";
import { type Input, isWithin, step } from "./receive.ts";
import type { Rules } from "./rules.ts";
import { addressOf, EVE, type Setting } from "./setting.ts";
import { nodeOf, type Term } from "./term.ts";

export class Walker {
  readonly #setting: Setting;
  readonly #attacker: Attacker;
  readonly #random: Random;

  constructor(setting: Setting, rules: Rules, random: Random) {
    this.#setting = setting;
    this.#attacker = new Attacker(setting, rules);
    this.#random = random;
  }

  /** A move that leads on mostly, now and then one that the hosts should refuse. */
  next(contexts: readonly Context[], states: readonly HostState[]): Move {
    const random = this.#random;
    const at = random.below(contexts.length);
    const [context, state] = [contexts[at], states[at]];
    if (context === undefined || state === undefined) throw new Error("no hosts");
    const sent = [...new Set(states.flatMap((each) => each.sent))];
    if (sent.length > 0 && random.chance(0.2)) return this.#delivery(at, this.#splice(sent));
    const inputs = this.#inputs(at, context, state, sent);
    const steps = inputs.map((input) => ({ input, step: step(context, state, input) }));
    const telling = steps.filter(({ step: { sent, events } }) => sent.length + events.length > 0);
    const chosen = this.#pick(random.chance(0.6) ? telling : steps)?.input ?? this.#pick(inputs);
    return chosen === undefined ? this.next(contexts, states) : { at, input: chosen };
  }

  #inputs(at: number, context: Context, state: HostState, sent: readonly Term[]): Input[] {
    const own: readonly Input[] = [
      { kind: "start" },
      { kind: "restart", isClockOld: this.#random.chance(0.5) },
    ];
    const known = this.#attacker.knowledge(sent);
    const made =
      this.#setting.attacker === "member"
        ? [...this.#attacker.inits(known, sent), ...this.#attacker.answers(known, sent, state)]
        : [];
    const messages = [...sent, ...(this.#random.chance(0.4) ? made : [])];
    return [
      ...own.filter((input) => this.#random.chance(0.2) && isWithin(context, state, input)),
      ...messages.map((message) => this.#delivery(at, message).input),
    ];
  }

  #delivery(at: number, message: Term): Move {
    const others = this.#setting.hosts.filter((_, other) => other !== at).map(addressOf);
    const sources = typeOf(message) === "INIT" ? [...others, ...others, EVE] : others;
    const source = this.#pick(sources) ?? EVE;
    return { at, input: { kind: "deliver", message, source, isHome: source !== EVE } };
  }

  /** A datagram of one that was sent with some fields from elsewhere. */
  #splice(sent: readonly Term[]): Term {
    const original = this.#pick(sent) ?? EVE;
    const type = typeOf(original);
    const parts = nodeOf(original).parts.map((part, place) =>
      this.#random.chance(0.3) ? (this.#pick(valuesFor(type, place, sent)) ?? part) : part,
    );
    return fromParts(type, parts);
  }

  #pick<T>(items: readonly T[]): T | undefined {
    return items[this.#random.below(items.length)];
  }
}
