/**
 * The client of the control socket, for the commands that ask a running daemon.
 *
 * The three ways it can fail are different exit codes for the operator: nothing runs there, the socket
 * is somebody else's, or the answer is no answer. BOUNDED: 16 MiB an answer, three seconds of silence.
 */
import { type IncomingMessage, request } from "node:http";
import { API_PATH } from "./control-paths.ts";
import { codeOf, DaemonError, EXIT, messageOf } from "./failure.ts";
import type { StatusDocument } from "./status.ts";

/** Milliseconds without a byte from the daemon. */
export const SILENCE_MS = 3_000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** The status of the daemon that listens on `socketPath`; a DaemonError with the exit code where there is none. */
export async function fetchStatus(
  socketPath: string,
  silenceMs: number = SILENCE_MS,
): Promise<StatusDocument> {
  const { code, body } = await ask(socketPath, "GET", API_PATH.status, silenceMs);
  const document = parse(body);
  if (code !== 200) throw new DaemonError(`the daemon answered ${code}: ${errorIn(document)}`);
  if (!isStatusDocument(document)) {
    throw new DaemonError("the daemon's answer is not a status document: is it another version?");
  }
  return document;
}

/** Asks the daemon to do something; its answer, or a DaemonError with what it says. */
export async function postTo(socketPath: string, path: string): Promise<unknown> {
  const { code, body } = await ask(socketPath, "POST", path, SILENCE_MS);
  const document = parse(body);
  if (code !== 200) throw new DaemonError(`the daemon answered ${code}: ${errorIn(document)}`);
  return document;
}

function ask(
  socketPath: string,
  method: "GET" | "POST",
  path: string,
  silenceMs: number,
): Promise<{ readonly code: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(controlError(socketPath, error));
    const call = request(
      { socketPath, method, path, timeout: silenceMs, agent: false },
      (response) => {
        readBody(response).then((body) => resolve({ code: response.statusCode ?? 0, body }), fail);
      },
    );
    call.on("timeout", () => call.destroy(new Error("the daemon does not answer")));
    call.on("error", fail);
    call.end();
  });
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > MAX_ANSWER_BYTES) throw new Error("the daemon's answer is too long");
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function controlError(socketPath: string, cause: Error): DaemonError {
  const code = codeOf(cause);
  if (code === "ENOENT" || code === "ECONNREFUSED") {
    return new DaemonError(`not running (no daemon on ${socketPath})`, EXIT.NOT_RUNNING, { cause });
  }
  if (code === "EACCES" || code === "EPERM") {
    const message = `no permission to open ${socketPath}: ask as the daemon's user`;
    return new DaemonError(message, EXIT.NO_PERMISSION, { cause });
  }
  if (code === "EPIPE" || code === "ECONNRESET") {
    const message = "the daemon closed the connection: it may have too many clients at the moment";
    return new DaemonError(message, EXIT.FAILURE, { cause });
  }
  return new DaemonError(messageOf(cause), EXIT.FAILURE, { cause });
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw new DaemonError("the daemon's answer is not JSON", EXIT.FAILURE, { cause });
  }
}

function errorIn(document: unknown): string {
  const isObject = typeof document === "object" && document !== null && "error" in document;
  return isObject ? String(document.error) : "no reason given";
}

/** The fields that every version has; the daemon is trusted with the rest. */
function isStatusDocument(document: unknown): document is StatusDocument {
  return (
    typeof document === "object" &&
    document !== null &&
    "version" in document &&
    "interface" in document &&
    "peers" in document &&
    Array.isArray(document.peers)
  );
}
