/**
 * On which line each key of a TOML document stands.
 *
 * A small scanner over text that the parser has accepted: tables, arrays of tables, dotted and quoted
 * keys, inline tables and lists. It decides nothing about validity; where it loses its way it stops, and
 * what it did not see has no line. A path is the list of keys and list indices from the root.
 *
 * The trap: it must end on any text, because a newer TOML may hold what it does not know.
 */

/** Keys and list indices from the root. */
export type Path = readonly (string | number)[];

/** BOUNDED: parts of a path, and nesting of values, that are followed. */
const MAX_DEPTH = 32;

/** Looks up the line (from 1) of a path, or of the longest part of it that has one. */
export type LineOf = (path: Path) => number | undefined;

/** Scans the document once. */
export function locate(text: string): LineOf {
  const lines = new Scanner(text).scan();
  return (path) => {
    for (let length = path.length; length > 0; length--) {
      const line = lines.get(pathKey(path.slice(0, length)));
      if (line !== undefined) return line;
    }
    return undefined;
  };
}

function pathKey(path: Path): string {
  return JSON.stringify(path);
}

class Scanner {
  readonly #text: string;
  readonly #lines = new Map<string, number>();
  /** Elements so far of each array of tables. */
  readonly #tables = new Map<string, number>();
  #position = 0;
  #line = 1;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): ReadonlyMap<string, number> {
    let table: Path = [];
    for (this.#skipBlank(); this.#position < this.#text.length; this.#skipBlank()) {
      const start = this.#position;
      if (this.#peek() === "[") table = this.#header();
      else this.#pair(table, 0);
      if (this.#position === start) break;
    }
    return this.#lines;
  }

  #header(): Path {
    const isArray = this.#text.startsWith("[[", this.#position);
    this.#position += isArray ? 2 : 1;
    const names = this.#keys().slice(0, MAX_DEPTH);
    let path: Path = [];
    names.forEach((name, index) => {
      path = [...path, name];
      this.#record(path);
      path = this.#enter(path, isArray && index === names.length - 1);
      this.#record(path);
    });
    this.#skipLine();
    return path;
  }

  /** Steps into the last element of an array of tables, or into a new one. */
  #enter(path: Path, isNew: boolean): Path {
    const key = pathKey(path);
    const count = this.#tables.get(key);
    if (isNew) {
      this.#tables.set(key, (count ?? 0) + 1);
      return [...path, count ?? 0];
    }
    return count === undefined ? path : [...path, count - 1];
  }

  #pair(table: Path, depth: number): void {
    let path = table;
    for (const name of this.#keys().slice(0, MAX_DEPTH)) {
      path = [...path, name];
      this.#record(path);
    }
    this.#skipSpace();
    if (this.#peek() !== "=") {
      this.#stop();
      return;
    }
    this.#position++;
    this.#value(path, depth);
  }

  #value(path: Path, depth: number): void {
    this.#skipSpace();
    this.#record(path);
    if (depth > MAX_DEPTH) this.#stop();
    else if (this.#peek() === "[") this.#list(path, depth);
    else if (this.#peek() === "{") this.#inlineTable(path, depth);
    else if (this.#peek() === '"' || this.#peek() === "'") this.#string();
    else this.#skipMatch(/[^,\]}#\n]*/y);
  }

  #list(path: Path, depth: number): void {
    this.#position++;
    for (let index = 0; ; index++) {
      this.#skipBlank();
      if (this.#closes("]")) return;
      this.#value([...path, index], depth + 1);
      this.#skipBlank();
      if (this.#peek() === ",") this.#position++;
      else if (this.#peek() !== "]") this.#stop();
    }
  }

  #inlineTable(path: Path, depth: number): void {
    this.#position++;
    for (;;) {
      this.#skipBlank();
      if (this.#closes("}")) return;
      this.#pair(path, depth + 1);
      this.#skipBlank();
      if (this.#peek() === ",") this.#position++;
      else if (this.#peek() !== "}") this.#stop();
    }
  }

  /** Whether the bracket or the end of the text is here; consumes it. */
  #closes(bracket: string): boolean {
    const isEnd = this.#peek() === bracket || this.#position >= this.#text.length;
    if (isEnd) this.#position++;
    return isEnd;
  }

  #keys(): string[] {
    const names: string[] = [];
    for (;;) {
      this.#skipSpace();
      const quote = this.#peek();
      names.push(quote === '"' || quote === "'" ? this.#string() : this.#skipMatch(/[\w-]*/y));
      this.#skipSpace();
      if (this.#peek() !== ".") return names;
      this.#position++;
    }
  }

  #string(): string {
    const start = this.#position;
    const quote = this.#peek();
    const isMultiline = this.#text.startsWith(quote.repeat(3), start);
    const isBasic = quote === '"';
    if (isMultiline)
      this.#skipMatch(isBasic ? /"""(?:[^\\]|\\[\s\S])*?"{3,5}/y : /'''[\s\S]*?'{3,5}/y);
    else this.#skipMatch(isBasic ? /"(?:[^"\\\n]+|\\.)*"/y : /'[^'\n]*'/y);
    if (this.#position === start) this.#stop();
    const raw = this.#text.slice(start, this.#position);
    return isBasic ? unquoted(raw) : raw.slice(1, -1);
  }

  #record(path: Path): void {
    const key = pathKey(path);
    if (!this.#lines.has(key)) this.#lines.set(key, this.#line);
  }

  #peek(): string {
    return this.#text.charAt(this.#position);
  }

  #skipSpace(): void {
    this.#skipMatch(/[ \t\r]*/y);
  }

  /** Spaces, line ends and comments. */
  #skipBlank(): void {
    this.#skipMatch(/(?:[ \t\r\n]+|#[^\n]*)*/y);
  }

  #skipLine(): void {
    this.#skipMatch(/[^\n]*/y);
  }

  #stop(): void {
    this.#position = this.#text.length;
  }

  /** Consumes what the sticky pattern matches and counts its lines. */
  #skipMatch(pattern: RegExp): string {
    pattern.lastIndex = this.#position;
    const match = pattern.exec(this.#text)?.[0] ?? "";
    this.#position += match.length;
    this.#line += match.split("\n").length - 1;
    return match;
  }
}

/** A basic string's text; escapes that JSON does not know leave it as it is written. */
function unquoted(raw: string): string {
  try {
    return String(JSON.parse(raw));
  } catch {
    return raw.slice(1, -1);
  }
}
