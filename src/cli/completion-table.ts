/**
 * What can stand on the command line, as the shells' completions need it: each command's flags, and what the values of
 * flags and arguments are.
 */
import {
  argumentName,
  type CommandLine,
  flagParts,
  type OptionEntry,
  type ValueKind,
} from "./command-entry.ts";

/** In the order in which they are named. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** A flag in all its forms. */
export interface CompletedFlag {
  /** "-c" and "--config". */
  readonly forms: readonly string[];
  readonly text: string;
  /** undefined: it takes none; "": one of which nothing is known. */
  readonly value: ValueKind | "" | undefined;
  /** What stands for the value in texts. */
  readonly placeholder: string;
}

/** A command; "" is what stands before one. */
export interface CompletedCommand {
  readonly name: string;
  readonly text: string;
  readonly flags: readonly CompletedFlag[];
  /** Its first argument; a command has no second. */
  readonly argument: ValueKind | undefined;
}

/** Kinds of the arguments, by their names. */
const ARGUMENTS: Readonly<Record<string, ValueKind>> = {
  peer: "peer",
  command: "command",
  shell: "shell",
};

/** All commands; the first is "", whose flags are those that may stand without one. */
export function completionTable(line: CommandLine): readonly CompletedCommand[] {
  const flagsOf = (options: readonly OptionEntry[]) =>
    [...options, ...line.everywhere].map(completedFlag);
  return [
    { name: "", text: "", flags: flagsOf(line.options), argument: "command" },
    ...line.commands.map(({ name, description, options, arguments: [argument] = [] }) => ({
      name,
      text: description,
      flags: flagsOf(options),
      argument: argument === undefined ? undefined : ARGUMENTS[argumentName(argument)],
    })),
  ];
}

function completedFlag({ flags, text, value }: OptionEntry): CompletedFlag {
  const { short, long, placeholder } = flagParts(flags);
  const assumed = placeholder === "file" ? "file" : "";
  return {
    forms: short === undefined ? [long] : [short, long],
    text,
    value: placeholder === undefined ? undefined : (value ?? assumed),
    placeholder: placeholder ?? "",
  };
}
