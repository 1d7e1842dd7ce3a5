/**
 * Forwarding between two networks behind the sites, with super-packets in the middle: no packet is damaged.
 *
 * The cases differ in what the devices on the networks do. Where a site's own device has no offload, its
 * kernel must cut what was joined and finish every checksum, and the host behind it looks at each.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { damage, devicePackets } from "../../scripts/netns/counters.ts";
import { type Lab, openLab } from "../../scripts/netns/lab.ts";
import { until } from "../../scripts/netns/process.ts";
import { PORT, TUN } from "../../scripts/netns/topology.ts";
import { ping, tcpThroughput, udpFlood } from "../../scripts/netns/traffic.ts";
import { LAN, type Lans, setFeatures, startLans } from "../../scripts/netns/two-lans.ts";
import { startSender } from "../../scripts/netns/udp-sender.ts";

const TCP_BYTES = 15_000_000;
/** Beside the TCP streams, which keep iperf3's own port. */
const UDP = { seconds: 1, bytes: 1300, ratePerSecond: 2000, port: 5300 };
const { a, b } = LAN;

let lab: Lab;
let lans: Lans;

beforeAll(async () => {
  lab = openLab();
  lans = await startLans(lab);
});
afterAll(() => lab.close());

it("the hosts of two networks reach one another", async () => {
  const replies = await Promise.all([ping(lans.lanA, b.four, 5), ping(lans.lanB, a.six, 5)]);

  expect(replies.map(({ received }) => received)).toEqual([5, 5]);
});

describe.each([
  { devices: "devices as they are", site: true, host: true, gro: true, isJoined: true },
  { devices: "sites without offloads", site: false, host: true, gro: false, isJoined: true },
  { devices: "hosts without offloads", site: true, host: false, gro: true, isJoined: true },
  // Full checksums from the start: such packets are carried one by one.
  { devices: "no offload anywhere", site: false, host: false, gro: false, isJoined: false },
])("with $devices", ({ site, host, gro, isJoined }) => {
  beforeAll(async () => {
    const { lanA, lanB, pair } = lans;
    const features = (isOn: boolean) => ({ tx: isOn, tso: isOn, gso: isOn });
    for (const { host: end } of [pair.left, pair.right]) {
      await setFeatures(end, "eth1", { ...features(site), gro });
    }
    for (const end of [lanA, lanB]) await setFeatures(end, "eth0", features(host));
  });

  it("TCP and UDP get through both ways, and nothing arrives damaged", async () => {
    const { lanA, lanB } = lans;
    const before = await joined();

    const [streams, floods] = await Promise.all([
      Promise.all([
        tcpThroughput(lanA, lanB, b.four, { bytes: TCP_BYTES }),
        tcpThroughput(lanA, lanB, b.six, { bytes: TCP_BYTES, isReverse: true }),
        tcpThroughput(lanB, lanA, a.four, { bytes: TCP_BYTES }),
        tcpThroughput(lanB, lanA, a.six, { bytes: TCP_BYTES, isReverse: true }),
      ]),
      Promise.all([
        udpFlood(lanA, lanB, b.four, UDP),
        udpFlood(lanA, lanB, b.six, UDP),
        udpFlood(lanB, lanA, a.four, UDP),
        udpFlood(lanB, lanA, a.six, UDP),
      ]),
    ]);

    const after = await joined();
    for (const { bytes } of streams) expect(bytes).toBeGreaterThan(TCP_BYTES * 0.5);
    for (const { deliveredPerSecond } of floods) expect(deliveredPerSecond).toBeGreaterThan(500);
    expect(after.writes - before.writes < 0.6 * (after.packets - before.packets)).toBe(isJoined);
    await expectNoDamage();
  });
});

describe("a site without offloads", () => {
  it("makes the host behind it notice a packet that is damaged", async () => {
    const { lanB, pair } = lans;
    const agent = [process.execPath, "--import", "tsx", "scripts/netns/bad-packet-agent.ts"];
    const receiver = await startSender(lanB, "0.0.0.0", PORT);

    await setFeatures(pair.right.host, "eth1", { tx: false });
    await pair.right.host.output([...agent, a.four, b.four, String(PORT)]);

    const seen = await until("a damaged packet", 5000, async () => {
      const counters = await damage(lanB);
      return Object.keys(counters).length > 0 ? counters : undefined;
    });
    expect(seen).toEqual({ UdpInCsumErrors: 1 });
    expect((await receiver.report()).answers).toBe(0);
  });
});

/** Packets that came out of the tunnel on the right, and packets written to its device. */
async function joined(): Promise<{ readonly packets: number; readonly writes: number }> {
  const { right } = lans.pair;
  const { peers } = await right.status();
  const packets = peers[0]?.counters.inboundPackets ?? 0;
  return { packets, writes: devicePackets(right.host, TUN).rx };
}

async function expectNoDamage(): Promise<void> {
  const { lanA, lanB, pair } = lans;
  const hosts = [lanA, pair.left.host, pair.right.host, lanB];
  expect(await Promise.all(hosts.map(damage))).toEqual([{}, {}, {}, {}]);
  for (const daemon of [pair.left, pair.right]) {
    const { drops } = await daemon.status();
    expect(drops).toMatchObject({ forged: 0, inner_malformed: 0, inner_checksum: 0, tun_write: 0 });
  }
}
