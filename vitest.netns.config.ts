/**
 * Tests with real packets between network namespaces: `npx vitest run --config vitest.netns.config.ts`.
 * One at a time, because they measure and the machine is one. IPTUN_FULL=1 gives the long runs.
 */
import { defineConfig } from "vitest/config";
import { IS_FULL } from "./test/helpers/figure.ts";

const MINUTE_MS = 60_000;

export default defineConfig({
  test: {
    include: ["test/netns/**/*.test.ts"],
    pool: "forks",
    fileParallelism: false,
    maxConcurrency: 1,
    testTimeout: IS_FULL ? 20 * MINUTE_MS : MINUTE_MS,
    hookTimeout: MINUTE_MS,
    teardownTimeout: 10_000,
  },
});
