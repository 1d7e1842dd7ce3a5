/**
 * A row of values as a row of bars, eight heights, one character a value.
 *
 * The highest value fills a character; what is not known is a space. A bar says where something rose or fell, not how much:
 * the figure stands beside it.
 */

const BARS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;

/** As many characters as `length`; the last values where there are more. `least`: what fills a character at least. */
export function sparkline(
  values: readonly (number | null)[],
  length: number,
  least: number,
): string {
  const shown = values.slice(Math.max(values.length - length, 0));
  const most = shown.reduce<number>((high, value) => Math.max(high, value ?? 0), least);
  const bars = shown.map((value) => {
    if (value === null) return " ";
    const height = Math.round((value / most) * (BARS.length - 1));
    return BARS[Math.min(Math.max(height, 0), BARS.length - 1)] ?? " ";
  });
  return bars.join("").padStart(length);
}
