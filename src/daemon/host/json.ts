/**
 * Objects out of JSON that another program printed: what is no object is left out.
 */

/** An object whose fields are still to be looked at. */
export type Json = Record<string, unknown>;

/** The objects of a JSON array; `ip` prints nothing at all for an empty list of some kinds. */
export function records(json: string): readonly Json[] {
  const parsed: unknown = json.trim() === "" ? [] : JSON.parse(json);
  return objects(parsed);
}

/** The objects of a list; none where it is no list. */
export function objects(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null;
}
