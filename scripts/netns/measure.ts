/**
 * Measurements that both a test and a script make: memory over gigabytes, ping under load.
 *
 * They return numbers and judge nothing.
 */
import { join } from "node:path";
import type { DaemonOptions } from "./daemon.ts";
import { residentMiB } from "./proc.ts";
import { pause, ROOT } from "./process.ts";
import { ADDRESSES, type Pair } from "./topology.ts";
import { Ping, type PingResult, tcpThroughput } from "./traffic.ts";

const { right } = ADDRESSES;

/** Resident memory of the left and the right end, MiB. */
export interface MemoryFigures {
  readonly idleMiB: readonly number[];
  readonly firstMiB: readonly number[];
  readonly lastMiB: readonly number[];
}

/** Memory of both ends idle, after `firstGb` and after `lastGb` gigabytes carried in all. */
export async function measureMemory(
  pair: Pair,
  firstGb: number,
  lastGb: number,
): Promise<MemoryFigures> {
  const read = () => [pair.left, pair.right].map(({ child }) => residentMiB(child.pid));
  const carry = async (gigabytes: number) => {
    await tcpThroughput(pair.left.host, pair.right.host, right.inner4, { bytes: gigabytes * 1e9 });
    await pause(1000);
    return read();
  };
  await pause(2000);
  const idleMiB = read();
  const firstMiB = await carry(firstGb);
  const lastMiB = await carry(lastGb - firstGb);
  return { idleMiB, firstMiB, lastMiB };
}

/** Makes a daemon's main thread block for 200 ms of every second. */
export function busyOptions(): DaemonOptions {
  const entry = join(ROOT, "scripts/netns/busy-main.ts");
  return { program: [process.execPath, "--import", "tsx", entry] };
}

/** Pings at 10 ms beside TCP of a fixed rate, left to right. */
export async function pingUnderLoad(
  pair: Pair,
  seconds: number,
  bitsPerSecond: number,
): Promise<PingResult> {
  const beside = new Ping(pair.left.host, right.inner4, 0.01);
  await tcpThroughput(pair.left.host, pair.right.host, right.inner4, {
    seconds,
    bitsPerSecond,
  });
  return await beside.stop();
}
