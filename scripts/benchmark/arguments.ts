/**
 * The command line of `scripts/bench`: words in, options or a complaint out.
 *
 * `scripts/bench core` is another program (bench-core.ts) and never gets here.
 */
import { parseArgs } from "node:util";
import { LINK_NAMES, type LinkName } from "./links.ts";
import { SUBJECT_NAMES, type SubjectName } from "./subjects.ts";

/** What was asked for. */
export interface Options {
  readonly isHelp: boolean;
  readonly isQuick: boolean;
  readonly subjects: readonly SubjectName[];
  readonly links: readonly LinkName[];
  /** Undefined: as many as the plan has. */
  readonly rounds: number | undefined;
  /** Seconds of each test; undefined: as many as the plan has. */
  readonly seconds: number | undefined;
  /** Folder for bench.json and bench.svg. */
  readonly out: string;
}

/** A command line that cannot be carried out; the message is for its author. */
export class UsageError extends Error {}

/** What `--help` prints. */
export const USAGE = `usage: scripts/bench [options]      tunnels in network namespaces, in turns
       scripts/bench core [--quick]  the core alone, in memory

  --quick          ends within 5 minutes
  --only NAMES     some of ${SUBJECT_NAMES.join(", ")}
  --link NAMES     some of ${LINK_NAMES.join(", ")}
  --rounds N       3 by default
  --seconds N      of each test; 5 by default, 2 when quick
  --out FOLDER     for bench.json and bench.svg; build/bench by default

NAMES are joined by commas.
`;

const MOST_ROUNDS = 100;
const MOST_SECONDS = 60;

/** Reads the words after the program's name; throws a UsageError. */
export function parseArguments(words: readonly string[]): Options {
  const { values } = parsed(words);
  return {
    isHelp: values.help === true,
    isQuick: values.quick === true,
    subjects: names("--only", values.only, SUBJECT_NAMES),
    links: names("--link", values.link, LINK_NAMES),
    rounds: wholeNumber("--rounds", values.rounds, MOST_ROUNDS),
    seconds: wholeNumber("--seconds", values.seconds, MOST_SECONDS),
    out: values.out ?? "build/bench",
  };
}

function parsed(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      options: {
        help: { type: "boolean", short: "h" },
        quick: { type: "boolean" },
        only: { type: "string" },
        link: { type: "string" },
        rounds: { type: "string" },
        seconds: { type: "string" },
        out: { type: "string" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

/** The known names in a list, in the order of `known`; all of them when there is no list. */
function names<T extends string>(
  option: string,
  list: string | undefined,
  known: readonly T[],
): readonly T[] {
  if (list === undefined) return known;
  const asked = list.split(",").map((name) => name.trim());
  const stranger = asked.find((name) => !known.some((one) => one === name));
  if (stranger !== undefined) {
    throw new UsageError(`${option}: "${stranger}" is none of ${known.join(", ")}`);
  }
  return known.filter((name) => asked.includes(name));
}

function wholeNumber(option: string, text: string | undefined, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > most) {
    throw new UsageError(`${option}: a whole number from 1 to ${most}, not "${text}"`);
  }
  return value;
}
