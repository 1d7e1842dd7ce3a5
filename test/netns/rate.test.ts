/**
 * A ping beside a bulk transfer through a slow link with a long queue, which a rate keeps empty.
 */
import { expect, it } from "vitest";
import { type Host, withLab } from "../../scripts/netns/lab.ts";
import { pause } from "../../scripts/netns/process.ts";
import { ADDRESSES, bringUp, startDaemons } from "../../scripts/netns/topology.ts";
import { Ping, percentileMs, ping, tcpThroughput } from "../../scripts/netns/traffic.ts";
import { makeTwoRouters } from "../../scripts/netns/two-routers.ts";
import { figure } from "../helpers/figure.ts";
import { slowness } from "../helpers/slowness.ts";

/** Of the link between the routers, each way: its rate, and how long its queue may become (tc-tbf(8)). */
const LINK = ["rate", "50mbit", "burst", "16kb", "latency", "1s"];
const RATE = "45mbit";
const INTERVAL_SECONDS = 0.01;
const BULK_SECONDS = 6;
/** TCP's start, before its window is what the path carries. */
const START_MS = 1_000;
const MOST_MS = 15;

it("a ping beside bulk TCP waits at most 15 ms longer where the link has 50 Mbit/s and a second of queue", async () => {
  await withLab(async (lab) => {
    const peer = { rate: RATE };
    const sites = await makeTwoRouters(lab, { left: { peer }, right: { peer } });
    for (const router of [sites.r1, sites.r2]) await slowDown(router);
    await startDaemons(sites);
    await bringUp(sites);
    const [{ host: left }, { host: right }] = [sites.left, sites.right];
    const base = await ping(left, ADDRESSES.right.inner4, 200, INTERVAL_SECONDS);

    const bulk = tcpThroughput(left, right, ADDRESSES.right.inner4, { seconds: BULK_SECONDS });
    await pause(START_MS);
    const beside = new Ping(left, ADDRESSES.right.inner4, INTERVAL_SECONDS);
    await pause(BULK_SECONDS * 1_000 - 2 * START_MS);
    const loaded = await beside.stop();
    const megabits = (await bulk).bitsPerSecond / 1e6;
    const pacing = (await sites.left.status()).peers[0]?.pacing;

    const [alone, p99] = [percentileMs(base.replies, 0.99), percentileMs(loaded.replies, 0.99)];
    const pings = `ping p99 ${alone} ms alone, ${p99} ms beside ${megabits.toFixed(1)} Mbit/s`;
    const dropped = `${pacing?.dropped} dropped, ${pacing?.marked} marked`;
    figure("rate", `${RATE}, ${loaded.replies.length} pings`, `${pings}; ${dropped}`, "15 ms more");
    expect(loaded.replies.length).toBeGreaterThan(300);
    expect(p99 - alone).toBeLessThan(MOST_MS * slowness());
    // What the rate leaves of it without headers is 41; less what TCP takes to find it.
    expect(megabits).toBeGreaterThan(30 / slowness());
  });
});

async function slowDown(router: Host): Promise<void> {
  await router.output(["tc", "qdisc", "add", "dev", "eth1", "root", "tbf", ...LINK]);
}
