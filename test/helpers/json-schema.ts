/**
 * What of a JSON value does not match a schema: the part of JSON Schema 2020-12 that docs/openapi.json uses.
 *
 * A keyword that is not known here throws, so that no schema is taken for one that says less.
 */

export interface Schema {
  readonly [keyword: string]: unknown;
}

type Check = (value: unknown, rule: never, schema: Schema, resolve: Resolve) => readonly string[];
type Resolve = (reference: string) => Schema;

/** One line for each fault, which begins with where it is. */
export function schemaFaults(value: unknown, schema: Schema, resolve: Resolve): readonly string[] {
  return Object.entries(schema).flatMap(([keyword, rule]) => {
    const check = CHECKS[keyword];
    if (check === undefined) throw new Error(`keyword ${keyword} is not known here`);
    return check(value, rule as never, schema, resolve);
  });
}

const CHECKS: Readonly<Record<string, Check>> = {
  description: () => [],
  $ref: (value, rule: string, _schema, resolve) => schemaFaults(value, resolve(rule), resolve),
  const: (value, rule: unknown) => (value === rule ? [] : [`: is not ${String(rule)}`]),
  enum: (value, rule: readonly unknown[]) =>
    rule.includes(value) ? [] : [`: ${String(value)} is none of ${rule.join()}`],
  type: (value, rule: string | readonly string[]) => {
    const types = typeof rule === "string" ? [rule] : rule;
    const isInteger = Number.isInteger(value) && types.includes("integer");
    return isInteger || types.includes(typeOf(value)) ? [] : [`: ${typeOf(value)}, not ${types}`];
  },
  items: (value, rule: Schema, _schema, resolve) =>
    Array.isArray(value)
      ? value.flatMap((one, index) => below(`[${index}]`, schemaFaults(one, rule, resolve)))
      : [],
  required: (value, rule: readonly string[]) =>
    rule.filter((name) => isObject(value) && !(name in value)).map((name) => `.${name}: missing`),
  properties: (value, rule: Readonly<Record<string, Schema>>, _schema, resolve) =>
    entriesOf(value).flatMap(([name, one]) => {
      const own = rule[name];
      return own === undefined ? [] : below(`.${name}`, schemaFaults(one, own, resolve));
    }),
  additionalProperties: (value, rule: false | Schema, { properties = {} }, resolve) =>
    entriesOf(value)
      .filter(([name]) => isObject(properties) && !(name in properties))
      .flatMap(([name, one]) =>
        below(`.${name}`, rule === false ? [": unexpected"] : schemaFaults(one, rule, resolve)),
      ),
};

function below(at: string, faults: readonly string[]): readonly string[] {
  return faults.map((fault) => `${at}${fault}`);
}

function entriesOf(value: unknown): readonly (readonly [string, unknown])[] {
  return isObject(value) ? Object.entries(value) : [];
}

function isObject(value: unknown): value is object {
  return typeOf(value) === "object";
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}
