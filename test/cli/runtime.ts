/** A directory of control sockets, and daemons that answer there. */
import { linkSync, mkdirSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createSocketServer } from "node:net";
import { onTestFinished, vi } from "vitest";
import { ConfigFiles } from "../config/config-files.ts";

/** A runtime directory of the test's own. */
export class Runtime {
  readonly directory = new ConfigFiles().path("run");

  constructor() {
    mkdirSync(this.directory, { mode: 0o700 });
    vi.stubEnv("RUNTIME_DIRECTORY", this.directory);
    onTestFinished(() => void vi.unstubAllEnvs());
  }

  /** Answers every request on the interface's socket. */
  async daemon(name: string, document: object): Promise<void> {
    await this.listen(name, (_, response) => response.end(JSON.stringify(document)));
  }

  /** Answers requests on the interface's socket, until what is returned is called. */
  async listen(name: string, answer: RequestListener): Promise<() => void> {
    const server = createServer(answer);
    await new Promise<void>((resolve) => server.listen(`${this.directory}/${name}.sock`, resolve));
    const close = () => {
      server.close();
      server.closeAllConnections();
    };
    onTestFinished(close);
    return close;
  }

  /** A socket file as a process leaves it that was killed. */
  async abandonedSocket(name: string): Promise<void> {
    const path = `${this.directory}/${name}.sock`;
    const server = createSocketServer();
    await new Promise<void>((resolve) => server.listen(`${path}.old`, resolve));
    linkSync(`${path}.old`, path);
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
