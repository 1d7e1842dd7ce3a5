/**
 * net.ipv4.conf.all.src_valid_mark: whether the reverse path filter looks at a packet's mark.
 *
 * Source: Documentation/networking/ip-sysctl.rst. Without it the filter in its strict mode takes the
 * peer's datagrams for forged: without the mark their way back would be the tunnel.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { messageOf } from "../failure.ts";

const VALID_MARK = "net.ipv4.conf.all.src_valid_mark";

/** Reads and writes switches of the kernel by their names; both throw. */
export interface Sysctl {
  readonly read: (name: string) => string;
  readonly write: (name: string, value: string) => void;
}

/** Those of this network namespace. */
export const KERNEL_SYSCTL: Sysctl = {
  read: (name) => readFileSync(pathOf(name), "latin1").trim(),
  write: (name, value) => writeFileSync(pathOf(name), value),
};

/** Whether the switch has to be put on. */
export function isValidMarkOff({ read }: Sysctl): boolean {
  try {
    return read(VALID_MARK) === "0";
  } catch {
    // A kernel, or a container, without it: nothing to be put on.
    return false;
  }
}

/** Puts the switch on; the reason where that fails. */
export function setValidMark({ write }: Sysctl): string | undefined {
  return faultOf(() => write(VALID_MARK, "1"));
}

/** Puts the switch back to what it was, unless somebody else has. */
export function restoreValidMark(before: string, { read, write }: Sysctl): string | undefined {
  return faultOf(() => {
    if (read(VALID_MARK) !== before) write(VALID_MARK, before);
  });
}

function faultOf(work: () => void): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return `cannot set ${VALID_MARK}: ${messageOf(error)}`;
  }
}

function pathOf(name: string): string {
  return `/proc/sys/${name.replaceAll(".", "/")}`;
}
