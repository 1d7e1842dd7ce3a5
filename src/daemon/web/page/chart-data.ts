/**
 * From a figure a second to the points of a line: buckets, a scale, a path.
 *
 * Buckets begin at multiples of their length of the count of seconds, not at the left edge: else every second would
 * sort all figures anew, and the line would tremble. The trap: a gap, where nothing is known, is left open.
 */
import type { Series } from "./view.ts";

/** Points of a line, at most. */
const MAX_POINTS = 300;

export type Points = readonly (number | null)[];

/** How a bucket's figures become one: their mean, or the greatest, so that a short peak is seen. */
export type Join = "mean" | "max";

/** The last `seconds` of a series; `clock`: the number of its last second, which only grows. */
export function points(series: Series, seconds: number, clock: number, join: Join): Points {
  const length = Math.ceil(seconds / MAX_POINTS);
  const buckets: number[][] = [];
  const first = Math.floor((clock - seconds + 1) / length);
  for (let back = seconds - 1; back >= 0; back -= 1) {
    const value = series[series.length - 1 - back] ?? null;
    const at = Math.floor((clock - back) / length) - first;
    buckets[at] ??= [];
    if (value !== null) buckets[at]?.push(value);
  }
  return buckets.map((values) => joined(values, join));
}

function joined(values: readonly number[], join: Join): number | null {
  if (values.length === 0) return null;
  if (join === "max") return Math.max(...values);
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The next of 1, 2 and 5 times a power of ten, at or above every point and `least`, which is above 0; times `factor`. */
export function scaleTop(lines: readonly Points[], least: number, factor = 1): number {
  const greatest = lines.flat().reduce<number>((most, value) => Math.max(most, value ?? 0), least);
  const shown = greatest * factor;
  const power = 10 ** Math.floor(Math.log10(shown));
  const step = [1, 2, 5, 10].find((one) => one * power >= shown * (1 - 1e-9)) ?? 10;
  return (step * power) / factor;
}

/** The line as an SVG path in a box of `width` and `height`; a lone point is a dot. */
export function linePath(line: Points, top: number, width: number, height: number): string {
  let path = "";
  for (const [index, value] of line.entries()) {
    if (value === null) continue;
    const isStart = (line[index - 1] ?? null) === null;
    const x = line.length === 1 ? width : (index / (line.length - 1)) * width;
    const y = height - (value / top) * height;
    path += `${isStart ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
    if (isStart && (line[index + 1] ?? null) === null) path += "h0";
  }
  return path;
}

/** The area below the line. */
export function areaPath(line: Points, top: number, width: number, height: number): string {
  return linePath(line, top, width, height)
    .split("M")
    .filter((run) => run.includes("L"))
    .map((run) => {
      const ends = run.split("L").map((point) => point.split(" ")[0]);
      return `M${run}L${ends.at(-1)} ${height}L${ends[0]} ${height}Z`;
    })
    .join("");
}
