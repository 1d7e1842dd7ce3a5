/**
 * A tunnel beside 20,000 junk datagrams a second, also from the live peer's own address and port.
 *
 *   left ---- right ---- stranger (in the last test with left's outer address on its loopback device)
 *
 * IPTUN_FULL=1 floods for 260 s, across two rekeys; otherwise the flood is short, and rekeys under a
 * flood are tested with a virtual clock in test/core.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readDatagrams, startCapture } from "../../scripts/netns/capture.ts";
import { type Host, type Lab, openLab } from "../../scripts/netns/lab.ts";
import { until } from "../../scripts/netns/process.ts";
import { drops } from "../../scripts/netns/status.ts";
import {
  ADDRESSES,
  addStranger,
  impersonateLeft,
  type Pair,
  PORT,
  STRANGER,
  startPair,
} from "../../scripts/netns/topology.ts";
import { Ping } from "../../scripts/netns/traffic.ts";
import { startSender } from "../../scripts/netns/udp-sender.ts";
import { IS_FULL } from "../helpers/figure.ts";

const SECONDS = IS_FULL ? 260 : 4;
const RATE = 20_000;
const { left, right } = ADDRESSES;

let lab: Lab;
let pair: Pair;
let stranger: Host;

beforeAll(async () => {
  lab = openLab();
  pair = await startPair(lab);
  stranger = addStranger(pair.right.host);
});
afterAll(() => lab.close());

describe("a flood of 20,000 datagrams a second", () => {
  it("from a stranger is counted under its address; the tunnel loses nothing", async () => {
    const sender = await startSender(stranger);
    const beside = new Ping(pair.left.host, right.inner4, 0.02);

    const order = { ratePerSecond: RATE, seconds: SECONDS };
    const report = await sender.flood({ address: STRANGER.right4, port: PORT, ...order });

    const { sent, received } = await beside.stop();
    expect(report.sent).toBeGreaterThan(RATE * SECONDS * 0.8);
    expect(report.answers).toBe(0);
    expect(received / sent).toBeGreaterThan(0.99);
    const status = await pair.right.status();
    expect(status.peers[0]?.state).toBe("up");
    const source = status.sources.find(({ address }) => address.includes(STRANGER.outer4));
    expect(source?.charged).toBeGreaterThan(100);
    expect(pair.right.logLines(STRANGER.outer4).length).toBeLessThan(SECONDS);
  });

  it("of forged data for the live session is refused without opening it", async () => {
    const sender = await startSender(stranger);
    const header = await liveHeader(pair);
    const before = await pair.right.status();
    const beside = new Ping(pair.left.host, right.inner4, 0.02);

    const order = { address: STRANGER.right4, port: PORT, bytes: 132 };
    const report = await sender.flood({ ...order, ratePerSecond: RATE, seconds: 3 }, header);

    const { sent, received } = await beside.stop();
    expect(received / sent).toBeGreaterThan(0.99);
    const after = await pair.right.status();
    const refused = drops(after, "source_limited") - drops(before, "source_limited");
    const opened = drops(after, "forged") - drops(before, "forged");
    expect(refused).toBeGreaterThan(report.sent / 2);
    // A burst of 200 and 100 a second (PROTOCOL, "Limits"), and a margin for a slow machine.
    expect(opened).toBeGreaterThan(0);
    expect(opened).toBeLessThan(1500);
  });

  it("from the live peer's own address leaves its session, and lets a restarted side come back", async () => {
    impersonateLeft(stranger);
    const sender = await startSender(stranger, left.outer4, PORT);
    const sessions = (await pair.right.status()).peers[0]?.counters.sessions;
    const order = { address: right.outer4, port: PORT, ratePerSecond: RATE };

    const beside = new Ping(pair.left.host, right.inner4, 0.02);
    await sender.flood({ ...order, seconds: SECONDS });
    const { sent, received } = await beside.stop();

    expect(received / sent).toBeGreaterThan(0.99);
    const after = await pair.right.status();
    expect(after.peers[0]?.state).toBe("up");
    if (SECONDS < 100) expect(after.peers[0]?.counters.sessions).toBe(sessions);

    const flooding = sender.flood({ ...order, seconds: 6 });
    await pair.left.stop("SIGKILL");
    await restartUnderTraffic();
    await flooding;
  });
});

/** Starts the left site again, pings until it has a session, and then until an answer comes. */
async function restartUnderTraffic(): Promise<void> {
  await pair.left.start();
  const knock = new Ping(pair.left.host, right.inner4, 0.05);
  await pair.left.waitUp(5000);
  await until("an answer through the flood", 5000, () => knock.replies.at(-1));
  await knock.stop();
}

/** The header of a captured DATA from left to right, its counter moved far ahead. */
async function liveHeader(pair: Pair): Promise<Uint8Array> {
  const capture = await startCapture(pair.right.host, "eth0", { filter: `udp dst port ${PORT}` });
  const beside = new Ping(pair.left.host, right.inner4, 0.02, ["-c", "5"]);
  await beside.finish();
  await capture.stop();
  const isFromLeft = ({ source, payload }: { source: Uint8Array; payload: Buffer }) =>
    source.join(".") === left.outer4 && payload[0] === 4;
  const datagram = readDatagrams(capture.file).find(isFromLeft);
  const header = Buffer.from(datagram?.payload.subarray(0, 16) ?? []);
  header.writeUInt32LE(1_000_000, 8);
  return header;
}
