/**
 * Exit codes, and what is printed when a command fails: one line, no stack.
 *
 * 0, 1 failure, 2 usage, 3 not running, 4 no permission, 78 configuration (EX_CONFIG, sysexits.h).
 */
import { codeOf, DaemonError, EXIT, messageOf } from "../daemon/failure.ts";

/** Every exit code of the command. */
export const EXIT_CODE = { ...EXIT, USAGE: 2, CONFIG: 78 } as const;

/** What each of them says: in a word for the help, in a sentence for the manual. */
export const EXIT_MEANINGS: readonly {
  readonly code: number;
  readonly word: string;
  readonly text: string;
}[] = [
  { code: EXIT_CODE.OK, word: "success", text: "Ended as asked." },
  {
    code: EXIT_CODE.FAILURE,
    word: "failure",
    text: "Failure: one line says what. Of `doctor`: there is a warning or a fault.",
  },
  {
    code: EXIT_CODE.USAGE,
    word: "usage",
    text: "Usage: the arguments are not what the command takes.",
  },
  {
    code: EXIT_CODE.NOT_RUNNING,
    word: "not running",
    text: "Not running: there is no tunnel to ask.",
  },
  {
    code: EXIT_CODE.NO_PERMISSION,
    word: "no permission",
    text: "No permission: the line names the capability.",
  },
  {
    code: EXIT_CODE.CONFIG,
    word: "configuration",
    text: "Configuration: every problem is printed with its file, line and key.",
  },
];

/** How a command ended: its exit code, and what to say on standard error. */
export interface Outcome {
  readonly exitCode: number;
  /** With line end; empty: nothing. */
  readonly text: string;
}

/** The outcome of whatever a command threw. */
export function outcomeOf(thrown: unknown): Outcome {
  // The reader of the output had enough, as in `iptun status | head -1`.
  if (codeOf(thrown) === "EPIPE") return { exitCode: EXIT_CODE.OK, text: "" };
  if (isConfigError(thrown)) return { exitCode: EXIT_CODE.CONFIG, text: `${thrown.message}\n` };
  const exitCode = thrown instanceof DaemonError ? thrown.exitCode : EXIT_CODE.FAILURE;
  return { exitCode, text: `iptun: ${messageOf(thrown).replace(/\s*\n\s*/g, " ")}\n` };
}

/** By name, because importing the class would load the configuration's modules for every command. */
function isConfigError(thrown: unknown): thrown is Error {
  return thrown instanceof Error && thrown.name === "ConfigError";
}
