/**
 * Which running daemon a command asks: the named one, or the only one.
 *
 * Without a name, the one interface that answers is meant; a socket left by a process that died does not
 * count.
 */
import { readdir } from "node:fs/promises";
import { fetchStatus } from "../daemon/control/control-client.ts";
import { codeOf, DaemonError, EXIT } from "../daemon/failure.ts";
import { controlSocketPath, runtimeDir } from "../daemon/process/runtime-dir.ts";
import { EXIT_CODE } from "./exit-code.ts";

const SOCKET_SUFFIX = ".sock";

/** The control socket of the named interface, or of the only one that answers. */
export async function chooseSocket(name: string | undefined): Promise<string> {
  if (name !== undefined) return socketOf(name);
  const names = await socketNames(runtimeDir());
  const answers = await Promise.allSettled(names.map(async (one) => fetchStatus(socketOf(one))));
  const answering = names.filter((_, index) => answers[index]?.status === "fulfilled");
  const failure = answers
    .flatMap((answer) => (answer.status === "rejected" ? [answer.reason as unknown] : []))
    .find((reason) => !(reason instanceof DaemonError) || reason.exitCode !== EXIT.NOT_RUNNING);
  if (failure !== undefined) throw failure;
  const [only] = answering;
  if (only === undefined) {
    throw new DaemonError(`not running (no daemon in ${runtimeDir()})`, EXIT.NOT_RUNNING);
  }
  if (answering.length === 1) return socketOf(only);
  const message = `${answering.length} interfaces run here (${answering.join(", ")}): choose one with --interface NAME`;
  throw new DaemonError(message, EXIT_CODE.USAGE);
}

function socketOf(name: string): string {
  if (!/^[^/]+$/.test(name) || name.startsWith(".")) {
    throw new DaemonError(`${JSON.stringify(name)} cannot name an interface`, EXIT_CODE.USAGE);
  }
  return controlSocketPath(name);
}

async function socketNames(directory: string): Promise<readonly string[]> {
  try {
    const files = await readdir(directory);
    return files
      .filter((file) => file.endsWith(SOCKET_SUFFIX))
      .map((file) => file.slice(0, -SOCKET_SUFFIX.length));
  } catch (cause) {
    const code = codeOf(cause);
    if (code === "ENOENT") return [];
    if (code !== "EACCES") throw cause;
    throw new DaemonError(
      `no permission to read ${directory}: ask as the daemon's user (or needs CAP_DAC_OVERRIDE)`,
      EXIT.NO_PERMISSION,
      { cause },
    );
  }
}
