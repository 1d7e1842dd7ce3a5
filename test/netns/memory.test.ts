/**
 * Memory of one end: idle below 120 MiB, and not growing with what it carries.
 *
 * IPTUN_FULL=1 carries 10 GB (scripts/measure-memory does the same and prints the figures).
 */
import { describe, expect, it } from "vitest";
import { withLab } from "../../scripts/netns/lab.ts";
import { measureMemory } from "../../scripts/netns/measure.ts";
import { startPair } from "../../scripts/netns/topology.ts";
import { IS_FULL } from "../helpers/figure.ts";

const [FIRST_GB, LAST_GB] = IS_FULL ? [1, 10] : [0.3, 0.9];

describe("resident memory", () => {
  it(`is under 120 MiB idle, and grows at most 3 MiB from ${FIRST_GB} to ${LAST_GB} GB`, async () => {
    await withLab(async (lab) => {
      const pair = await startPair(lab);

      const { idleMiB, firstMiB, lastMiB } = await measureMemory(pair, FIRST_GB, LAST_GB);

      for (const [index, idle] of idleMiB.entries()) {
        expect(idle).toBeLessThan(120);
        expect((lastMiB[index] ?? Number.NaN) - (firstMiB[index] ?? 0)).toBeLessThan(3);
      }
    });
  });
});
