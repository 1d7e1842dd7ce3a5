/**
 * The states of one host by number, and its steps from them, each computed once.
 */
import { type Context, type HostState, keyOf, type Step } from "./host.ts";
import { type Fault, type OwnStep, ownFaults } from "./properties.ts";
import { ownWitnesses } from "./reached.ts";
import { type Input, step } from "./receive.ts";

/** A step that has an effect, with what can be said of it once for all. */
export interface KnownStep {
  readonly next: number;
  readonly step: Step;
  /** Absent: the host acted on its own. */
  readonly own: OwnStep | undefined;
  readonly faults: readonly Fault[];
}

export class HostTable {
  readonly context: Context;
  readonly #note: (witness: string, input: Input) => void;
  readonly #states: HostState[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #steps: Map<number, KnownStep | undefined>[] = [];
  /** What was sent in each state, and under which keys, as numbers. */
  readonly #sent: number[] = [];
  readonly #keys: number[] = [];
  readonly #texts = new Map<string, number>();

  /** `note` is told what a step shows when it is computed. */
  constructor(context: Context, note: (witness: string, input: Input) => void) {
    this.context = context;
    this.#note = note;
  }

  numberOf(state: HostState): number {
    const key = keyOf(state);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#states.length;
    this.#numbers.set(key, number);
    this.#states.push(state);
    this.#steps.push(new Map());
    const keys = state.log.map(({ openKey }) => openKey).toSorted();
    this.#sent.push(this.#textNumber(`sent ${state.sent.toSorted().join()}`));
    this.#keys.push(this.#textNumber(`keys ${keys.join()}`));
    return number;
  }

  stateOf(number: number): HostState {
    const state = this.#states[number];
    if (state === undefined) throw new Error(`no state ${number}`);
    return state;
  }

  /** The same for states in which the same was sent. */
  sentOf(number: number): number {
    return this.#sent[number] ?? 0;
  }

  /** The same for states with the same keys. */
  keysOf(number: number): number {
    return this.#keys[number] ?? 0;
  }

  /** Whether something was sent, or a key made, between two states. */
  hasGrown(before: number, after: number): boolean {
    return this.sentOf(before) !== this.sentOf(after) || this.keysOf(before) !== this.keysOf(after);
  }

  /** The step, or undefined where it leaves everything as it was; `key` names the input. */
  step(number: number, key: number, input: Input): KnownStep | undefined {
    const steps = this.#steps[number];
    if (steps === undefined) throw new Error(`no state ${number}`);
    const known = steps.get(key);
    if (known !== undefined || steps.has(key)) return known;
    const computed = this.#compute(number, input);
    steps.set(key, computed);
    return computed;
  }

  #compute(number: number, input: Input): KnownStep | undefined {
    const { context } = this;
    const before = this.stateOf(number);
    const taken = step(context, before, input);
    const next = taken.state === before ? number : this.numberOf(taken.state);
    const isDelivery = input.kind === "deliver";
    const own = isDelivery ? { context, before, ...input, step: taken } : undefined;
    for (const witness of own ? ownWitnesses(own) : []) this.#note(witness, input);
    const isIdle = next === number && taken.sent.length === 0 && taken.events.length === 0;
    return isIdle ? undefined : { next, step: taken, own, faults: own ? ownFaults(own) : [] };
  }

  #textNumber(text: string): number {
    const number = this.#texts.get(text) ?? this.#texts.size;
    this.#texts.set(text, number);
    return number;
  }
}
