/**
 * A hub whose sites all start at once, pairs and a group; scripts/measure-crowd has the figures for 1,256.
 */
import { expect, it } from "vitest";
import { startCrowd } from "../../scripts/netns/crowd.ts";
import { withLab } from "../../scripts/netns/lab.ts";
import { figure } from "../helpers/figure.ts";
import { amount, TORTURE } from "../helpers/full.ts";
import { slowness } from "../helpers/slowness.ts";

const [PAIRS, NODES] = amount({ quick: [100, 50], short: [1_000, 0], full: [1_000, 256] } as const);

it(`H13 ${PAIRS} pairs and a group of ${NODES} come up, each with its address, and a session beside them loses nothing`, async () => {
  await withLab(async (lab) => {
    const { upMs, addresses, lostPings, loopDelay } = await startCrowd(lab, PAIRS, NODES);
    const lag = `the engine's loop late by p99 ${loopDelay.p99Ms.toFixed(1)} ms`;
    figure(
      "H13",
      `${PAIRS} pairs and a group of ${NODES} at once`,
      `all up after ${(upMs / 1_000).toFixed(1)} s, ${lag}, ${lostPings} pings beside lost`,
      "<= 10 s, p99 <= 50 ms",
    );
    expect(addresses).toBe(NODES);
    expect(lostPings).toBe(0);
    // Generous: this machine may be doing other things; a site that was forgotten takes 15 s or for ever.
    expect(upMs).toBeLessThan(15_000);
    if (TORTURE === undefined) return;
    expect(upMs).toBeLessThan(10_000 * slowness());
    expect(loopDelay.p99Ms).toBeLessThan(50 * slowness());
  });
});
