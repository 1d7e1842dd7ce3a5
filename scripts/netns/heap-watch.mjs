/**
 * Loaded into a daemon by a measurement (NODE_OPTIONS=--import): every five seconds adds a line with the bytes of the heap
 * that are in use after a full collection, and the seconds since the start. $IPTUN_HEAP_WATCH is the file's path; the
 * engine's thread adds ".engine", the main thread ".main".
 */
import { appendFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

const EVERY_MS = 5_000;
const file = process.env.IPTUN_HEAP_WATCH;
if (file !== undefined) {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  const started = performance.now();
  setInterval(() => {
    collect();
    const { heapUsed, arrayBuffers, external } = process.memoryUsage();
    const seconds = Math.round((performance.now() - started) / 1_000);
    const line = { seconds, heapUsed, arrayBuffers, external };
    appendFileSync(`${file}.${isMainThread ? "main" : "engine"}`, `${JSON.stringify(line)}\n`);
  }, EVERY_MS).unref();
}
