/** How requests are answered: kinds of answers, wrong requests, streams and their bounds. */
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { closeServer } from "../../../src/daemon/control/bounded-http.ts";
import {
  MAX_STREAM_BACKLOG_BYTES,
  MAX_STREAMS,
  RequestError,
  type Resource,
  type Sink,
} from "../../../src/daemon/control/control-answer.ts";
import { openControlSocket } from "../../../src/daemon/control/control-socket.ts";
import { ask, Listener } from "../socket-client.ts";

describe("an answer", () => {
  it("is JSON, or a text of another type", async () => {
    const path = await serve([
      { method: "GET", path: "/a", answer: async () => ({ a: 1 }) },
      { method: "GET", path: "/b", contentType: "text/plain", text: async () => "b 1\n" },
    ]);
    expect(await ask(path, "/a")).toEqual({
      code: 200,
      type: "application/json",
      body: '{"a":1}\n',
    });
    expect(await ask(path, "/b")).toEqual({ code: 200, type: "text/plain", body: "b 1\n" });
  });

  it.each([
    [new RequestError("not so"), 400, "not so"],
    [new RequestError("not there", 404), 404, "not there"],
    [new Error("not now"), 503, "not now"],
  ])("that throws %j has the code and the line", async (error, code, message) => {
    const path = await serve([
      { method: "POST", path: "/a", answer: () => Promise.reject(error) },
      { method: "GET", path: "/b", contentType: "text/plain", text: () => Promise.reject(error) },
      {
        ...{ method: "GET", path: "/c", contentType: "text/plain" },
        stream: () => {
          throw error;
        },
      },
    ]);
    const body = `${JSON.stringify({ error: message })}\n`;
    const expected = { code, type: "application/json", body };
    expect(await ask(path, "/a", { method: "POST" })).toEqual(expected);
    expect(await ask(path, "/b")).toEqual(expected);
    expect(await ask(path, "/c")).toEqual(expected);
  });

  it("is refused to parameters that are not known, or given twice", async () => {
    const path = await serve([
      {
        ...{ method: "GET", path: "/a", parameters: ["x", "y"] },
        answer: async (query) => Object.fromEntries(query),
      },
    ]);
    const bodyOf = async (query: string) => JSON.parse((await ask(path, `/a${query}`)).body);
    expect(await bodyOf("?x=a%20b&y=")).toEqual({ x: "a b", y: "" });
    expect(await bodyOf("?z=1")).toEqual({ error: 'unknown parameter "z"; expected x, y' });
    expect(await bodyOf("?x=1&x=1")).toEqual({ error: "x is given twice" });
  });

  it("that takes longer than others has a limit of its own", async () => {
    const path = await serve([
      {
        ...{ method: "GET", path: "/slow", limitMs: 1 },
        answer: () => new Promise<object>(() => undefined),
      },
    ]);
    await expect(ask(path, "/slow")).rejects.toMatchObject({ code: "ECONNRESET" });
  });
});

describe("a stream", () => {
  it("begins at once, brings what is written, and ends", async () => {
    const { path, sinks } = await streaming();
    const listener = await Listener.open(path, "/s", { "Last-Event-ID": "5" });
    expect(listener.reply).toEqual({ code: 200, type: "text/event-stream" });
    const [first] = sinks;
    first?.sink.write('data: {"n":1}\n\n');
    expect(await listener.events(1)).toEqual([{ n: 1 }]);
    expect([first?.lastEventId, first?.isClosed]).toEqual(["5", false]);
    first?.sink.end();
    await listener.ended();
  });

  it("is refused beyond the limit, and given again when one has left", async () => {
    const { path, sinks } = await streaming();
    const listeners = [];
    for (let count = 0; count < MAX_STREAMS; count += 1) {
      listeners.push(await Listener.open(path, "/s"));
    }
    expect(await ask(path, "/s")).toMatchObject({
      code: 503,
      body: '{"error":"8 clients listen already"}\n',
    });
    expect(sinks).toHaveLength(MAX_STREAMS);
    listeners[0]?.close();
    while (sinks[0]?.isClosed !== true) await new Promise((resolve) => setImmediate(resolve));
    expect((await Listener.open(path, "/s")).reply.code).toBe(200);
  });

  it("that nobody reads is left when too much waits", async () => {
    const { path, sinks } = await streaming();
    const socket = connect(path);
    socket.on("error", () => undefined);
    socket.write("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
    socket.pause();
    while (sinks.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const [first] = sinks;
    const piece = "x".repeat(1_024);
    let written = 0;
    // What the kernel holds for a reader is not counted.
    while (first?.isClosed === false && written < 64 * MAX_STREAM_BACKLOG_BYTES) {
      first.sink.write(piece);
      written += piece.length;
      if (written % (64 * 1_024) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(first?.isClosed).toBe(true);
    expect(written).toBeGreaterThan(MAX_STREAM_BACKLOG_BYTES);
    // What is written afterwards goes nowhere.
    first?.sink.write(piece);
    socket.destroy();
  });
});

interface Opened {
  readonly sink: Sink;
  readonly lastEventId: string | undefined;
  isClosed: boolean;
}

async function streaming(): Promise<{ path: string; sinks: Opened[] }> {
  const sinks: Opened[] = [];
  const path = await serve([
    {
      ...{ method: "GET", path: "/s", contentType: "text/event-stream" },
      stream: (sink, _query, lastEventId) => {
        const opened = { sink, lastEventId, isClosed: false };
        sinks.push(opened);
        sink.closed(() => {
          opened.isClosed = true;
        });
      },
    },
  ]);
  return { path, sinks };
}

async function serve(resources: readonly Resource[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "iptun-answer-"));
  const path = join(directory, "s.sock");
  const server = await openControlSocket(path, resources);
  onTestFinished(async () => {
    await closeServer(server);
    await rm(directory, { recursive: true });
  });
  return path;
}
