/**
 * The configuration's JSON Schema, for editors: what src/config/schema.ts says, without what it needs for itself, and
 * with the texts of config.example.toml.
 *
 * It refuses less than `iptun check`: it knows types, ranges and names of keys, not whether an address is one.
 * Draft 7, because not every editor reads a newer one.
 */
import { z } from "zod";
import { settingsSchema } from "../../src/config/schema.ts";
import type { KeyTexts } from "./example.ts";

/** The keywords that there are. */
export interface Schema {
  readonly $schema?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly default?: unknown;
}

/** Counts that stand for "any number" in what zod writes. */
const ANY = Number.MAX_SAFE_INTEGER;

/** The schema without texts. */
export function plainSchema(): Schema {
  const options = { target: "draft-7", io: "input" } as const;
  return simplified(z.toJSONSchema(settingsSchema, options) as Schema);
}

/** The schema as editors get it. */
export function editorSchema(texts: KeyTexts): Schema {
  const { $schema, properties = {}, ...rest } = plainSchema();
  const tables = Object.entries(properties).map(([name, table]) => [
    name,
    table.items === undefined
      ? withTexts(table, texts, name)
      : { ...table, minItems: 1, items: oneKey(withTexts(table.items, texts, name)) },
  ]);
  return {
    ...($schema === undefined ? {} : { $schema }),
    title: "iptun configuration",
    ...rest,
    required: ["peer"],
    properties: Object.fromEntries(tables),
  };
}

/** A peer needs a key, in one of two forms: src/config/key-source.ts. */
function oneKey(peer: Schema): Schema {
  return { ...peer, oneOf: [{ required: ["key_file"] }, { required: ["key"] }] };
}

function withTexts(table: Schema, texts: KeyTexts, name: string): Schema {
  const keys = Object.entries(table.properties ?? {}).map(([key, schema]) => [
    key,
    { description: texts(name, key), ...schema },
  ]);
  const description = texts(name);
  return {
    ...(description === "" ? {} : { description }),
    ...table,
    properties: Object.fromEntries(keys),
  };
}

/** Without null, which stands for a value that was cut out of a list, and without defaults of tables. */
function simplified(schema: Schema): Schema {
  const { type, anyOf, items, properties, maxItems, default: preset, ...rest } = schema;
  const kinds = anyOf?.filter((one) => one.type !== "null").map(simplified);
  if (kinds?.length === 1) return { ...rest, ...kinds[0] };
  const types = Array.isArray(type) ? type.filter((one) => one !== "null") : type;
  const isTable = properties !== undefined || items?.anyOf !== undefined;
  return {
    ...rest,
    ...(types === undefined ? {} : { type: types.length === 1 ? types[0] : types }),
    ...(kinds === undefined ? {} : { anyOf: kinds }),
    ...(items === undefined ? {} : { items: simplified(items) }),
    ...(maxItems === undefined || maxItems === ANY ? {} : { maxItems }),
    ...(isTable || preset === undefined ? {} : { default: preset }),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, one]) => [name, simplified(one)]),
          ),
        }),
  };
}
