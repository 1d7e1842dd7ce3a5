/**
 * What the control socket can be asked for, and how it is answered: one JSON object, another text, or a stream.
 *
 * Paths are versioned: what is under /v1 is only ever added to. A request that is wrong gets one line and a code of its
 * own; a failure of the daemon is 503 with its message. Bodies are never read, so all that is told is in the query.
 * Who listens to a stream without reading it is left.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { DaemonError, messageOf } from "../failure.ts";

/** Milliseconds until a connection that has not sent its request, or not read its answer, is closed. */
export const CLIENT_TIMEOUT_MS = 5_000;
/** BOUNDED: streams at a time; half of the connections stay for other requests. */
export const MAX_STREAMS = 8;
/** BOUNDED: bytes of a stream that wait for its reader; beyond, the connection is closed. */
export const MAX_STREAM_BACKLOG_BYTES = 256 * 1024;

interface Asked {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** The query's parameters; another one, or one given twice, is refused with 400. None unless told. */
  readonly parameters?: readonly string[];
  /** Milliseconds in which the answer is made and read; CLIENT_TIMEOUT_MS unless told. */
  readonly limitMs?: number;
}

/** Answered with an object, as JSON. */
export interface JsonResource extends Asked {
  readonly answer: (query: URLSearchParams) => Promise<object>;
}

/** Answered with a text of another type. */
export interface TextResource extends Asked {
  readonly contentType: string;
  readonly text: (query: URLSearchParams) => Promise<string>;
}

/** Answered piece by piece, until either side ends it. */
export interface StreamResource extends Asked {
  readonly contentType: string;
  readonly stream: (sink: Sink, query: URLSearchParams, lastEventId: string | undefined) => void;
}

/**
 * One thing that can be asked for. Where its function throws, the client gets the message as `error`: with the code of
 * a RequestError, else with 503.
 */
export type Resource = JsonResource | TextResource | StreamResource;

/** Where a stream writes to. */
export interface Sink {
  readonly write: (text: string) => void;
  readonly end: () => void;
  /** Calls when nothing can be written any more, whoever ended it. */
  readonly closed: (action: () => void) => void;
}

/** What is wrong with a request, in one line for whoever made it. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly code: number;

  /** `code`: HTTP's, 4xx. */
  constructor(message: string, code = 400) {
    super(message);
    this.code = code;
  }
}

/** Answers one request; never rejects. */
type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** Answers requests by these resources. */
export function answerer(resources: readonly Resource[]): Answer {
  const streams = new Set<ServerResponse>();
  return async (request, response) => {
    response.on("finish", () => request.socket.destroySoon());
    const [path = "", text] = (request.url ?? "").split("?");
    const there = resources.filter((resource) => resource.path === path);
    const resource = there.find(({ method }) => method === request.method);
    const query = new URLSearchParams(text);
    try {
      if (there.length === 0) throw new RequestError("no such resource", 404);
      if (resource === undefined) throw notAllowed(response, there);
      checkQuery(query, resource.parameters ?? []);
      if ("stream" in resource) startStream({ request, response, query, streams }, resource);
      else {
        request.socket.setTimeout(resource.limitMs ?? CLIENT_TIMEOUT_MS);
        const [type, body] = await bodyOf(resource, query);
        reply(response, 200, type, body);
      }
    } catch (error) {
      const code = error instanceof RequestError ? error.code : 503;
      reply(response, code, JSON_TYPE, jsonText({ error: messageOf(error) }));
    }
  };
}

function notAllowed(response: ServerResponse, there: readonly Resource[]): RequestError {
  const allowed = there.map(({ method }) => method).join(", ");
  response.setHeader("allow", allowed);
  return new RequestError(`only ${allowed} is allowed here`, 405);
}

function checkQuery(query: URLSearchParams, parameters: readonly string[]): void {
  for (const name of query.keys()) {
    if (!parameters.includes(name)) {
      const expected = parameters.length === 0 ? "none" : parameters.join(", ");
      throw new RequestError(`unknown parameter ${JSON.stringify(name)}; expected ${expected}`);
    }
    if (query.getAll(name).length > 1) throw new RequestError(`${name} is given twice`);
  }
}

async function bodyOf(
  resource: JsonResource | TextResource,
  query: URLSearchParams,
): Promise<readonly [type: string, body: string]> {
  if ("text" in resource) return [resource.contentType, await resource.text(query)];
  return [JSON_TYPE, jsonText(await resource.answer(query))];
}

export const JSON_TYPE = "application/json";

/** As answers have it: on one line. */
export function jsonText(body: object): string {
  return `${JSON.stringify(body)}\n`;
}

function reply(response: ServerResponse, code: number, type: string, body: string): void {
  response.writeHead(code, { "content-type": type, connection: "close" });
  response.end(body);
}

/** A request for a stream, and the streams that are open. */
interface StreamRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly streams: Set<ServerResponse>;
}

function startStream(
  { request, response, query, streams }: StreamRequest,
  { contentType, stream }: StreamResource,
): void {
  if (streams.size >= MAX_STREAMS) throw new DaemonError(`${MAX_STREAMS} clients listen already`);
  const head = () => {
    if (!response.headersSent) {
      response.writeHead(200, { "content-type": contentType, connection: "close" });
    }
  };
  const sink: Sink = {
    write: (text) => {
      head();
      response.write(text);
      if (response.writableLength > MAX_STREAM_BACKLOG_BYTES) response.destroy();
    },
    end: () => response.end(),
    closed: (action) => response.on("close", action),
  };
  const lastEventId = request.headers["last-event-id"];
  stream(sink, query, typeof lastEventId === "string" ? lastEventId : undefined);
  // Nothing may come for hours.
  request.socket.setTimeout(0);
  streams.add(response);
  response.on("close", () => streams.delete(response));
  head();
  response.flushHeaders();
}
