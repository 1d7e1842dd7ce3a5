/**
 * What the process says of itself when metrics are read: CPU time, start, lateness of its event loop.
 *
 * The loop's lateness is measured by a timer of libuv, which wakes the process ten times a second; so it
 * begins with the first reading. The engine's loop is another thread's, and counted there.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { SECOND_MS } from "../../core/time.ts";
import type { LoopDelay, Reading } from "./metric-table.ts";

/** Milliseconds between two looks. */
const RESOLUTION_MS = 100;
const NANOSECONDS_A_MS = 1e6;
const MICROSECONDS = 1e6;

export type ProcessReading = Pick<
  Reading,
  "nowSeconds" | "startedSeconds" | "cpuSeconds" | "controlDelay"
>;

/** Reads this process; each reading of the loop's lateness is of the time since the last. */
export function processReader(): () => ProcessReading {
  let loop: IntervalHistogram | undefined;
  return () => {
    if (loop === undefined) {
      loop = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      loop.enable();
    }
    const { user, system } = process.cpuUsage();
    const controlDelay = delayOf(loop);
    loop.reset();
    return {
      nowSeconds: Date.now() / SECOND_MS,
      startedSeconds: performance.timeOrigin / SECOND_MS,
      cpuSeconds: (user + system) / MICROSECONDS,
      controlDelay,
    };
  };
}

/** The histogram holds the whole time from one look to the next. */
function delayOf({ count, mean, max }: IntervalHistogram): LoopDelay {
  const late = (nanoseconds: number) =>
    count === 0 ? 0 : Math.max(nanoseconds / NANOSECONDS_A_MS - RESOLUTION_MS, 0);
  return { meanMs: late(mean), maxMs: late(max) };
}
