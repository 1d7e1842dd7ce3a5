/**
 * The control socket's server: HTTP on a Unix socket that only the daemon's user can open.
 *
 * What it serves is given as a list of resources, which control-answer.ts answers. A client, hostile or stuck, costs a
 * bounded number of connections for a bounded time: bodies are never read, and a connection serves one request.
 * A socket file left by a process that died is replaced; one that answers is another daemon's.
 */
import { chmod, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { answerer, CLIENT_TIMEOUT_MS, type Resource } from "./control-answer.ts";
import { codeOf, DaemonError, messageOf } from "./failure.ts";

/** Bytes of the request line and headers together. */
export const MAX_HEADER_BYTES = 4096;
/** BOUNDED: connections at a time; further ones are closed at once. */
export const MAX_CONNECTIONS = 16;
/**
 * Listens on `path` and serves the resources. `inherited`: a socket that listens already; who may open it is then
 * for its maker to say.
 */
export async function openControlSocket(
  path: string,
  resources: readonly Resource[],
  inherited?: number,
): Promise<Server> {
  const answer = answerer(resources);
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: CLIENT_TIMEOUT_MS,
      requestTimeout: CLIENT_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => void answer(request, response),
  );
  // Else node answers an unknown Expect itself, with 417, and keeps the connection.
  server.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) => {
    void answer(request, response);
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(CLIENT_TIMEOUT_MS, (socket) => socket.destroy());
  if (inherited !== undefined) {
    await listenOnce(server, { fd: inherited });
    return server;
  }
  await listen(server, path);
  await chmod(path, 0o600);
  return server;
}

/** Stops listening, drops open connections and removes the socket file. */
export function closeControlSocket(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // libuv unlinks the socket file when the listening handle closes.
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function listen(server: Server, path: string): Promise<void> {
  try {
    await listenOnce(server, { path });
  } catch (cause) {
    if (codeOf(cause) !== "EADDRINUSE") {
      throw new DaemonError(`cannot open the control socket ${path}: ${messageOf(cause)}`, 1, {
        cause,
      });
    }
    if (await isAnswered(path)) {
      throw new DaemonError(`already running: another process answers on ${path}`);
    }
    await rm(path, { force: true });
    await listenOnce(server, { path });
  }
}

function listenOnce(
  server: Server,
  where: { readonly path: string } | { readonly fd: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Whether some process accepts connections on the socket file. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
