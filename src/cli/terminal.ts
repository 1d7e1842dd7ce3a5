/**
 * What a command writes to: data on standard output, talk on standard error. And whom it may ask.
 *
 * Injected, so that commands are tested without a process. Writes are awaited, because an exit would
 * lose what still waits for a slow pipe.
 */
import { fstatSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Writable } from "node:stream";
import { enterScreen, type Screen } from "./screen.ts";

/** How standard output is looked at. */
export interface Looks {
  /** Characters of a line; undefined: it is no terminal. */
  readonly columns: number | undefined;
  readonly hasColour: boolean;
}

/** A command's two outputs, and the person at it. */
export interface Terminal {
  /** Data; rejects where it cannot be written. */
  out(data: string | Uint8Array): Promise<void>;
  /** Talk; a standard error that nobody reads is no failure. */
  err(text: string): Promise<void>;
  looks(): Looks;
  /** Takes the whole terminal until it is closed; undefined: standard output is none. */
  openScreen(onResize: () => void): Screen | undefined;
  /** Mode bits of standard output where it is a regular file. */
  outFileMode(): number | undefined;
  /** Whether somebody sees a question and can answer it. */
  canAsk(): boolean;
  /** Writes a question on standard error; the line that answers it, undefined where none comes any more. */
  ask(question: string): Promise<string | undefined>;
}

/** The process's own standard output and error. */
export function processTerminal(): Terminal {
  // The callback of each write reports its error; without a listener the event would end the process.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  let lines: AsyncIterator<string> | undefined;
  return {
    out: (data) => written(process.stdout, data),
    err: (text) => written(process.stderr, text).catch(() => {}),
    looks: () => {
      const { isTTY, columns } = process.stdout;
      return { columns: isTTY ? columns : undefined, hasColour: isTTY && wantsColour(process.env) };
    },
    openScreen: (onResize) => {
      const { stdin: input, stdout: output } = process;
      return output.isTTY ? enterScreen({ input, output, process }, onResize) : undefined;
    },
    outFileMode: () => {
      const stats = fstatSync(1);
      return stats.isFile() ? stats.mode & 0o777 : undefined;
    },
    canAsk: () => process.stdin.isTTY === true && process.stderr.isTTY === true,
    ask: async (question) => {
      await written(process.stderr, question);
      // The terminal's own line editing, so that Ctrl-C remains a signal. One reader: lines may wait in it.
      lines ??= createInterface({ input: process.stdin, terminal: false })[Symbol.asyncIterator]();
      const line = await lines.next();
      return line.done === true ? undefined : line.value;
    },
  };
}

/** NO_COLOR is a convention (no-color.org): set and not empty. */
function wantsColour({ NO_COLOR = "", TERM }: NodeJS.ProcessEnv): boolean {
  return NO_COLOR === "" && TERM !== "dumb";
}

function written(stream: Writable, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(data, (error) => (error ? reject(error) : resolve()));
  });
}
