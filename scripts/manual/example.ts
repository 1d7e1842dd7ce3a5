/**
 * config.example.toml as the one source of what each key is for: the comment before a table or key is its text.
 *
 * A blank line ends a comment, so what stands at the top of the file belongs to no key. A key that is there only in a
 * comment (`# key = "..."`) is one too.
 */
import { readFileSync } from "node:fs";
import { KNOWN_KEYS } from "../../src/config/schema.ts";

const FILE = new URL("../../config.example.toml", import.meta.url);

/** The text of a key, or of a table where none is named; "": it has none. */
export type KeyTexts = (table: string, key?: string) => string;

/** Said of the example's values alone. */
const ABOUT_EXAMPLE = / ?(?:Default: none\. )?(?:This is an example|These are examples)\.$/;
const NO_DEFAULT = / ?Default: none\.$/;

/** Reads the texts; a key without one throws when it is asked for. */
export function readTexts(source: string = readFileSync(FILE, "utf8")): KeyTexts {
  const texts = new Map<string, string>();
  let table = "";
  let comment: string[] = [];
  for (const line of source.split("\n")) {
    const header = /^\[{1,2}(\w+)\]{1,2}$/.exec(line)?.[1];
    const key = keyOf(line, table);
    if (header !== undefined) table = header;
    if (header !== undefined) texts.set(header, textOf(comment));
    else if (key !== undefined) texts.set(`${table}.${key}`, textOf(comment));
    else if (line.startsWith("# ")) {
      comment.push(line.slice(2));
      continue;
    }
    comment = [];
  }
  return (name, key) => {
    const text = texts.get(key === undefined ? name : `${name}.${key}`);
    if (text !== undefined && (text !== "" || key === undefined)) return text;
    throw new Error(`config.example.toml explains no ${name}.${key}: put a comment before it`);
  };
}

function keyOf(line: string, table: string): string | undefined {
  const name = /^(?:# )?(\w+) = /.exec(line)?.[1];
  return name !== undefined && KNOWN_KEYS[table]?.includes(name) ? name : undefined;
}

function textOf(comment: readonly string[]): string {
  return comment.join(" ").replace(ABOUT_EXAMPLE, "").replace(NO_DEFAULT, "");
}
