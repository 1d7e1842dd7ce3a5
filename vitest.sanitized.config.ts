/**
 * The tests that run the addon's own code, for scripts/test-sanitized, which gives them a slower addon.
 *
 * memory.test.ts is left out: the sanitizer's own terabytes and its mlock, which does nothing, are not what it asks about.
 */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/native/*.test.ts", "test/crypto/aead*.test.ts"],
    exclude: ["test/native/memory.test.ts"],
    maxWorkers: "100%",
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
