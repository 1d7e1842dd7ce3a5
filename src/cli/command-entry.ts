/**
 * A command as commands.ts declares it, and its parts taken from what commander reads: the command line, the shells'
 * completions and the manual are made of them.
 */
import type { Terminal } from "./terminal.ts";

/** What a value names, for the shells' completions; "configuration" is a file of this kind, "interface" one that runs. */
export type ValueKind = "configuration" | "file" | "interface" | "peer" | "command" | "shell";

/** An option as it is declared. */
export interface OptionEntry {
  /** As commander reads them: "-o, --out <file>". */
  readonly flags: string;
  readonly text: string;
  /** Told where it is more than the placeholder says. */
  readonly value?: ValueKind;
}

/** What was given: options by their long name in camel case, arguments by their own. */
export interface Given {
  /** Value of an option or argument; undefined: not given. */
  readonly text: (name: string) => string | undefined;
  readonly flag: (name: string) => boolean;
  /** The configuration's file; ends the command with a usage error where none is given. */
  readonly config: () => string;
  readonly configIfGiven: () => string | undefined;
}

/** A command without what it does. */
export interface CommandShape {
  readonly name: string;
  readonly description: string;
  /** As commander reads them: "<peer>", "[peer]". */
  readonly arguments?: readonly string[];
  readonly options: readonly OptionEntry[];
}

export interface CommandEntry extends CommandShape {
  /** Runs the command; its exit code, 0 unless told. */
  readonly run: (given: Given, terminal: Terminal) => Promise<number | undefined>;
}

/** All that the command line takes. */
export interface CommandLine {
  /** Without a command. */
  readonly options: readonly OptionEntry[];
  readonly commands: readonly CommandShape[];
  /** Without a command, and of every command. */
  readonly everywhere: readonly OptionEntry[];
}

/** An option's flags taken apart. */
export interface FlagParts {
  /** With its dash; undefined: none. */
  readonly short: string | undefined;
  /** With its dashes. */
  readonly long: string;
  /** What stands for the value, without its brackets; undefined: it takes none. */
  readonly placeholder: string | undefined;
}

/** "-o, --out <file>" taken apart. */
export function flagParts(flags: string): FlagParts {
  const [, short, long, placeholder] = /^(?:(-\w), )?(--[a-z-]+)(?: <([^>]+)>)?$/.exec(flags) ?? [];
  if (long === undefined) throw new Error(`flags of an option: ${flags}`);
  return { short, long, placeholder };
}

/** "<peer>" or "[peer]" without its brackets. */
export function argumentName(form: string): string {
  return form.replace(/[<>[\]]/g, "");
}
