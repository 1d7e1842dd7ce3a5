/**
 * A table that fits its terminal: columns that matter less go first, then the long ones are cut.
 *
 * Colour is added after everything is measured, so a table is as wide with it as without. Where no width is known
 * (a pipe, a file) nothing is left out or cut.
 */
import { printable } from "../config/shown.ts";

/** What a cell says beyond its text. */
export type Tone = "good" | "uneasy" | "bad" | "dim" | "strong";

/** How a tone is shown: the identity where there is no colour. */
export type Paint = (text: string, tone: Tone | undefined) => string;

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  readonly tone?: (row: Row) => Tone | undefined;
  /** Whether it is left out before any cell is cut. */
  readonly isExtra?: boolean;
  /** Characters to which its cells may be cut; absent: never. */
  readonly cutTo?: number;
}

const GAP = 2;
const ELLIPSIS = "…";
/** Characters kept of the end of a cell that is cut: a port, or what tells two nodes of a group apart. */
const TAIL = 6;

/** The table's lines, titles first, the columns as wide as their longest cell. `columns`: the most important first. */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  { width, paint }: { readonly width: number | undefined; readonly paint: Paint },
): readonly string[] {
  const measured = columns.map((column) => measure(column, rows));
  const shown = fitting(measured, width ?? Number.POSITIVE_INFINITY);
  const line = (cellOf: (one: Measured<Row>) => readonly [string, Tone | undefined]) =>
    shown
      .map((one, at) => {
        const [text, tone] = cellOf(one);
        const cut = cutTo(text, one.width);
        const rest = at === shown.length - 1 ? 0 : one.width - cut.length;
        return paint(cut, tone) + " ".repeat(rest);
      })
      .join(" ".repeat(GAP));
  return [
    line(({ column }) => [column.title, "strong"]),
    ...rows.map((row, index) =>
      line(({ column, cells }) => [cells[index] ?? "", column.tone?.(row)]),
    ),
  ];
}

interface Measured<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  readonly width: number;
}

function measure<Row>(column: Column<Row>, rows: readonly Row[]): Measured<Row> {
  const cells = rows.map((row) => printable(column.text(row)));
  const width = cells.reduce((most, cell) => Math.max(most, cell.length), column.title.length);
  return { column, cells, width };
}

/** Leaves extra columns out, then cuts, then leaves out others; the first always stays. */
function fitting<Row>(all: readonly Measured<Row>[], width: number): readonly Measured<Row>[] {
  let shown = all;
  while (totalOf(shown) > width && shown.at(-1)?.column.isExtra === true)
    shown = shown.slice(0, -1);
  for (;;) {
    const cut = shorten(shown, totalOf(shown) - width);
    if (totalOf(cut) <= width || shown.length <= 1) return cut;
    shown = shown.slice(0, -1);
  }
}

/** Cuts the columns that may be cut, the last first, until `excess` characters are gone or there is no more to cut. */
function shorten<Row>(shown: readonly Measured<Row>[], excess: number): readonly Measured<Row>[] {
  let rest = Math.max(excess, 0);
  return shown
    .toReversed()
    .map((one) => {
      const least = Math.min(one.column.cutTo ?? one.width, one.width);
      const cut = Math.min(rest, one.width - least);
      rest -= cut;
      return { ...one, width: one.width - cut };
    })
    .toReversed();
}

function totalOf<Row>(shown: readonly Measured<Row>[]): number {
  return shown.reduce((sum, { width }) => sum + width + GAP, -GAP);
}

/** Text of at most so many characters; the middle of a longer one is left out. */
export function cutTo(text: string, length: number): string {
  if (text.length <= length) return text;
  if (length <= TAIL + 1) return text.slice(0, Math.max(length - 1, 0)) + ELLIPSIS;
  return text.slice(0, length - TAIL - 1) + ELLIPSIS + text.slice(-TAIL);
}
