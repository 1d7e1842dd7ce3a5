/**
 * A hub whose sites all start at once, pairs and a group; scripts/measure-crowd has the figures for 1,256.
 */
import { expect, it } from "vitest";
import { startCrowd } from "../../scripts/netns/crowd.ts";
import { withLab } from "../../scripts/netns/lab.ts";

it("100 pairs and a group of 50 come up, each with its address, and a session beside them loses nothing", async () => {
  await withLab(async (lab) => {
    const { upMs, addresses, lostPings } = await startCrowd(lab, 100, 50);
    expect(addresses).toBe(50);
    expect(lostPings).toBe(0);
    // Generous: this machine may be doing other things; a site that was forgotten takes 15 s or for ever.
    expect(upMs).toBeLessThan(15_000);
  });
});
