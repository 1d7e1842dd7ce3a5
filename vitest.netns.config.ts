/**
 * Tests with real packets between network namespaces: `npx vitest run --config vitest.netns.config.ts`.
 *
 * First those that mostly wait, a few files at a time: no lab sees another's namespaces, folders or ports. Then, one
 * file at a time, those that measure a rate or a time or keep the processors busy, because the machine is one.
 * IPTUN_FULL=1 gives the long runs.
 */
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { IS_FULL, TORTURE } from "./test/helpers/full.ts";

const MINUTE_MS = 60_000;
/** More than the processors, for they mostly wait. */
const FILES_AT_ONCE = 4;

/** Of those that wait, the ones that take longest: begun last, each would be waited for by itself. */
const LONGEST = ["install", "roaming", "debian", "names"].map(pathOf);

const ALONE = [
  ...[
    "busy-control",
    "crowd",
    "faults",
    "flood",
    "four-cases",
    "hand-over",
    "lab-rate",
    "memory",
    "path-mtu",
    "quality",
    "rate",
  ],
  ...["offload-capture", "offload-delivery", "offload-lans", "restart"],
  ...["torture/log", "torture/signals", "torture/sleep"],
].map(pathOf);
/** Rows of the plan that take too long for every day: scripts/torture runs them, alone. */
const LONG = [
  ...["clock", "config", "device", "hour", "insiders", "junk", "limits", "restart", "send-errors"],
].map((name) => pathOf(`torture/${name}`));
const ROWS = TORTURE === undefined ? [] : ["test/netns/torture/*.test.ts"];

function pathOf(name: string): string {
  return `test/netns/${name}.test.ts`;
}

/** As vitest orders them, but for the longest, which come first: a fresh clone has no times to order them by. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLongest = ({ moduleId }: TestSpecification) =>
      LONGEST.some((path) => moduleId.endsWith(path));
    const sorted = await super.sort(files);
    return [...sorted.filter(isLongest), ...sorted.filter((file) => !isLongest(file))];
  }
}

const common = {
  pool: "forks",
  // What other work on the machine spoils is measured once more; a row of the plan that fails has failed.
  retry: TORTURE === undefined ? 1 : 0,
  testTimeout: (IS_FULL ? 20 : 2) * MINUTE_MS,
  hookTimeout: 2 * MINUTE_MS,
} as const;

export default defineConfig({
  test: {
    teardownTimeout: 10_000,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...common,
          name: "waiting",
          include: ["test/netns/**/*.test.ts"],
          exclude: [...ALONE, ...LONG, ...ROWS],
          maxWorkers: FILES_AT_ONCE,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...common,
          name: "alone",
          include: [...ALONE, ...ROWS],
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
