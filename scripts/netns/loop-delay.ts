/**
 * How late the event loops of a daemon are, and the heap of its engine: what loop-delay.mjs writes inside of it.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { withPreload } from "./preload.ts";
import { pause } from "./process.ts";

/** It looks once a second; what is freed late, such as buffers, takes a second look. */
const SWEEP_MS = 3_200;

/** Milliseconds, as loop-delay.mjs writes them. */
export interface LoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** The same of each second, oldest first. */
  readonly seconds: readonly LoopSecond[];
}

/** One second of an event loop. */
export interface LoopSecond extends Omit<LoopDelay, "seconds"> {
  /** Its end, seconds since 1970. */
  readonly at: number;
  readonly heapMiB: number;
}

/** What the engine's thread wrote last. */
export function readLoopDelay(file: string): LoopDelay {
  return JSON.parse(readFileSync(`${file}.engine`, "utf8")) as LoopDelay;
}

/** The engine's heap after a sweep, MiB. */
export async function sweptHeapMiB(file: string): Promise<number> {
  const order = `${file}.sweep`;
  writeFileSync(order, "");
  await pause(SWEEP_MS);
  rmSync(order);
  return readLoopDelay(file).seconds.at(-1)?.heapMiB ?? Number.NaN;
}

/** Goes before a daemon whose event loops are watched. */
export function withLoopDelay(file: string): readonly string[] {
  return withPreload("loop-delay.mjs", { IPTUN_LOOP_DELAY: file });
}
