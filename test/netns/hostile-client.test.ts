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

const SECONDS = IS_FULL ? 8 : 4;
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

describe("a hostile client of the control socket", () => {
  it("holds up no packet and takes no memory", async () => {
    await withLab(async (lab) => {
      const { left } = await startPair(lab);
      for (const [kind, limits] of ATTACKS) {
        const beforeMiB = residentMiB(left.child.pid);
        const ping = new Ping(left.host, ADDRESSES.right.inner4, 0.01);
        const done = await attack(left, kind, limits.connections);
        const { sent, received, replies } = await ping.stop();
        const grownMiB = residentMiB(left.child.pid) - beforeMiB;
        figure(
          "control socket",
          `${SECONDS} s of ${kind} (${done.connections} connections, ${Math.round(done.bytes / 1e6)} MB)`,
          `${sent - received} of ${sent} pings lost, slowest ${percentileMs(replies, 1)} ms, median ${percentileMs(replies, 0.5)} ms, ${grownMiB.toFixed(1)} MiB more`,
          `none lost, less than ${limits.mostMiB} MiB`,
        );
        expect(done.connections).toBeGreaterThanOrEqual(limits.connections);
        expect(done.bytes).toBeGreaterThanOrEqual(limits.bytes);
        expect(sent).toBeGreaterThan(SECONDS * 20);
        expect(received).toBe(sent);
        expect(grownMiB).toBeLessThan(limits.mostMiB);
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
