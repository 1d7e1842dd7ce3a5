/**
 * How much slower than usual this machine is at the moment, for limits in real time: other guests may have its processors.
 *
 * It is what the start of an idle Node.js process takes, as the median of five, over what it takes on the machine of 2 CPUs where
 * the figures were made, when nobody else is there; never less than 1.
 */
import { spawnSync } from "node:child_process";

const USUAL_MS = 60;
const STARTS = 5;

export function slowness(): number {
  const took = Array.from({ length: STARTS }, () => {
    const start = performance.now();
    spawnSync(process.execPath, ["-e", "0"]);
    return performance.now() - start;
  });
  const median = took.sort((a, b) => a - b)[Math.floor(STARTS / 2)] ?? USUAL_MS;
  return Math.max(1, median / USUAL_MS);
}
