/**
 * Files that only their owner can read, and keys on standard output.
 *
 * A file is created, never overwritten: exclusively, by its final name, on the disk when the call returns.
 * Several are created all or none.
 *
 * The trap: what cannot be finished is removed again, or a second attempt would find it in its way.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  openSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { codeOf, DaemonError, EXIT, messageOf } from "../daemon/failure.ts";
import type { Terminal } from "./terminal.ts";

/** Mode bits through which others could use a file. */
const FOREIGN_BITS = 0o077;

/** A file to create. */
export interface PrivateFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** What it is, for the message that it exists already: "a key". */
  readonly noun: string;
}

/** Creates a file with mode 0600; throws a DaemonError of one line. */
export function createPrivateFile({ path, bytes, noun }: PrivateFile): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  let descriptor: number;
  try {
    descriptor = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  } catch (cause) {
    throw creationError(path, noun, cause);
  }
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
    fsyncSync(descriptor);
  } catch (cause) {
    unlinkSync(path);
    throw new DaemonError(`cannot write ${path}: ${messageOf(cause)}`, EXIT.FAILURE, { cause });
  } finally {
    closeSync(descriptor);
  }
}

/** Creates all of the files, or none; what it returns removes them again. */
export function createPrivateFiles(files: readonly PrivateFile[]): () => void {
  const created: string[] = [];
  const remove = () => {
    for (const path of created) unlinkSync(path);
  };
  try {
    for (const file of files) {
      createPrivateFile(file);
      created.push(file.path);
    }
  } catch (error) {
    remove();
    throw error;
  }
  return remove;
}

/** Whether something has the name, be it a link to nothing. */
export function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** The error of a file that is in the way. */
export function existsError(path: string, noun: string): DaemonError {
  return new DaemonError(`${path} exists already; ${noun} is never overwritten`);
}

/** Prints what holds a key; warns where standard output is a file that others can use. `option` would name a file. */
export async function printSecret(
  text: string | Uint8Array,
  option: string,
  terminal: Terminal,
): Promise<void> {
  const mode = terminal.outFileMode();
  if (mode !== undefined && (mode & FOREIGN_BITS) !== 0) {
    const shown = mode.toString(8).padStart(4, "0");
    await terminal.err(
      `iptun: warning: standard output is a file that others can use (mode ${shown}); chmod 600 it, or use ${option} FILE\n`,
    );
  }
  await terminal.out(text);
}

function creationError(path: string, noun: string, cause: unknown): DaemonError {
  switch (codeOf(cause)) {
    case "EEXIST":
      return existsError(path, noun);
    case "EACCES":
    case "EPERM":
      return new DaemonError(
        `no permission to create ${path}: choose a directory of your own (or needs CAP_DAC_OVERRIDE)`,
        EXIT.NO_PERMISSION,
        { cause },
      );
    case "ENOENT":
      return new DaemonError(`cannot create ${path}: its directory does not exist`);
    default:
      return new DaemonError(`cannot create ${path}: ${messageOf(cause)}`, EXIT.FAILURE, { cause });
  }
}
