/**
 * Where the control socket lives: one per interface in a directory that only the daemon's user enters.
 *
 * $RUNTIME_DIRECTORY (systemd, man 5 systemd.exec; the first of a list), else /run/iptun for root, else
 * $XDG_RUNTIME_DIR/iptun. The daemon and the CLI both ask here, so they agree. The trap: a Unix socket
 * path holds at most 107 bytes (man 7 unix).
 */
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { DaemonError } from "../failure.ts";
import { makeDirectory } from "./make-directory.ts";

/** Bytes of the longest Unix socket path. */
export const LONGEST_SOCKET_PATH = 107;

/** Who asks, and with which environment. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
}

/** The directory of control sockets. */
export function runtimeDir(surroundings: Surroundings = here()): string {
  const { env, uid } = surroundings;
  const { RUNTIME_DIRECTORY, XDG_RUNTIME_DIR: xdg } = env;
  const given = RUNTIME_DIRECTORY?.split(":")[0];
  if (given !== undefined && given !== "") return given;
  if (uid === 0) return "/run/iptun";
  if (xdg !== undefined && xdg !== "") return join(xdg, "iptun");
  throw new DaemonError(
    "no directory for the control socket: set RUNTIME_DIRECTORY or XDG_RUNTIME_DIR",
  );
}

/** The control socket of one interface. */
export function controlSocketPath(
  interfaceName: string,
  surroundings: Surroundings = here(),
): string {
  const path = join(runtimeDir(surroundings), `${interfaceName}.sock`);
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
    throw new DaemonError(
      `path of the control socket is longer than ${LONGEST_SOCKET_PATH} bytes: ${path}`,
    );
  }
  return path;
}

/** Makes the directory (0700), or checks that an existing one is ours and closed to others' writes. */
export function prepareRuntimeDir(directory: string, uid: number = here().uid): void {
  makeDirectory(directory);
  const stat = lstatSync(directory);
  if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o022) !== 0) {
    throw new DaemonError(
      `${directory} must be a directory of this user that no other can write to`,
    );
  }
}

function here(): Surroundings {
  return { env: process.env, uid: process.getuid?.() ?? 0 };
}
