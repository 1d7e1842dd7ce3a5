/** Tables that fit their terminal. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { paintOf } from "../../src/cli/paint.ts";
import { type Column, cutTo, tableLines } from "../../src/cli/table.ts";

type Row = Readonly<Record<string, string>>;

const COLUMNS: readonly Column<Row>[] = [
  { title: "name", text: ({ name = "" }) => name, cutTo: 8 },
  {
    title: "state",
    text: ({ state = "" }) => state,
    tone: ({ state }) => (state === "up" ? "good" : undefined),
  },
  { title: "at", text: ({ at = "" }) => at, cutTo: 9 },
  { title: "more", text: ({ more = "" }) => more, isExtra: true },
];
const ROWS: readonly Row[] = [
  { name: "hub", state: "up", at: "192.0.2.1:1194", more: "1420" },
  { name: "branch/0a0b0c0d", state: "idle", at: "-", more: "1" },
];

describe("a table", () => {
  it("has columns as wide as their longest cell, without spaces at the end", () => {
    expect(lines(undefined)).toEqual([
      "name             state  at              more",
      "hub              up     192.0.2.1:1194  1420",
      "branch/0a0b0c0d  idle   -               1",
    ]);
  });

  it("leaves extra columns out before it cuts a cell", () => {
    expect(lines(43)).toEqual([
      "name             state  at",
      "hub              up     192.0.2.1:1194",
      "branch/0a0b0c0d  idle   -",
    ]);
  });

  it("cuts the later cells first, each to its least", () => {
    expect(lines(36)).toEqual([
      "name             state  at",
      "hub              up     192.0…1:1194",
      "branch/0a0b0c0d  idle   -",
    ]);
    expect(lines(26)).toEqual([
      "name      state  at",
      "hub       up     19…1:1194",
      "b…0b0c0d  idle   -",
    ]);
  });

  it("leaves columns out where cutting is not enough, the first never", () => {
    expect(lines(18)).toEqual(["name         state", "hub          up", "bran…0b0c0d  idle"]);
    expect(lines(3)).toEqual(["name", "hub", "b…0b0c0d"]);
  });

  it("is no wider with colour, and never wider than it may be", () => {
    const painted = tableLines(COLUMNS, ROWS, { width: 26, paint: paintOf(true) });
    expect(painted[1]).toContain("\u001b[32mup\u001b[0m   ");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one.
    expect(painted.map((line) => line.replace(/\u001b\[\d+m/g, ""))).toEqual(lines(26));
    fc.assert(
      fc.property(fc.integer({ min: 17, max: 60 }), (width) => {
        for (const line of lines(width)) expect(line.length).toBeLessThanOrEqual(width);
      }),
    );
  });

  it("cannot be broken by a cell", () => {
    const [, line] = tableLines(COLUMNS, [{ name: "a\n\u001b[2J" }], {
      width: undefined,
      paint: paintOf(false),
    });
    expect(line).toMatch(/^a\\u000a\\u001b\[2J/);
  });
});

it.each([
  ["short", 5, "short"],
  ["192.0.2.100:51820", 14, "192.0.2…:51820"],
  ["abcdefgh", 7, "abcdef…"],
  ["abcdefgh", 1, "…"],
])("%s cut to %i is %s", (text, length, expected) => {
  expect(cutTo(text, length)).toBe(expected);
});

function lines(width: number | undefined): readonly string[] {
  return tableLines(COLUMNS, ROWS, { width, paint: paintOf(false) });
}
