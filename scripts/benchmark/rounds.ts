/**
 * The order of a benchmark: rounds, links, tests, and within a test every subject in turn.
 *
 * The tunnels of one link are open side by side, so that each test comes to all of them within a minute
 * and a slow moment of the machine falls on several; every round begins with another one. A test that
 * fails is kept as a failure and the rest goes on. The trap: an error must not leave a tunnel open.
 */
import type { LinkName } from "./links.ts";
import type { Figures, MetricName } from "./metrics.ts";
import { estimatedSeconds, type Plan } from "./plan.ts";
import type { SubjectName } from "./subjects.ts";
import type { TestName } from "./tests.ts";

/** What the rounds need of the world. */
export interface Bench<T> {
  open(subject: SubjectName, link: LinkName): Promise<T>;
  measure(tunnel: T, test: TestName, earlier: Figures): Promise<Figures>;
  close(tunnel: T): Promise<void>;
  /** Seconds that `test` takes. */
  secondsOf(test: TestName): number;
  /** Seconds from any origin. */
  now(): number;
  /** Is told of each step. */
  progress(line: string): void;
}

/** One figure of one round. */
export interface Sample {
  readonly round: number;
  readonly link: LinkName;
  readonly subject: SubjectName;
  readonly metric: MetricName;
  readonly value: number;
}

/** Something that did not work. */
export interface Failure {
  readonly round: number;
  readonly link: LinkName;
  readonly subject: SubjectName;
  readonly test: TestName | "open";
  readonly message: string;
}

/** All that came of a run. */
export interface Outcome {
  readonly samples: readonly Sample[];
  readonly failures: readonly Failure[];
  /** True when the time was up before the last round was. */
  readonly isCut: boolean;
}

/** Runs `plan`. */
export async function runRounds<T>(plan: Plan, bench: Bench<T>): Promise<Outcome> {
  const run = { plan, bench, started: bench.now(), samples: [], failures: [], isCut: false };
  bench.progress(
    `rounds: ${plan.rounds}, minutes: about ${Math.ceil(estimatedSeconds(plan) / 60)}`,
  );
  for (let round = 1; round <= plan.rounds; round++) {
    for (const link of plan.links) await runLink(run, round, link);
  }
  return run;
}

interface Run<T> {
  readonly plan: Plan;
  readonly bench: Bench<T>;
  readonly started: number;
  readonly samples: Sample[];
  readonly failures: Failure[];
  isCut: boolean;
}

/** A tunnel that is measured, with its figures of this round. */
interface Cell<T> {
  readonly round: number;
  readonly link: LinkName;
  readonly subject: SubjectName;
  readonly tunnel: T;
  readonly figures: Figures[number][];
}

async function runLink<T>(run: Run<T>, round: number, link: LinkName): Promise<void> {
  const cells: Cell<T>[] = [];
  try {
    for (const subject of rotated(run.plan.subjects, round - 1)) {
      if (!isInTime(run, 0)) break;
      await openCell(run, cells, { round, link, subject });
    }
    for (const test of run.plan.tests[link]) {
      for (const cell of cells) {
        if (isInTime(run, run.bench.secondsOf(test))) await measureCell(run, cell, test);
      }
    }
  } finally {
    for (const { tunnel } of cells) await run.bench.close(tunnel);
  }
}

/** `items` from the one at `shift` on, the ones before it last. */
export function rotated<T>(items: readonly T[], shift: number): readonly T[] {
  const from = items.length === 0 ? 0 : shift % items.length;
  return [...items.slice(from), ...items.slice(0, from)];
}

function isInTime<T>(run: Run<T>, seconds: number): boolean {
  if (run.bench.now() - run.started + seconds > run.plan.limitSeconds) run.isCut = true;
  return !run.isCut;
}

type Place = Pick<Failure, "round" | "link" | "subject">;

async function openCell<T>(run: Run<T>, cells: Cell<T>[], place: Place): Promise<void> {
  try {
    cells.push({ ...place, tunnel: await run.bench.open(place.subject, place.link), figures: [] });
  } catch (error) {
    fail(run, place, "open", error);
  }
}

async function measureCell<T>(run: Run<T>, cell: Cell<T>, test: TestName): Promise<void> {
  const { round, link, subject } = cell;
  try {
    const figures = await run.bench.measure(cell.tunnel, test, cell.figures);
    cell.figures.push(...figures);
    for (const [metric, value] of figures) {
      run.samples.push({ round, link, subject, metric, value });
    }
    const shown = figures.map(([metric, value]) => `${metric} ${value.toPrecision(3)}`);
    if (shown.length > 0) say(run, cell, shown.join("  "));
  } catch (error) {
    fail(run, cell, test, error);
  }
}

function fail<T>(run: Run<T>, place: Place, test: Failure["test"], error: unknown): void {
  const { round, link, subject } = place;
  const message = (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
  run.failures.push({ round, link, subject, test, message });
  say(run, place, `${test} FAILED: ${message}`);
}

function say<T>(run: Run<T>, { round, link, subject }: Place, text: string): void {
  run.bench.progress(`${round} ${link.padEnd(6)}${subject.padEnd(13)}${text}`);
}
