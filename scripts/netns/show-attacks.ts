/**
 * Four attackers of the demo, each refused by a counter that `iptun status` shows.
 *
 * They stand on a wire of their own to the right site and know what an eavesdropper knows: the session
 * index and every datagram that crossed. None has the key.
 */
import { randomBytes } from "node:crypto";
import { type Datagram, readDatagrams, startCapture } from "./capture.ts";
import { Daemon } from "./daemon.ts";
import type { Host } from "./lab.ts";
import { delivered, drops, type Status } from "./status.ts";
import { ADDRESSES, addStranger, hostPort, type Pair, PORT, STRANGER, TUN } from "./topology.ts";
import { ping } from "./traffic.ts";
import { startSender, type UdpSender } from "./udp-sender.ts";

const COPIES = 20;
const FLOOD_PER_SECOND = 20_000;
const FLOOD_SECONDS = 2;
/** PROTOCOL, "Limits": opens of data from other addresses than the endpoint, of all sources together. */
const OPENS_PER_SECOND = 5_000;

/** What came of one attack. */
export interface Attack {
  readonly title: string;
  readonly isRefused: boolean;
  readonly detail: string;
}

/** Tries all four, telling the outcome of each. `genuine`: captured DATA, left to right. */
export async function attack(
  pair: Pair,
  genuine: readonly Datagram[],
  strangersKey: string,
  tell: (outcome: Attack) => void,
): Promise<void> {
  const last = genuine.at(-1)?.payload;
  if (last === undefined) throw new Error("the capture holds no data of the tunnel");
  const stranger = addStranger(pair.right.host);
  const sender = await startSender(stranger);
  tell(await forge(pair, sender, last));
  tell(await replay(pair, sender, last));
  tell(await wrongKey(pair, stranger, strangersKey));
  tell(await flood(pair, sender, last));
}

/** DATA of random bytes for the live session, with a counter not seen before. */
async function forge(pair: Pair, sender: UdpSender, genuine: Buffer): Promise<Attack> {
  const forged = Array.from({ length: COPIES }, () =>
    Buffer.concat([forgedHeader(genuine), randomBytes(100)]),
  );
  const before = await pair.right.status();
  await sender.send(STRANGER.right4, PORT, forged);
  const after = await waitForDrops(pair, before, ["forged"], COPIES);
  return outcome("forged datagrams", "forged", before, after, COPIES);
}

/** A captured datagram, sent again from another address. */
async function replay(pair: Pair, sender: UdpSender, genuine: Buffer): Promise<Attack> {
  const before = await pair.right.status();
  const copies = Array.from({ length: COPIES }, () => genuine);
  await sender.send(STRANGER.right4, PORT, copies);
  const after = await waitForDrops(pair, before, ["replayed"], COPIES);
  return outcome("a replayed datagram", "replayed", before, after, COPIES);
}

/** An iptun with another key, which takes the right site for its peer. */
async function wrongKey(pair: Pair, stranger: Host, keyFile: string): Promise<Attack> {
  const before = await pair.right.status();
  const capture = await startCapture(stranger, "eth0", { filter: `udp src port ${PORT}` });
  const settings = {
    device: TUN,
    addresses: ["10.77.0.3/24"],
    listen: `[::]:${PORT}`,
    peers: [{ name: "right", keyFile, endpoint: hostPort(STRANGER.right4), keepalive: 1 }],
  };
  const daemon = new Daemon(stranger, settings);
  await daemon.start();
  // Two INITs mean that the first one was not answered.
  const reasons = ["unknown_hint", "bad_mac"];
  const knock = ping(stranger, ADDRESSES.right.inner4, 2, 0.5);
  const after = await waitForDrops(pair, before, reasons, 2);
  await knock;
  const { peers } = await daemon.status();
  await Promise.all([daemon.stop(), capture.stop()]);
  const isAnswer = ({ source }: Datagram) => source.join(".") === STRANGER.right4;
  const answers = readDatagrams(capture.file).filter(isAnswer).length;
  const refused = grown(before, after, reasons);
  return {
    title: "an iptun with another key",
    isRefused: answers === 0 && peers[0]?.state !== "up",
    detail: `unknown_hint +${refused}, no answer; its peer is "${peers[0]?.state}"`,
  };
}

/** 20,000 forged datagrams a second for the live session; the tunnel goes on beside it. */
async function flood(pair: Pair, sender: UdpSender, genuine: Buffer): Promise<Attack> {
  const before = await pair.right.status();
  const order = { address: STRANGER.right4, port: PORT, bytes: 132 };
  const flooding = sender.flood(
    { ...order, ratePerSecond: FLOOD_PER_SECOND, seconds: FLOOD_SECONDS },
    forgedHeader(genuine),
  );
  const { sent, received } = await ping(pair.left.host, ADDRESSES.right.inner4, 30);
  const report = await flooding;
  const after = await pair.right.status();
  const limited = grown(before, after, ["source_limited"]);
  const opened = grown(before, after, ["forged"]);
  const isLimited = limited > report.sent / 2 && opened < OPENS_PER_SECOND * FLOOD_SECONDS;
  return {
    title: `a flood of ${report.sent} datagrams`,
    isRefused: isLimited && received === sent && report.answers === 0,
    detail: `source_limited +${limited}, forged +${opened}; ping beside it ${received} of ${sent}`,
  };
}

/** The header of a DATA datagram of the same session, its counter far ahead of the window. */
function forgedHeader(genuine: Buffer): Buffer {
  const header = Buffer.from(genuine.subarray(0, 16));
  header.writeUInt32LE(header.readUInt32LE(8) + 1_000_000, 8);
  return header;
}

async function waitForDrops(
  pair: Pair,
  before: Status,
  reasons: readonly string[],
  count: number,
): Promise<Status> {
  const what = `${count} drops as ${reasons.join(" or ")}`;
  return await pair.right.waitForStatus(what, (status) => grown(before, status, reasons) >= count);
}

function grown(before: Status, after: Status, reasons: readonly string[]): number {
  return reasons.reduce((sum, reason) => sum + drops(after, reason) - drops(before, reason), 0);
}

function outcome(
  title: string,
  reason: string,
  before: Status,
  after: Status,
  count: number,
): Attack {
  const isUnmoved = before.peers[0]?.endpoint === after.peers[0]?.endpoint;
  const passed = delivered(after) - delivered(before);
  return {
    title,
    isRefused: grown(before, after, [reason]) === count && isUnmoved && passed === 0,
    detail: `${reason} +${grown(before, after, [reason])}; delivered ${passed}, endpoint unmoved`,
  };
}
