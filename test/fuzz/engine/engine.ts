/**
 * The fuzz loop: takes a program of the corpus, changes it, runs it, and keeps it if it reached something new.
 *
 * State is kept over many programs, because making it costs more than running one. So a fault may need what ran
 * before: a program that fails is tried on new state first, and where it does not fail there, all that ran since the
 * state was new is saved in front of it.
 */
import type { Random } from "../../helpers/random.ts";
import type { Coverage } from "./coverage.ts";
import { mutateProgram, type Operation } from "./program.ts";
import type { Target } from "./target.ts";

/** What was wrong, and the program that shows it. */
export interface Fault {
  readonly error: unknown;
  readonly program: readonly Operation[];
}

/** What became of a changed program. */
export type Outcome = { readonly fault: Fault } | { readonly added: readonly Operation[] };

/** A program worth changing. */
interface Entry {
  readonly program: readonly Operation[];
  /** Milliseconds that it took. */
  readonly cost: number;
}

/** Programs run on one state at most. */
const PROGRAMS_A_STATE = 100;

export class Engine {
  readonly #target: Target;
  readonly #coverage: Coverage;
  readonly #random: Random;
  readonly corpus: Entry[] = [];
  /** Called before a program runs, for the watchdog. */
  readonly #onProgram: (program: readonly Operation[]) => void;
  #history: (readonly Operation[])[] = [];
  /** Milliseconds that the last program took. */
  #cost = 0;
  /** Programs run. */
  executed = 0;

  constructor(
    target: Target,
    coverage: Coverage,
    random: Random,
    onProgram: (program: readonly Operation[]) => void,
  ) {
    this.#target = target;
    this.#coverage = coverage;
    this.#random = random;
    this.#onProgram = onProgram;
  }

  /** Runs a program as it is, and keeps it where it is news; a seed is kept anyway. */
  async offer(program: readonly Operation[], isSeed = false): Promise<Fault | undefined> {
    const fault = await this.#execute(program);
    if (fault !== undefined) return fault;
    if (this.#coverage.isNew() || isSeed) this.#keep(program);
    return undefined;
  }

  /** Changes a program and runs it. Returns what it added to the corpus. */
  async step(): Promise<Outcome | undefined> {
    const { kinds } = this.#target;
    const program = mutateProgram(this.#pick(), this.#pick(), kinds, this.#random);
    const fault = await this.#execute(program);
    if (fault !== undefined) return { fault };
    if (!this.#coverage.isNew()) return undefined;
    this.#keep(program);
    return { added: program };
  }

  /** Features that a program reaches on new state. */
  async featuresOf(program: readonly Operation[]): Promise<readonly number[]> {
    await this.#begin();
    await this.#execute(program);
    return this.#coverage.reached();
  }

  #keep(program: readonly Operation[]): void {
    this.corpus.push({ program, cost: this.#cost });
  }

  /** The cheaper of two: a handshake costs as much as a hundred datagrams. */
  #pick(): readonly Operation[] {
    const one = this.#pickAny();
    const other = this.#pickAny();
    return (one.cost < other.cost ? one : other).program;
  }

  /** Half of the time one of the last, which nobody changed much yet. */
  #pickAny(): Entry {
    const { length } = this.corpus;
    const newest = Math.max(1, Math.floor(length / 8));
    const index = this.#random.chance(0.5)
      ? length - 1 - this.#random.below(newest)
      : this.#random.below(length);
    return this.corpus[index] ?? { program: [], cost: 0 };
  }

  async #begin(): Promise<void> {
    await this.#target.begin();
    this.#history = [];
  }

  async #execute(program: readonly Operation[]): Promise<Fault | undefined> {
    const isWorn = this.#history.length >= PROGRAMS_A_STATE || !this.#target.isFit();
    if (isWorn || this.#history.length === 0) await this.#begin();
    this.#history.push(program);
    this.#onProgram(program);
    this.#coverage.begin();
    this.executed += 1;
    const start = performance.now();
    const error = await this.#run(program);
    this.#cost = performance.now() - start;
    return error === undefined ? undefined : await this.#reproduced(program, error);
  }

  async #run(program: readonly Operation[]): Promise<unknown> {
    try {
      for (const operation of program) {
        const pending = this.#target.run(operation);
        if (pending !== undefined) await pending;
      }
      return undefined;
    } catch (error) {
      return error ?? new Error("undefined was thrown");
    }
  }

  /** The shortest program that was found to fail: alone, or behind what ran before. */
  async #reproduced(program: readonly Operation[], error: unknown): Promise<Fault> {
    const before = this.#history.flat();
    await this.#begin();
    if ((await this.#run(program)) !== undefined) return { error, program };
    await this.#begin();
    return { error, program: before };
  }
}
