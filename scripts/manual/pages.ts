/**
 * The manual pages iptun(8) and iptun.toml(5): templates written by hand, in which a line with "@" and a name stands for
 * what the command table, the exit codes and the configuration's keys say.
 */
import { readFileSync } from "node:fs";
import {
  argumentName,
  type CommandShape,
  flagParts,
  type OptionEntry,
} from "../../src/cli/command-entry.ts";
import { COMMAND_LINE } from "../../src/cli/commands.ts";
import { EXIT_MEANINGS } from "../../src/cli/exit-code.ts";
import { configurationTables, type KeyEntry, type TableEntry } from "./configuration.ts";
import { mdocText, mdocWord } from "./mdoc.ts";

/** iptun(8). */
export function commandPage(): string {
  const template = readTemplate("iptun.8.in");
  const [, notes = ""] = /^@commands\n(.*?)^@end\n/ms.exec(template) ?? [];
  const { options, everywhere, commands } = COMMAND_LINE;
  return filled(template.replace(notes, "").replace("@end\n", ""), {
    options: optionList([...options, ...everywhere]),
    commands: commandList(commands, notesOf(notes)),
    exit: tagList(EXIT_MEANINGS.map(({ code, text }) => [String(code), mdocText(text)])),
  });
}

/** iptun.toml(5). */
export function configurationPage(): string {
  const tables = configurationTables().map(tableSection).join("");
  return filled(readTemplate("iptun.toml.5.in"), { tables });
}

function readTemplate(name: string): string {
  return readFileSync(new URL(name, import.meta.url), "utf8");
}

/** Each "@name" line replaced; one that is not known, or not there, throws. */
function filled(template: string, parts: Readonly<Record<string, string>>): string {
  const left = new Set(Object.keys(parts));
  const text = template.replace(/^@(.*)\n/gm, (_, name: string) => {
    left.delete(name);
    const part = parts[name];
    if (part === undefined) throw new Error(`the manual's template has an unknown line @${name}`);
    return part;
  });
  if (left.size > 0) throw new Error(`the manual's template lacks @${[...left].join(", @")}`);
  return text;
}

/** What the template says of each command, by its name. */
function notesOf(text: string): ReadonlyMap<string, string> {
  const [, ...parts] = text.split(/^@(.*)\n/m);
  const notes = new Map<string, string>();
  for (let at = 0; at < parts.length; at += 2) notes.set(parts[at] ?? "", parts[at + 1] ?? "");
  return notes;
}

function commandList(
  commands: readonly CommandShape[],
  notes: ReadonlyMap<string, string>,
): string {
  for (const name of notes.keys()) {
    if (commands.some((command) => command.name === name)) continue;
    throw new Error(`the manual's template tells of a command ${name}, which there is not`);
  }
  return tagList(
    commands.map((command) => {
      const list = command.options.length > 0 ? optionList(command.options) : "";
      const text = mdocText(`${sentence(command.description)}`);
      return [commandHead(command), `${text}\n${notes.get(command.name) ?? ""}${list}`];
    }),
  );
}

/** "Xo ... Xc", because a macro takes few arguments on one line. */
function commandHead({ name, arguments: own = [], options }: CommandShape): string {
  const heads = own.map((form) =>
    form.startsWith("[") ? `.Op Ar ${argumentName(form)}` : `.Ar ${argumentName(form)}`,
  );
  const lines = [`.Ic ${name}`, ...heads, ...(options.length > 0 ? [".Op Ar options"] : [])];
  return `Xo\n${lines.join("\n")}\n.Xc`;
}

function optionList(options: readonly OptionEntry[]): string {
  return tagList(options.map((option) => [optionHead(option), mdocText(sentence(option.text))]));
}

function optionHead({ flags }: OptionEntry): string {
  const { short, long, placeholder } = flagParts(flags);
  const value = placeholder === undefined ? "" : ` Ar ${placeholder}`;
  const forms = [...(short === undefined ? [] : [short]), long].map(
    (form) => `Fl ${form.slice(1)}${value}`,
  );
  return forms.join(" , ");
}

function tableSection({ name, header, text, keys }: TableEntry): string {
  const intro = mdocText(`Keys of \`${header}\`. ${text}`.trim());
  const entries = keys.map((key) => [`Ic ${mdocWord(key.name)}`, keyText(key)] as const);
  return `.Sh ${name.toUpperCase()} TABLE\n${intro}\n${tagList(entries)}`;
}

function keyText({ type, preset, needsRestart, text }: KeyEntry): string {
  const facts = [type, preset === undefined ? "no default" : `default \`${preset}\``];
  const ending = needsRestart ? "\nNeeds a restart." : "";
  return `${mdocText(`${sentence(facts.join("; "))}`)}\n.Pp\n${mdocText(text)}${ending}`;
}

/** A list of heads and what each means. */
function tagList(items: readonly (readonly [head: string, text: string])[]): string {
  const lines = items.map(([head, text]) => `.It ${head}\n${text.trimEnd()}\n`);
  return `.Bl -tag -width Ds\n${lines.join("")}.El\n`;
}

function sentence(text: string): string {
  const start = `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  return /[.?!]$/.test(start) ? start : `${start}.`;
}
