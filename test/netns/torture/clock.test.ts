/**
 * H4: wall clocks that are wrong or step, of real processes, by libfaketime: it answers the wall clock's calls with what a
 * file says at that moment, and leaves the other clocks alone.
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Daemon } from "../../../scripts/netns/daemon.ts";
import { type Lab, openLab } from "../../../scripts/netns/lab.ts";
import { pause } from "../../../scripts/netns/process.ts";
import { ADDRESSES, makePair, type Pair, startDaemons } from "../../../scripts/netns/topology.ts";
import { Ping, ping } from "../../../scripts/netns/traffic.ts";
import { postTo } from "../../../src/daemon/control/control-client.ts";
import { API_PATH } from "../../../src/daemon/control/control-paths.ts";
import { figure } from "../../helpers/figure.ts";
import { amount, TORTURE } from "../../helpers/full.ts";
import { slowness } from "../../helpers/slowness.ts";

/** Debian's places, by processor. */
const LIBRARIES = ["x86_64", "aarch64"].map(
  (processor) => `/usr/lib/${processor}-linux-gnu/faketime/libfaketime.so.1`,
);
const STEPS = amount({ quick: 0, short: 20, full: 300 });
/** Two round trips and a second, and what a question to the control socket takes. */
const HANDSHAKE_MS = 1_100;
const NO_OFFSET = "+0";
/** Once a second is as often as the control socket takes a wish for a new session. */
const WISH_MS = 1_100;
const CASES = [
  ["left +1 year", "+1y", NO_OFFSET],
  ["left -1 year", "-1y", NO_OFFSET],
  ["both +1 year", "+1y", "+1y"],
  ["both -1 year", "-1y", "-1y"],
  ["left +1 year, right -1 year", "+1y", "-1y"],
] as const;

let lab: Lab;
let pair: Pair;
const offsetFiles: Record<string, string> = {};
/** By performance.now(), when a session was last wished for. */
let wishedAt = Number.NEGATIVE_INFINITY;

beforeAll(async () => {
  lab = openLab();
  const [left, right] = ["left", "right"].map((side) => ({ wrapper: withClock(side) }));
  pair = await makePair(lab, { ...(left && { left }), ...(right && { right }) });
  await startDaemons(pair);
});
afterAll(() => lab.close());

it.runIf(TORTURE !== undefined).each(CASES)(
  "H4 %s: no packet is lost, and the next session comes in time",
  async (what, left, right) => {
    const pings = new Ping(pair.left.host, ADDRESSES.right.inner4, 0.02);
    await pause(300);
    setClock("left", left);
    setClock("right", right);
    await pause(700);

    const tookMs = await rekey(pair.left);
    const { sent, received } = await pings.stop();
    const year = new Date(
      pair.left.log.trim().split("\n").at(-1)?.split(" ")[0] ?? "",
    ).getFullYear();

    const measured = `${sent - received} of ${sent} lost, new session after ${tookMs} ms, log of ${year}`;
    figure("H4", what, measured, "0 lost, <= 2 round trips + 1 s");
    expect(year).toBe(new Date().getFullYear() + yearsOf(left));
    expect(sent - received).toBe(0);
    expect(tookMs).toBeLessThan(HANDSHAKE_MS * slowness());
  },
);

it.runIf(TORTURE !== undefined)(
  "H4 a start a year behind the last one comes up by a challenge, in time",
  async () => {
    setClock("left", NO_OFFSET);
    setClock("right", NO_OFFSET);
    await rekey(pair.left);
    await pair.left.stop("SIGKILL");
    setClock("left", "-1y");
    const started = performance.now();
    await pair.left.start();
    await pair.left.waitUp();
    const tookMs = Math.round(performance.now() - started);
    const pings = await ping(pair.left.host, ADDRESSES.right.inner4, 1);

    const measured = `up ${tookMs} ms after the start of its process`;
    figure("H4", "restart a year behind", measured, "<= 2 round trips + 1 s");
    expect(pings.received).toBe(1);
    expect(tookMs).toBeLessThan(HANDSHAKE_MS * slowness());
  },
);

it.runIf(TORTURE !== undefined)(
  `H4 ${STEPS} steps of a clock, one a second: no packet is lost, sessions go on`,
  async () => {
    setClock("left", NO_OFFSET);
    const pings = new Ping(pair.left.host, ADDRESSES.right.inner4, 0.02);
    let longest = 0;
    for (let step = 0; step < STEPS; step += 1) {
      setClock(step % 2 === 0 ? "left" : "right", `${step % 3 === 0 ? "-" : "+"}${step * 7}`);
      longest = Math.max(longest, await rekey(pair.left));
    }
    const { sent, received } = await pings.stop();

    const measured = `${sent - received} of ${sent} lost, longest time to a new session ${longest} ms`;
    figure("H4", `${STEPS} steps, a rekey each second`, measured, "0 lost, <= 2 round trips + 1 s");
    expect(sent - received).toBe(0);
    expect(longest).toBeLessThan(HANDSHAKE_MS * slowness());
  },
  600_000,
);

/** Preloads the library for a side whose clock is `setClock`'s. */
function withClock(side: string): readonly string[] {
  const library = LIBRARIES.find((path) => existsSync(path));
  if (library === undefined) throw new Error("no libfaketime; scripts/setup test installs it");
  const file = join(lab.dir, `${side}-clock`);
  offsetFiles[side] = file;
  setClock(side, NO_OFFSET);
  return [
    "env",
    `LD_PRELOAD=${library}`,
    `FAKETIME_TIMESTAMP_FILE=${file}`,
    ...["FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"],
  ];
}

function setClock(side: string, offset: string): void {
  writeFileSync(offsetFiles[side] ?? "", `${offset}\n`);
}

function yearsOf(offset: string): number {
  return offset === NO_OFFSET ? 0 : Number(offset.slice(0, 2));
}

/** Milliseconds until a new session is confirmed. */
async function rekey(daemon: Daemon): Promise<number> {
  const before = (await daemon.waitForStatus("a session", ({ peers }) => peers[0]?.state === "up"))
    .peers[0]?.counters.sessions;
  // For its line in the log, which has the daemon's idea of the year.
  daemon.child.signal("SIGHUP");
  await pause(Math.max(0, wishedAt + WISH_MS - performance.now()));
  const started = performance.now();
  wishedAt = started;
  await postTo(daemon.socketPath, API_PATH.rekey, 5_000);
  await daemon.waitForStatus("a new session", ({ peers }) => {
    return (peers[0]?.counters.sessions ?? 0) > (before ?? 0);
  });
  return Math.round(performance.now() - started);
}
