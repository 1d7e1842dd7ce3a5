/** Every document that is made of the program's tables, by its path in the repository. */
import { COMMAND_LINE } from "../../src/cli/commands.ts";
import { completionScript } from "../../src/cli/completion.ts";
import { readTexts } from "./example.ts";
import { commandPage, configurationPage } from "./pages.ts";
import { referencePage } from "./reference.ts";
import { editorSchema } from "./schema.ts";

/** Made by the build. */
export const SHIPPED_DOCUMENTS = {
  "dist/man/iptun.8": commandPage,
  "dist/man/iptun.toml.5": configurationPage,
  "dist/completions/iptun.bash": () => completionScript("bash", COMMAND_LINE),
  "dist/completions/_iptun": () => completionScript("zsh", COMMAND_LINE),
  "dist/completions/iptun.fish": () => completionScript("fish", COMMAND_LINE),
  "dist/iptun.schema.json": schemaText,
} as const;

/** Kept in the repository; a test compares them. */
export const COMMITTED_DOCUMENTS = {
  "docs/configuration.md": referencePage,
  "docs/iptun.schema.json": schemaText,
} as const;

function schemaText(): string {
  return `${JSON.stringify(editorSchema(readTexts()), undefined, 2)}\n`;
}
