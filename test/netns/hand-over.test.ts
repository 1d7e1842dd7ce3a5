/**
 * A tunnel that goes on while its process is replaced, under ping at 10 ms, both ways.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../../scripts/netns/daemon.ts";
import { type Lab, openLab } from "../../scripts/netns/lab.ts";
import { until } from "../../scripts/netns/process.ts";
import { ADDRESSES, type Pair, startPair, TUN } from "../../scripts/netns/topology.ts";
import { Ping } from "../../scripts/netns/traffic.ts";
import { figure } from "../helpers/figure.ts";
import { slowness } from "../helpers/slowness.ts";

/** The figures that must be met: pings of every 10 ms. */
const HAND_OVER_LOST = 20;
const RESTART_LOST = 60;
const EVERY_SECONDS = 0.01;

let lab: Lab;
let pair: Pair;

beforeAll(async () => {
  lab = openLab();
  pair = await startPair(lab);
});
afterAll(() => lab.close());

describe.each(["left", "right"] as const)("the process of the %s site", (side) => {
  it("hands its tunnel over to a new one, which keeps the device", async () => {
    const daemon = pair[side];
    const before = deviceIndex(daemon);
    const pings = await startPings();

    const old = await daemon.replace();
    const lost = await lostOf(pings);

    figure("hand-over", `${side} is replaced`, `${lost.join(" and ")} pings lost`, "at most 20");
    expect(old).toMatchObject({ code: 0, signal: undefined });
    expect(old.stderr).not.toMatch(/warn|error/);
    expect(daemon.log).not.toMatch(/warn|error/);
    expect(deviceIndex(daemon)).toBe(before);
    expect(Math.max(...lost)).toBeLessThanOrEqual(HAND_OVER_LOST * slowness());
  });

  it("is stopped and started again", async () => {
    const daemon = pair[side];
    const pings = await startPings();

    await daemon.stop("SIGTERM");
    daemon.spawn();
    const lost = await lostOf(pings);

    figure("hand-over", `${side} is restarted`, `${lost.join(" and ")} pings lost`, "at most 60");
    expect(Math.max(...lost)).toBeLessThanOrEqual(RESTART_LOST * slowness());
  });
});

/** From each side to the other, answered. */
async function startPings(): Promise<readonly Ping[]> {
  const pings = [
    new Ping(pair.left.host, ADDRESSES.right.inner4, EVERY_SECONDS),
    new Ping(pair.right.host, ADDRESSES.left.inner4, EVERY_SECONDS),
  ];
  await untilAnswered(pings);
  return pings;
}

/** Until each has an answer to a request of now. */
async function untilAnswered(pings: readonly Ping[]): Promise<void> {
  const from = Date.now() / 1000;
  const isLater = ({ at }: { readonly at: number }) => at > from;
  for (const ping of pings) {
    await until("answer", 20_000, () => ping.replies.find(isLater));
  }
}

/** How many each lost until it was answered again. */
async function lostOf(pings: readonly Ping[]): Promise<readonly number[]> {
  await untilAnswered(pings);
  const results = await Promise.all(pings.map((ping) => ping.stop()));
  return results.map(({ sent, received }) => sent - received);
}

/** Index of the tunnel's device: another one has another. */
function deviceIndex(daemon: Daemon): string | undefined {
  return daemon.host.ip("-o", "link", "show", TUN).split(":")[0];
}
