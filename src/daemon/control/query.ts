/**
 * Numbers in the query of a request to the control socket.
 */
import { RequestError } from "./control-answer.ts";

/** A parameter that is a whole number; undefined: it was not given. A RequestError says what it may be. */
export function wholeNumber(
  query: URLSearchParams,
  name: string,
  [least, most]: readonly [number, number],
): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `${least} to ${most}`;
  throw new RequestError(`${name} is ${JSON.stringify(text)}; expected a whole number, ${range}`);
}
