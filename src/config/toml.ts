/**
 * TOML text to a tree of plain values; the only file that knows the parser.
 *
 * Standard: TOML 1.0.0-rc.1, as @iarna/toml 3 reads it. Control characters, which TOML forbids, are found
 * here before the parser runs. What the parser makes of the text is not trusted: integers of 2^53 and
 * more come as bigint (wrapped at 2^63), dates as Date, and a table may have a key named `__proto__`.
 *
 * The trap: the parser's messages quote the source lines around the fault, and one of them may hold a
 * key. They are matched against a list and never passed on.
 */
import { parse } from "@iarna/toml";

/** Where the text stops being TOML; line and column counted from 1. */
export interface SyntaxFault {
  readonly line: number;
  readonly column: number;
  readonly text: string;
}

/** BOUNDED: brackets within brackets that the parser is given; each costs it some 500 bytes. */
const MAX_BRACKETS = 32;
/** Strings and comments, also such without an end, so that no character is looked at twice; and brackets. */
const BRACKETS =
  /"""(?:[^\\]|\\[\s\S])*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|#[^\n]*|[[{}\]]/g;

const VALUE_EXPECTED = 'expected a value: "text", a number, true, false or [a list]';

const DATE_OR_TIME =
  /\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)?)?|\d\d:\d\d:\d\d(?:\.\d+)?/g;

/** The parser's message begins so -> what this program says. */
const FAULTS: readonly (readonly [start: string, text: string])[] = [
  ["Can't redefine", "this key or table is defined a second time"],
  ["Can't extend", "an inline list or table cannot be extended"],
  ["Unterminated string", "this string has no end; expected a closing quote on the same line"],
  ["Unterminated multi-line string", "this multi-line string has no end"],
  ["Unterminated inline array", "this list or inline table has no end"],
  ["Trailing commas in inline tables", 'an inline table must not end with ","'],
  ["Empty elements in inline tables", 'an inline table has two "," in a row'],
  ['Invalid character, expected "="', 'expected "=" after the key'],
  ["Invalid character, expected whitespace, comma", 'expected "," or the closing bracket'],
  ["Key without value", "this key has no value"],
  ["Key ended without value", "this key has no value"],
  ["Empty bare keys", "a key or table name is missing"],
  ["Unexpected character, expecting string", VALUE_EXPECTED],
  ['Unexpected character, expected "', VALUE_EXPECTED],
  ["Unexpected character, expected only whitespace", "expected the end of the line"],
  ["Unexpected character, expected whitespace, . or ]", 'expected "]" after the table name'],
  ["Unknown escape", "unknown escape in a string; write '…' for text with backslashes"],
  ["Can't escape whitespace", "unknown escape in a string; write '…' for text with backslashes"],
  ["Invalid unicode", "bad \\u escape in a string"],
  ["Invalid character in unicode", "bad \\u escape in a string"],
  ["Invalid boolean", "expected true or false"],
  ["Invalid number", "this number is not valid"],
  ["Incomplete number", "this number is not complete"],
  ["Unexpected character, expected digit", "this number is not valid"],
];

/** Parses a whole document without BOM. */
export function parseToml(
  text: string,
): { readonly tree: unknown } | { readonly fault: SyntaxFault } {
  const control = findControl(text);
  const deep = control ?? findDeep(text);
  if (deep !== undefined) return { fault: deep };
  // The parser refuses CRLF after a comment; lines and columns stay what they were.
  const plain = text.replaceAll("\r\n", "\n");
  try {
    return { tree: parse(plain) };
  } catch (error) {
    return { fault: faultOf(error, plain) };
  }
}

function findControl(text: string): SyntaxFault | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it finds.
  const index = text.search(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]|\r(?!\n)/);
  if (index < 0) return undefined;
  const code = text.charCodeAt(index).toString(16).toUpperCase().padStart(4, "0");
  return { ...placeOf(text, index), text: `control character U+${code}; remove it` };
}

function findDeep(text: string): SyntaxFault | undefined {
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(BRACKETS)) {
    if (token === "[" || token === "{") depth++;
    else if (token === "]" || token === "}") depth--;
    if (depth > MAX_BRACKETS) {
      return { ...placeOf(text, index), text: `nested deeper than ${MAX_BRACKETS} levels` };
    }
  }
  return undefined;
}

function faultOf(error: unknown, text: string): SyntaxFault {
  const { pos, message } = error as { readonly pos?: unknown; readonly message?: unknown };
  if (typeof pos !== "number") return undatedFault(text);
  const start = typeof message === "string" ? message : "";
  const known = FAULTS.find(([prefix]) => start.startsWith(prefix));
  return { ...placeOf(text, pos - 1), text: known?.[1] ?? "this is not valid TOML" };
}

/**
 * The parser gives no position for a date that does not exist: the first line that brings the error in.
 * Bisection, because a longer prefix of the text keeps the error; over those lines only that hold such a
 * date, be it in a comment, because each step parses half of the text.
 */
function undatedFault(text: string): SyntaxFault {
  const lines = text.split("\n");
  const suspects = lines.flatMap((line, index) => (holdsBadDate(line) ? [index + 1] : []));
  let low = 0;
  let high = suspects.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isUndated(lines.slice(0, suspects[middle]).join("\n"))) high = middle;
    else low = middle + 1;
  }
  const line = suspects[low] ?? lines.length;
  const column = (lines[line - 1] ?? "").search(/\S/) + 1;
  return { line, column: Math.max(1, column), text: "this date or time does not exist" };
}

function holdsBadDate(line: string): boolean {
  return (line.match(DATE_OR_TIME) ?? []).some((date) => isUndated(`x = ${date}`));
}

function isUndated(text: string): boolean {
  try {
    parse(text);
    return false;
  } catch (error) {
    return (error as { readonly pos?: unknown }).pos === undefined;
  }
}

function placeOf(text: string, index: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, Math.max(0, index));
  return { line: before.split("\n").length, column: before.length - before.lastIndexOf("\n") };
}
