/**
 * Tests that need no network namespace: `npx vitest run`. Coverage is asked of the core alone, where
 * every line can be reached without a kernel; the rest is covered by test/netns.
 */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/netns/**"],
    testTimeout: 20_000,
    // vitest leaves one core to itself, which is half of a small machine.
    maxWorkers: "100%",
    coverage: {
      provider: "v8",
      include: ["src/core/**/*.ts"],
      reporter: ["text-summary", "json-summary"],
      thresholds: { statements: 95 },
    },
  },
});
