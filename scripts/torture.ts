/**
 * Runs rows of the fault plan on the real daemon and prints what each measured: see scripts/torture.
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ROWS, type Row } from "./fault-rows/rows.ts";
import { type RowResult, runRow } from "./fault-rows/run.ts";
import { isOk, listText, tableText } from "./fault-rows/table.ts";
import { ROOT } from "./netns/process.ts";

const USAGE = "usage: scripts/torture [ROW ...] [--short] [--list]";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { short: { type: "boolean" }, list: { type: "boolean" } },
});
const rows = choose(positionals);
if (values.list === true) process.stdout.write(listText(rows));
else await runAll(rows, values.short === true);

/** The rows of these ids; all without one. */
function choose(ids: readonly string[]): readonly Row[] {
  const unknown = ids.filter((id) => !ROWS.some((row) => row.id === id));
  if (unknown.length > 0) {
    process.stderr.write(`torture: no row ${unknown.join(", ")}\n${USAGE}\n`);
    process.exit(2);
  }
  return ids.length === 0 ? ROWS : ROWS.filter(({ id }) => ids.includes(id));
}

async function runAll(chosen: readonly Row[], isShort: boolean): Promise<void> {
  // A folder for each run: two at once must not read each other's figures.
  const folder = join(ROOT, "build/torture", String(process.pid));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const results: RowResult[] = [];
  for (const row of chosen) {
    process.stdout.write(`${row.id} ${row.what} ... `);
    const result = await runRow(row, { isShort, folder });
    process.stdout.write(`${isOk(result) ? "ok" : "FAIL"}, ${result.seconds} s\n`);
    if (!isOk(result)) process.stdout.write(readFileSync(result.logFile, "utf8"));
    results.push(result);
  }
  process.stdout.write(`\n${tableText(results)}`);
  const failed = results.filter((result) => !isOk(result)).map(({ row }) => row.id);
  process.stdout.write(`\n${results.length} rows, ${failed.length} failed ${failed.join(" ")}\n`);
  if (failed.length > 0) process.exitCode = 1;
}
