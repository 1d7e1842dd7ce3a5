/**
 * `iptun status`: asks a running daemon over its control socket.
 *
 * Without a name, the one interface that answers is meant; a socket left by a process that died does not
 * count.
 */
import { readdir } from "node:fs/promises";
import { fetchStatus } from "../daemon/control-client.ts";
import { codeOf, DaemonError, EXIT } from "../daemon/failure.ts";
import { controlSocketPath, runtimeDir } from "../daemon/runtime-dir.ts";
import type { StatusDocument } from "../daemon/status.ts";
import { EXIT_CODE } from "./exit-code.ts";
import { statusText } from "./status-text.ts";
import type { Terminal } from "./terminal.ts";

const SOCKET_SUFFIX = ".sock";

/** Prints the status of the named or only interface. */
export async function status(
  name: string | undefined,
  isJson: boolean,
  terminal: Terminal,
): Promise<void> {
  const document = name === undefined ? await onlyStatus() : await statusOf(name);
  await terminal.out(isJson ? `${JSON.stringify(document, undefined, 2)}\n` : statusText(document));
}

async function statusOf(name: string): Promise<StatusDocument> {
  if (!/^[^/]+$/.test(name) || name.startsWith(".")) {
    throw new DaemonError(`${JSON.stringify(name)} cannot name an interface`, EXIT_CODE.USAGE);
  }
  return await fetchStatus(controlSocketPath(name));
}

async function onlyStatus(): Promise<StatusDocument> {
  const names = await socketNames(runtimeDir());
  const answers = await Promise.allSettled(names.map((name) => statusOf(name)));
  const documents = answers.flatMap((answer) =>
    answer.status === "fulfilled" ? [answer.value] : [],
  );
  const failure = answers
    .flatMap((answer) => (answer.status === "rejected" ? [answer.reason as unknown] : []))
    .find((reason) => !(reason instanceof DaemonError) || reason.exitCode !== EXIT.NOT_RUNNING);
  if (failure !== undefined) throw failure;
  const [document] = documents;
  if (document === undefined) {
    throw new DaemonError(`not running (no daemon in ${runtimeDir()})`, EXIT.NOT_RUNNING);
  }
  if (documents.length === 1) return document;
  const found = documents.map((one) => one.interface.name).join(", ");
  const message = `${documents.length} interfaces run here (${found}): choose one with --interface NAME`;
  throw new DaemonError(message, EXIT_CODE.USAGE);
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
