/**
 * Figures of the fault plan (docs/faults.md): what a test measured, printed beside what passes.
 */

/** Prints one line: the row of the plan, what was done, what was measured, what passes. */
export function figure(row: string, what: string, measured: string, pass: string): void {
  console.log(`${row} ${what}: ${measured} (pass: ${pass})`);
}
