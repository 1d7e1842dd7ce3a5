/**
 * The control socket's server: HTTP on a Unix socket that only the daemon's user can open.
 *
 * What it serves is given as a list of resources, which control-answer.ts answers; bounded-http.ts has the limits, and
 * ends it. A socket file left by a process that died is replaced; one that answers is another daemon's.
 */
import { chmod, rm } from "node:fs/promises";
import type { Server } from "node:http";
import { connect } from "node:net";
import { codeOf, DaemonError, messageOf } from "../failure.ts";
import { boundedServer } from "./bounded-http.ts";
import { answerer, type Resource } from "./control-answer.ts";

/**
 * Listens on `path` and serves the resources. `inherited`: a socket that listens already; who may open it is then
 * for its maker to say.
 */
export async function openControlSocket(
  path: string,
  resources: readonly Resource[],
  inherited?: number,
): Promise<Server> {
  const server = boundedServer(answerer(resources));
  if (inherited !== undefined) {
    await listenOnce(server, { fd: inherited });
    return server;
  }
  await listen(server, path);
  await chmod(path, 0o600);
  return server;
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
