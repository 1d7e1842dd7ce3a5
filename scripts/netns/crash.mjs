/**
 * Loaded into a daemon by a test (NODE_OPTIONS=--import): makes a fault that nobody handles, in one of its threads, once.
 *
 * $IPTUN_CRASH is "main" or "engine", the kind of the fault, and the milliseconds after the thread's start. It says so on
 * standard error in the moment before, past the log. A worker has no process of its own: its exit ends the thread.
 */
import { writeSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

const [thread, kind, ms] = (process.env.IPTUN_CRASH ?? "").split(" ");
const isHere = isMainThread ? thread === "main" : thread === "engine";
if (isHere) setTimeout(crash, Number(ms));

function crash() {
  writeSync(2, "crash\n");
  switch (kind) {
    case "exception":
      throw new Error("a fault was injected");
    case "value":
      throw null;
    case "rejection":
      void Promise.reject(new Error("a fault was injected"));
      return;
    case "microtask":
      queueMicrotask(() => {
        throw new RangeError("a fault was injected");
      });
      return;
    case "emitter":
      process.emit("uncaughtException", new Error("a fault was injected"));
      return;
    case "memory": {
      const kept = [];
      for (;;) kept.push(new Array(1_000).fill(kept.length));
    }
    case "exit":
      process.exit(0);
  }
}
