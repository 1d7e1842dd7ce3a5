/**
 * Target: the control socket's server, with clients that send anything, in any order, and go away at any moment.
 *
 * Each client gets nothing, or one well-formed response with an honest length and the end of the connection; there are
 * never more connections than the limit; after every program the server still answers a right request. What is thrown
 * inside of the server ends the run.
 */
import { mkdtempSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeServer, MAX_CONNECTIONS } from "../../../src/daemon/control/bounded-http.ts";
import { API_PATH } from "../../../src/daemon/control/control-paths.ts";
import { openControlSocket } from "../../../src/daemon/control/control-socket.ts";
import { type StatusDocument, statusDocument } from "../../../src/daemon/control/status.ts";
import { statusInput } from "../../daemon/snapshot.ts";
import { noteBehaviour } from "../engine/coverage.ts";
import { type Operation, Reader } from "../engine/program.ts";
import type { Target } from "../engine/target.ts";

const KIND = { OPEN: 0, SEND: 1, REQUEST: 2, END: 3, LEAVE: 4, STATUS: 5 } as const;
const KINDS = [0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 3, 4, 5];
const METHODS = [
  ...["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PRI", "get"],
  ...["M-SEARCH", "", "GET GET", "\u0000"],
];
const PATHS = [
  ...["/v1/status", "/v1/status?x=1", "/", "*", "http://x/v1/status", "/v1/status/", "//v1/status"],
  ...["/v1/%73tatus", "/v1/status#x", "/../v1/status", "", "?", "/\u00ff", "x:80"],
];
const VERSIONS = ["HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9.9", "http/1.1", "", "X"];
const HEADERS = [
  ...[
    "Host: x",
    "Connection: keep-alive",
    "Connection: close",
    "Connection: upgrade",
    "Upgrade: h2c",
  ],
  ...["Content-Length: 0", "Content-Length: 10", "Content-Length: -1", "Content-Length: 1e9"],
  ...["Content-Length: 99999999999999999999", "Transfer-Encoding: chunked", "Expect: 100-continue"],
  ...["Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity", "Expect: x", "X: y"],
  ...[" folded", "no colon", ": empty", "X:\u0000", "X: \r", "Host: x\nHost: y", "X-\u00e9: 1"],
  ...["__proto__: 1", `Long: ${"a".repeat(5_000)}`, `Cookie: ${"b".repeat(3_900)}`],
];
/** Memory that no number of clients may pass. */
const MOST_MEMORY = 1_500_000_000;
const TURNS = 200;

interface Client {
  readonly socket: Socket;
  /** Everything that was sent and received. */
  sent: string;
  received: string;
  isClosed: boolean;
}

export class ControlTarget implements Target {
  readonly kinds = KINDS;
  readonly #directory = mkdtempSync(join(tmpdir(), "iptun-fuzz-"));
  readonly #path = join(this.#directory, "s.sock");
  #server: Server | undefined;
  #clients: Client[] = [];
  #requests = 0;
  #responses = 0;
  #isFailing = false;
  #error: unknown;

  constructor() {
    process.on("uncaughtException", this.#note);
    process.on("unhandledRejection", this.#note);
  }

  readonly #note = (error: unknown): void => {
    this.#error ??= error;
  };

  async begin(): Promise<void> {
    this.#server ??= await openControlSocket(this.#path, [
      { method: "GET", path: API_PATH.status, answer: () => this.#status() },
    ]);
    await this.#leaveAll();
    this.#isFailing = false;
    this.#error = undefined;
    await this.#checkAnswer();
  }

  /** Every program begins with no client, and ends with the question whether the server still answers. */
  isFit(): boolean {
    return false;
  }

