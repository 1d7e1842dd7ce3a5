/**
 * A parsed tree against the schema: the settings of everything that is right, a report for the rest.
 *
 * What fails is reported, cut out, and the tree read again, so that the checks between values still run
 * on what remains. Unknown keys get a suggestion. Nothing here depends on another value.
 *
 * The trap: the tree is hostile. It is copied into null-prototype tables first, without numbers that
 * JavaScript cannot hold exactly, without text that holds control characters, and only so deep. One with
 * more than `MAX_VALUES` must not come here: the schema's library fails on very many faults.
 */
import type { z } from "zod";
import type { Path } from "./locate.ts";
import { KNOWN_KEYS, type Settings, settingsSchema } from "./schema.ts";
import { shown } from "./shown.ts";
import { closest } from "./suggest.ts";

/** Takes a problem: where, and what in the form "problem; expected …; remedy". */
export type Report = (path: Path, text: string) => void;

/** A value of the tree after copying; Date and number stay what they are. */
export type Tree = unknown;

/** Nesting that a tree may have; the deepest value the schema knows stands at 4. */
const MAX_DEPTH = 8;
/** BOUNDED: values of a tree, tables and lists included; a thousand peers have some 6,000. */
export const MAX_VALUES = 20_000;
/** Rounds of cutting; each removes at least one fault a path, and a path has at most 4 parts. */
const MAX_ROUNDS = 8;
/** Names of unknown keys that may be quoted: a secret in a key's place would hardly look so. */
export const PLAIN_NAME = /^[a-z][a-z0-9_-]{0,31}$/;
/** Tables in which a misplaced key is looked for. */
const TABLES = ["interface", "peer", "limits", "offload", "metrics", "hooks", "log"] as const;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it finds.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

/** Whether the tree has more values than a configuration may have; asked first, for any nesting. */
export function isTooLarge(tree: Tree): boolean {
  const rest = [tree];
  for (let count = 0; rest.length > 0; count++) {
    const value = rest.pop();
    if (typeof value !== "object" || value === null) continue;
    for (const one of Object.values(value)) rest.push(one);
    if (count + rest.length > MAX_VALUES) return true;
  }
  return false;
}

/** Copies a parser's tree; what cannot be used is reported and left out. */
export function copyTree(value: unknown, report: Report, path: Path = []): Tree {
  if (typeof value === "bigint" || (Number.isInteger(value) && !Number.isSafeInteger(value))) {
    report(path, "is a number of 2^53 or more; expected a smaller one");
    return undefined;
  }
  if (typeof value === "string" && CONTROL.test(value)) {
    report(path, "holds a control character; expected printable text on one line");
    return undefined;
  }
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  if (path.length >= MAX_DEPTH) {
    report(path, `is nested deeper than ${MAX_DEPTH} levels`);
    return undefined;
  }
  if (Array.isArray(value)) return value.map((one, at) => copyTree(one, report, [...path, at]));
  const table: Record<string, unknown> = Object.create(null);
  for (const [name, one] of Object.entries(value)) {
    table[name] = copyTree(one, report, [...path, name]);
  }
  return table;
}

/** The settings of a copied tree, defaults in place; every value that is wrong is reported and left out. */
export function readSettings(tree: Tree, report: Report): Settings {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const result = settingsSchema.safeParse(tree);
    if (result.success) return result.data;
    const seen = new Set<string>();
    for (const issue of result.error.issues) {
      const path = plainPath(issue.path);
      if (seen.has(JSON.stringify(path)) && issue.code !== "unrecognized_keys") continue;
      seen.add(JSON.stringify(path));
      reportIssue(issue, path, tree, report);
    }
    for (const path of faultyPaths(result.error.issues)) cut(tree, path);
  }
  throw new Error("the schema refuses what is left of a configuration");
}

/** The value at a path, or undefined. */
export function valueAt(tree: Tree, path: Path): unknown {
  let value = tree;
  for (const part of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = Object.getOwnPropertyDescriptor(value, part)?.value;
  }
  return value;
}

function reportIssue(issue: z.core.$ZodIssue, path: Path, tree: Tree, report: Report): void {
  if (issue.code === "unrecognized_keys") {
    for (const name of issue.keys) reportUnknown(path, name, report);
    return;
  }
  const value = valueAt(tree, path);
  if (value === undefined) return;
  report(path, `${isSecret(path) ? unquoted(value) : `is ${shown(value)}`}; ${issue.message}`);
}

function reportUnknown(table: Path, name: string, report: Report): void {
  const tableName = typeof table[0] === "string" ? table[0] : "";
  const known = KNOWN_KEYS[tableName] ?? [];
  const suggestion = closest(name, known) ?? elsewhere(name);
  const isShown = suggestion !== undefined || PLAIN_NAME.test(name);
  const parts = [
    isShown ? `unknown key ${shown(name)}` : "unknown key (name not shown)",
    `expected ${known.join(", ")}`,
    suggestion === undefined ? "" : `did you mean ${suggestion}?`,
  ];
  report([...table, name], parts.filter((part) => part !== "").join("; "));
}

/** The known key that a name is closest to in any table, with the table's name. */
function elsewhere(name: string): string | undefined {
  for (const table of TABLES) {
    const key = closest(name, KNOWN_KEYS[table] ?? []);
    if (key !== undefined) return `${key} in ${table === "peer" ? "[[peer]]" : `[${table}]`}`;
  }
  return undefined;
}

/** Whether the value is a key and must not be quoted. */
function isSecret(path: Path): boolean {
  return path.includes("key");
}

function unquoted(value: unknown): string {
  if (typeof value === "string") return "is not valid";
  return typeof value === "number" ? "is a number" : `is ${shown(value)}`;
}

function faultyPaths(issues: readonly z.core.$ZodIssue[]): readonly (readonly PropertyKey[])[] {
  return issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((name) => [...issue.path, name])
      : [issue.path],
  );
}

/** Takes a value out; in a list null keeps its place, so that indices stay true. */
function cut(tree: Tree, path: readonly PropertyKey[]): void {
  const parent = valueAt(tree, plainPath(path.slice(0, -1)));
  const last = path.at(-1);
  if (typeof parent !== "object" || parent === null || last === undefined) return;
  if (Array.isArray(parent)) Reflect.set(parent, last, null);
  else Reflect.deleteProperty(parent, last);
}

function plainPath(path: readonly PropertyKey[]): Path {
  return path.filter((part) => typeof part !== "symbol");
}
