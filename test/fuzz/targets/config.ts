/**
 * Target: loading of a configuration, from changes of right ones that know the grammar, and from noise.
 *
 * The answer is a Config or a ConfigError, within a second of CPU time. Each line of the error names the file, holds no
 * control character, and repeats no part of a key that stands where keys stand.
 */
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig, wipeKeys } from "../../../src/config/load.ts";
import { ConfigError } from "../../../src/config/problem.ts";
import { configWarnings } from "../../../src/config/warnings.ts";
import { CONFIG_SAMPLE, KEY_A, KEY_B } from "../../helpers/config-samples.ts";
import { type Operation, Reader } from "../engine/program.ts";
import type { Target } from "../engine/target.ts";

const KIND = {
  START: 0,
  TOKEN: 1,
  CUT: 2,
  COPY: 3,
  BYTES: 4,
  VALUE: 5,
  LINE: 6,
  CHANGE: 7,
} as const;
const KINDS = [0, 1, 1, 1, 2, 2, 3, 3, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7];
const MOST_BYTES = 12_000;
const LIMIT_MS = 1_000;
/** So many characters of a key in a row would be a leak; fewer may be chance. */
const WINDOW = 10;
/** What may be quoted where nobody would look for a key; src/config/shown.ts. */
const LONG_WINDOW = 36;

/** A file system in memory where there is one: opening a file is half of a load. */
const MEMORY = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** Right configurations. */
const STARTS = [
  CONFIG_SAMPLE,
  `[interface]\naddress = ["10.0.0.1/24"]\n\n[[peer]]\nname = "b"\nkey_file = "site.key"\n`,
  `interface.name = 'tun'\npeer = [{ name = "x", key = "group:${KEY_A}", learn = true, allowed_ips = ["10.77.0.0/16"] }]\n`,
];
const TOKENS = [
  ...['"', "'", '"""', "'''", "[", "]", "[[", "]]", "{", "}", "=", ".", ",", "\n", "\r\n", "\r"],
  ...["#", "\\", "\\u00e9", "\\U0001F600", "\\ud800", "\u0000", "\u0007", "\u007f", "\u202e"],
  ...["\ufeff", "é", "\u2028", "[interface]\n", "[[peer]]\n", "[peer]\n", "[limits]\n", "[x.y]\n"],
  ...["__proto__", "constructor", "1979-05-27T07:32:00Z", "1979-13-45", "25:61:61", "[".repeat(40)],
];
const NAMES = [
  ...["name", "address", "mtu", "mtu_probe_seconds", "listen", "device", "routes", "fwmark"],
  ...["copy_dscp", "firewall", "state_dir", "failover_ms"],
  ...["key", "key_file", "endpoint", "allowed_ips", "keepalive", "roaming", "sources", "tso"],
  ...["source_rate", "handshake_rate", "level", "gso", "gro", "tx", "file", "interface", "peer"],
  ...["learn", "mtuu", '"quoted key"', "a.b.c", "__proto__", "é"],
];
const VALUES = [
  ...[
    "0",
    "-1",
    "1",
    "1280",
    "65455",
    "65536",
    "1e9",
    "99999999999999999999",
    "0x10",
    "0b1",
    "1_0",
  ],
  ...[
    "nan",
    "inf",
    "-inf",
    "1.5",
    "true",
    "false",
    '""',
    '"x"',
    "[]",
    "{}",
    "[[]]",
    '[""]',
    "[1,2]",
  ],
  ...[
    '"10.0.0.1/24"',
    '"10.0.0.1/33"',
    '"10.0.0.300/24"',
    '"::/0"',
    '"0.0.0.0/0"',
    '"fe80::1%eth0"',
  ],
  ...[
    '"[::1]:1194"',
    '"host:0"',
    '"host:65536"',
    '"host"',
    '":1194"',
    '"a b:1"',
    '"[::1"',
    '"off"',
  ],
  ...[
    '"on"',
    '"debug"',
    '"/no/such/file"',
    '"."',
    '"site.key"',
    "1979-05-27",
    "07:32:00",
    '"\\u0000"',
  ],
  ...[
    '"x',
    "'y",
    "[1,",
    "{a=1",
    '["10.1.0.0/16", "10.1.0.0/16"]',
    `"${"n".repeat(300)}"`,
    "{a={b={}}}",
  ],
  ...[`"${KEY_A}"`, `["${KEY_A}", "${KEY_B}"]`, `"${KEY_A.slice(1)}"`, `"group:${KEY_B}"`],
];

export class ConfigTarget implements Target {
  readonly kinds = KINDS;
  readonly #directory = mkdtempSync(join(MEMORY, "iptun-fuzz-"));
  readonly #path = join(this.#directory, "c.toml");
  #text: Buffer = Buffer.alloc(0);
  #loads = 0;
  #configs = 0;

