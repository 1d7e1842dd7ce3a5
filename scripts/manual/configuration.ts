/**
 * Every table and key of the configuration, as the manual page and the reference tell of them: types, ranges and
 * defaults from the schema, texts from the example.
 */
import { type KeyTexts, readTexts } from "./example.ts";
import { plainSchema, type Schema } from "./schema.ts";

/** A key. */
export interface KeyEntry {
  readonly name: string;
  /** Such as "whole number, 200 to 60000". */
  readonly type: string;
  /** As TOML; undefined: none. */
  readonly preset: string | undefined;
  /** Whether `iptun reload` refuses another value. */
  readonly needsRestart: boolean;
  readonly text: string;
}

/** A table. */
export interface TableEntry {
  readonly name: string;
  /** "[interface]" or "[[peer]]". */
  readonly header: string;
  /** "": there is nothing to say. */
  readonly text: string;
  readonly keys: readonly KeyEntry[];
}

/** The sentence by which the example says so. */
const RESTART = "Needs a restart.";

/** In the order of the schema. */
export function configurationTables(texts: KeyTexts = readTexts()): readonly TableEntry[] {
  return Object.entries(plainSchema().properties ?? {}).map(([name, schema]) => {
    const { properties = {} } = schema.items ?? schema;
    const text = texts(name);
    return {
      name,
      header: schema.items === undefined ? `[${name}]` : `[[${name}]]`,
      text: withoutRestart(text),
      keys: Object.entries(properties).map(([key, one]) =>
        keyEntry(key, one, texts(name, key), text.includes(RESTART)),
      ),
    };
  });
}

function keyEntry(name: string, schema: Schema, text: string, isFixed: boolean): KeyEntry {
  return {
    name,
    type: typeText(schema),
    preset: schema.default === undefined ? undefined : JSON.stringify(schema.default),
    needsRestart: isFixed || text.includes(RESTART),
    text: withoutRestart(text),
  };
}

function withoutRestart(text: string): string {
  return text.replace(RESTART, "").replace(/ {2,}/g, " ").trim();
}

/** A type in words. */
function typeText(schema: Schema): string {
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeText).join(", or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return alternatives(schema.enum.map((one) => JSON.stringify(one)));
  const { minimum = 0, maximum = 0 } = schema;
  switch (schema.type) {
    case "boolean":
      return "true or false";
    case "integer":
      return `whole number, ${minimum} to ${maximum}`;
    case "number":
      return `number, ${minimum} to ${maximum}`;
    case "string":
      return "text";
    case "array":
      return schema.maxItems === undefined
        ? "list of texts"
        : `list of texts, at most ${schema.maxItems}`;
    default:
      throw new Error(`no words for a value of type ${JSON.stringify(schema)}`);
  }
}

function alternatives(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
