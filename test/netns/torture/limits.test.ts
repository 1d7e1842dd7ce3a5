/**
 * H8: a process that is short of descriptors or memory: it starts whole or ends with a line that says why, and what runs
 * goes on without the descriptors that it would like. Below 20 descriptors Node itself does not reach our first line.
 */
import { readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { type Lab, withLab } from "../../../scripts/netns/lab.ts";
import { cpuShare } from "../../../scripts/netns/proc.ts";
import { finish, pause, runNow, until } from "../../../scripts/netns/process.ts";
import { ADDRESSES, makePair, startPair } from "../../../scripts/netns/topology.ts";
import { Ping } from "../../../scripts/netns/traffic.ts";
import { fetchStatus } from "../../../src/daemon/control/control-client.ts";
import { figure } from "../../helpers/figure.ts";
import { TORTURE } from "../../helpers/full.ts";
import { networkOf } from "./leftovers.ts";

const START_MS = 30_000;
const MIB = 1_048_576;

it
  .runIf(TORTURE !== undefined)
  .each([
    ...[20, 24, 28, 32, 40].map((count) => [`${count} descriptors`, `--nofile=${count}`]),
    ...[300, 700, 1_200, 2_000].map((size) => [`${size} MiB of addresses`, `--as=${size * MIB}`]),
  ])("H8 a start with %s is whole, or ends with an error", async (what = "", limit = "") => {
  await withLab(async (lab) => {
    const result = await startLimited(lab, limit);
    figure("H8", what, result, "runs whole, or clear error and exit not 0");
    expect(result).toMatch(/^(up|exit code [1-9]\d*|ended by SIG\w+): ./);
  });
});

it.runIf(TORTURE !== undefined)(
  "H8 a running tunnel without a descriptor left carries packets, and answers again later",
  async () => {
    await withLab(async (lab) => {
      const { left } = await startPair(lab);
      const { pid } = left.child;
      const open = readdirSync(`/proc/${pid}/fd`).length;
      const pings = new Ping(left.host, ADDRESSES.right.inner4, 0.01);
      runNow(["prlimit", `--pid=${pid}`, `--nofile=${open}:1024`]);
      const cpu = await cpuShare(pid, async () => {
        for (let asked = 0; asked < 5; asked += 1) {
          await fetchStatus(left.socketPath).catch(() => undefined);
          await pause(500);
        }
      });
      runNow(["prlimit", `--pid=${pid}`, "--nofile=1024:1024"]);
      await left.waitForStatus("a status", () => true, 20_000);
      const { sent, received } = await pings.stop();

      const measured = `${sent - received} of ${sent} pings lost, CPU ${(cpu * 100).toFixed(0)} %, answers again`;
      figure("H8", "EMFILE while it runs", measured, "0 lost, no busy loop");
      expect(sent - received).toBe(0);
      expect(cpu).toBeLessThan(0.5);
    });
  },
);

it.runIf(TORTURE !== undefined)(
  "H8 killed for want of memory: leaves nothing that stops the next start",
  async () => {
    await withLab(async (lab) => {
      const { left, right } = await makePair(lab);
      await right.start();
      const before = await networkOf(left.host);
      await left.start();
      // What the kernel's killer sends; the choice of its victim is not ours to test.
      await left.stop("SIGKILL");
      const after = await networkOf(left.host);
      const started = performance.now();
      await left.start();
      const tookMs = Math.round(performance.now() - started);
      figure(
        "H8",
        "killed as by the kernel's OOM killer",
        `starts in ${tookMs} ms`,
        "starts again <= 2 s",
      );
      expect(after).toBe(before);
    });
  },
);

/** How a start under this limit ended. */
async function startLimited(lab: Lab, limit: string): Promise<string> {
  const { left, right } = await makePair(lab, { left: { wrapper: ["prlimit", limit, "--"] } });
  await right.start();
  const before = await networkOf(left.host);
  const child = left.spawn();
  const knock = new Ping(left.host, ADDRESSES.right.inner4, 0.2);
  const isUp = async () => {
    if (!child.isRunning) return false;
    const status = await fetchStatus(left.socketPath).catch(() => undefined);
    return status?.peers[0]?.state === "up" ? true : undefined;
  };
  const up = await until("an end or a session", START_MS, isUp, 100);
  const { code, signal, stderr } = await (up ? child.stop() : finish(child, 5_000));
  await knock.stop();
  expect(await networkOf(left.host)).toBe(before);
  const said = stderr
    .trim()
    .split("\n")
    .filter((line) => line !== "");
  if (up) return `up: ${said.length} lines of log`;
  const end = signal === undefined ? `exit code ${code}` : `ended by ${signal}`;
  return `${end}: ${(said.find((line) => /error|fatal|cannot|EMFILE/i.test(line)) ?? said.at(-1) ?? "").slice(0, 160)}`;
}
