/**
 * A scrape of a running tunnel: Prometheus's own tool reads it, and it says what has flowed.
 */
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import type { Daemon } from "../../scripts/netns/daemon.ts";
import { withLab } from "../../scripts/netns/lab.ts";
import { ADDRESSES, startPair } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";

const LISTEN = "127.0.0.1:9586";

describe("a scrape over TCP", () => {
  it("is valid, counts the peer's packets, and is not answered under another name", async () => {
    await withLab(async (lab) => {
      const { left } = await startPair(lab, {
        left: { settings: { metrics: { listen: LISTEN } } },
      });
      await ping(left.host, ADDRESSES.right.inner4, 20, 0.02);

      const { code, text } = await ask(left, "/metrics", "127.0.0.1:9586");

      expect(code).toBe(200);
      const check = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
      expect([check.status, check.stdout, check.stderr]).toEqual([0, "", ""]);
      expect(sampleOf(text, "iptun_peer_up")).toBe(1);
      expect(sampleOf(text, "iptun_peer_receive_packets_total")).toBeGreaterThanOrEqual(20);
      expect(sampleOf(text, "iptun_peer_transmit_packets_total")).toBeGreaterThanOrEqual(20);
      expect(sampleOf(text, "iptun_peer_round_trip_seconds")).toBeGreaterThan(0);
      expect(sampleOf(text, "iptun_engine_active_seconds_total")).toBeGreaterThan(0);
      const handshake = sampleOf(text, "iptun_peer_last_handshake_seconds");
      expect(Math.abs(handshake - Date.now() / 1000)).toBeLessThan(60);

      expect((await ask(left, "/metrics", "rebound.example:9586")).code).toBe(403);
      // The page was not asked for.
      expect((await ask(left, "/", "127.0.0.1:9586")).code).toBe(404);
    });
  });
});

/** What the daemon answers in its own namespace, asked under the name `host`. */
async function ask(
  { host }: Daemon,
  path: string,
  name: string,
): Promise<{ readonly code: number; readonly text: string }> {
  const options = { host: "127.0.0.1", port: 9586, path, headers: { host: name } };
  const program = `require("node:http").get(${JSON.stringify(options)}, (answer) => {
    let text = "";
    answer.on("data", (chunk) => { text += chunk; });
    answer.on("end", () => console.log(JSON.stringify({ code: answer.statusCode, text })));
  })`;
  return JSON.parse(await host.output([process.execPath, "-e", program]));
}

/** The metric's first sample. */
function sampleOf(text: string, name: string): number {
  const line = text.split("\n").find((one) => one.startsWith(`${name}{`));
  return Number(line?.split(" ").at(-1));
}
