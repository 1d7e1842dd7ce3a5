/**
 * Shows that nothing the control side does delays a packet: the same load with it free and blocked.
 *
 * Three rounds, each with both, in turns, so that a slow moment of the machine falls on both. Ends with
 * 1 when a blocked run lost a ping or the median p99.9 is more than 20 ms above that of the free runs.
 */
import { withLab } from "./netns/lab.ts";
import { busyOptions, pingUnderLoad } from "./netns/measure.ts";
import { type PairOptions, startPair } from "./netns/topology.ts";
import { median, percentileMs } from "./netns/traffic.ts";

const ROUNDS = 3;
const SECONDS = 10;
const BITS_PER_SECOND = 500e6;
const ALLOWED_MS = 20;

const free: number[] = [];
const blocked: number[] = [];
let lostWhileBlocked = 0;

for (let round = 1; round <= ROUNDS; round++) {
  free.push((await measure(`round ${round}, free`, {})).p999Ms);
  const options = { left: busyOptions(), right: busyOptions() };
  const busy = await measure(`round ${round}, blocked`, options);
  blocked.push(busy.p999Ms);
  lostWhileBlocked += busy.lost;
}
const differenceMs = median(blocked) - median(free);
process.stdout.write(
  `median p99.9: free ${median(free)} ms, blocked ${median(blocked)} ms; ` +
    `pings lost while blocked: ${lostWhileBlocked}\n`,
);
process.exitCode = lostWhileBlocked === 0 && differenceMs <= ALLOWED_MS ? 0 : 1;

async function measure(
  title: string,
  options: PairOptions,
): Promise<{ readonly p999Ms: number; readonly lost: number }> {
  return await withLab(async (lab) => {
    const { sent, received, replies } = await pingUnderLoad(
      await startPair(lab, options),
      SECONDS,
      BITS_PER_SECOND,
    );
    const p999Ms = percentileMs(replies, 0.999);
    process.stdout.write(
      `${title.padEnd(18)}${received} of ${sent} pings, median ${percentileMs(replies, 0.5)} ms, ` +
        `p99.9 ${p999Ms} ms\n`,
    );
    return { p999Ms, lost: sent - received };
  });
}
