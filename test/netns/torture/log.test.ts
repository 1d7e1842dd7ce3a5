/**
 * H9: a log that cannot be written: its disk is full, its reader is gone, its reader stands still. Packets do not notice.
 */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type Lab, withLab } from "../../../scripts/netns/lab.ts";
import { pause, until } from "../../../scripts/netns/process.ts";
import { ADDRESSES, type Pair, startPair } from "../../../scripts/netns/topology.ts";
import { Ping } from "../../../scripts/netns/traffic.ts";
import { figure } from "../../helpers/figure.ts";
import { amount, TORTURE } from "../../helpers/full.ts";

const WATCHED_MS = amount({ quick: 2_000, short: 4_000, full: 60_000 });
const DISK_BYTES = 65_536;
const PASS = "0 lost, no crash";

it.runIf(TORTURE !== undefined)(
  "H9 on a full disk of 64 KB: no packet is lost, the process stays",
  async () => {
    await withLab(async (lab) => {
      const disk = join(lab.dir, "disk");
      mkdirSync(disk);
      const script = `mount -t tmpfs -o size=${DISK_BYTES} none "$1" && D=$1 && shift && exec "$@" 2>"$D/log"`;
      // The disk is seen in this process's own mounts alone, so its size is asked for there.
      const wrapper = ["unshare", "--mount", "sh", "-c", script, "sh", disk];
      const pair = await noisyPair(lab, wrapper);
      const log = `/proc/${pair.left.child.pid}/root${disk}/log`;
      const isFull = () => statSync(log).size > DISK_BYTES - 4_096;
      const result = await underNoise(pair, isFull);
      const bytes = statSync(log).size;
      figure("H9", "log disk of 64 KB", `${result}, log of ${bytes} bytes`, PASS);
      expect(bytes).toBeGreaterThan(DISK_BYTES - 4_096);
      expect(readFileSync(log, "utf8")).toContain("debug");
      expect(result).toMatch(/^0 of/);
    });
  },
);

it("H9 with a reader that stands still, and then is gone (EPIPE): no packet is lost", async () => {
  await withLab(async (lab) => {
    const pair = await noisyPair(lab);
    const { stderr } = pair.left.child.process;
    stderr?.pause();
    const still = await underNoise(pair);
    stderr?.destroy();
    const gone = await underNoise(pair);
    figure("H9", "log pipe full", still, PASS);
    figure("H9", "log pipe closed", gone, PASS);
    expect([still, gone]).toEqual([expect.stringMatching(/^0 of/), expect.stringMatching(/^0 of/)]);
  });
});

async function noisyPair(lab: Lab, wrapper: readonly string[] = []): Promise<Pair> {
  return await startPair(lab, { left: { wrapper, settings: { logLevel: "debug" } } });
}

/** Pings beside very many lines of the log, which packets at debug level and signals make. */
async function underNoise({ left }: Pair, isReady = () => true): Promise<string> {
  const pings = new Ping(left.host, ADDRESSES.right.inner4, 0.01);
  const noise = setInterval(() => left.child.signal("SIGHUP"), 5);
  await until("the fault", 60_000, () => (isReady() ? true : undefined));
  await pause(WATCHED_MS);
  clearInterval(noise);
  await left.waitForStatus("a status", () => true);
  const { sent, received } = await pings.stop();
  expect(left.child.isRunning).toBe(true);
  return `${sent - received} of ${sent} pings lost`;
}
