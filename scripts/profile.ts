/**
 * Profiles both ends of a tunnel at full TCP speed with perf's cpu-clock: `[SECONDS [LINK]]`, 5 and as-is.
 *
 * Prints throughput, the shares of kernel, cipher and JavaScript for each end, and the functions seen
 * most. V8 writes the names of its code to /tmp, where perf looks for them; they are removed with the
 * lab. The trap: the first seconds are spent on compiling, so a warm-up comes before the samples.
 */
import { join } from "node:path";
import { dressLink, LINK_NAMES, type LinkName } from "./benchmark/links.ts";
import { type PerfSample, parseSamples, sharesOf, sharesTable } from "./benchmark/perf-shares.ts";
import { type Host, withLab } from "./netns/lab.ts";
import { ROOT } from "./netns/process.ts";
import { ADDRESSES, makePair, type Pair, startDaemons } from "./netns/topology.ts";
import { tcpThroughput } from "./netns/traffic.ts";

/** Names for perf, and no log of V8's own beside them. */
const NODE_OPTIONS = ["--perf-basic-prof", "--no-logfile-per-isolate", "--logfile=/dev/null"];
const WARM_UP_SECONDS = 3;
const FUNCTIONS = 25;
const SAMPLES_PER_SECOND = 1999;

const seconds = Number(process.argv[2] ?? 5);
const link = LINK_NAMES.find((name) => name === (process.argv[3] ?? "as-is"));
if (link === undefined || !(seconds >= 1 && seconds <= 60)) {
  process.stderr.write(`usage: scripts/profile [SECONDS [${LINK_NAMES.join("|")}]]\n`);
  process.exitCode = 2;
} else {
  await profile(link);
}

async function profile(kind: LinkName): Promise<void> {
  await withLab(async (lab) => {
    const program = [process.execPath, ...NODE_OPTIONS, join(ROOT, "dist/main.js")];
    const pair = await makePair(lab, { left: { program }, right: { program } });
    const hosts = { left: pair.left.host, right: pair.right.host };
    await dressLink(hosts, kind);
    await startDaemons(pair);
    const ends = [
      { title: "left, seals", pid: pair.left.child.pid },
      { title: "right, opens", pid: pair.right.child.pid },
    ];
    for (const { pid } of ends) lab.leavings.add(`/tmp/perf-${pid}.map`);
    const { bitsPerSecond, samples } = await record(
      pair,
      ends.map(({ pid }) => pid),
    );
    const columns = ends.map(({ title, pid }) => {
      return { title, shares: sharesOf(samples.filter((sample) => sample.pid === pid)) };
    });
    process.stdout.write(`TCP, one stream: ${(bitsPerSecond / 1e9).toFixed(2)} Gbit/s\n\n`);
    process.stdout.write(sharesTable(columns, sharesOf(samples), FUNCTIONS));
  });
}

async function record(
  { left, right }: Pair,
  pids: readonly number[],
): Promise<{ readonly bitsPerSecond: number; readonly samples: readonly PerfSample[] }> {
  const carry = async (duration: number) =>
    await tcpThroughput(left.host, right.host, ADDRESSES.right.inner4, { seconds: duration });
  await carry(WARM_UP_SECONDS);
  const [{ bitsPerSecond }, text] = await Promise.all([
    carry(seconds + 1),
    perf(left.host, pids, join(left.host.lab.dir, "perf.data")),
  ]);
  return { bitsPerSecond, samples: parseSamples(text) };
}

/** Samples the processes while they run, and returns what perf script says of it. */
async function perf(host: Host, pids: readonly number[], file: string): Promise<string> {
  const event = ["-e", "cpu-clock", "-F", String(SAMPLES_PER_SECOND)];
  const which = ["-o", file, "-p", pids.join(",")];
  await host.output(["perf", "record", "-q", ...event, ...which, "--", "sleep", String(seconds)]);
  return await host.output(["perf", "script", "-i", file, "-F", "comm,pid,tid,ip,sym,dso"]);
}
