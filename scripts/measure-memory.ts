/**
 * Prints the memory of both ends of a tunnel idle, after 1 GB and after 10 GB; takes some minutes.
 *
 * Measures only; test/netns/memory.test.ts judges.
 */
import { withLab } from "./netns/lab.ts";
import { measureMemory } from "./netns/measure.ts";
import { startPair } from "./netns/topology.ts";

const FIRST_GB = 1;
const LAST_GB = 10;

await withLab(async (lab) => {
  const figures = await measureMemory(await startPair(lab), FIRST_GB, LAST_GB);
  const row = (title: string, values: readonly number[]) =>
    `${title.padEnd(12)}${values.map((value) => value.toFixed(1).padStart(10)).join("")}\n`;
  process.stdout.write("resident, MiB     left     right\n");
  process.stdout.write(row("idle", figures.idleMiB));
  process.stdout.write(row(`${FIRST_GB} GB`, figures.firstMiB));
  process.stdout.write(row(`${LAST_GB} GB`, figures.lastMiB));
});
