/**
 * Adds up vitest's JSON reports: `count-tests.ts FAILED_STEPS REPORT...` prints "N passed, N failed".
 *
 * A step can fail with every test passing (coverage below its bound, a fault of the check, a file that
 * does not load), so failed steps are the least that is reported as failed. Ends with 1 on any failure,
 * and also when no test ran at all.
 */
import { readFileSync } from "node:fs";

/** The part of vitest's report that is read. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
}

const [, , failedSteps = "0", ...files] = process.argv;
let passed = 0;
let failed = 0;
for (const file of files) {
  const report = JSON.parse(readFileSync(file, "utf8")) as Report;
  passed += report.numPassedTests;
  failed += report.numFailedTests;
}
failed = Math.max(failed, Number(failedSteps));
process.stdout.write(`${passed} passed, ${failed} failed\n`);
if (failed > 0 || passed === 0) process.exitCode = 1;
