/**
 * What is wrong with a configuration: a list of problems, each with its place, and the error that carries them.
 *
 * A problem's text is made of three parts joined by "; ": what is wrong, what was expected, what to do.
 * The file's name and line come first, so that an editor can jump there.
 *
 * The trap: these lines reach terminals and logs, so whatever is quoted in them went through `shown.ts`.
 */
import { printable } from "./shown.ts";

/** One fault of a configuration. */
export interface ConfigProblem {
  /** Line, counted from 1; undefined: the fault belongs to no line. */
  readonly line?: number | undefined;
  /** Column in UTF-16 units, counted from 1; given for syntax errors only. */
  readonly column?: number | undefined;
  /** Where in the tree, such as `peer[hub].allowed_ips`; empty: the file itself. */
  readonly key: string;
  readonly text: string;
}

/** BOUNDED: problems that an error names; a hostile file could have 100,000. */
const MAX_SHOWN = 100;

/** Every problem of one configuration file, sorted by line; exit code 78. */
export class ConfigError extends Error {
  readonly file: string;
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, problems: readonly ConfigProblem[]) {
    const sorted = problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
    const lines = sorted.slice(0, MAX_SHOWN).map((problem) => formatProblem(file, problem));
    const rest = sorted.length - lines.length;
    if (rest > 0) lines.push(`${printable(file)}: ${rest} more problems`);
    super(lines.join("\n"));
    this.name = "ConfigError";
    this.file = file;
    this.problems = sorted;
  }
}

/** "file:line: key: text", without the parts that are not known. */
export function formatProblem(file: string, problem: ConfigProblem): string {
  const place = [printable(file), problem.line, problem.column].filter(
    (part) => part !== undefined,
  );
  return [place.join(":"), problem.key, problem.text].filter((part) => part !== "").join(": ");
}
