/**
 * Breadth-first search through every state that a setting can reach within its bounds.
 *
 * The network is the attacker: what is sent becomes known, and a delivery is a choice of its own, so loss,
 * delay, reordering, copies, reflection and other sources need no rules. A state is the tuple of the hosts'
 * states and what the attacker has made; what it knows follows from what was sent. Fresh values are named
 * by their cause, so runs that differ in order alone meet in one state.
 */
import { Attacker } from "./attacker.ts";
import { type Context, type HostState, NEW_HOST } from "./host.ts";
import { HostTable } from "./host-table.ts";
import { type EffectiveMove, type Move, Moves } from "./moves.ts";
import {
  crossingFault,
  type Fault,
  FORGED,
  type OwnStep,
  type Property,
  type SharedStep,
  secrecyFault,
  sharedFaults,
} from "./properties.ts";
import { sharedWitnesses } from "./reached.ts";
import { step } from "./receive.ts";
import type { Rules } from "./rules.ts";
import type { Setting } from "./setting.ts";
import { type Deliverer, View } from "./view.ts";

export interface Exploration {
  readonly states: number;
  /** Steps that changed something. */
  readonly steps: number;
  /** Steps from the start to the farthest state. */
  readonly depth: number;
  /** What was seen to happen (reached.ts), and a way to where it did first. */
  readonly reached: ReadonlyMap<string, readonly Move[]>;
  /** A shortest way to the state that was the `number`th to be found. */
  readonly wayTo: (number: number) => readonly Move[];
  /** The first fault, and a shortest way to it. */
  readonly found: { readonly fault: Fault; readonly trace: readonly Move[] } | undefined;
}

export interface ExploreOptions {
  /** In place of the attacker's own choice. */
  readonly deliverer?: Deliverer;
  /** The claim to be broken; any unless told. */
  readonly wanted?: Property;
}

/** Searches until everything is seen or a claim is broken. */
export function explore(setting: Setting, rules: Rules, options: ExploreOptions = {}): Exploration {
  return new Search(setting, rules, options).run();
}

/** A host as it is after booting: who may start sends an INIT at once. */
export function booted(context: Context): HostState {
  return context.host.starts ? step(context, NEW_HOST, { kind: "start" }).state : NEW_HOST;
}

export function contextsOf({ hosts }: Setting, rules: Rules): Context[] {
  return hosts.map((host) => ({ host, rules }));
}

/** The number of each host's state. */
type Numbers = readonly number[];

/** A state, and how it was reached first. */
interface Reached {
  readonly hosts: Numbers;
  /** Datagrams that a member has made so far. */
  readonly composed: number;
  readonly parent: number;
  /** Absent: it is the start. */
  readonly move: Move | undefined;
}

class Search {
  readonly #setting: Setting;
  readonly #deliverer: Deliverer;
  readonly #attacker: Attacker;
  readonly #tables: readonly HostTable[];
  readonly #choices: readonly Moves[];
  readonly #seen = new Set<string>();
  readonly #states: Reached[] = [];
  readonly #reached = new Map<string, readonly Move[]>();
  /** The state whose steps are looked at. */
  #at = 0;
  readonly #views = new Map<string, View>();
  readonly #secure = new Set<string>();
  readonly #wanted: Property | undefined;
  /** Whether a step from the state at hand sent something, or made a key. */
  #isGrowing = false;
  #steps = 0;
  #found: Exploration["found"];

  constructor(setting: Setting, rules: Rules, options: ExploreOptions) {
    this.#setting = setting;
    this.#attacker = new Attacker(setting, rules);
    this.#deliverer = options.deliverer ?? this.#attacker;
    this.#wanted = options.wanted;
    const contexts = contextsOf(setting, rules);
    this.#tables = contexts.map(
      (context, at) =>
        new HostTable(context, (witness, input) => this.#note(witness, this.#at, { at, input })),
    );
    this.#choices = this.#tables.map(
      (table, at) => new Moves(setting, at, table, this.#attacker, this.#deliverer),
    );
  }

