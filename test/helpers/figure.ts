/**
 * Figures of the fault plan (docs/faults.md): what a test measured, printed beside what passes.
 *
 * Counts and times that take minutes, of the plan and of the tests with real packets, are run with IPTUN_FULL=1; without
 * it the same tests run with less. Where scripts/torture asks, each figure is written to its file as well.
 */
import { appendFileSync } from "node:fs";
import { expect } from "vitest";

export { IS_FULL } from "./full.ts";

/** One line of the file that scripts/torture reads. */
export interface Figure {
  /** Id of the plan, such as "M1". */
  readonly row: string;
  readonly what: string;
  readonly measured: string;
  readonly pass: string;
  /** Full name of the test; absent outside of one. */
  readonly test?: string;
}

/** Prints one line: the row of the plan, what was done, what was measured, what passes. */
export function figure(row: string, what: string, measured: string, pass: string): void {
  console.log(`${row} ${what}: ${measured} (pass: ${pass})`);
  const file = process.env["IPTUN_FIGURES"];
  if (file === undefined) return;
  const test = expect.getState().currentTestName?.replaceAll(" > ", " ");
  const line: Figure = { row, what, measured, pass, ...(test === undefined ? {} : { test }) };
  appendFileSync(file, `${JSON.stringify(line)}\n`);
}
