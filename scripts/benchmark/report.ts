/**
 * The result of a run as one value, and as the JSON that is kept: every sample, every median, what was
 * measured with which versions, and nothing about whose machine it was.
 *
 * `format` is raised when a field changes its meaning. Why a test failed is printed and not kept: such
 * words name folders.
 */
import { LINKS, type LinkFeatures, type LinkName } from "./links.ts";
import type { Machine } from "./machine.ts";
import { METRIC_NAMES, METRICS, type MetricName } from "./metrics.ts";
import type { Plan } from "./plan.ts";
import type { Failure, Outcome, Sample } from "./rounds.ts";
import { rounded, type Summary, summarize } from "./statistics.ts";
import type { SubjectName } from "./subjects.ts";

/** What is known of a subject besides its figures. */
export interface SubjectFacts {
  readonly title: string;
  readonly version: string;
  readonly note: string;
  /** MTU inside the tunnel. */
  readonly mtu: number;
}

/** Something for each link, metric and subject that was measured. */
export type Grid<T> = Readonly<
  Partial<
    Record<
      LinkName,
      Readonly<Partial<Record<MetricName, Readonly<Partial<Record<SubjectName, T>>>>>>
    >
  >
>;

/** One run of the benchmark. */
export interface Report {
  readonly format: 1;
  /** UTC, of the start. */
  readonly date: string;
  readonly machine: Machine;
  readonly programs: Readonly<Record<string, string>>;
  readonly plan: {
    readonly rounds: number;
    readonly secondsPerTest: number;
    readonly isQuick: boolean;
    /** True when the time was up before all rounds were done. */
    readonly isCut: boolean;
  };
  readonly links: Readonly<
    Partial<Record<LinkName, { readonly title: string; readonly features: LinkFeatures }>>
  >;
  readonly subjects: Readonly<Partial<Record<SubjectName, SubjectFacts>>>;
  readonly metrics: Readonly<
    Partial<Record<MetricName, { readonly title: string; readonly unit: string }>>
  >;
  readonly medians: Grid<Summary>;
  /** In the order in which they were taken. */
  readonly samples: Grid<readonly number[]>;
  readonly failures: readonly Omit<Failure, "message">[];
}

/** What a report is made from. */
export interface Findings {
  readonly date: Date;
  readonly machine: Machine;
  readonly programs: Readonly<Record<string, string>>;
  readonly plan: Plan;
  readonly outcome: Outcome;
  readonly features: ReadonlyMap<LinkName, LinkFeatures>;
  readonly subjects: ReadonlyMap<SubjectName, SubjectFacts>;
}

/** Puts a report together. */
export function makeReport(findings: Findings): Report {
  const { plan, outcome, features, subjects } = findings;
  const links = plan.links
    .filter((link) => features.has(link))
    .map((link) => [link, { title: LINKS[link].title, features: features.get(link) ?? {} }]);
  const metrics = METRIC_NAMES.filter((name) => outcome.samples.some((s) => s.metric === name));
  const facts = plan.subjects.map((name) => [name, subjects.get(name)]);
  return {
    format: 1,
    date: findings.date.toISOString().replace(/\.\d+/, ""),
    machine: findings.machine,
    programs: findings.programs,
    plan: {
      rounds: plan.rounds,
      secondsPerTest: plan.effort.seconds,
      isQuick: plan.isQuick,
      isCut: outcome.isCut,
    },
    links: Object.fromEntries(links),
    subjects: Object.fromEntries(facts.filter(([, known]) => known !== undefined)),
    metrics: Object.fromEntries(
      metrics.map((name) => [name, { title: METRICS[name].title, unit: METRICS[name].unit }]),
    ),
    medians: grid(outcome.samples, plan, (values) => roundedSummary(summarize(values))),
    samples: grid(outcome.samples, plan, (values) => values.map(rounded)),
    failures: outcome.failures.map(({ message: _, ...failure }) => failure),
  };
}

function roundedSummary({ median, least, most }: Summary): Summary {
  return { median: rounded(median), least: rounded(least), most: rounded(most) };
}

function grid<T>(
  samples: readonly Sample[],
  plan: Plan,
  make: (values: readonly number[]) => T,
): Grid<T> {
  return byName(plan.links, (link) =>
    byName(METRIC_NAMES, (metric) =>
      byName(plan.subjects, (subject) => {
        const values = samples
          .filter((s) => s.link === link && s.metric === metric && s.subject === subject)
          .map(({ value }) => value);
        return values.length === 0 ? undefined : make(values);
      }),
    ),
  );
}

/** An object with what `make` gives for each name; names without anything are left out. */
function byName<K extends string, T>(
  names: readonly K[],
  make: (name: K) => T | undefined,
): Partial<Record<K, T>> {
  const object: Partial<Record<K, T>> = {};
  for (const name of names) {
    const value = make(name);
    if (value !== undefined && !isEmpty(value)) object[name] = value;
  }
  return object;
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

/** The report as JSON, a line for each list of numbers and each median. */
export function reportJson(report: Report): string {
  const indented = JSON.stringify(report, undefined, 2);
  const numbers = /\[\s+(-?\d[-\d.e+,\s]*?)\s+\]/g;
  const flat = /\{\s+("median"[^{}[\]]*?)\s+\}/g;
  const joined = (inside: string) => inside.replace(/\s+/g, " ");
  return `${indented
    .replace(numbers, (_, inside: string) => `[${joined(inside)}]`)
    .replace(flat, (_, inside: string) => `{ ${joined(inside)} }`)}\n`;
}
