/**
 * Loaded into a daemon by a measurement (NODE_OPTIONS=--import): writes, once a second, how late the event
 * loop of each thread comes to a timer of 5 ms, since its start and in each of the last seconds, and its heap in
 * use then. $IPTUN_LOOP_DELAY is the file's path; the engine's thread adds ".engine", the main thread ".main". While
 * there is a file with ".sweep" added, the heap is swept before it is looked at, which holds the thread up.
 * BOUNDED: the last 600 seconds.
 */
import { existsSync, writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

const RESOLUTION_MS = 5;
const SECONDS_KEPT = 600;
const file = process.env.IPTUN_LOOP_DELAY;
if (file !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  const lately = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  lately.enable();
  const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  const figuresOf = (histogram) => ({
    p50Ms: late(histogram.percentile(50)),
    p99Ms: late(histogram.percentile(99)),
    maxMs: late(histogram.max),
  });
  setFlagsFromString("--expose-gc");
  const sweep = runInNewContext("gc");
  const seconds = [];
  setInterval(() => {
    if (existsSync(`${file}.sweep`)) sweep();
    const heapMiB = getHeapStatistics().used_heap_size / 2 ** 20;
    seconds.push({ at: Date.now() / 1000, ...figuresOf(lately), heapMiB });
    lately.reset();
    if (seconds.length > SECONDS_KEPT) seconds.shift();
    const figures = { ...figuresOf(delay), seconds };
    writeFileSync(`${file}.${isMainThread ? "main" : "engine"}`, JSON.stringify(figures));
  }, 1_000).unref();
}
