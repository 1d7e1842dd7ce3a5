/**
 * An HTTP server of which a client, hostile or stuck, takes a bounded number of connections for a bounded time.
 *
 * Used by the control socket and by the listener of metrics and status page. Bodies are never read and a connection
 * serves one request, so that there is nothing to smuggle in and nothing to wait for. The trap: node hands over all
 * requests of a chunk, some 900, before the first answer can close the connection.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { CLIENT_TIMEOUT_MS } from "./control-answer.ts";

/** Bytes of the request line and headers together. */
export const MAX_HEADER_BYTES = 4096;
/** BOUNDED: connections at a time; further ones are closed at once. */
export const MAX_CONNECTIONS = 16;

/** A server that does not listen yet; `answer` never rejects. */
export function boundedServer(
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Server {
  const asked = new WeakSet<Socket>();
  const answerOnce = (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    if (asked.has(socket)) {
      socket.destroy();
      return;
    }
    asked.add(socket);
    void answer(request, response);
  };
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: CLIENT_TIMEOUT_MS,
      requestTimeout: CLIENT_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
    },
    answerOnce,
  );
  // Else node answers an unknown Expect itself, with 417, and keeps the connection.
  server.on("checkExpectation", answerOnce);
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(CLIENT_TIMEOUT_MS, (socket) => socket.destroy());
  return server;
}

/** Stops listening and drops open connections; libuv unlinks the file of a Unix socket then. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
