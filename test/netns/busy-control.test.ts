/**
 * A control side that blocks for 200 ms every second does not touch the packets.
 *
 * Loss only, at a load that any machine carries; times, at 500 Mbit/s, are measured by
 * scripts/measure-busy-control, which needs a quiet machine.
 */
import { describe, expect, it } from "vitest";
import { withLab } from "../../scripts/netns/lab.ts";
import { busyOptions, pingUnderLoad } from "../../scripts/netns/measure.ts";
import { startPair } from "../../scripts/netns/topology.ts";

describe("a busy control side", () => {
  it("loses no ping at 10 ms beside 100 Mbit/s of TCP", async () => {
    await withLab(async (lab) => {
      const pair = await startPair(lab, { left: busyOptions(), right: busyOptions() });

      const { sent, received } = await pingUnderLoad(pair, 4, 100e6);

      expect(sent).toBeGreaterThan(200);
      expect(received).toBe(sent);
      expect(pair.left.log).toContain("blocked");
    });
  });
});
