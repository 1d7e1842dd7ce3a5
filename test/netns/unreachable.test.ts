/**
 * Packets for an inner address that belongs to no peer: their local sender is told.
 */
import { describe, expect, it } from "vitest";
import { withLab } from "../../scripts/netns/lab.ts";
import { drops } from "../../scripts/netns/status.ts";
import { startPair } from "../../scripts/netns/topology.ts";
import { ping } from "../../scripts/netns/traffic.ts";

describe("a destination without a peer", () => {
  it("draws 'unreachable' from the tunnel, over IPv4 and IPv6", async () => {
    await withLab(async (lab) => {
      const { left } = await startPair(lab);

      const results = await Promise.all([
        ping(left.host, "10.77.0.99", 3, 0.2),
        ping(left.host, "fd77::99", 3, 0.2),
      ]);

      for (const { received, output } of results) {
        expect(received).toBe(0);
        expect(output).toMatch(/unreachable/i);
      }
      expect(drops(await left.status(), "no_peer")).toBeGreaterThanOrEqual(6);
    });
  });
});
