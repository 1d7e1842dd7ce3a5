/**
 * The client of the control socket, for the commands that ask a running daemon.
 *
 * The three ways it can fail are different exit codes for the operator: nothing runs there, the socket
 * is somebody else's, or the answer is no answer. BOUNDED: 16 MiB an answer, three seconds of silence.
 */
import { type IncomingMessage, request } from "node:http";
import { codeOf, DaemonError, EXIT, messageOf } from "../failure.ts";
import type { RekeyDocument } from "./control-api.ts";
import { API_PATH } from "./control-paths.ts";
import type { EventDocument } from "./event-stream.ts";
import type { HistoryDocument } from "./history.ts";
import type { StatusDocument } from "./status.ts";

/** Milliseconds without a byte from the daemon. */
export const SILENCE_MS = 3_000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** The status of the daemon that listens on `socketPath`; a DaemonError with the exit code where there is none. */
export async function fetchStatus(
  socketPath: string,
  silenceMs: number = SILENCE_MS,
): Promise<StatusDocument> {
  const document = await ask(socketPath, { method: "GET", path: API_PATH.status, silenceMs });
  if (!isStatusDocument(document)) {
    throw new DaemonError("the daemon's answer is not a status document: is it another version?");
  }
  return document;
}

/** The last seconds of every peer that has a history. */
export async function fetchHistory(socketPath: string, seconds: number): Promise<HistoryDocument> {
  const path = `${API_PATH.history}?seconds=${seconds}`;
  // The daemon is trusted with the form of its answers.
  return (await ask(socketPath, { method: "GET", path, silenceMs: SILENCE_MS })) as HistoryDocument;
}

/** Has a new session started with the peer, or with every one that can be reached. */
export async function askRekey(socketPath: string, peer?: string): Promise<RekeyDocument> {
  const query = peer === undefined ? "" : `?${new URLSearchParams({ peer })}`;
  const path = `${API_PATH.rekey}${query}`;
  return (await ask(socketPath, { method: "POST", path, silenceMs: SILENCE_MS })) as RekeyDocument;
}

/** Asks the daemon to do something; its answer, or a DaemonError with what it says. */
export function postTo(
  socketPath: string,
  path: string,
  silenceMs: number = SILENCE_MS,
): Promise<unknown> {
  return ask(socketPath, { method: "POST", path, silenceMs });
}

/** Events as they come, after so many of the last; ends when the daemon does. */
export async function* listenEvents(
  socketPath: string,
  last: number,
): AsyncGenerator<EventDocument, void> {
  const path = `${API_PATH.events}?last=${last}`;
  const response = await open(socketPath, { method: "GET", path, silenceMs: 0 });
  if (response.statusCode !== 200) throw refused(response, parse(await readBody(response)));
  response.setEncoding("utf8");
  let text = "";
  try {
    for await (const chunk of response) {
      const lines = `${text}${chunk}`.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        if (line.startsWith(EVENT_DATA))
          yield parse(line.slice(EVENT_DATA.length)) as EventDocument;
      }
    }
  } catch (cause) {
    // The daemon closes its connections when it ends.
    if (codeOf(cause) !== "ECONNRESET") throw cause;
  }
}

const EVENT_DATA = "data: ";

interface Question {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** 0: no limit. */
  readonly silenceMs: number;
}

/** The answer's JSON; a DaemonError with the daemon's reason where it refuses. */
export async function ask(socketPath: string, question: Question): Promise<unknown> {
  const response = await open(socketPath, question);
  const document = parse(
    await readBody(response).catch((error: Error) => {
      throw controlError(socketPath, error);
    }),
  );
  if (response.statusCode !== 200) throw refused(response, document);
  return document;
}

function open(socketPath: string, { method, path, silenceMs }: Question): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, timeout: silenceMs, agent: false }, resolve);
    call.on("timeout", () => call.destroy(new Error("the daemon does not answer")));
    call.on("error", (error) => reject(controlError(socketPath, error)));
    call.end();
  });
}

function refused({ statusCode }: IncomingMessage, document: unknown): DaemonError {
  return new DaemonError(`the daemon answered ${statusCode}: ${errorIn(document)}`);
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
