/**
 * Set-up of mutation testing: leaves out the tests that took long when all of them ran last.
 *
 * A mutant is tried with every test that reaches it, so the slowest tenth of the tests would cost nine
 * tenths of the time. What they alone would notice counts as unnoticed: the score is a lower bound.
 */
import { readFileSync } from "node:fs";
import { beforeEach, vi } from "vitest";

// Without isolation a mock counts only where nothing imported the module before: some tests need this one.
vi.mock("../../src/core/state.ts", async (original) =>
  (await import("../sim/core-state.ts")).withStatesKept(await original()),
);

/** Milliseconds of a test that is still worth its time. */
const QUICK_MS = 15;

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly fullName: string; readonly duration?: number }[];
  }[];
}

const slow = slowTests(process.env["IPTUN_TEST_TIMES"]);

beforeEach(({ task, skip }) => {
  // A few schedules are worth theirs.
  if (
    !task.file.name.includes("test/reference/") &&
    slow.has(task.fullTestName.replaceAll(" > ", " "))
  )
    skip();
});

function slowTests(path: string | undefined): ReadonlySet<string> {
  if (path === undefined) return new Set();
  const { testResults }: Report = JSON.parse(readFileSync(path, "utf8"));
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  return new Set(
    tests.filter(({ duration = 0 }) => duration > QUICK_MS).map((test) => test.fullName),
  );
}
