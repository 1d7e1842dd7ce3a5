/**
 * Writes what is made of the program's own tables: with the build manual pages, completions and the JSON Schema of the
 * configuration, all in dist; with --docs what of it is kept in docs.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { COMMITTED_DOCUMENTS, SHIPPED_DOCUMENTS } from "./manual/documents.ts";

const documents = process.argv.includes("--docs") ? COMMITTED_DOCUMENTS : SHIPPED_DOCUMENTS;
for (const [path, text] of Object.entries(documents)) {
  const file = new URL(`../${path}`, import.meta.url);
  mkdirSync(dirname(file.pathname), { recursive: true });
  writeFileSync(file, text());
}
