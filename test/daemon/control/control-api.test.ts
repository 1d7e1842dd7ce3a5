/**
 * What a tunnel answers on its control socket, asked over the socket; and docs/openapi.json, which says the same.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { mapAddress } from "../../../src/core/prefix.ts";
import { controlApi, HEALTH_MS, REKEY_MS } from "../../../src/daemon/control/control-api.ts";
import { EventStream } from "../../../src/daemon/control/event-stream.ts";
import { FRESH_MS } from "../../../src/daemon/control/fresh.ts";
import { History, SAMPLE_MS } from "../../../src/daemon/control/history.ts";
import { Probing } from "../../../src/daemon/control/probing.ts";
import type { StatusDocument } from "../../../src/daemon/control/status.ts";
import { HandOver } from "../../../src/daemon/succession/hand-over.ts";
import { peerStatus, statusDocument } from "../../cli/status-fixture.ts";
import { type Schema, schemaFaults } from "../../helpers/json-schema.ts";
import { setUp } from "../control-rig.ts";
import { EVENTS } from "../events.ts";
import { memoryLog } from "../log.ts";
import { peerSnapshot, tunnelSnapshot } from "../snapshot.ts";
import { ask, Listener } from "../socket-client.ts";
import { settle } from "../timers.ts";

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<
    Record<string, { readonly content: Record<string, { schema: Schema }> }>
  >;
}

const OPENAPI: {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
} = JSON.parse(readFileSync(new URL("../../../docs/openapi.json", import.meta.url), "utf8"));

describe("docs/openapi.json", () => {
  it("has every resource and no other, with its parameters", () => {
    const served = resources().map(({ method, path, parameters = [] }) => [
      `${method} ${path}`,
      [...parameters].sort(),
    ]);
    const described = Object.entries(OPENAPI.paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, { parameters = [] }]) => [
        `${method.toUpperCase()} ${path}`,
        parameters.flatMap((one) => (one.in === "query" ? [one.name] : [])).sort(),
      ]),
    );
    expect(described.sort()).toEqual(served.sort());
  });

  it.each(resources().map(({ method, path }) => [method, path] as const))(
    "describes the answers to %s %s",
    async (method, path) => {
      const rig = await started();
      for (const query of ["", "?peer=b", "?peer=x", "?what=1", "?seconds=x", "?peers=9"]) {
        if (path === "/v1/events" && query === "") continue;
        const { code, type, body } = await ask(rig.socketPath, `${path}${query}`, { method });
        const described = OPENAPI.paths[path]?.[method.toLowerCase()]?.responses[code];
        expect([query, code, Object.keys(described?.content ?? {})]).toEqual([query, code, [type]]);
        const answer = type === "application/json" ? JSON.parse(body) : body;
        expect(faults(answer, described?.content[type]?.schema)).toEqual([]);
      }
    },
  );

  it("describes every event", async () => {
    const rig = await started();
    const listener = await Listener.open(rig.socketPath, "/v1/events");
    rig.engine.report({ kind: "events", events: Object.values(EVENTS) });
    const kinds = Object.keys(EVENTS);
    const events = await listener.events(kinds.length);
    listener.close();
    expect(events.map(({ kind }) => kind)).toEqual(kinds);
    for (const event of events) expect(faults(event, component("Event"))).toEqual([]);
    expect(component("Event")).toMatchObject({
      properties: { kind: { enum: [...kinds, "drops", "more"] } },
    });
  });

  it("describes a status that has everything", () => {
    const pacing = { bitsPerSecond: 45e6, packets: 1, bytes: 2, dropped: 3, marked: 4 };
    const quiet = statusDocument(
      [peerStatus({ pacing }), peerStatus({ kind: "node", rates: null })],
      {
        sources: [{ address: "192.0.2.66", charged: 900, refused: 700 }],
      },
    );
    const defaultRoute = { families: ["IPv4" as const], mark: 12_299 };
    const whole: StatusDocument = { ...quiet, interface: { ...quiet.interface, defaultRoute } };
    expect(faults(whole, component("Status"))).toEqual([]);
  });

  it("does not describe what is not there", () => {
    const { pid: _pid, ...rest } = statusDocument([]);
    const status = component("Status");
    expect(faults(rest, status)).toEqual([".pid: missing"]);
    expect(faults({ ...statusDocument([]), more: 1 }, status)).toEqual([".more: unexpected"]);
    expect(faults({ ...statusDocument([]), pid: 1.5 }, status)).toEqual([
      ".pid: number, not integer",
    ]);
  });
});

describe("peers", () => {
  it("are told all, or the one that is asked for", async () => {
    const rig = await started();
    const peersOf = async (query: string) =>
      JSON.parse((await ask(rig.socketPath, `/v1/peers${query}`)).body);
    const { peers } = await rig.side.status();
    expect(await peersOf("")).toEqual({ peers });
    expect(await peersOf("?peer=b")).toEqual({ peers: peers.slice(0, 1) });
    expect(await peersOf("?peer=x")).toEqual({ error: 'no peer is named "x"' });
  });
});

describe("the history", () => {
  it("is told by the second, 60 unless told", async () => {
    const rig = await started();
    for (const bytes of [0, 700]) {
      rig.engine.sample = { names: ["b"], figures: Float64Array.of(bytes, 0, 20, 0, 0) };
      await rig.timers.fire(SAMPLE_MS);
    }
    const { body } = await ask(rig.socketPath, "/v1/history?seconds=2&peer=b");
    expect(JSON.parse(body)).toMatchObject({
      seconds: 2,
      peers: [{ peer: "b", inboundBytesPerSecond: [null, 700], roundTripMs: [null, 20] }],
    });
    const whole = JSON.parse((await ask(rig.socketPath, "/v1/history")).body);
    expect(whole.peers[0].roundTripMs).toHaveLength(60);
  });

  it("asks the engine whether there is a peer once a second, however many ask", async () => {
    const rig = await started();
    rig.engine.commands.length = 0;
    const askAll = async () => {
      const names = ["b", "x", "b", "y"];
      const codes = names.map(async (one) => {
        return (await ask(rig.socketPath, `/v1/history?peer=${one}`)).code;
      });
      return await Promise.all(codes);
    };

    expect(await askAll()).toEqual([200, 404, 200, 404]);
    expect(await askAll()).toEqual([200, 404, 200, 404]);
    expect(rig.engine.commands.map(({ kind }) => kind)).toEqual(["snapshot"]);

    rig.timers.nowMs += FRESH_MS;
    await askAll();
    expect(rig.engine.commands).toHaveLength(2);
  });

  it("of one peer is told for an hour", async () => {
    const rig = await started();
    const hour = await ask(rig.socketPath, "/v1/history?peer=b&seconds=3600");
    expect([
      hour.code,
      (await ask(rig.socketPath, "/v1/history?peer=b&seconds=3601")).code,
    ]).toEqual([200, 400]);
  });

  it.each(["0", "301", "1e3", "-1", " 5", "", "9".repeat(40)])(
    "of %j seconds is refused with a line",
    async (seconds) => {
      const rig = await started();
      const query = new URLSearchParams({ seconds });
      const { code, body } = await ask(rig.socketPath, `/v1/history?${query}`);
      expect([code, JSON.parse(body).error]).toEqual([
        400,
        `seconds is ${JSON.stringify(seconds)}; expected a whole number, 1 to 300`,
      ]);
    },
  );
});

describe("health", () => {
  it.each([
    ["", 200, { isHealthy: true, peersUp: 1 }],
    ["?peer=b", 200, { isHealthy: true, peersUp: 1 }],
    ["?peers=1", 200, { isHealthy: true, peersUp: 1 }],
    ["?peers=2", 503, { error: "1 peers are up, at least 2 should" }],
    ["?peer=c", 503, { error: "0 peers are up, at least 1 should" }],
    ["?peer=c&peers=0", 200, { isHealthy: true, peersUp: 0 }],
  ])("asked for by %j is %s", async (query, expected, document) => {
    const rig = await started();
    const { code, body } = await ask(rig.socketPath, `/v1/health${query}`);
    expect([code, JSON.parse(body)]).toEqual([expected, document]);
  });

  it("is missing while the device's link is down", async () => {
    const rig = await started();
    rig.world.state = rig.world.state && { ...rig.world.state, isUp: false };
    const { code, body } = await ask(rig.socketPath, "/v1/health");
    expect([code, JSON.parse(body)]).toEqual([503, { error: "the link of iptun0 is down" }]);
  });

  it("is missing where the engine does not answer in time", async () => {
    const rig = await started();
    rig.engine.answers = false;
    const asked = ask(rig.socketPath, "/v1/health");
    while (!rig.engine.commands.some(({ kind }) => kind === "snapshot")) await settle();
    await rig.timers.fire(HEALTH_MS);
    const { code, body } = await asked;
    rig.engine.answers = true;
    expect([code, JSON.parse(body)]).toEqual([
      503,
      { error: "the engine has not answered for 1000 ms" },
    ]);
  });
});

describe("a rekey", () => {
  it("is asked for once a second at most", async () => {
    const rig = await started();
    const codeOf = async (query: string) =>
      (await ask(rig.socketPath, `/v1/rekey${query}`, { method: "POST" })).code;
    expect([await codeOf(""), await codeOf(""), await codeOf("?peer=b")]).toEqual([200, 429, 429]);
    rig.timers.nowMs += REKEY_MS;
    expect(await codeOf("?peer=b")).toBe(200);
  });

  it("is asked for with every peer that can be reached, or with one", async () => {
    const rig = await started();
    const rekeyed = async (query: string) => {
      rig.engine.commands.length = 0;
      rig.timers.nowMs += REKEY_MS;
      const { code, body } = await ask(rig.socketPath, `/v1/rekey${query}`, { method: "POST" });
      const asked = rig.engine.commands.filter(({ kind }) => kind === "rekey");
      return [code, JSON.parse(body), asked];
    };
    const asked = [200, { peers: ["b"] }, [{ kind: "rekey", peer: "b" }]];
    expect(await rekeyed("")).toEqual(asked);
    expect(await rekeyed("?peer=b")).toEqual(asked);
    expect(await rekeyed("?peer=c")).toEqual([409, { error: "peer c has no known endpoint" }, []]);
    expect(await rekeyed("?peer=branch/1")).toEqual([
      409,
      { error: "peer branch/1 is of a group, whose sites start sessions" },
      [],
    ]);
    expect(await rekeyed("?per=b")).toEqual([
      400,
      { error: 'unknown parameter "per"; expected peer' },
      [],
    ]);
  });
});

describe("drops", () => {
  it("are told to listeners as the log is told", async () => {
    const rig = await started();
    const listener = await Listener.open(rig.socketPath, "/v1/events");
    const { drops } = tunnelSnapshot();
    rig.engine.snapshot = tunnelSnapshot({ drops: { ...drops, forged: 3, multicast: 1 } });
    await rig.timers.fire(10_000);
    expect(await listener.events(2)).toMatchObject([
      { kind: "drops", reason: "forged", count: 3, level: "info" },
      { kind: "drops", reason: "multicast", count: 1, level: "debug" },
    ]);
    listener.close();
  });
});

describe("strangers", () => {
  it("beyond the log's limit are counted for listeners too", async () => {
    const rig = await started();
    const stranger = (last: number) => ({
      kind: "stranger" as const,
      source: { address: mapAddress(Uint8Array.of(192, 0, 2, last)), port: 9, scope: 0 },
      reason: "bad_mac" as const,
    });
    rig.engine.report({
      kind: "events",
      events: Array.from({ length: 200 }, (_, index) => stranger(index)),
    });
    rig.timers.nowMs += 60_000;
    rig.engine.report({ kind: "events", events: [stranger(250)] });
    const listener = await Listener.open(rig.socketPath, "/v1/events?last=256");
    const events = await listener.events(12);
    listener.close();
    expect(events.map(({ kind }) => kind)).toEqual([
      ...Array.from({ length: 10 }, () => "stranger"),
      "more",
      "stranger",
    ]);
    expect(events[10]).toMatchObject({ message: "190 more such addresses", level: "warn" });
  });
});

/** A tunnel with a peer that is up, one that cannot be reached, and a node of a group. */
async function started() {
  const rig = setUp();
  const idle = { state: "idle", sessions: [], endpoint: undefined } as const;
  rig.engine.snapshot = tunnelSnapshot({
    peers: [
      peerSnapshot(),
      peerSnapshot({ name: "c", ...idle }),
      peerSnapshot({ name: "branch/1", kind: "node", state: "idle" }),
    ],
  });
  await rig.side.start();
  return rig;
}

function resources() {
  const startTimer = () => () => undefined;
  return controlApi({
    status: () => Promise.reject(new Error("not asked")),
    rekey: () => undefined,
    history: new History(),
    metrics: async () => "",
    events: new EventStream(() => 0),
    handOver: new HandOver({
      ...{ engine: notAsked, host: notAsked, send: notAsked, errnoName: notAsked },
      ...{ leaveSocket: notAsked, obstacle: notAsked, startTimer: notAsked, log: memoryLog() },
      givenSocket: notAsked,
    }),
    reloader: () => undefined,
    probing: new Probing(notAsked, { startTimer, nowMs: () => 0, cpuMs: () => 0 }),
    startTimer,
    nowMs: () => 0,
  });
}

function notAsked(): never {
  throw new Error("not asked");
}

function component(name: string): Schema {
  const schema = OPENAPI.components.schemas[name];
  if (schema === undefined) throw new Error(`there is no schema ${name}`);
  return schema;
}

function faults(value: unknown, schema: Schema | undefined): readonly string[] {
  if (schema === undefined) throw new Error("the answer is not described");
  const json: unknown = JSON.parse(JSON.stringify(value));
  return schemaFaults(json, schema, (reference) => component(reference.split("/").at(-1) ?? ""));
}
