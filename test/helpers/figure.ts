/**
 * Figures of the fault plan (docs/faults.md): what a test measured, printed beside what passes.
 *
 * Counts and times that take minutes, of the plan and of the tests with real packets, are run with IPTUN_FULL=1; without
 * it the same tests run with less.
 */

const { IPTUN_FULL } = process.env;

/** Whether every count and time is to be the full one. */
export const IS_FULL = IPTUN_FULL === "1";

/** Prints one line: the row of the plan, what was done, what was measured, what passes. */
export function figure(row: string, what: string, measured: string, pass: string): void {
  console.log(`${row} ${what}: ${measured} (pass: ${pass})`);
}
