/**
 * The control socket and its client, over real sockets in a folder of their own.
 */
import { mkdtemp, rename, rm, stat, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { closeServer, MAX_HEADER_BYTES } from "../../../src/daemon/control/bounded-http.ts";
import type { Resource } from "../../../src/daemon/control/control-answer.ts";
import { fetchStatus } from "../../../src/daemon/control/control-client.ts";
import { API_PATH } from "../../../src/daemon/control/control-paths.ts";
import { openControlSocket } from "../../../src/daemon/control/control-socket.ts";
import { type StatusDocument, statusDocument } from "../../../src/daemon/control/status.ts";
import { statusInput } from "../snapshot.ts";

let directory = "";
let path = "";
const servers: Server[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "iptun-control-"));
  path = join(directory, "iptun0.sock");
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map(closeServer));
  await rm(directory, { recursive: true });
});

describe("the status", () => {
  it("reaches the client as it is", async () => {
    await open(async () => DOCUMENT);

    expect(await fetchStatus(path)).toEqual(DOCUMENT);
  });

  it("that cannot be made is told with its reason", async () => {
    await open(() => Promise.reject(new Error("the tunnel is still starting")));

    await expect(fetchStatus(path)).rejects.toMatchObject({
      message: "the daemon answered 503: the tunnel is still starting",
      exitCode: 1,
    });
  });
});

describe("the server", () => {
  it("is open to its owner alone", async () => {
    await open();

    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it.each([
    ["GET / HTTP/1.1", "404"],
    ["GET /v1/status/x HTTP/1.1", "404"],
    ["POST /v1/status HTTP/1.1", "405"],
    ["DELETE /v1/status HTTP/1.1", "405"],
    ["GET /v1/status HTTP/1.1", "200"],
    ["GET /v1/status? HTTP/1.1", "200"],
    ["GET /v1/status?x=1 HTTP/1.1", "400"],
    ["nonsense", "400"],
  ])("answers %j with %s and closes", async (line, code) => {
    await open();

    const answer = await exchange(`${line}\r\nHost: x\r\n\r\n`);

    expect(answer.split(" ")[1]).toBe(code);
  });

  it("names the allowed method", async () => {
    await open();

    const answer = await exchange("PUT /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");

    expect(answer.toLowerCase()).toContain("\r\nallow: get\r\n");
  });

  it("refuses headers beyond its limit", async () => {
    await open();

    const header = `X: ${"y".repeat(MAX_HEADER_BYTES)}`;
    const answer = await exchange(`GET /v1/status HTTP/1.1\r\n${header}\r\n\r\n`);

    expect(answer).toMatch(/^HTTP\/1.1 431 /);
  });

  it("answers without waiting for a body that is announced and never comes", async () => {
    await open();

    const head = "POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    const answer = await exchange(head);

    expect(answer).toMatch(/^HTTP\/1.1 405 /);
  });

  it("closes after a request with an expectation that it does not know", async () => {
    await open();

    const answer = await exchange("GET /v1/status HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n");

    expect(answer).toMatch(/^HTTP\/1.1 200 /);
    expect(answer.toLowerCase()).toContain("\r\nconnection: close\r\n");
  });

  it("serves one request a connection", async () => {
    let asked = 0;
    await open(async () => {
      asked += 1;
      return DOCUMENT;
    });
    const request = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";

    const answer = await exchange(request + request);

    // The second one ends the connection, so that the first may stay without answer.
    expect(asked).toBe(1);
    expect(answer.split("HTTP/1.1").length).toBeLessThanOrEqual(2);
  });
});

describe("the socket file", () => {
  it("of a daemon that died is replaced", async () => {
    await leaveStaleSocket();

    await open();

    expect(await fetchStatus(path)).toEqual(DOCUMENT);
  });

  it("of a daemon that runs is respected", async () => {
    await open();

    await expect(
      openControlSocket(
        path,
        statusOnly(async () => DOCUMENT),
      ),
    ).rejects.toThrow("already running");

    expect(await fetchStatus(path)).toEqual(DOCUMENT);
  });

  it("is gone after closing", async () => {
    const server = await open();
    servers.splice(0);

    await closeServer(server);

    await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("that cannot be made is an error that names it", async () => {
    const inNowhere = join(directory, "none", "x.sock");

    await expect(
      openControlSocket(
        inNowhere,
        statusOnly(async () => DOCUMENT),
      ),
    ).rejects.toThrow(`cannot open the control socket ${inNowhere}`);
  });
});

describe("the client", () => {
  it("says that nothing runs where there is no socket", async () => {
    await expect(fetchStatus(path)).rejects.toMatchObject({ exitCode: 3 });
  });

  it("says that nothing runs where the socket is stale", async () => {
    await leaveStaleSocket();

    await expect(fetchStatus(path)).rejects.toMatchObject({
      message: `not running (no daemon on ${path})`,
      exitCode: 3,
    });
  });

  it("fails where the path is no socket", async () => {
    await writeFile(path, "");

    await expect(fetchStatus(path)).rejects.toMatchObject({ exitCode: 3 });
  });

  it.each([
    ["is not JSON", "hello", "the daemon's answer is not JSON"],
    ["is another document", "{}", "is not a status document"],
    ["is null", "null", "is not a status document"],
  ])("fails where the answer %s", async (_name, body, message) => {
    await withServer(
      `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      async () => {
        await expect(fetchStatus(path)).rejects.toThrow(message);
      },
    );
  });

  it("fails where the answer breaks off", async () => {
    await withServer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", async () => {
      await expect(fetchStatus(path)).rejects.toMatchObject({ name: "DaemonError", exitCode: 1 });
    });
  });

  it("gives up on a daemon that is silent", async () => {
    await withServer(undefined, async () => {
      await expect(fetchStatus(path, 1)).rejects.toThrow("the daemon does not answer");
    });
  });
});

const DOCUMENT: StatusDocument = statusDocument(statusInput());

async function open(status = async () => DOCUMENT): Promise<Server> {
  const server = await openControlSocket(path, statusOnly(status));
  servers.push(server);
  return server;
}

/** Sends bytes and reads until the server closes. */
function exchange(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let answer = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("close", () => resolve(answer));
    // The server may close while we still write.
    socket.on("error", (error) => (answer === "" ? reject(error) : resolve(answer)));
    socket.write(text);
  });
}

/** A socket file without a listener, as a killed process leaves it: bound, renamed away, closed. */
async function leaveStaleSocket(): Promise<void> {
  const server = createServer();
  const bound = join(directory, "bound");
  await new Promise<void>((resolve) => server.listen(bound, resolve));
  await rename(bound, path);
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

/** Runs `work` while a server answers every connection with `bytes` and closes; undefined: silence. */
async function withServer(bytes: string | undefined, work: () => Promise<void>): Promise<void> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.resume();
    if (bytes !== undefined) socket.end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await work();
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

function statusOnly(status: () => Promise<StatusDocument>): readonly Resource[] {
  return [{ method: "GET", path: API_PATH.status, answer: status }];
}