  constructor() {
    const key = join(this.#directory, "site.key");
    writeFileSync(key, `${KEY_B}\n`, { mode: 0o600 });
    writeFileSync(this.#path, "", { mode: 0o600 });
    chmodSync(this.#path, 0o600);
    this.begin();
  }

  close(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  begin(): void {
    this.#text = Buffer.from(STARTS[0] ?? "");
  }

  /** Every program begins with a right configuration. */
  isFit(): boolean {
    return false;
  }

  counts(): Readonly<Record<string, number>> {
    return { loads: this.#loads, configs: this.#configs };
  }

  seeds(): readonly (readonly Operation[])[] {
    const one = (kind: number, ...bytes: number[]): Operation => ({
      kind,
      bytes: Uint8Array.from(bytes),
    });
    const starts = STARTS.map((_, index) => [one(KIND.START, index)]);
    const tokens = TOKENS.map((_, index) => [one(KIND.TOKEN, index * 5, index * 7, index)]);
    const values = VALUES.map((_, index) => [one(KIND.VALUE, index, index)]);
    const lines = NAMES.flatMap((_, index) => [
      [one(KIND.LINE, index * 3, index, index)],
      [one(KIND.LINE, index, index, index * 2)],
    ]);
    return [
      ...starts,
      ...tokens,
      ...values,
      ...lines,
      [one(KIND.CUT, 20, 0, 9)],
      [one(KIND.COPY, 20, 0, 9, 50, 60)],
      [one(KIND.BYTES, 20, 0, 0xff, 0xfe)],
      [one(KIND.CHANGE, 20, 0, 0x80)],
    ];
  }

  run({ kind, bytes }: Operation): void {
    this.#text = this.#changed(kind % 8, new Reader(bytes)).subarray(0, MOST_BYTES);
    this.#load();
  }

  #changed(kind: number, reader: Reader): Buffer {
    if (kind === KIND.START) return Buffer.from(STARTS[reader.byte() % STARTS.length] ?? "");
    if (kind === KIND.VALUE) return this.#withValue(reader);
    if (kind === KIND.LINE) return this.#withLine(reader);
    const text = this.#text;
    const at = reader.short() % (text.length + 1);
    if (kind === KIND.TOKEN) return put(text, at, 0, TOKENS[reader.byte() % TOKENS.length] ?? "");
    if (kind === KIND.CUT) return put(text, at, reader.byte(), "");
    if (kind === KIND.BYTES) return put(text, at, 0, reader.rest());
    if (kind === KIND.CHANGE) return put(text, at, 1, Uint8Array.of(reader.byte()));
    const slice = text.subarray(at, at + reader.byte());
    return put(text, reader.short() % (text.length + 1), 0, slice);
  }

  /** Another value on some line that has one. */
  #withValue(reader: Reader): Buffer {
    const lines = this.#text.toString("latin1").split("\n");
    const settings = [...lines.keys()].filter((index) => lines[index]?.includes("="));
    const chosen = settings[reader.byte() % Math.max(1, settings.length)];
    const value = VALUES[reader.byte() % VALUES.length] ?? "";
    if (chosen === undefined) return this.#text;
    lines[chosen] = (lines[chosen] ?? "").replace(/=.*$/, () => `= ${latin1(value)}`);
    return Buffer.from(lines.join("\n"), "latin1");
  }

  /** Another setting behind some line. */
  #withLine(reader: Reader): Buffer {
    const lines = this.#text.toString("latin1").split("\n");
    const name = NAMES[reader.byte() % NAMES.length] ?? "";
    const value = VALUES[reader.byte() % VALUES.length] ?? "";
    lines.splice(reader.byte() % (lines.length + 1), 0, latin1(`${name} = ${value}`));
    return Buffer.from(lines.join("\n"), "latin1");
  }

  #load(): void {
    writeFileSync(this.#path, this.#text);
    this.#loads += 1;
    const start = process.cpuUsage();
    try {
      const config = loadConfig(this.#path);
      configWarnings(config);
      wipeKeys(config);
      this.#configs += 1;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.#checkMessage(error.message);
    }
    const { user, system } = process.cpuUsage(start);
    if (user + system > LIMIT_MS * 1000) throw new Error(`took ${(user + system) / 1000} ms`);
  }

  #checkMessage(message: string): void {
    const lines = message.split("\n");
    if (lines.length > 101) throw new Error(`${lines.length} lines`);
    for (const line of lines) {
      if (!line.startsWith(`${this.#path}:`)) throw new Error(`names no file: ${line}`);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it finds.
      if (/[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/.test(line)) {
        throw new Error(`holds a control character: ${JSON.stringify(line)}`);
      }
    }
    const window = isKeyInPlace(this.#text.toString("latin1")) ? WINDOW : LONG_WINDOW;
    for (const key of [KEY_A, KEY_B]) {
      if (holdsPart(message, key, window)) throw new Error("the message holds a part of a key");
    }
  }
}

/** Whether parts of keys stand on lines that begin with `key = ` only. */
function isKeyInPlace(text: string): boolean {
  const others = text.split("\n").filter((line) => !/^\s*key\s*=/.test(line));
  return ![KEY_A, KEY_B].some((key) => holdsPart(others.join("\n"), key, WINDOW));
}

function holdsPart(text: string, key: string, window: number): boolean {
  for (let at = 0; at + window <= key.length; at += 1) {
    if (text.includes(key.slice(at, at + window))) return true;
  }
  return false;
}

/** The UTF-8 bytes as characters. */
function latin1(text: string): string {
  return Buffer.from(text).toString("latin1");
}

function put(text: Buffer, at: number, count: number, piece: string | Uint8Array): Buffer {
  return Buffer.concat([text.subarray(0, at), Buffer.from(piece), text.subarray(at + count)]);
}
