/**
 * The lab's sender keeps the rate that floods are made with; apart from lab.test.ts, because it must run alone.
 */
import { expect, it } from "vitest";
import { withLab } from "../../scripts/netns/lab.ts";
import { ADDRESSES, PORT, twoHosts } from "../../scripts/netns/topology.ts";
import { startSender } from "../../scripts/netns/udp-sender.ts";

it("a sender floods at the rate that was asked for", async () => {
  await withLab(async (lab) => {
    const sender = await startSender(twoHosts(lab).left);

    const order = { port: PORT, ratePerSecond: 20_000, seconds: 1 };
    const { sent } = await sender.flood({ address: ADDRESSES.right.outer4, ...order });

    expect(sent).toBeGreaterThan(15_000);
    expect(sent).toBeLessThanOrEqual(20_000);
  });
});
