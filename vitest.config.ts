/**
 * Tests that need no network namespace: `npx vitest run`. Coverage is asked of the core alone, where
 * every line can be reached without a kernel; the rest is covered by test/netns.
 *
 * What works in memory alone shares a process for many files: a third of its time was the start of one for each. The
 * trap: there a mock of a module counts only where nothing imported it before, so files with one are left out.
 */
import { readdirSync, readFileSync } from "node:fs";
import { defineConfig } from "vitest/config";

const IN_MEMORY = ["bench", "config", "core", "helpers", "scenario", "sim"];

const inMemory = IN_MEMORY.flatMap((folder) =>
  readdirSync(`test/${folder}`, { encoding: "utf8", recursive: true }).map(
    (name) => `test/${folder}/${name}`,
  ),
).filter((file) => file.endsWith(".test.ts") && !readFileSync(file, "utf8").includes("vi.mock("));

export default defineConfig({
  test: {
    // vitest leaves one core to itself, which is half of a small machine.
    maxWorkers: "100%",
    projects: [
      {
        extends: true,
        test: { name: "in memory", include: inMemory, isolate: false },
      },
      {
        extends: true,
        test: {
          name: "on their own",
          include: ["test/**/*.test.ts"],
          exclude: ["test/netns/**", ...inMemory],
        },
      },
    ],
    // Virtual time: a test that takes a second may take many where the machine is busy.
    testTimeout: 60_000,
    coverage: {
      provider: "v8",
      include: ["src/core/**/*.ts"],
      reporter: ["text-summary", "json-summary"],
      thresholds: { statements: 95 },
    },
  },
});
