/**
 * The benchmark of tunnels: iptun beside others, in turns, in network namespaces of its own.
 *
 * Prints each figure as it comes, then tables, and writes bench.json and bench.svg. Ends with 1 when a
 * test failed, 2 when the command line is wrong. docs/performance.md says how to read the figures.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Options, parseArguments, USAGE, UsageError } from "./benchmark/arguments.ts";
import { chartSvg } from "./benchmark/chart.ts";
import type { LinkFeatures, LinkName } from "./benchmark/links.ts";
import { describeMachine, toolVersions } from "./benchmark/machine.ts";
import { planOf } from "./benchmark/plan.ts";
import { makeReport, type Report, reportJson, type SubjectFacts } from "./benchmark/report.ts";
import { type Bench, runRounds } from "./benchmark/rounds.ts";
import {
  closeSubject,
  type OpenSubject,
  openSubject,
  SUBJECTS,
  type SubjectName,
} from "./benchmark/subjects.ts";
import { reportText } from "./benchmark/table.ts";
import { TESTS, warmUp } from "./benchmark/tests.ts";

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const options = parseArguments(process.argv.slice(2));
    if (!options.isHelp) return await bench(options);
    process.stdout.write(USAGE);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`bench: ${error.message}\n\n${USAGE}`);
    return 2;
  }
}

async function bench(options: Options): Promise<number> {
  // A folder that cannot be made must not be learned of after an hour.
  mkdirSync(options.out, { recursive: true });
  const date = new Date();
  const plan = planOf(options);
  const features = new Map<LinkName, LinkFeatures>();
  const subjects = new Map<SubjectName, SubjectFacts>();
  const outcome = await runRounds(plan, worldOf(features, subjects));
  const found = { date, plan, outcome, features, subjects };
  const report = makeReport({ ...found, machine: describeMachine(), programs: toolVersions() });
  process.stdout.write(`\n${reportText(report)}\n`);
  write(options.out, report);
  return outcome.failures.length === 0 ? 0 : 1;

  function worldOf(
    features: Map<LinkName, LinkFeatures>,
    subjects: Map<SubjectName, SubjectFacts>,
  ): Bench<OpenSubject> {
    return {
      open: async (name, link) => {
        const subject = await openSubject(name, link);
        const { title, note, version } = SUBJECTS[name];
        features.set(link, subject.features);
        subjects.set(name, { title, version: version(), mtu: subject.mtu, note });
        await warmUp(subject);
        return subject;
      },
      measure: async (subject, test, earlier) =>
        await TESTS[test].run(subject, plan.effort, earlier),
      close: closeSubject,
      secondsOf: (test) => TESTS[test].seconds(plan.effort),
      now: () => performance.now() / 1000,
      progress: (line) => process.stdout.write(`${line}\n`),
    };
  }
}

function write(folder: string, report: Report): void {
  for (const [name, content] of [
    ["bench.json", reportJson(report)],
    ["bench.svg", chartSvg(report)],
  ] as const) {
    writeFileSync(join(folder, name), content);
    process.stdout.write(`wrote ${join(folder, name)}\n`);
  }
}
