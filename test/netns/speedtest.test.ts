/**
 * `iptun speedtest` against iperf3 through the same tunnel: over a link of 50 Mbit/s, and over one without a limit.
 */
import { expect, it } from "vitest";
import type { Daemon } from "../../scripts/netns/daemon.ts";
import { type Host, withLab } from "../../scripts/netns/lab.ts";
import { ADDRESSES, bringUp, startDaemons, startPair } from "../../scripts/netns/topology.ts";
import { Ping, tcpThroughput } from "../../scripts/netns/traffic.ts";
import { makeTwoRouters } from "../../scripts/netns/two-routers.ts";
import type { SpeedDocument } from "../../src/daemon/control/speed-tests.ts";
import { figure } from "../helpers/figure.ts";

/** Of the link between the routers, each way (tc-tbf(8)). */
const LINK = ["rate", "50mbit", "burst", "16kb", "latency", "100ms"];
const LINK_MEGABITS = 50;
/** What tbf counts of each packet beside it. */
const ETHERNET_BYTES = 14;

async function speedOf(daemon: Daemon, seconds: number): Promise<SpeedDocument> {
  const peer = daemon.settings.peers[0]?.name ?? "";
  const args = ["speedtest", peer, "--seconds", `${seconds}`, "--json"];
  const { stdout, stderr, code } = await daemon.command(args);
  expect([stderr, code]).toEqual(["", 0]);
  return JSON.parse(stdout) as SpeedDocument;
}

function told(speed: SpeedDocument): string {
  const { bitsPerSecond, innerBitsPerSecond, sent, lost, cpu } = speed;
  const [outer, inner] = [bitsPerSecond, innerBitsPerSecond].map((bits) => (bits ?? 0) / 1e6);
  const rates = `${outer?.toFixed(1)} Mbit/s, inside ${inner?.toFixed(1)}`;
  const [idle, loaded] = [speed.idleRoundTripMs, speed.loadedRoundTripMs].map((ms) =>
    (ms ?? Number.NaN).toFixed(2),
  );
  return `${rates}; ${lost} of ${sent} lost; ${idle} ms idle, ${loaded} under load; cpu ${cpu}`;
}

it("finds a link of 50 Mbit/s within a tenth, while pings go on beside it", async () => {
  await withLab(async (lab) => {
    const sites = await makeTwoRouters(lab, {});
    for (const router of [sites.r1, sites.r2]) await slowDown(router);
    await startDaemons(sites);
    await bringUp(sites);
    const [{ host: left }, { host: right }] = [sites.left, sites.right];
    await sites.left.waitForStatus("path MTU", ({ peers }) => peers[0]?.pathMtu === 1500);
    const tcp = await tcpThroughput(left, right, ADDRESSES.right.inner4, { seconds: 4 });

    const beside = new Ping(left, ADDRESSES.right.inner4, 0.05);
    const speed = await speedOf(sites.left, 4);
    const { replies, sent } = await pings(beside);

    const onLink =
      ((speed.bitsPerSecond ?? 0) * (speed.outerBytes + ETHERNET_BYTES)) / speed.outerBytes / 1e6;
    const iperf = `iperf3 TCP ${(tcp.bitsPerSecond / 1e6).toFixed(1)} Mbit/s`;
    const answered = `${replies} of ${sent} pings`;
    figure("speedtest", "50 Mbit/s by tbf", `${told(speed)}; ${iperf}; ${answered}`, "within 10 %");
    expect(speed).toMatchObject({ phase: "over", outerBytes: 1500 });
    expect(onLink).toBeGreaterThan(0.9 * LINK_MEGABITS);
    expect(onLink).toBeLessThan(1.1 * LINK_MEGABITS);
    expect(speed.lost / speed.sent).toBeLessThan(0.05);
    expect(replies).toBeGreaterThan(0.9 * sent);
  });
});

it("finds the processors' limit where the link has none, and stops with its command", async () => {
  await withLab(async (lab) => {
    const pair = await startPair(lab);
    await pair.left.waitForStatus("path MTU", ({ peers }) => peers[0]?.pathMtu === 1500);
    const tcp = await tcpThroughput(pair.left.host, pair.right.host, ADDRESSES.right.inner4, {
      seconds: 3,
    });
    const speed = await speedOf(pair.left, 3);

    const iperf = `iperf3 TCP ${(tcp.bitsPerSecond / 1e6).toFixed(0)} Mbit/s`;
    figure("speedtest", "veth without a limit", `${told(speed)}; ${iperf}`, "above 50 Mbit/s");
    expect(speed.bitsPerSecond).toBeGreaterThan(50e6);
    const quality = (await pair.left.status()).peers[0]?.quality;
    expect(quality?.outboundLoss ?? 0).toBeLessThan(0.01);
  });
});

async function pings(ping: Ping): Promise<{ replies: number; sent: number }> {
  const { replies, sent } = await ping.stop();
  return { replies: replies.length, sent };
}

async function slowDown(router: Host): Promise<void> {
  await router.output(["tc", "qdisc", "add", "dev", "eth1", "root", "tbf", ...LINK]);
}
