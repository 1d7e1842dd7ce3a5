/**
 * What the labs' ping makes of the program's output, above all of the requests that are in flight at its end.
 */
import { expect, it } from "vitest";
import { Child } from "../../scripts/netns/process.ts";
import { Ping } from "../../scripts/netns/traffic.ts";

it.each([
  ["every answer", [1, 2, 3, 4], 4, 4],
  ["every answer, out of order", [1, 2, 4, 3], 4, 4],
  ["no answer to the last request", [1, 2, 3], 3, 3],
  ["no answer to one before the last", [1, 3, 4], 4, 3],
  ["no answer to the last two", [1, 2], 3, 2],
  ["no answer at all", [], 3, 0],
])(
  "a stopped ping with %s lost what it waited for in vain",
  async (_, sequences, sent, received) => {
    const ping = await endedPing(4, sequences);

    const result = await ping.stop();

    expect([result.sent, result.received]).toEqual([sent, received]);
  },
);

it("a ping that was stopped before its first request lost nothing", async () => {
  const ping = await endedPing(0, []);

  expect(await ping.stop()).toMatchObject({ sent: 0, received: 0 });
});

it("a long ping's sequence numbers begin again after 16 bits", async () => {
  const answered = await endedPing(65_540, [65_534, 65_535, 0, 1, 2, 3, 4]);
  const unanswered = await endedPing(65_540, [65_534, 65_535, 0, 1, 2, 3]);

  const results = [await answered.stop(), await unanswered.stop()];

  expect(results.map(({ sent }) => sent)).toEqual([65_540, 65_539]);
});

it("a ping that ends by its count lost its last request too", async () => {
  const ping = await endedPing(4, [1, 2, 3]);

  expect(await ping.finish()).toMatchObject({ sent: 4, received: 3 });
});

it("a ping that sends faster has more under way when it ends: those of the last 100 ms", async () => {
  const ping = await endedPing(20, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.02);

  expect(await ping.stop()).toMatchObject({ sent: 15, received: 10 });
});

/** A ping that has said what iputils says of `sent` requests and these answers. */
async function endedPing(
  sent: number,
  sequences: readonly number[],
  intervalSeconds = 0.1,
): Promise<Ping> {
  const output = [
    "PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.",
    ...sequences.map(
      (sequence, at) =>
        `[1700000000.${at + 100_000}] 64 bytes from 10.0.0.2: icmp_seq=${sequence} ttl=64 time=0.05 ms`,
    ),
    "",
    "--- 10.0.0.2 ping statistics ---",
    `${sent} packets transmitted, ${sequences.length} received, 0% packet loss, time 60ms`,
  ];
  const child = new Child(["printf", "%s\\n", ...output]);
  await child.ended;
  return new Ping({ start: () => child }, "10.0.0.2", intervalSeconds);
}
