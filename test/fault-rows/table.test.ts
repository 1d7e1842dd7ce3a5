/**
 * The table of scripts/torture: what failed must never look as if it passed.
 */
import { describe, expect, it } from "vitest";
import type { Row } from "../../scripts/fault-rows/rows.ts";
import type { RowResult } from "../../scripts/fault-rows/run.ts";
import { isOk, tableText } from "../../scripts/fault-rows/table.ts";

const ROW: Row = { id: "X1", what: "a fault", pass: "none" };

function result(parts: Partial<RowResult>): RowResult {
  return { row: ROW, cases: [], figures: [], seconds: 1, logFile: "", ...parts };
}

function figureOf(test: string) {
  return { row: "X1", what: test, measured: "3", pass: "0", test };
}

describe("a row", () => {
  it("has failed where no test bears its id", () => {
    expect(isOk(result({}))).toBe(false);
    expect(tableText([result({})])).toContain(
      "| X1 | a fault | none | no test bears its id | FAIL |",
    );
  });

  it("has a line for each figure, with the verdict of its own test", () => {
    const cases = [
      { name: "X1 first", isOk: true },
      { name: "X1 second", isOk: false },
    ];
    const mixed = result({ cases, figures: [figureOf("X1 first"), figureOf("X1 second")] });
    expect(isOk(mixed)).toBe(false);
    expect(tableText([mixed])).toMatch(
      /first \| 0 \| 3 \| ok \|\n.*second \| 0 \| 3 \| FAIL \|\n$/,
    );
  });

  it("has a line for a failed test that came to no figure", () => {
    const cases = [
      { name: "X1 first", isOk: true },
      { name: "X1 second", isOk: false },
    ];
    const half = result({ cases, figures: [figureOf("X1 first")] });
    expect(tableText([half])).toMatch(/X1 second \| none \| failed \| FAIL \|\n$/);
  });

  it("is one line where its tests print nothing, and keeps to its cells", () => {
    const text = tableText([result({ cases: [{ name: "X1 a", isOk: true }] })]);
    expect(text).toContain("| X1 | a fault | none | 1 tests | ok |");
    const odd = { ...figureOf("X1 a"), measured: "a|b\nc" };
    expect(
      tableText([result({ cases: [{ name: "X1 a", isOk: true }], figures: [odd] })]),
    ).toContain("a\\|b c");
  });
});
