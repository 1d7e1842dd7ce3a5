/**
 * The lab itself: what the other tests here stand on must be shown to work, and to leave nothing.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readDatagrams, startCapture } from "../../scripts/netns/capture.ts";
import { type Lab, openLab, sweepDeadLabs, withLab } from "../../scripts/netns/lab.ts";
import { pause, ROOT, runNow } from "../../scripts/netns/process.ts";
import { type Disturbance, relayedHosts } from "../../scripts/netns/relay.ts";
import { ADDRESSES, PORT, twoHosts } from "../../scripts/netns/topology.ts";
import { longestGapMs, Ping, ping, tcpThroughput } from "../../scripts/netns/traffic.ts";
import { startSender, type UdpSender } from "../../scripts/netns/udp-sender.ts";

const { left, right } = ADDRESSES;
const PERFECT: Disturbance = { loss: 0, delayMs: 0, jitterMs: 0, duplicate: 0, seed: 1 };

describe("a lab", () => {
  it("leaves no namespace, process or folder, also when its body throws", async () => {
    let leftover = { netns: "", pid: 0, dir: "" };

    await expect(
      withLab(async (lab) => {
        const host = lab.addHost("only");
        leftover = { netns: host.netns, pid: host.start(["sleep", "60"]).pid, dir: lab.dir };
        expect(runNow(["ip", "netns"])).toContain(leftover.netns);
        throw new Error("on purpose");
      }),
    ).rejects.toThrow("on purpose");

    await pause(100);
    expect(runNow(["ip", "netns"])).not.toContain(leftover.netns);
    expect(existsSync(`/proc/${leftover.pid}`)).toBe(false);
    expect(existsSync(leftover.dir)).toBe(false);
  });

  it.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)(
    "of a program that ends by %s is removed, by itself or by the next sweep",
    (signal) => {
      const program = `
        import { openLab } from "./scripts/netns/lab.ts";
        const host = openLab().addHost("dying");
        host.start(["sleep", "60"]);
        process.stdout.write(host.netns);
        process.kill(process.pid, "${signal}");
        setTimeout(() => {}, 1000);`;
      const args = ["--import", "tsx", "--input-type=module", "-e", program];

      const ended = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" });
      if (signal === "SIGKILL") sweepDeadLabs();

      expect(ended.signal).toBe(signal);
      expect(ended.stdout).toMatch(/^iptun-\d+-1-dying$/);
      expect(runNow(["ip", "netns"])).not.toContain(ended.stdout);
    },
  );
});

describe("two hosts of a lab", () => {
  let lab: Lab;
  let hosts: ReturnType<typeof twoHosts>;

  beforeAll(() => {
    lab = openLab();
    hosts = twoHosts(lab);
  });
  afterAll(() => lab.close());

  it("answer ping over IPv4 and IPv6", async () => {
    const four = await ping(hosts.left, right.outer4, 3);
    const six = await ping(hosts.left, right.outer6, 3);

    expect([four.received, six.received]).toEqual([3, 3]);
    expect(four.replies.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  });

  it("show a ping what it missed", async () => {
    const running = new Ping(hosts.left, right.outer4, 0.02);
    await pause(300);
    hosts.right.sysctl("net.ipv4.icmp_echo_ignore_all", "1");
    await pause(400);
    hosts.right.sysctl("net.ipv4.icmp_echo_ignore_all", "0");
    await pause(300);

    const { sent, received, replies } = await running.stop();

    expect(received).toBeLessThan(sent);
    expect(longestGapMs(replies)).toBeGreaterThan(350);
  });

  it("carry TCP either way", async () => {
    const there = await tcpThroughput(hosts.left, hosts.right, right.outer4, { bytes: 5e7 });
    const back = await tcpThroughput(hosts.left, hosts.right, right.outer4, {
      bytes: 5e7,
      isReverse: true,
    });

    expect(there.bytes).toBeGreaterThan(2e7);
    expect(back.bytes).toBeGreaterThan(2e7);
  });

  it.each([
    { family: "IPv4", any: "0.0.0.0", source: left.outer4, target: right.outer4, bytes: 4 },
    { family: "IPv6", any: "::", source: left.outer6, target: right.outer6, bytes: 16 },
  ])("show an eavesdropper their $family datagrams", async ({ any, target, bytes }) => {
    const capture = await startCapture(hosts.right, "eth0", { filter: "udp" });
    const sender = await startSender(hosts.left, any, 4321);

    await sender.send(target, PORT, [Buffer.from("first"), Buffer.from("second")]);
    await pause(200);
    await capture.stop();
    await sender.close();

    const datagrams = readDatagrams(capture.file);
    expect(datagrams.map(({ payload }) => payload.toString())).toEqual(["first", "second"]);
    expect(datagrams[0]).toMatchObject({ sourcePort: 4321, destinationPort: PORT });
    expect(datagrams[0]?.source).toHaveLength(bytes);
  });
});

describe("a relay", () => {
  let lab: Lab;
  let hosts: Awaited<ReturnType<typeof relayedHosts>>;
  let sender: UdpSender;
  let receiver: UdpSender;

  beforeAll(async () => {
    lab = openLab();
    hosts = await relayedHosts(lab);
    sender = await startSender(hosts.left);
    receiver = await startSender(hosts.right, "0.0.0.0", PORT);
  });
  afterAll(() => lab.close());

  /** Datagrams that the receiver gets while `work` runs and shortly after. */
  async function received(work: () => Promise<unknown>): Promise<number> {
    const before = (await receiver.report()).answers;
    await work();
    await pause(200);
    return (await receiver.report()).answers - before;
  }

  it("records what passes, by message type, and sends it again", async () => {
    const datagrams = [Buffer.from([1]), Buffer.from([4, 1]), Buffer.from([4, 2])];

    const answers = await received(async () => {
      await sender.send(right.outer4, PORT, datagrams);
      const { recordedForward } = await hosts.relay.order({ kind: "report" });
      expect(recordedForward).toEqual({ 1: 1, 4: 2 });
      await hosts.relay.order({ kind: "replay", direction: "forward" });
    });

    expect(answers).toBe(6);
  });

  it.each([
    { what: "nothing", disturbance: PERFECT, least: 500, most: 500 },
    { what: "half", disturbance: { ...PERFECT, loss: 0.5 }, least: 180, most: 320 },
    {
      what: "less than nothing",
      disturbance: { ...PERFECT, duplicate: 0.5 },
      least: 680,
      most: 820,
    },
  ])("that is told to lose $what does so", async ({ disturbance, least, most }) => {
    await hosts.relay.order({ kind: "disturb", disturbance });

    const answers = await received(() =>
      sender.send(right.outer4, PORT, Array(500).fill(Buffer.from([4, 1, 2, 3]))),
    );

    expect(answers).toBeGreaterThanOrEqual(least);
    expect(answers).toBeLessThanOrEqual(most);
  });
});
