/** The tests of the core that need no kernel, for mutation testing (scripts/mutate). */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/core/**/*.test.ts", "test/scenario/**/*.test.ts"],
    setupFiles: ["test/helpers/quick-tests.ts"],
    testTimeout: 60_000,
    isolate: false,
  },
});
