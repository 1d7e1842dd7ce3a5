/**
 * The tests of the core that need no kernel, for mutation testing (scripts/mutate).
 *
 * Schedules against the plain model come first: they notice most, and the first test that does ends a mutant.
 */

import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

class SchedulesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isFirst = ({ moduleId }: TestSpecification): boolean => moduleId.includes("/reference/");
    return [...sorted.filter(isFirst), ...sorted.filter((file) => !isFirst(file))];
  }
}

export default defineConfig({
  test: {
    include: [
      "test/reference/schedules.test.ts",
      "test/core/**/*.test.ts",
      "test/scenario/**/*.test.ts",
    ],
    env: { IPTUN_SCHEDULES: "40" },
    setupFiles: ["test/helpers/quick-tests.ts"],
    sequence: { sequencer: SchedulesFirst },
    testTimeout: 60_000,
    isolate: false,
  },
});
