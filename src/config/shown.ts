/**
 * Values as messages may quote them: short, on one line, and never a key.
 *
 * A key may be pasted into the wrong place (`name = "…"`, `key_file = "…"`), so text that looks like
 * one is not quoted wherever it stands. That is a guess about its form, not a proof: the fields that are
 * meant for keys are never passed to this module at all.
 */

/** Characters of a value that a message quotes at most. */
const SHOWN_LENGTH = 80;
/** A run of base64 digits that few names and paths reach; 32 bytes make 43 of them. */
const LONG_RUN = /[A-Za-z0-9+/]{36,}/g;
/** Of 36 random digits of base64 some 15 are capitals; fewer than this once in 100,000 keys. */
const KEY_CAPITALS = 4;
/** DEL, C1 controls, zero-width and direction marks: they would change how the line looks. */
const DECEPTIVE = /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
/** The same and C0 controls. */
const UNPRINTABLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it finds.
  /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A value of a configuration as a clause such as `70000`, `"abc"` or `a list`. */
export function shown(value: unknown): string {
  if (typeof value === "string") return shownText(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "bigint") return "a number of 2^53 or more";
  if (value instanceof Date) return "a date or time";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a table";
  return "missing";
}

/** Text without control characters, each written as \uXXXX. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped);
}

/** Whether text holds something of the form of a key: a long run of digits, of which some are 0-9 and several A-Z. */
export function looksSecret(text: string): boolean {
  return (text.match(LONG_RUN) ?? []).some((run) => {
    const capitals = run.replace(/[^A-Z]/g, "").length;
    return capitals >= KEY_CAPITALS && /[0-9]/.test(run);
  });
}

function shownText(text: string): string {
  if (looksSecret(text)) return "text that looks like a key (not shown)";
  const characters = Array.from(text);
  const isCut = characters.length > SHOWN_LENGTH;
  const short = isCut ? `${characters.slice(0, SHOWN_LENGTH).join("")}…` : text;
  return JSON.stringify(short).replace(DECEPTIVE, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
