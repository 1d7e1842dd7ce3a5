/**
 * Bytes allocated a packet: what the heap grew by while a million packets passed, without a collection.
 *
 * Needs --expose-gc and a young generation larger than what is allocated (scripts/bench gives both). What
 * the measurement allocates itself is taken away by a run without packets. The trap: a collection in
 * between would hide everything, so one is an error.
 */
import { PerformanceObserver } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import type { EngineRig } from "./core-engine-rig.ts";
import type { PairRig } from "./core-pair-rig.ts";

const PACKETS = 1e6;

/** Bytes a packet. */
export interface Allocations {
  readonly title: string;
  readonly packets: number;
  /** Of the core, where a packet is sent; and of both its ends. */
  readonly coreOutbound: number;
  readonly coreBothEnds: number;
  /** Of core, engine and io of both ends. */
  readonly engineBothEnds: number;
}

/** Measures two rigs of one kind of packet. */
export async function measureAllocations(
  title: string,
  pair: PairRig,
  engines: EngineRig,
): Promise<Allocations> {
  const batches = Math.ceil(PACKETS / pair.packets);
  const packets = batches * pair.packets;
  const nothing = await grown(() => pair.nothing(batches));
  const outbound = await grown(() => pair.outbound(true, batches));
  const both = await grown(() => pair.inbound(true, batches));
  const noEngine = await grown(() => engines.nothing(batches));
  const engine = await grown(() => engines.carry(batches));
  return {
    title,
    packets,
    coreOutbound: (outbound - nothing) / packets,
    coreBothEnds: (both - nothing) / packets,
    engineBothEnds: (engine - noEngine) / packets,
  };
}

/** Bytes that the heap grew by; the second of two runs, because the first may still compile. */
async function grown(work: () => unknown): Promise<number> {
  await run(work);
  return await run(work);
}

async function run(work: () => unknown): Promise<number> {
  if (globalThis.gc === undefined) throw new Error("run node with --expose-gc");
  globalThis.gc();
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  await settled();
  observer.observe({ entryTypes: ["gc"] });
  const before = getHeapStatistics().used_heap_size;
  work();
  const after = getHeapStatistics().used_heap_size;
  await settled();
  observer.disconnect();
  if (collections > 0) throw new Error("a collection hid what was allocated");
  return after - before;
}

/** Lets what is queued run, entries of the observer above all. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}
