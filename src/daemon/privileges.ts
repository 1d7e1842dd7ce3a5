/**
 * Whether this process may do what a tunnel needs, asked before anything is opened.
 *
 * Capabilities are read from /proc/self/status (man 5 proc, CapEff as hexadecimal), because uid 0 says
 * little: a container's root may lack CAP_NET_ADMIN and a service user may hold it.
 */
import { constants } from "node:fs";
import { access, readFile } from "node:fs/promises";
import { CAP_NET_ADMIN } from "./confine.ts";
import { codeOf, DaemonError, EXIT } from "./failure.ts";

const TUN_PATH = "/dev/net/tun";

/** Throws a DaemonError that names what is missing. */
export async function checkPrivileges(
  paths = { status: "/proc/self/status", tun: TUN_PATH },
  tryAccess: (path: string, mode: number) => Promise<void> = access,
): Promise<void> {
  if (!hasCapability(await readFile(paths.status, "utf8"), CAP_NET_ADMIN)) {
    throw new DaemonError(
      "no permission to manage network devices: needs CAP_NET_ADMIN (run as root, or grant the capability)",
      EXIT.NO_PERMISSION,
    );
  }
  await checkTunDevice(paths.tun, tryAccess);
}

/** Whether the CapEff line of a /proc/PID/status text has the capability of bit `bit`. */
export function hasCapability(statusText: string, bit: number): boolean {
  const hex = /^CapEff:\s*([0-9a-fA-F]+)$/m.exec(statusText)?.[1];
  return hex !== undefined && ((BigInt(`0x${hex}`) >> BigInt(bit)) & 1n) === 1n;
}

async function checkTunDevice(
  path: string,
  tryAccess: (path: string, mode: number) => Promise<void>,
): Promise<void> {
  try {
    await tryAccess(path, constants.R_OK | constants.W_OK);
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") {
      throw new DaemonError(
        `${path} is missing: load the driver with 'modprobe tun', or give the container that device`,
        EXIT.FAILURE,
        { cause },
      );
    }
    throw new DaemonError(
      `no permission to open ${path}: needs read and write permission on it (chmod 0666 ${path})`,
      EXIT.NO_PERMISSION,
      { cause },
    );
  }
}
