/**
 * Loaded into a daemon by a measurement (NODE_OPTIONS=--import): writes, once a second, how late the event
 * loop of each thread comes to a timer of 5 ms. $IPTUN_LOOP_DELAY is the file's path; the engine's thread adds
 * ".engine", the main thread ".main".
 */
import { writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

const RESOLUTION_MS = 5;
const file = process.env.IPTUN_LOOP_DELAY;
if (file !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  setInterval(() => {
    const figures = {
      p50Ms: late(delay.percentile(50)),
      p99Ms: late(delay.percentile(99)),
      maxMs: late(delay.max),
    };
    writeFileSync(`${file}.${isMainThread ? "main" : "engine"}`, JSON.stringify(figures));
  }, 1_000).unref();
}
