/**
 * Starts the engine in a worker thread with a small heap of its own.
 *
 * The thread runs the compiled `worker.js` beside this file, so whatever starts an engine runs from
 * `dist` (Node 20 cannot run TypeScript in a worker). The keys' memory is transferred, not copied: after
 * the call the caller's arrays are empty, and no copy stays in the control side's heap.
 */
import { Worker } from "node:worker_threads";
import { keyBytes } from "../core/handshake/keys.ts";
import type { KeySource } from "../core/options.ts";
import { type Command, type EngineStart, keysOf, type Report } from "./messages.ts";

/**
 * Heap of the engine: it allocates a little for a handshake and nothing for a packet. A small young
 * generation keeps collections short and the idle process small.
 */
export const ENGINE_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 } as const;

/** A running engine as the control side holds it. */
export interface EnginePort {
  /** How long the thread's event loop has waited and worked. */
  loop(): LoopTime;
  /** The keys in a command are gone afterwards. */
  post(command: Command): void;
  /** Calls on every report, and once when the thread ends without having said why. */
  listen(listener: EnginePortListener): void;
}

/** Milliseconds since the loop began. */
export interface LoopTime {
  readonly idleMs: number;
  readonly activeMs: number;
}

export interface EnginePortListener {
  readonly report: (report: Report) => void;
  /** `message` is one line; `detail` is for debug level. */
  readonly died: (message: string, detail: string | undefined) => void;
}

/** The part of a worker thread that is used. */
export interface Thread {
  readonly performance: {
    eventLoopUtilization(): { readonly idle: number; readonly active: number };
  };
  postMessage(command: Command, transfer: readonly ArrayBuffer[]): void;
  on(event: "message", listener: (report: Report) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "exit", listener: (code: number) => void): unknown;
}

/** Starts the engine's thread; the keys in `start` are gone afterwards. */
export function spawnEngine(start: EngineStart): EnginePort {
  const worker = new Worker(new URL("./worker.js", import.meta.url), {
    name: "iptun-engine",
    workerData: start,
    transferList: keyBuffers(start.peers.flatMap(({ keys }) => keys)),
    resourceLimits: ENGINE_LIMITS,
    // Flags of the main thread (an inspector, a test runner's loader) are not the engine's.
    execArgv: [],
  });
  return enginePort(worker);
}

/** The port over a thread. */
export function enginePort(thread: Thread): EnginePort {
  return {
    loop: () => {
      const { idle, active } = thread.performance.eventLoopUtilization();
      return { idleMs: idle, activeMs: active };
    },
    post: (command) => thread.postMessage(command, keyBuffers(keysIn(command))),
    listen: ({ report, died }) => {
      thread.on("message", report);
      thread.on("error", (error) => died(`the engine failed: ${error.message}`, error.stack));
      thread.on("exit", (code) => died(`the engine ended with code ${code}`, undefined));
    },
  };
}

/** The buffers to transfer: each key lies in one of its own. */
export function keyBuffers(keys: readonly KeySource[]): ArrayBuffer[] {
  return keyBytes(keys)
    .map((key) => key.buffer)
    .filter((buffer) => buffer instanceof ArrayBuffer);
}

function keysIn(command: Command): readonly KeySource[] {
  if (command.kind === "name-keys") return command.peers.flatMap(({ keys }) => keys);
  return command.kind === "reconfigure" ? keysOf(command.changes) : [];
}
