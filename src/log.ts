/**
 * The log: a small typed front, winston behind it, standard error at the end.
 *
 * Not for the worker, which reports by events, and not for a command's output. The level is checked here
 * first, because a line that winston discards still costs it microseconds. Under systemd
 * (JOURNAL_STREAM, man 5 systemd.exec) lines carry an `<n>` priority (man 3 sd-daemon) and no time, for the
 * journal has its own.
 *
 * The trap: a reader of standard error that is gone, full or stopped must neither end the process nor
 * hold it up. Lines that cannot be written are counted, and the count is logged once it can be. Node
 * writes to a terminal synchronously, so that one that was stopped (Ctrl-S) would stop the process: a
 * terminal is opened a second time, without waiting.
 */
import { constants, fstatSync, openSync, readlinkSync, writeSync } from "node:fs";
import { Writable } from "node:stream";
import winston from "winston";
import type { Config, LogLevel } from "./config/config.ts";
import { printable } from "./config/shown.ts";

/** Values that go with a message. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

type Write = (message: string, fields?: LogFields) => void;

/** One method a level, most urgent first. */
export interface Log extends Readonly<Record<LogLevel, Write>> {
  /** Another level and format for what comes. */
  configure(options: Config["log"]): void;
  /** Waits until what was logged is written, at most 200 ms. */
  close(): Promise<void>;
}

/** The part of a stream that the log uses; `done` is called with the error of each failed write. */
export interface LineStream {
  readonly writableLength: number;
  write(line: string, done: (error?: Error | null) => void): unknown;
  on(event: "error", listener: () => void): unknown;
}

/** Where lines go, and what decides on their form. */
export interface LogTarget {
  readonly stream: LineStream;
  readonly isTerminal: boolean;
  readonly env: {
    readonly JOURNAL_STREAM?: string | undefined;
    readonly NO_COLOR?: string | undefined;
    readonly TERM?: string | undefined;
  };
  /** "device:inode" of the stream's file (fstat(2)); empty: it has none. */
  readonly fileId: string;
  readonly now: () => Date;
}

const SEVERITY: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };
/** Priorities of syslog(3). */
const PRIORITY: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7 };
/** SGR colours: red, yellow, green, grey. */
const COLOR: Readonly<Record<LogLevel, number>> = { error: 31, warn: 33, info: 32, debug: 90 };
/** BOUNDED: bytes that wait for a slow reader; further lines are lost and counted. */
const MAX_WAITING_BYTES = 262_144;
const CLOSE_MS = 200;

/** A log of the given level and format. */
export function createLog(options: Config["log"], target: LogTarget = standardError()): Log {
  const sink = new Sink(target.stream);
  let { level: least } = options;
  let render = renderer(options.format, target);
  const logger = winston.createLogger({
    levels: { ...SEVERITY },
    // The level is checked before.
    level: "debug",
    format: winston.format.printf(({ entry }) => render(entry as Entry)),
    transports: [new winston.transports.Stream({ stream: sink, eol: "\n" })],
  });
  const put = (entry: Entry) => void logger.log({ level: entry.level, message: "", entry });
  const writer = (level: LogLevel): Write => {
    return (message, fields = {}) => {
      if (SEVERITY[level] > SEVERITY[least]) return;
      const count = sink.takeLost();
      if (count > 0) put({ level: "warn", message: "log lines were lost", fields: { count } });
      put({ level, message, fields });
    };
  };
  return {
    error: writer("error"),
    warn: writer("warn"),
    info: writer("info"),
    debug: writer("debug"),
    configure: ({ level, format }) => {
      least = level;
      render = renderer(format, target);
    },
    close: () => sink.drain(CLOSE_MS),
  };
}

interface Entry {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** Hands lines to a stream and survives whatever becomes of it. */
class Sink extends Writable {
  readonly #stream: LineStream;
  #lost = 0;
  /** Whether the last finished write succeeded. */
  #works = true;

  constructor(stream: LineStream) {
    super({ decodeStrings: false });
    this.#stream = stream;
    // Each failed write is counted by its callback; without a listener the event would end the process.
    stream.on("error", () => {});
  }

