/**
 * Runs a campaign of FAULTS: `main.ts M5|I5 COUNT SEED`. Prints what was done, how fast, and the seed of a failure.
 */
import { malformedPackets } from "./i5.ts";
import { mutateDatagrams } from "./m5.ts";

const CAMPAIGNS: Readonly<
  Record<string, (count: number, seed: number) => Promise<Map<string, number>>>
> = { M5: mutateDatagrams, I5: malformedPackets };

const [name = "", count = "10000000", seed = "1"] = process.argv.slice(2);
const campaign = CAMPAIGNS[name];
if (campaign === undefined) throw new Error(`no campaign ${name}`);
const start = performance.now();
try {
  const done = await campaign(Number(count), Number(seed));
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage();
  const cpuSeconds = (user + system) / 1e6;
  for (const [what, times] of done) process.stdout.write(`  ${what}: ${times}\n`);
  process.stdout.write(
    `${name}: ${count} in ${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} s of CPU time, seed ${seed}: no fault\n`,
  );
} catch (error) {
  process.stderr.write(`${name}: seed ${seed}: ${error instanceof Error ? error.stack : error}\n`);
  process.exit(1);
}
