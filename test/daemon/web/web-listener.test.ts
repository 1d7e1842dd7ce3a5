/**
 * Who is answered on the TCP listener, and with which headers; over real sockets on loopback.
 */
import type { Server } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { closeServer, MAX_CONNECTIONS } from "../../../src/daemon/control/bounded-http.ts";
import { CLIENT_TIMEOUT_MS, type Resource } from "../../../src/daemon/control/control-answer.ts";
import { openWebListener } from "../../../src/daemon/web/web-listener.ts";
import { freePort } from "../web.ts";

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map(closeServer));
});

const RESOURCES: readonly Resource[] = [
  { method: "GET", path: "/metrics", contentType: "text/plain", text: async () => "iptun 1\n" },
];

describe("a request", () => {
  it.each(["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])(
    "that asks for %s is answered",
    async (name) => {
      const port = await open();

      expect(await ask(port, `Host: ${name}:${port}`)).toMatch(/^HTTP\/1.1 200 /);
    },
  );

  it.each([
    ["another name", "rebound.example"],
    ["another address", "192.0.2.1"],
    ["a name that begins alike", "localhost.example"],
    ["a name that ends alike", "x.localhost"],
    ["no name", ""],
  ])("that asks for %s is refused", async (_what, name) => {
    const port = await open();

    const answer = await ask(port, `Host: ${name}:${port}`);

    expect(answer).toMatch(/^HTTP\/1.1 403 /);
    expect(answer).not.toContain("iptun 1");
  });

  it("that asks for another port is refused", async () => {
    const port = await open();

    expect(await ask(port, "Host: localhost")).toMatch(/^HTTP\/1.1 403 /);
  });

  it("that a page of another site makes is refused", async () => {
    const port = await open();
    const host = `Host: localhost:${port}`;

    for (const site of ["cross-site", "same-site"]) {
      const answer = await ask(port, `${host}\r\nSec-Fetch-Site: ${site}\r\nSec-Fetch-Mode: cors`);
      expect(answer).toMatch(/^HTTP\/1.1 403 /);
    }
    const own = await ask(port, `${host}\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors`);
    expect(own).toMatch(/^HTTP\/1.1 200 /);
  });

  it("that follows a link from another site is answered", async () => {
    const port = await open();
    const fetched = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate";

    const answer = await ask(port, `Host: localhost:${port}\r\n${fetched}`);

    expect(answer).toMatch(/^HTTP\/1.1 200 /);
  });

  it.each(["POST", "PUT", "DELETE"])("with %s changes nothing", async (method) => {
    const port = await open();

    const answer = await ask(port, `Host: localhost:${port}`, `${method} /metrics`);

    expect(answer).toMatch(/^HTTP\/1.1 405 /);
  });
});

describe("an answer", () => {
  it.each([
    [200, "localhost"],
    [403, "rebound.example"],
  ])("of %d forbids everything that is not its own", async (code, name) => {
    const port = await open();

    const answer = (await ask(port, `Host: ${name}:${port}`)).toLowerCase();

    expect(answer).toMatch(new RegExp(`^http/1.1 ${code} `));
    expect(answer).toContain("content-security-policy: default-src 'none'; script-src 'self';");
    expect(answer).toContain("frame-ancestors 'none'");
    expect(answer).toContain("x-content-type-options: nosniff");
    expect(answer).toContain("referrer-policy: no-referrer");
    expect(answer).not.toContain("access-control-");
  });
});

describe("the listener", () => {
  it("has a bounded number of connections", async () => {
    const port = await open();
    const sockets = Array.from({ length: MAX_CONNECTIONS + 4 }, () => connect(port, "127.0.0.1"));
    const closed: Promise<void>[] = sockets.map(
      (socket) =>
        new Promise((resolve) => {
          socket.on("error", () => undefined);
          socket.on("close", () => resolve());
        }),
    );

    const started = performance.now();
    await Promise.race(closed);

    // Those that it takes are closed for their silence, later.
    expect(performance.now() - started).toBeLessThan(CLIENT_TIMEOUT_MS / 2);
    for (const socket of sockets) socket.destroy();
  });

  it.each([
    ["requests", ""],
    ["requests with an expectation", "\r\nExpect: x"],
    ["requests that wait for a go-ahead", "\r\nExpect: 100-continue"],
  ])("asks a resource once for %s that come together, and closes", async (_what, expectation) => {
    let asked = 0;
    const text = async () => {
      asked += 1;
      return "iptun 1\n";
    };
    const port = await open("127.0.0.1", [
      { method: "GET", path: "/metrics", contentType: "text/plain", text },
    ]);
    const headers = `Host: localhost:${port}${expectation}`;
    const further = `\r\n\r\nGET /metrics HTTP/1.1\r\n${headers}`.repeat(499);

    const started = performance.now();
    const answer = await ask(port, `${headers}${further}`);

    expect(asked).toBe(1);
    expect(answer.split("iptun 1").length).toBeLessThanOrEqual(2);
    expect(performance.now() - started).toBeLessThan(CLIENT_TIMEOUT_MS / 2);
  });

  it("that finds its address taken says so, with the key to change", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as AddressInfo;

    await expect(openWebListener({ host: "127.0.0.1", port }, [])).rejects.toThrow(
      `cannot serve metrics on 127.0.0.1:${port}: listen EADDRINUSE: address already in use 127.0.0.1:${port}; change metrics.listen`,
    );
    await new Promise((resolve) => taken.close(resolve));
  });

  it("that other hosts reach is asked by any address, but by no other name", async () => {
    const port = await open("0.0.0.0");

    expect(await ask(port, `Host: 192.0.2.1:${port}`)).toMatch(/^HTTP\/1.1 200 /);
    expect(await ask(port, `Host: [2001:db8::1]:${port}`)).toMatch(/^HTTP\/1.1 200 /);
    expect(await ask(port, `Host: rebound.example:${port}`)).toMatch(/^HTTP\/1.1 403 /);
  });
});

/** A listener on a port that was free a moment ago. */
async function open(host = "127.0.0.1", resources = RESOURCES): Promise<number> {
  const port = await freePort();
  servers.push(await openWebListener({ host, port }, resources));
  return port;
}

function ask(port: number, headers: string, line = "GET /metrics"): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("close", () => resolve(answer));
    // A reset is how a connection ends that is closed with requests unread.
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (!["ECONNRESET", "EPIPE"].includes(error.code ?? "")) reject(error);
    });
    socket.write(`${line} HTTP/1.1\r\n${headers}\r\n\r\n`);
  });
}
