/**
 * A learned group with real daemons: two sites with one key, a third that wants another's address, a restart.
 */
import { expect, it } from "vitest";
import { HUB_ADDRESS, makeGroup, siteAddress } from "../../scripts/netns/group.ts";
import { type Host, withLab } from "../../scripts/netns/lab.ts";
import { until } from "../../scripts/netns/process.ts";
import { drops } from "../../scripts/netns/status.ts";

it("two sites reach the hub and each other; a third cannot take an address; a restarted one is back", async () => {
  await withLab(async (lab) => {
    const { hub, addSite } = await makeGroup(lab);
    const [first, second] = [addSite(1), addSite(2)];
    // The third has an address of its own, and that of the first.
    const third = addSite(3, [`${siteAddress(3)}/24`, `${siteAddress(1)}/32`]);
    await Promise.all([hub.start(), first.start(), second.start()]);

    await reach(first.host, HUB_ADDRESS);
    await reach(second.host, HUB_ADDRESS);
    await third.start();
    await reach(third.host, HUB_ADDRESS);
    await reach(first.host, siteAddress(2));
    await reach(hub.host, siteAddress(2));
    const before = await hub.status();
    expect(before.peers.map(({ kind }) => kind)).toEqual(["group", "node", "node", "node"]);
    expect(before.peers.flatMap(({ addresses }) => addresses).toSorted()).toEqual(
      [1, 2, 3].map(siteAddress),
    );

    // The claim: refused, counted, named in status; the holder goes on.
    const claim = await ping(third.host, HUB_ADDRESS, 5, ["-I", siteAddress(1)]);
    expect(claim.received).toBe(0);
    const after = await hub.status();
    // Five packets, and what it said of itself when its session came up.
    expect(drops(after, "inner_taken")).toBeGreaterThan(5);
    const claimant = after.peers.find(({ endpoint }) => endpoint?.startsWith("198.18.3.2:"));
    expect(claimant?.addresses).toEqual([siteAddress(3)]);
    expect(claimant?.refusedClaims).toBe(drops(after, "inner_taken"));
    expect(hub.logLines("claims 10.77.0.1, which")).not.toHaveLength(0);
    expect(hub.logLines(" moved from ")).toEqual([]);
    await reach(first.host, siteAddress(2));

    // A kill and a start: the node id is kept, so the address is back at once.
    await first.stop("SIGKILL");
    await first.start();
    const started = performance.now();
    await until("the restarted site is back", 5_000, async () => {
      const { received } = await ping(first.host, siteAddress(2), 1);
      return received === 1 ? true : undefined;
    });
    expect(performance.now() - started).toBeLessThan(5_000);
    const end = await hub.status();
    expect(end.peers.filter(({ kind }) => kind === "node")).toHaveLength(3);
    expect(
      end.peers.find(({ endpoint }) => endpoint?.startsWith("198.18.1.2:"))?.addresses,
    ).toEqual([siteAddress(1)]);
  });
});

async function reach(from: Host, to: string): Promise<void> {
  const { received } = await ping(from, to, 5);
  expect(received, `${from.name} to ${to}`).toBeGreaterThanOrEqual(4);
}

async function ping(from: Host, to: string, count: number, options: readonly string[] = []) {
  const command = ["ping", "-q", "-n", "-i", "0.1", "-W", "1", "-c", String(count), ...options, to];
  const { stdout } = await from.run(command);
  return { received: Number(/(\d+) received/.exec(stdout)?.[1] ?? 0) };
}
