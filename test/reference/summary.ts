/**
 * What many schedules showed, added up; it travels between processes as plain data.
 */
import { RARE, STATES, type State, Tally } from "./model/tally.ts";
import type { Result } from "./run.ts";

export interface Failure {
  readonly seed: number;
  readonly text: string;
}

export interface SummaryPart {
  readonly count: number;
  readonly failures: readonly Failure[];
  readonly counts: readonly (readonly [State, number])[];
  readonly recoveries: readonly number[];
  readonly busyMs: number;
  readonly virtualMs: number;
  readonly datagrams: number;
  readonly nonces: number;
}

/** Width of the steps in which times of recovery are counted, milliseconds. */
const RECOVERY_STEP_MS = 100;

export class Summary {
  count = 0;
  busyMs = 0;
  virtualMs = 0;
  datagrams = 0;
  nonces = 0;
  readonly failures: Failure[] = [];
  readonly tally = new Tally();
  /** Schedules by their time of recovery, in steps. */
  readonly #recoveries: number[] = [];

  /** One schedule. */
  add(seed: number, result: Result): void {
    this.count += 1;
    this.busyMs += result.cpuMs;
    const { outcome, failure } = result;
    if (failure !== undefined) this.failures.push({ seed, text: failure });
    if (outcome === undefined) return;
    this.virtualMs += outcome.virtualMs;
    this.datagrams += outcome.datagrams;
    this.nonces += outcome.nonces;
    this.tally.add(outcome.tally.counts);
    const step = Math.ceil(outcome.recoveryMs / RECOVERY_STEP_MS);
    this.#recoveries[step] = (this.#recoveries[step] ?? 0) + 1;
  }

  toPart(): SummaryPart {
    const { count, failures, busyMs, virtualMs, datagrams, nonces, tally } = this;
    const recoveries = Array.from(this.#recoveries, (one) => one ?? 0);
    const counts = [...tally.counts];
    return { count, failures, counts, recoveries, busyMs, virtualMs, datagrams, nonces };
  }

  /** What another process added up. */
  join(part: SummaryPart): void {
    this.count += part.count;
    this.busyMs += part.busyMs;
    this.virtualMs += part.virtualMs;
    this.datagrams += part.datagrams;
    this.nonces += part.nonces;
    this.failures.push(...part.failures);
    this.tally.add(part.counts);
    for (const [step, number] of part.recoveries.entries()) {
      this.#recoveries[step] = (this.#recoveries[step] ?? 0) + number;
    }
  }

  /** The longest time until packets flowed again, rounded up to a step. */
  get longestRecoveryMs(): number {
    return (this.#recoveries.length - 1) * RECOVERY_STEP_MS;
  }

  /** States that had to be reached and were not. */
  unreached(): State[] {
    const states = Object.keys(STATES) as State[];
    return states.filter((state) => this.tally.of(state) === 0 && !RARE.has(state));
  }

  text(): string {
    const states = Object.entries(STATES) as [State, string][];
    const rows = states.map(
      ([state, meaning]) => `${String(this.tally.of(state)).padStart(10)}  ${meaning}`,
    );
    const hours = (this.virtualMs / 3_600_000).toFixed(1);
    return [
      ...rows,
      `${hours} virtual hours, ${this.datagrams} datagrams, ${this.nonces} nonces, none twice under a key`,
      `after the last fault packets flow both ways: half within ${this.#recovery(0.5)}, ` +
        `95 % within ${this.#recovery(0.95)}, all within ${this.#recovery(1)}`,
      "",
    ].join("\n");
  }

  /** Time within which a share of the schedules healed. */
  #recovery(share: number): string {
    const total = this.#recoveries.reduce((sum, number) => sum + (number ?? 0), 0);
    let sum = 0;
    const step = this.#recoveries.findIndex((number) => {
      sum += number ?? 0;
      return sum >= share * total;
    });
    return `${((Math.max(step, 0) * RECOVERY_STEP_MS) / 1_000).toFixed(1)} s`;
  }
}
