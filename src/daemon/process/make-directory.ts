/**
 * Makes one directory of ours, closed to others (0700); one that exists is left as it is.
 *
 * One level only: in Node 20 `mkdir` with `recursive` never returns where the kernel answers ENOENT
 * although the parent is there, as in /proc. The parents (/run, /var/lib) are the system's to make.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { codeOf, DaemonError, EXIT, messageOf } from "../failure.ts";

/** Makes `directory` unless something of its name is there; throws a DaemonError of one line. */
export function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (cause) {
    const code = codeOf(cause);
    if (code === "EEXIST") return;
    const exitCode = code === "EACCES" ? EXIT.NO_PERMISSION : EXIT.FAILURE;
    const reason =
      code === "ENOENT"
        ? `${dirname(directory)} does not exist or takes no directories`
        : messageOf(cause);
    throw new DaemonError(`cannot make ${directory}: ${reason}`, exitCode, { cause });
  }
}
