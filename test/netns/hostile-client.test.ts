/**
 * Clients that attack the control socket: packets go on, memory does not grow.
 *
 * Each kind for some seconds beside a ping at 10 ms. Only the daemon's user can open the socket, so this is a program
 * of the operator's that has gone wrong; it must not take the tunnel along.
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Daemon } from "../../scripts/netns/daemon.ts";
import { withLab } from "../../scripts/netns/lab.ts";
import { residentMiB } from "../../scripts/netns/proc.ts";
import { ROOT } from "../../scripts/netns/process.ts";
import { ADDRESSES, startPair } from "../../scripts/netns/topology.ts";
import { Ping, percentileMs } from "../../scripts/netns/traffic.ts";
import { figure, IS_FULL } from "../helpers/figure.ts";

const SECONDS = IS_FULL ? 40 : 4;
const SAMPLE_MS = 200;
/** Fewer connections and bytes would be no attack. `mostMiB`: what may be added to the memory before. */
const ATTACKS = [
  // V8 gives a program that has work a larger young generation, once; what comes after this is growth.
  ["requests", { connections: 100, bytes: 0, mostMiB: 64 }],
  ["half requests", { connections: 64, bytes: 0, mostMiB: 32 }],
  ["connections", { connections: 10_000, bytes: 0, mostMiB: 32 }],
  ["bodies", { connections: 100, bytes: 16e6, mostMiB: 32 }],
  ["answers that nobody reads", { connections: 100, bytes: 0, mostMiB: 32 }],
  ["listeners that never read", { connections: 100, bytes: 0, mostMiB: 32 }],
] as const;
/**
 * In full each comes twice: what the first round takes is V8's, which gives some of it back when it likes, and the second
 * round, which takes no more in all, shows that nothing is lost.
 */
const ROUNDS = IS_FULL ? [...ATTACKS, ...ATTACKS] : ATTACKS;
const FIRST_MIB = 96;
const SECOND_MIB = 16;

describe("a hostile client of the control socket", () => {
  it("holds up no packet and takes no memory", async () => {
    await withLab(async (lab) => {
      const { left } = await startPair(lab);
      let ceilingMiB = 0;
      for (const [index, [kind, limits]] of ROUNDS.entries()) {
        const beforeMiB = residentMiB(left.child.pid);
        const mostMiB =
          index < ATTACKS.length
            ? Math.max(limits.mostMiB, IS_FULL ? FIRST_MIB : 0)
            : ceilingMiB + SECOND_MIB - beforeMiB;
        const ping = new Ping(left.host, ADDRESSES.right.inner4, 0.01);
        const samples: number[] = [];
        const sampling = setInterval(() => samples.push(residentMiB(left.child.pid)), SAMPLE_MS);
        const done = await attack(left, kind, limits.connections).finally(() =>
          clearInterval(sampling),
        );
        const { sent, received, replies } = await ping.stop();
        const grownMiB = residentMiB(left.child.pid) - beforeMiB;
        const topMiB = Math.max(...samples) - beforeMiB;
        if (index < ATTACKS.length) ceilingMiB = Math.max(ceilingMiB, ...samples);
        figure(
          "control socket",
          `${SECONDS} s of ${kind} (${done.connections} connections, ${Math.round(done.bytes / 1e6)} MB)`,
          `${sent - received} of ${sent} pings lost, slowest ${percentileMs(replies, 1)} ms, median ${percentileMs(replies, 0.5)} ms, ${grownMiB.toFixed(1)} MiB more, at most ${topMiB.toFixed(1)}`,
          `none lost, less than ${mostMiB.toFixed(0)} MiB`,
        );
        expect(done.connections).toBeGreaterThanOrEqual(limits.connections);
        expect(done.bytes).toBeGreaterThanOrEqual(limits.bytes);
        expect(sent).toBeGreaterThan(SECONDS * 20);
        expect(received).toBe(sent);
        expect(IS_FULL ? topMiB : grownMiB).toBeLessThan(mostMiB);
        await left.waitForStatus(`status after ${kind}`, ({ peers }) => peers[0]?.state === "up");
      }
      expect(left.child.isRunning).toBe(true);
    });
  });
});

async function attack(
  daemon: Daemon,
  kind: string,
  least: number,
): Promise<{ readonly connections: number; readonly bytes: number }> {
  const script = join(ROOT, "scripts/netns/hostile-agent.ts");
  const command = [process.execPath, "--import", "tsx", script];
  const order = [kind, daemon.socketPath, String(SECONDS), String(least)];
  return JSON.parse(await daemon.host.output([...command, ...order]));
}
