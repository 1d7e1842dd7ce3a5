/** Prints the score of each file of a mutation report, and every mutant that no test noticed, one a line. */
import { readFileSync } from "node:fs";

interface Place {
  readonly line: number;
  readonly column: number;
}

interface Mutant {
  readonly mutatorName: string;
  readonly status: string;
  readonly replacement?: string;
  readonly location: { readonly start: Place; readonly end: Place };
}

interface Report {
  readonly files: Readonly<
    Record<string, { readonly source: string; readonly mutants: readonly Mutant[] }>
  >;
}

const NOTICED: ReadonlySet<string> = new Set(["Killed", "Timeout"]);
const UNNOTICED: ReadonlySet<string> = new Set(["Survived", "NoCoverage"]);

const [path = "build/mutation/report.json", only = ""] = process.argv.slice(2);
const report: Report = JSON.parse(readFileSync(path, "utf8"));
const files = Object.entries(report.files).filter(([name]) => name.includes(only));
for (const [name, { source, mutants }] of files) {
  for (const mutant of mutants.filter(({ status }) => UNNOTICED.has(status))) {
    console.log(`${name}:${mutant.location.start.line}: ${describe(source, mutant)}`);
  }
}
for (const [name, { mutants }] of files) console.log(scoreLine(name, mutants));
console.log(
  scoreLine(
    "all",
    files.flatMap(([, { mutants }]) => mutants),
  ),
);

function describe(
  source: string,
  { mutatorName, replacement = "", location, status }: Mutant,
): string {
  const { start, end } = location;
  const lines = source.split("\n").slice(start.line - 1, end.line);
  const last = lines.length - 1;
  const text = lines
    .map((line, index) =>
      line.slice(index === 0 ? start.column - 1 : 0, index === last ? end.column - 1 : undefined),
    )
    .join(" ");
  return `${status} ${mutatorName}: ${short(text)} -> ${short(replacement)}`;
}

function short(text: string): string {
  const flat = text.replaceAll(/\s+/g, " ");
  return flat.length > 90 ? `${flat.slice(0, 87)}...` : flat;
}

function scoreLine(name: string, mutants: readonly Mutant[]): string {
  const noticed = mutants.filter(({ status }) => NOTICED.has(status)).length;
  const unnoticed = mutants.filter(({ status }) => UNNOTICED.has(status)).length;
  const score = ((100 * noticed) / Math.max(1, noticed + unnoticed)).toFixed(1);
  return `${name}: ${score} % (${noticed} noticed, ${unnoticed} not)`;
}