  run(): Exploration {
    const first = this.#tables.map((table) => table.numberOf(booted(table.context)));
    this.#visit({ hosts: first, composed: 0, parent: 0, move: undefined });
    // Grows while it is walked through.
    for (const [at, state] of this.#states.entries()) {
      if (this.#found !== undefined) break;
      this.#expand(at, state);
    }
    return {
      states: this.#states.length,
      steps: this.#steps,
      depth: this.#traceTo(this.#states.length - 1).length,
      reached: this.#reached,
      wayTo: (number) => this.#traceTo(number),
      found: this.#found,
    };
  }

  #expand(from: number, { hosts, composed }: Reached): void {
    this.#at = from;
    const view = this.#viewOf(hosts);
    this.#isGrowing = false;
    for (const [at, choices] of this.#choices.entries()) {
      const number = hosts[at] ?? 0;
      for (const choice of choices.free(number, view)) this.#take(from, hosts, composed, choice);
      if (composed === this.#setting.composed) continue;
      for (const choice of choices.composed(number, view)) {
        this.#take(from, hosts, composed + 1, choice);
      }
    }
    if (!this.#isGrowing) this.#reportSecrecy(from, hosts, view);
  }

  /**
   * What is known grows along every way, so keys that are secret where it has grown to its end were secret
   * before; and each such end, with the keys there are, is looked at once.
   */
  #reportSecrecy(from: number, hosts: Numbers, { known, revealed }: View): void {
    const keys = this.#tables.map((table, at) => table.keysOf(hosts[at] ?? 0));
    const key = `${this.#sentKey(hosts)} ${keys.join()}`;
    if (this.#secure.has(key)) return;
    this.#secure.add(key);
    const fault = secrecyFault(this.#setting, this.#statesOf(hosts), known, revealed);
    this.#report(fault, this.#traceTo(from));
  }

  #take(from: number, hosts: Numbers, composed: number, choice: EffectiveMove): void {
    const { move, known, isForged } = choice;
    const { at } = move;
    const table = this.#tables[at];
    this.#steps += 1;
    this.#isGrowing ||= table?.hasGrown(hosts[at] ?? 0, known.next) ?? false;
    const next = hosts.with(at, known.next);
    const isNew = this.#visit({ hosts: next, composed, parent: from, move });
    const faults = isForged ? [FORGED, ...known.faults] : [...known.faults];
    if (known.own !== undefined && known.step.events.length > 0) {
      const shared = { ...known.own, ...this.#beside(at, hosts, next) };
      faults.push(...sharedFaults(shared));
      if (isNew) for (const witness of sharedWitnesses(shared)) this.#note(witness, from, move);
    }
    const crossing = isNew ? crossingFault(this.#setting, this.#statesOf(next)) : undefined;
    if (crossing !== undefined) faults.push(crossing);
    for (const fault of faults) this.#report(fault, [...this.#traceTo(from), move]);
  }

  #beside(at: number, before: Numbers, after: Numbers): Omit<SharedStep, keyof OwnStep> {
    return {
      setting: this.#setting,
      at,
      hostsBefore: this.#statesOf(before),
      hostsAfter: this.#statesOf(after),
      known: () => this.#viewOf(after).known,
    };
  }

  #report(fault: Fault | undefined, trace: readonly Move[]): void {
    if (fault === undefined || this.#found !== undefined) return;
    if (fault.property === (this.#wanted ?? fault.property)) this.#found = { fault, trace };
  }

  #note(witness: string, from: number, move: Move): void {
    if (!this.#reached.has(witness)) this.#reached.set(witness, [...this.#traceTo(from), move]);
  }

  /** Notes a state; false: it was seen before. */
  #visit(state: Reached): boolean {
    const key = `${state.hosts.join()} ${state.composed}`;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    this.#states.push(state);
    return true;
  }

  #viewOf(hosts: Numbers): View {
    const key = this.#sentKey(hosts);
    const known = this.#views.get(key);
    if (known !== undefined) return known;
    const sent = new Set(this.#statesOf(hosts).flatMap((state) => state.sent));
    const view = new View(this.#views.size, this.#attacker, this.#deliverer, [...sent]);
    this.#views.set(key, view);
    return view;
  }

  #sentKey(hosts: Numbers): string {
    return this.#tables.map((table, at) => table.sentOf(hosts[at] ?? 0)).join();
  }

  #statesOf(hosts: Numbers): HostState[] {
    return this.#tables.map((table, at) => table.stateOf(hosts[at] ?? 0));
  }

  #traceTo(number: number): Move[] {
    const trace: Move[] = [];
    let state = this.#states[number];
    while (state?.move !== undefined) {
      trace.unshift(state.move);
      state = this.#states[state.parent];
    }
    return trace;
  }
}