  async close(): Promise<void> {
    await this.#leaveAll();
    if (this.#server !== undefined) await closeServer(this.#server);
    this.#server = undefined;
    process.off("uncaughtException", this.#note);
    process.off("unhandledRejection", this.#note);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  counts(): Readonly<Record<string, number>> {
    return { requests: this.#requests, responses: this.#responses };
  }

  seeds(): readonly (readonly Operation[])[] {
    const one = (kind: number, ...bytes: number[]): Operation => ({
      kind,
      bytes: Uint8Array.from(bytes),
    });
    const open = one(KIND.OPEN);
    return [
      ...METHODS.map((_, index) => [open, one(KIND.REQUEST, 0, index, 0, 0, 1, 0)]),
      ...PATHS.map((_, index) => [open, one(KIND.REQUEST, 0, 0, index, 0, 1, 0)]),
      ...VERSIONS.map((_, index) => [open, one(KIND.REQUEST, 0, 0, 0, index, 1, 0)]),
      ...HEADERS.map((_, index) => [open, one(KIND.REQUEST, 0, 1, 0, 0, 2, 0, index)]),
      [open, one(KIND.REQUEST, 0, 0, 0, 0, 1, 0), one(KIND.LEAVE, 0)],
      [open, one(KIND.SEND, 0, 71, 69), one(KIND.END, 0)],
      [one(KIND.STATUS, 1), open, one(KIND.REQUEST, 0, 0, 0, 0, 1, 0)],
      new Array<Operation>(20).fill(open),
    ];
  }

  async run({ kind, bytes }: Operation): Promise<void> {
    const reader = new Reader(bytes);
    const choice = kind % 6;
    if (choice === KIND.OPEN) this.#open();
    else if (choice === KIND.STATUS) this.#isFailing = (reader.byte() & 1) === 1;
    else
      this.#act(choice, this.#clients[reader.byte() % Math.max(1, this.#clients.length)], reader);
    await this.#settle();
    await this.#check();
  }

  #act(kind: number, client: Client | undefined, reader: Reader): void {
    if (client === undefined) return;
    if (kind === KIND.SEND) this.#send(client, Buffer.from(reader.rest()).toString("latin1"));
    else if (kind === KIND.REQUEST) this.#send(client, requestOf(reader));
    else if (kind === KIND.END) client.socket.end();
    else client.socket.destroy();
  }

  #open(): Client {
    const client: Client = {
      socket: connect({ path: this.#path, allowHalfOpen: true }),
      sent: "",
      received: "",
      isClosed: false,
    };
    client.socket.on("data", (bytes: Buffer) => {
      client.received += bytes.toString("latin1");
    });
    client.socket.on("end", () => {
      client.isClosed = true;
      client.socket.end();
    });
    // A connection beyond the limit is reset, and so is one that is written to after its answer.
    client.socket.on("error", () => {
      client.isClosed = true;
    });
    client.socket.on("close", () => {
      client.isClosed = true;
    });
    this.#clients.push(client);
    return client;
  }

  #send(client: Client, text: string): void {
    if (client.isClosed || client.socket.writableEnded) return;
    this.#requests += 1;
    client.sent += text;
    client.socket.write(text, "latin1");
  }

  async #status(): Promise<StatusDocument> {
    if (this.#isFailing) throw new Error("the tunnel is still starting");
    return DOCUMENT;
  }

  /** Lets the loop turn until nothing more comes. */
  async #settle(turns = 6): Promise<void> {
    for (let turn = 0; turn < turns; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #check(): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    for (const client of this.#clients) this.#checkClient(client);
    const count = await this.#connections();
    if (count > MAX_CONNECTIONS) throw new Error(`${count} connections`);
    if (process.memoryUsage.rss() > MOST_MEMORY) throw new Error("memory grows without end");
  }

  #checkClient({ sent, received, isClosed }: Client): void {
    const [, status = "none"] = received.split(" ", 2);
    const [method = ""] = sent.split(" ", 1);
    noteBehaviour(`${METHODS.includes(method) ? method : "?"} ${status} ${isClosed}`);
    if (received === "") return;
    const fault = faultOf(received, /^HEAD /.test(sent), isClosed);
    if (fault !== undefined) {
      throw new Error(
        `${fault}: ${JSON.stringify(received.slice(0, 300))} to ${JSON.stringify(sent)}`,
      );
    }
  }

  #connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server?.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  }

  async #leaveAll(): Promise<void> {
    for (const { socket } of this.#clients.splice(0)) socket.destroy();
    for (let turn = 0; turn < TURNS && this.#server !== undefined; turn += 1) {
      if ((await this.#connections()) === 0) return;
      await this.#settle(1);
    }
    if (this.#server !== undefined) throw new Error("connections stay though all clients left");
  }

  /** A right request is answered with the whole document. */
  async #checkAnswer(): Promise<void> {
    const client = this.#open();
    this.#send(client, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
    for (let turn = 0; turn < TURNS && !client.isClosed; turn += 1) await this.#settle(1);
    if (
      !client.received.startsWith("HTTP/1.1 200 ") ||
      !client.received.includes(JSON.stringify(DOCUMENT))
    ) {
      throw new Error(`a right request is answered with ${JSON.stringify(client.received)}`);
    }
    this.#responses += 1;
    await this.#leaveAll();
  }
}

const DOCUMENT = statusDocument(statusInput());

function requestOf(reader: Reader): string {
  const method = METHODS[reader.byte() % METHODS.length] ?? "";
  const path = PATHS[reader.byte() % PATHS.length] ?? "";
  const version = VERSIONS[reader.byte() % VERSIONS.length] ?? "";
  const headers: string[] = [];
  for (let count = reader.byte() % 6; count > 0; count -= 1) {
    headers.push(HEADERS[reader.byte() % HEADERS.length] ?? "");
  }
  const end = reader.isAtEnd ? "\r\n" : Buffer.from(reader.rest()).toString("latin1");
  return `${[`${method} ${path} ${version}`, ...headers, ""].join("\r\n")}${end}`;
}

/** What is wrong with the bytes of one connection; undefined: one response, whole where the connection ended. */
function faultOf(received: string, isHead: boolean, isClosed: boolean): string | undefined {
  const text = received.replace(/^HTTP\/1\.1 1\d\d [^\r\n]*\r\n\r\n/, "");
  if (text === "") return undefined;
  if (!/^HTTP\/1\.1 [2-5]\d\d [^\r\n]*\r\n/.test(text))
    return isClosed ? "no status line" : undefined;
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return isClosed ? "no end of the head" : undefined;
  const head = text.slice(0, headEnd);
  const body = text.slice(headEnd + 4);
  if (!/\r\nconnection: close/i.test(head)) return "the connection would stay";
  if (isHead) return body === "" ? undefined : "a body to HEAD";
  if (/\r\ntransfer-encoding: chunked/i.test(head)) return chunkFault(body, isClosed);
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length === undefined) return undefined;
  if (body.length > Number(length)) return `${body.length} bytes of body, ${length} announced`;
  return isClosed && body.length < Number(length) ? "a body that is cut" : undefined;
}

/** What is wrong with a body in chunks (RFC 9112 §7.1); it may still be on its way. */
function chunkFault(body: string, isClosed: boolean): string | undefined {
  for (let at = 0; at < body.length; ) {
    const end = body.indexOf("\r\n", at);
    if (end < 0) break;
    const size = Number.parseInt(body.slice(at, end), 16);
    if (!/^[0-9a-f]+$/i.test(body.slice(at, end))) return "a chunk without size";
    if (size === 0) return body.slice(end) === "\r\n\r\n" ? undefined : "bytes behind the body";
    if (body.length >= end + size + 4 && body.slice(end + 2 + size, end + size + 4) !== "\r\n") {
      return "a chunk without end";
    }
    at = end + size + 4;
  }
  return isClosed ? "a body that is cut" : undefined;
}
