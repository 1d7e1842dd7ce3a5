/**
 * Names of the datagrams of a run, and what the attacker delivers told in these names.
 *
 * A datagram is named by its type, its sender and a number: `INIT A2` is the second that A sent. What is
 * delivered is a datagram with some of its fields taken from others. Told like this, an attack on a broken
 * protocol can be tried again on the true one, whose datagrams are other terms, and on the real core.
 */
import { booted, contextsOf } from "./explore.ts";
import type { Context, HostState, Step } from "./host.ts";
import { FIELDS, fromParts, typeOf } from "./messages.ts";
import type { Move } from "./moves.ts";
import { step } from "./receive.ts";
import type { Rules } from "./rules.ts";
import { EVE, type Setting } from "./setting.ts";
import { nodeOf, type Term } from "./term.ts";

/** A field that is not the base's own: another datagram's, or the attacker's. */
interface Change {
  readonly place: number;
  readonly from: { readonly name: string; readonly place: number } | Term;
}

/** A datagram in names. */
export interface Recipe {
  readonly base: string;
  readonly changes: readonly Change[];
}

export class Transcript {
  readonly #names = new Map<Term, string>();
  readonly #messages = new Map<string, Term>();

  /** Names what a host sent; a datagram that is sent again keeps its name. */
  note(host: string, sent: readonly Term[]): string[] {
    return sent.map((message) => this.#names.get(message) ?? this.#add(host, message));
  }

  /** The datagram that is nearest to `message`, and where its other fields are from. */
  recipeOf(message: Term): Recipe {
    const all = [...this.#names].filter(([other]) => typeOf(other) === typeOf(message));
    const [nearest] = all.toSorted(([a], [b]) => distance(message, a) - distance(message, b));
    if (nearest === undefined) throw new Error("nothing like it was sent");
    const [base, name] = nearest;
    const { parts } = nodeOf(message);
    const changes = parts.flatMap((part, place) =>
      part === nodeOf(base).parts[place] ? [] : [{ place, from: this.#originOf(part) }],
    );
    return { base: name, changes };
  }

  /** The datagram of a recipe; undefined where one that it names was not sent in this run. */
  make({ base, changes }: Recipe): Term | undefined {
    const message = this.#messages.get(base);
    if (message === undefined) return undefined;
    const parts = [...nodeOf(message).parts];
    for (const { place, from } of changes) {
      const part = typeof from === "number" ? from : this.#partOf(from.name, from.place);
      if (part === undefined) return undefined;
      parts[place] = part;
    }
    return fromParts(typeOf(message), parts);
  }

  /** `INIT A1 with cookieMac of INIT A2`. */
  textOf({ base, changes }: Recipe): string {
    const message = this.#messages.get(base);
    if (message === undefined) return base;
    const names = FIELDS[typeOf(message)];
    const texts = changes.map(({ place, from }) => {
      const origin = typeof from === "number" ? nodeOf(from).label : from.name;
      return ` with ${names[place]} of ${origin}`;
    });
    return base + texts.join("");
  }

  #add(host: string, message: Term): string {
    const type = typeOf(message);
    const count = [...this.#names.values()].filter((name) => name.startsWith(`${type} ${host}`));
    const name = `${type} ${host}${count.length + 1}`;
    this.#names.set(message, name);
    this.#messages.set(name, message);
    return name;
  }

  #originOf(part: Term): Change["from"] {
    for (const [name, message] of this.#messages) {
      const place = nodeOf(message).parts.indexOf(part);
      if (place >= 0) return { name, place };
    }
    return part;
  }

  #partOf(name: string, place: number): Term | undefined {
    const message = this.#messages.get(name);
    return message === undefined ? undefined : nodeOf(message).parts[place];
  }
}

/** A move in names. */
export interface NamedMove {
  readonly move: Move;
  /** Of a delivery. */
  readonly recipe: Recipe | undefined;
  readonly text: string;
}

/** Tells a run from the start, one line for each move. */
export function tell(setting: Setting, rules: Rules, moves: readonly Move[]): NamedMove[] {
  const transcript = new Transcript();
  const contexts = contextsOf(setting, rules);
  const states = contexts.map((context) => booted(context));
  for (const [at, { host }] of contexts.entries())
    transcript.note(host.name, states[at]?.sent ?? []);
  return moves.map((move) => {
    const [context, before] = [contexts[move.at], states[move.at]];
    if (context === undefined || before === undefined) throw new Error(`no host ${move.at}`);
    const taken = step(context, before, move.input);
    states[move.at] = taken.state;
    return tellMove(transcript, context, before, move, taken);
  });
}

function tellMove(
  transcript: Transcript,
  { host }: Context,
  before: HostState,
  move: Move,
  taken: Step,
): NamedMove {
  const { input } = move;
  const recipe = input.kind === "deliver" ? transcript.recipeOf(input.message) : undefined;
  const effects = effectsOf(taken, before, transcript.note(host.name, taken.sent));
  if (input.kind !== "deliver" || recipe === undefined) {
    const clock = input.kind === "restart" && input.isClockOld ? " with an old clock" : "";
    return { move, recipe, text: `${host.name} ${input.kind}s${clock}: ${effects}` };
  }
  const source = input.source === EVE ? " from Eve's address" : "";
  return {
    move,
    recipe,
    text: `${host.name} gets ${transcript.textOf(recipe)}${source}: ${effects}`,
  };
}

function effectsOf({ reason, events, state }: Step, before: HostState, sent: readonly string[]) {
  const effects = [
    ...(reason === undefined ? [] : [reason]),
    ...events.map(({ kind }) => kind),
    ...sent.map((name) => `sends ${name}`),
  ];
  if (effects.length > 0) return effects.join(", ");
  return state === before ? "nothing" : "takes it";
}

function distance(one: Term, other: Term): number {
  return nodeOf(one).parts.filter((part, place) => part !== nodeOf(other).parts[place]).length;
}
