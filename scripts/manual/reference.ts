/** docs/configuration.md: the reference of the configuration. */
import { configurationTables, type KeyEntry, type TableEntry } from "./configuration.ts";

/** Columns of the pages in docs. */
const WIDTH = 130;

/** The page. */
export function referencePage(): string {
  return `# Configuration

<!-- Made by \`npm run docs\` of src/config/schema.ts and config.example.toml; change those. -->

One TOML file for each tunnel interface. \`iptun init\` makes those of two hosts, \`iptun check\` says what is wrong in one, and
[config.example.toml](../config.example.toml) shows every key. Nothing but a \`[[peer]]\` with a key is required. Unknown keys are refused.
Editors that read JSON Schema get completions and checks from [iptun.schema.json](iptun.schema.json), by a first line
\`#:schema PATH\` or by their settings.

\`iptun reload\` applies a change without a restart, but for the keys of which this page says "needs a restart".

${configurationTables().map(tablePart).join("\n")}`;
}

function tablePart({ header, text, keys }: TableEntry): string {
  const intro = text === "" ? "" : `\n${wrapped(text)}\n`;
  return `## ${header}\n${intro}\n${keys.map(keyPart).join("\n")}`;
}

function keyPart({ name, type, preset, needsRestart, text }: KeyEntry): string {
  const facts = [
    `Type: ${type}`,
    preset === undefined ? "no default" : `default \`${preset}\``,
    needsRestart ? "needs a restart" : "changes by reload",
  ];
  return `### ${name}\n\n${facts.join("; ")}.\n\n${wrapped(text)}\n`;
}

/** Lines of whole words; what Markdown would read as its own is marked. */
function wrapped(text: string): string {
  const lines: string[] = [];
  for (const word of text.replace(/[*<>]/g, "\\$&").split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  return lines.join("\n");
}
