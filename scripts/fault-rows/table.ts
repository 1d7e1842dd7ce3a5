/**
 * The table at the end of scripts/torture, in Markdown: a line for each figure, and one for each failed test without one.
 */
import type { Row } from "./rows.ts";
import type { RowResult } from "./run.ts";

/** Whether the row had a test and none failed. */
export function isOk({ cases }: RowResult): boolean {
  return cases.length > 0 && cases.every((one) => one.isOk);
}

/** The rows of the plan. */
export function listText(rows: readonly Row[]): string {
  return rows.map(({ id, what, pass }) => `${id.padEnd(6)}${what.padEnd(48)}${pass}\n`).join("");
}

/** What was measured, and whether it passed. */
export function tableText(results: readonly RowResult[]): string {
  const head = ["id", "what", "pass", "measured", ""];
  const lines = [head, head.map(() => "---"), ...results.flatMap(linesOf)];
  return lines.map((cells) => `| ${cells.map(inCell).join(" | ")} |\n`).join("");
}

function linesOf(result: RowResult): readonly (readonly string[])[] {
  const { row, cases, figures } = result;
  if (cases.length === 0) return [[row.id, row.what, row.pass, "no test bears its id", "FAIL"]];
  const failed = new Set(cases.filter((one) => !one.isOk).map(({ name }) => name));
  const word = (isFailed: boolean) => (isFailed ? "FAIL" : "ok");
  const measured = figures.map((one) => {
    const isFailed = one.test === undefined ? failed.size > 0 : failed.has(one.test);
    return [one.row, one.what, one.pass, one.measured, word(isFailed)];
  });
  const told = new Set(figures.map(({ test }) => test));
  const untold = [...failed].filter((name) => !told.has(name));
  const others = untold.map((name) => [row.id, name, row.pass, "failed", word(true)]);
  if (measured.length + others.length > 0) return [...measured, ...others];
  return [[row.id, row.what, row.pass, `${cases.length} tests`, word(false)]];
}

function inCell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