  override _write(line: string, _encoding: string, done: () => void): void {
    if (this.#stream.writableLength > MAX_WAITING_BYTES) this.#lost++;
    else this.#send(line);
    done();
  }

  /** Lines lost since the last call; 0 while the stream still fails. */
  takeLost(): number {
    if (!this.#works || this.#stream.writableLength > MAX_WAITING_BYTES) return 0;
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  /** Resolves once everything is written, has failed, or the time is over. */
  drain(ms: number): Promise<void> {
    if (this.#stream.writableLength === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#send("", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #send(line: string, whenDone: () => void = () => {}): void {
    const finish = (error?: unknown) => {
      this.#works = error === undefined || error === null;
      if (!this.#works && line !== "") this.#lost++;
      whenDone();
    };
    try {
      this.#stream.write(line, finish);
    } catch (error) {
      finish(error);
    }
  }
}

function renderer(format: Config["log"]["format"], target: LogTarget): (entry: Entry) => string {
  if (format === "json") return (entry) => renderJson(entry, target.now());
  const journal = target.env.JOURNAL_STREAM;
  if (format === "auto" && journal !== undefined && journal === target.fileId) {
    return (entry) => `<${PRIORITY[entry.level]}>${renderBody(entry)}`;
  }
  const isColored = hasColor(target);
  return (entry) => {
    const level = isColored ? `\u001b[${COLOR[entry.level]}m${entry.level}\u001b[0m` : entry.level;
    return `${target.now().toISOString()} ${level} ${renderBody(entry)}`;
  };
}

/** NO_COLOR counts when it is not empty (no-color.org). */
function hasColor({ isTerminal, env }: LogTarget): boolean {
  return isTerminal && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
}

function renderBody({ message, fields }: Entry): string {
  const pairs = Object.entries(fields).filter(([, value]) => value !== undefined);
  return [printable(message), ...pairs.map(([name, value]) => `${name}=${fieldText(value)}`)].join(
    " ",
  );
}

function fieldText(value: LogFields[string]): string {
  const text = String(value);
  return /^[^\s"=\\]+$/.test(text) ? printable(text) : printable(JSON.stringify(text));
}

function renderJson({ level, message, fields }: Entry, now: Date): string {
  const own = { time: now.toISOString(), level, message };
  return JSON.stringify({ ...own, ...fields, ...own });
}

/**
 * A stream over a descriptor that never waits. `write` returns how many bytes were taken, and throws
 * (EAGAIN) where none can be: that line fails. A line that was begun is ended before the next one.
 */
export function impatientStream(write: (bytes: Uint8Array) => number): LineStream {
  // BOUNDED: the end of one line.
  let rest = Buffer.alloc(0);
  const put = () => {
    try {
      while (rest.length > 0) rest = rest.subarray(positive(write(rest)));
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  };
  return {
    writableLength: 0,
    write(line, done) {
      const earlier = put();
      if (earlier !== undefined) return done(earlier);
      const bytes = Buffer.from(line);
      rest = bytes;
      const error = put();
      if (rest.length < bytes.length) return done();
      rest = Buffer.alloc(0);
      done(error);
    },
    // Each failed write is told to its `done`.
    on: () => {},
  };
}

function positive(taken: number): number {
  if (taken <= 0) throw new Error("nothing was taken");
  return taken;
}

/** Standard error's terminal, opened a second time for the flag; undefined where that is refused. */
function openTerminal(): LineStream | undefined {
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
  const path = "/proc/self/fd/2";
  try {
    // The other end of a pseudoterminal: to open it makes a new pair, which nobody reads.
    if (readlinkSync(path).endsWith("/ptmx")) return undefined;
    const descriptor = openSync(path, O_WRONLY | O_NONBLOCK | O_NOCTTY);
    return impatientStream((bytes) => writeSync(descriptor, bytes));
  } catch {
    // No /proc, or another user's terminal (after su): as Node opened it is better than no log.
    return undefined;
  }
}

function standardError(): LogTarget {
  const isTerminal = process.stderr.isTTY === true;
  return {
    stream: (isTerminal ? openTerminal() : undefined) ?? process.stderr,
    isTerminal,
    env: process.env,
    fileId: fileIdOf(2),
    now: () => new Date(),
  };
}

function fileIdOf(descriptor: number): string {
  try {
    const { dev, ino } = fstatSync(descriptor, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    // A closed standard error is no journal.
    return "";
  }
}
