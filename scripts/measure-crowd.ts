/**
 * A hub with 1,000 pairs and a group of 256 sites, which all start at once: until all are up, and a ping beside.
 *
 * Then a ping while the hub is asked for its status, metrics and history.
 *
 * `[PAIRS NODES ASK_SECONDS]`. The sites are two processes on the same machine, so the hub has a third to a half of it.
 */
import { startCrowd } from "./netns/crowd.ts";
import { withLab } from "./netns/lab.ts";

const [pairs = 1000, nodes = 256, askSeconds = 10] = process.argv.slice(2).map(Number);
await withLab(async (lab) => {
  const figures = await startCrowd(lab, pairs, nodes, askSeconds);
  process.stdout.write(
    `${pairs} pairs and a group of ${nodes}: all up after ${(figures.upMs / 1000).toFixed(1)} s, ` +
      `${figures.addresses} addresses learned; ping beside them median ${figures.pingP50Ms} ms, ` +
      `p99 ${figures.pingP99Ms} ms, ${figures.lostPings} lost; ` +
      `the engine's loop late by p50 ${ms(figures.loopDelay.p50Ms)}, p99 ${ms(figures.loopDelay.p99Ms)}, ` +
      `at most ${ms(figures.loopDelay.maxMs)} ms; hub ${figures.hubMiB.toFixed(0)} MiB\n`,
  );
  for (const { what, answers, p50Ms, p99Ms, maxMs, lost } of figures.asked) {
    process.stdout.write(
      `asked for ${what} (${answers} answers): ping median ${p50Ms}, p99 ${p99Ms}, at most ${maxMs} ms, ${lost} lost\n`,
    );
  }
});

function ms(value: number): string {
  return value.toFixed(1);
}
