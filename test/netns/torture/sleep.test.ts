/**
 * H3: a process that is stopped (SIGSTOP) for as long as the plan says, while pings go on: how long until they are answered
 * again, and how old the keys were of what was sent.
 *
 * The age of a key is taken from the wire: of each session index, the time from the first datagram under it to the last.
 * All times of the plan run beside each other, each in a lab of its own, for a stopped process costs nothing.
 */
import { expect, it } from "vitest";
import { type Datagram, readDatagrams, startCapture } from "../../../scripts/netns/capture.ts";
import { withLab } from "../../../scripts/netns/lab.ts";
import { pause, until } from "../../../scripts/netns/process.ts";
import { ADDRESSES, startPair } from "../../../scripts/netns/topology.ts";
import { Ping, type PingReply } from "../../../scripts/netns/traffic.ts";
import { figure } from "../../helpers/figure.ts";
import { amount } from "../../helpers/full.ts";
import { slowness } from "../../helpers/slowness.ts";
import { receiverIndex, TYPE, typeOf } from "../../helpers/wire-view.ts";

const SECONDS = amount({ quick: [1], short: [1, 60, 200], full: [1, 60, 200, 600] });
/** PROTOCOL §8: neither sealed nor opened with from this age on. */
const KEY_LIVES_SECONDS = 180;
const BACK_MS = 2_000;

it(`H3 stopped for ${SECONDS.join(", ")} s: back within 2 s, no key older than 180 s`, async () => {
  const found = await Promise.all(SECONDS.map((seconds) => stopFor(seconds)));
  for (const { seconds, backMs, oldestSeconds } of found) {
    const measured = `answers after ${backMs} ms both ways; oldest key in use ${oldestSeconds.toFixed(1)} s`;
    figure("H3", `SIGSTOP for ${seconds} s`, measured, "<= 2,000 ms + a round trip, <= 180 s");
  }
  for (const { backMs, oldestSeconds } of found) {
    expect(backMs).toBeLessThan(BACK_MS * slowness());
    expect(oldestSeconds).toBeLessThanOrEqual(KEY_LIVES_SECONDS);
  }
}, 700_000);

interface Stopped {
  readonly seconds: number;
  readonly backMs: number;
  readonly oldestSeconds: number;
}

/** Stops the left end under pings both ways, and lets it go on. */
async function stopFor(seconds: number): Promise<Stopped> {
  return await withLab(async (lab) => {
    const { left, right } = await startPair(lab);
    const capture = await startCapture(right.host, "eth0", { filter: "udp" });
    const pings = [
      new Ping(left.host, ADDRESSES.right.inner4, 0.1),
      new Ping(right.host, ADDRESSES.left.inner4, 0.1),
    ];
    await until("answers", 5_000, () => pings.every((one) => one.replies.length > 3) || undefined);

    left.child.signal("SIGSTOP");
    await pause(seconds * 1_000);
    const resumedAt = Date.now() / 1_000;
    left.child.signal("SIGCONT");
    // What was asked while it stood still is answered too, late.
    const isFresh = ({ at, rttMs }: PingReply) => at - rttMs / 1_000 > resumedAt;
    const answers = pings.map((one) => until("an answer", 30_000, () => one.replies.find(isFresh)));
    const backMs = (await Promise.all(answers)).map(({ at }) => (at - resumedAt) * 1_000);
    await pause(1_000);
    await Promise.all(pings.map((one) => one.stop()));
    await capture.stop();
    return {
      seconds,
      backMs: Math.round(Math.max(...backMs)),
      oldestSeconds: oldestKeySeconds(readDatagrams(capture.file)),
    };
  });
}

/** The longest time that datagrams were seen under one session index, by sender. */
function oldestKeySeconds(datagrams: readonly Datagram[]): number {
  const first = new Map<string, number>();
  let longest = 0;
  for (const { at, source, payload } of datagrams) {
    if (typeOf(payload) !== TYPE.DATA) continue;
    const key = `${Buffer.from(source).toString("hex")} ${receiverIndex(payload)}`;
    const since = first.get(key) ?? at;
    first.set(key, since);
    longest = Math.max(longest, at - since);
  }
  if (first.size === 0) throw new Error("no data was captured");
  return longest;
}
