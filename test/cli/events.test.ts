/** `iptun events` and `iptun rekey`: what is asked, and what is printed. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import { runCli } from "../../src/cli/program.ts";
import { FakeTerminal, systemError } from "./fake-terminal.ts";
import { Runtime } from "./runtime.ts";
import { statusDocument } from "./status-fixture.ts";

const EVENT = {
  id: "1-7",
  at: "2026-01-02T03:04:05.678Z",
  level: "info",
  message: "peer b is down\u001b[2J",
  kind: "down",
  peer: "b",
};

describe("events", () => {
  it("are lines with time, level and the log's text, until the tunnel ends", async () => {
    const asked = await daemon((response) => {
      response.write(`id: 1-7\ndata: ${JSON.stringify(EVENT)}\n\nid: 1-8\nda`);
      setImmediate(() => response.end(`ta: ${JSON.stringify({ ...EVENT, level: "warn" })}\n\n`));
    });
    const { code, terminal } = await cli("events");
    expect(terminal.stdout).toBe(
      "2026-01-02 03:04:05Z info  peer b is down\\u001b[2J\n" +
        "2026-01-02 03:04:05Z warn  peer b is down\\u001b[2J\n",
    );
    expect([code, terminal.stderr]).toEqual([3, "iptun: the tunnel has ended\n"]);
    expect(asked).toEqual(["GET /v1/events?last=10"]);
  });

  it("are JSON where that is asked for, after as many of the last as wanted", async () => {
    const asked = await daemon((response) => {
      response.write(`data: ${JSON.stringify(EVENT)}\n\n`);
      setImmediate(() => response.destroy());
    });
    const { code, terminal } = await cli("events", "--json", "--last", "256");
    expect(JSON.parse(terminal.stdout)).toEqual(EVENT);
    expect([code, asked]).toEqual([3, ["GET /v1/events?last=256"]]);
  });

  it("stop when the reader has enough", async () => {
    await daemon((response) => response.write(`data: ${JSON.stringify(EVENT)}\n\n`));
    const terminal = new FakeTerminal();
    terminal.outError = systemError("EPIPE");
    expect(await runCli(["events"], terminal)).toBe(0);
  });

  it("are refused with the daemon's reason", async () => {
    await daemon((response) => response.writeHead(503).end('{"error":"8 clients listen already"}'));
    const { code, terminal } = await cli("events");
    expect([code, terminal.stderr]).toEqual([
      1,
      "iptun: the daemon answered 503: 8 clients listen already\n",
    ]);
  });

  it.each(["x", "-1", "1.5", "1000"])("cannot begin with the last %s", async (last) => {
    const { code, terminal } = await cli("events", `--last=${last}`);
    expect([code, terminal.stderr]).toEqual([
      2,
      `iptun: --last is "${last}"; expected a whole number, 0 to 256\n`,
    ]);
  });

  it("of a tunnel that does not run are not there", async () => {
    new Runtime();
    expect((await cli("events")).code).toBe(3);
  });
});

describe("a rekey", () => {
  it("names the peers that were asked", async () => {
    const asked = await daemon((response) => response.end('{"peers":["a","b"]}'));
    const { code, terminal } = await cli("rekey");
    expect([code, terminal.stdout]).toEqual([
      0,
      "new session asked for with a\nnew session asked for with b\n",
    ]);
    expect(asked).toEqual(["POST /v1/rekey"]);
  });

  it("of one peer names it, whatever it is called", async () => {
    const asked = await daemon((response) => response.end('{"peers":[]}'));
    const { terminal } = await cli("rekey", "a&b");
    expect(terminal.stdout).toBe("no peer can be reached from here\n");
    expect(asked).toEqual(["POST /v1/rekey?peer=a%26b"]);
  });

  it("is refused with the daemon's reason", async () => {
    await daemon((response) => response.writeHead(404).end('{"error":"no peer is named \\"x\\""}'));
    const { code, terminal } = await cli("rekey", "x");
    expect([code, terminal.stderr]).toEqual([
      1,
      'iptun: the daemon answered 404: no peer is named "x"\n',
    ]);
  });
});

/** A daemon whose status is there, and that answers everything else as told; what was asked besides. */
async function daemon(answer: (response: ServerResponse) => void): Promise<readonly string[]> {
  const asked: string[] = [];
  await new Runtime().listen("iptun0", ({ method, url }: IncomingMessage, response) => {
    if (url === "/v1/status") {
      response.end(JSON.stringify(statusDocument([])));
      return;
    }
    asked.push(`${method} ${url}`);
    answer(response);
  });
  return asked;
}

async function cli(...args: readonly string[]) {
  const terminal = new FakeTerminal();
  return { code: await runCli(args, terminal), terminal };
}
