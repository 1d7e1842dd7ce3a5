/**
 * H15: signals in storms, and SIGTERM at any moment of a start and a handshake.
 *
 * The trap: what arrives while Node itself starts ends the process as the signal says, before any script could
 * listen (src/main.ts); nothing may be left behind then either.
 */
import { expect, it } from "vitest";
import { withLab } from "../../../scripts/netns/lab.ts";
import { finish, pause } from "../../../scripts/netns/process.ts";
import { ADDRESSES, makePair, startPair } from "../../../scripts/netns/topology.ts";
import { Ping } from "../../../scripts/netns/traffic.ts";
import { figure } from "../../helpers/figure.ts";
import { amount } from "../../helpers/full.ts";
import { Random } from "../../helpers/random.ts";
import { slowness } from "../../helpers/slowness.ts";
import { networkOf } from "./leftovers.ts";

const STORM_SIGNALS = ["SIGUSR1", "SIGUSR2", "SIGHUP"] as const;
const SIGNALS = amount({ quick: 300, short: 1_000, full: 10_000 });
const ENDS = amount({ quick: 3, short: 25, full: 300 });
/** Start, handshake and the first packets all lie in it. */
const LATEST_MS = 1_500;
const LIMIT_MS = 1_000;

it(`H15 ${SIGNALS} signals in a storm open no debugger and lose no packet`, async () => {
  await withLab(async (lab) => {
    const { left } = await startPair(lab);
    const random = new Random(15);
    const pings = new Ping(left.host, ADDRESSES.right.inner4, 0.01);
    await pause(300);

    for (let sent = 0; sent < SIGNALS; sent += 1) {
      left.child.signal(STORM_SIGNALS[random.below(STORM_SIGNALS.length)] ?? "SIGHUP");
      if (sent % 10 === 0) await pause(10);
    }
    await pause(500);
    const { sent, received } = await pings.stop();
    const ports = await left.host.output(["ss", "-ltnH"]);

    const lost = sent - received;
    const measured = `${lost} of ${sent} pings lost, listening: ${ports.trim() || "none"}`;
    figure("H15", `${SIGNALS} of SIGUSR1, SIGUSR2, SIGHUP`, measured, "no debugger port, 0 lost");
    expect(left.child.isRunning).toBe(true);
    expect(ports).toBe("");
    expect(lost).toBe(0);
  });
}, 120_000);

it(`H15 SIGTERM at ${ENDS} moments of start and handshake ends cleanly within a second`, async () => {
  await withLab(async (lab) => {
    const { left, right } = await makePair(lab);
    await right.start();
    const before = await networkOf(left.host);
    const random = new Random(16);
    const limitMs = LIMIT_MS * slowness();
    const tookMs: number[] = [];
    const unclean: string[] = [];

    for (let end = 0; end < ENDS; end += 1) {
      const waitMs = Math.round(((end + random.fraction()) / ENDS) * LATEST_MS);
      const child = left.spawn();
      await pause(waitMs);
      const started = performance.now();
      child.signal("SIGTERM");
      const { code, signal, stderr } = await finish(child, 10_000);
      tookMs.push(performance.now() - started);
      const isClean = code === 0 || (signal === "SIGTERM" && stderr === "");
      const after = await networkOf(left.host);
      if (!isClean || after !== before) unclean.push(`${waitMs} ms: ${code} ${stderr}${after}`);
    }

    const longest = Math.round(Math.max(...tookMs));
    const measured = `${unclean.length} unclean, longest ${longest} ms`;
    figure("H15", `SIGTERM at ${ENDS} moments of a start`, measured, "clean, <= 1,000 ms");
    expect(unclean).toEqual([]);
    expect(longest).toBeLessThan(limitMs);
  });
}, 1_800_000);
