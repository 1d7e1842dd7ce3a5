/**
 * Reads a file that may hold a key, and says who else could have.
 *
 * Descriptor first, questions after: the checks look at what was opened, not at what the name means a
 * moment later. Opened non-blocking, so that a FIFO cannot hang the start; only regular files are read.
 * Not checked: the directories above, access lists beyond the mode bits.
 *
 * Source: open(2), inode(7). The trap: the caller overwrites `bytes` when they were a key.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";

/** Whose process this is, for the question of who may read a file. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

/** A file's content and what fstat(2) said of it. */
export interface FileContent {
  readonly bytes: Buffer;
  readonly stats: Pick<Stats, "mode" | "uid" | "gid">;
}

const PERMISSION_BITS = 0o777;
/** Bits that let others than the owner read, write or execute. */
const FOREIGN_BITS = 0o077;
const GROUP_READ_BIT = 0o040;
const EXPECTED_MODE = "expected mode 0600, or 0640 with this process's own group";

/** The user and group this process acts as; root's where the system has no such notion. */
export function processIdentity(): Identity {
  return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
}

/**
 * Reads a regular file of at most `maxBytes`; the fault is a clause that follows the file's name.
 * `isLinkRefused`: a symbolic link as the last part of the path is a fault.
 */
export function readRegularFile(
  path: string,
  maxBytes: number,
  isLinkRefused: boolean,
): FileContent | { readonly fault: string } {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
  let descriptor: number | undefined;
  try {
    descriptor = openSync(
      path,
      O_RDONLY | O_NONBLOCK | O_NOCTTY | (isLinkRefused ? O_NOFOLLOW : 0),
    );
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) return { fault: `is ${kindOf(stats)}; expected a regular file` };
    return readContent(descriptor, stats, maxBytes);
  } catch (error) {
    return { fault: openFault(error) };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Why a file that holds a key must be refused, as a clause that follows its name; undefined: it is private. */
export function exposureFault(stats: FileContent["stats"], identity: Identity): string | undefined {
  const mode = stats.mode & PERMISSION_BITS;
  const foreign = mode & FOREIGN_BITS;
  const isOwnGroup = foreign === GROUP_READ_BIT && stats.gid === identity.gid;
  if (foreign !== 0 && !isOwnGroup) {
    const shown = mode.toString(8).padStart(4, "0");
    return `can be used by others (mode ${shown}); ${EXPECTED_MODE}; chmod 600 it`;
  }
  if (stats.uid === 0 || stats.uid === identity.uid) return undefined;
  return `belongs to user ${stats.uid}; expected root or user ${identity.uid}, whom this process runs as; chown it`;
}

function readContent(
  descriptor: number,
  stats: Stats,
  maxBytes: number,
): FileContent | { readonly fault: string } {
  const buffer = Buffer.alloc(maxBytes + 1);
  let length = 0;
  for (;;) {
    const count = readSync(descriptor, buffer, length, buffer.length - length, null);
    length += count;
    if (count === 0 || length > maxBytes) break;
  }
  if (length <= maxBytes) return { bytes: buffer.subarray(0, length), stats };
  buffer.fill(0);
  return { fault: `is longer than ${maxBytes} bytes` };
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "a directory";
  if (stats.isFIFO()) return "a FIFO";
  if (stats.isSocket()) return "a socket";
  return "a device";
}

/** The clause for what open(2) or read(2) answered. */
function openFault(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return "does not exist";
    case "EACCES":
    case "EPERM":
      // Root's right to pass over permissions is given up before a tunnel's configuration is read.
      return process.geteuid?.() === 0
        ? "cannot be read: permission denied to root without CAP_DAC_OVERRIDE; expected a file that root owns, in folders that root may enter"
        : "cannot be read: permission denied";
    case "ELOOP":
      return "is a symbolic link; expected a regular file; name the file it points to";
    case "ENXIO":
      return "is a socket or a device; expected a regular file";
    case "":
      throw error;
    default:
      return `cannot be read: ${code}`;
  }
}
