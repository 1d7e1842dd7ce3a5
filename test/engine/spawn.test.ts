/**
 * The port over the engine's thread, with a fake thread, and the keys' way into it.
 */
import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { DEFAULT_LIMITS } from "../../src/core/options.ts";
import type { Command, EngineStart, Report } from "../../src/engine/messages.ts";
import { enginePort, keyBuffers } from "../../src/engine/spawn.ts";

describe("the engine's port", () => {
  it("posts commands and passes reports on", () => {
    const thread = new FakeThread();
    const reports: Report[] = [];
    const port = enginePort(thread);
    port.listen({ report: (report) => reports.push(report), died: () => undefined });

    port.post({ kind: "acknowledge" });
    thread.emit("message", { kind: "stopped" });

    expect(thread.posted).toEqual([{ kind: "acknowledge" }]);
    expect(reports).toEqual([{ kind: "stopped" }]);
  });

  it("tells how long the thread's loop has waited and worked", () => {
    expect(enginePort(new FakeThread()).loop()).toEqual({ idleMs: 7, activeMs: 3 });
  });

  it("tells of an exception that ended the thread in one line, its stack apart", () => {
    const thread = new FakeThread();
    const deaths: (readonly [string, string | undefined])[] = [];
    enginePort(thread).listen({
      report: () => undefined,
      died: (message, detail) => deaths.push([message, detail]),
    });

    const error = new Error("Worker terminated due to reaching memory limit");
    error.stack = "the stack";
    thread.emit("error", error);

    expect(deaths).toEqual([
      ["the engine failed: Worker terminated due to reaching memory limit", "the stack"],
    ]);
  });

  it("tells of a thread that ended", () => {
    const thread = new FakeThread();
    const deaths: string[] = [];
    enginePort(thread).listen({ report: () => undefined, died: (message) => deaths.push(message) });

    thread.emit("exit", 1);

    expect(deaths).toEqual(["the engine ended with code 1"]);
  });
});

describe("keys", () => {
  it("are moved into the engine's thread: the sender's arrays are empty afterwards", () => {
    const key = new Uint8Array(32).fill(7);
    const start = startWith([key]);

    const received = structuredClone(start, { transfer: keyBuffers([key]) });

    expect(key.length).toBe(0);
    expect(received.peers[0]?.keys[0]).toEqual(new Uint8Array(32).fill(7));
  });

  it("of all peers are moved", () => {
    expect(keyBuffers([new Uint8Array(32), new Uint8Array(32)])).toHaveLength(2);
  });

  it("in a command are moved too, and a key that is only named needs no memory", () => {
    const thread = new FakeThread();
    const key = new Uint8Array(32);
    const [peer] = startWith([key]).peers;
    if (peer === undefined) throw new Error("no peer");
    const keys = [{ fingerprint: "00112233" }, key];
    const changes = [{ kind: "update-peer", peer: { ...peer, keys } }] as const;

    enginePort(thread).post({ kind: "reconfigure", id: 1, mark: 0, changes, keys: "keep" });
    enginePort(thread).post({ kind: "stop" });

    expect(thread.transferred).toEqual([[key.buffer], []]);
  });
});

class FakeThread extends EventEmitter {
  readonly performance = { eventLoopUtilization: () => ({ idle: 7, active: 3, utilization: 0.3 }) };
  readonly posted: Command[] = [];
  readonly transferred: (readonly ArrayBuffer[])[] = [];
  postMessage(command: Command, transfer: readonly ArrayBuffer[]): void {
    this.posted.push(command);
    this.transferred.push(transfer);
  }
}

function startWith(keys: readonly Uint8Array[]): EngineStart {
  return {
    tun: { name: "iptun0", mtu: 1420, pathMtu: undefined },
    udp: { address: new Uint8Array(16), port: 0, mark: 0, device: "" },
    nodeId: new Uint8Array(16),
    ownAddresses: [],
    innerAddresses: [],
    copyDscp: false,
    limits: DEFAULT_LIMITS,
    isTracing: false,
    inherited: { tun: undefined, udp: undefined, isUdpGiven: false },
    isStandby: false,
    offloads: { tso: true, uso: true, gso: true, gro: true },
    peers: [
      {
        name: "b",
        keys,
        endpoints: [],
        hasConfiguredEndpoint: false,
        allowedIps: [],
        keepaliveSeconds: 0,
        roaming: "validated",
      },
    ],
  };
}
