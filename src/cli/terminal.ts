/**
 * What a command writes to: data on standard output, talk on standard error.
 *
 * Injected, so that commands are tested without a process. Writes are awaited, because an exit would
 * lose what still waits for a slow pipe.
 */
import { fstatSync } from "node:fs";
import type { Writable } from "node:stream";

/** A command's two outputs. */
export interface Terminal {
  /** Data; rejects where it cannot be written. */
  out(data: string | Uint8Array): Promise<void>;
  /** Talk; a standard error that nobody reads is no failure. */
  err(text: string): Promise<void>;
  /** Mode bits of standard output where it is a regular file. */
  outFileMode(): number | undefined;
}

/** The process's own standard output and error. */
export function processTerminal(): Terminal {
  // The callback of each write reports its error; without a listener the event would end the process.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  return {
    out: (data) => written(process.stdout, data),
    err: (text) => written(process.stderr, text).catch(() => {}),
    outFileMode: () => {
      const stats = fstatSync(1);
      return stats.isFile() ? stats.mode & 0o777 : undefined;
    },
  };
}

function written(stream: Writable, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(data, (error) => (error ? reject(error) : resolve()));
  });
}
