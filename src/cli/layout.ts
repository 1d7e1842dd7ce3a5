/**
 * Text for people: aligned columns, ages, sizes.
 *
 * Deterministic and without locale, so that output can be compared. Whatever came from elsewhere is made
 * printable here, once.
 */
import { printable } from "../config/shown.ts";

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const BYTE_UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];
const AMOUNT_UNITS = ["k", "M", "G", "T", "P"];
const RATE_UNITS = [
  [1e9, "Gbit/s"],
  [1e6, "Mbit/s"],
  [1e3, "kbit/s"],
] as const;

/** Rows as lines with aligned columns, two spaces apart, after `indent` spaces. */
export function columns(rows: readonly (readonly string[])[], indent = 0): string {
  const cells = rows.map((row) => row.map((cell) => printable(cell)));
  const widths: number[] = [];
  for (const row of cells) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  }
  const lines = cells.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  "));
  return lines.map((line) => `${" ".repeat(indent)}${line.trimEnd()}\n`).join("");
}

/** Seconds as "0.4 s", "42 s", "2 min 5 s", "3 h 2 min" or "4 d 3 h". */
export function ageText(seconds: number): string {
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  const whole = Math.round(seconds);
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min ${whole % MINUTE} s`;
  if (whole < DAY)
    return `${Math.floor(whole / HOUR)} h ${Math.floor((whole % HOUR) / MINUTE)} min`;
  return `${Math.floor(whole / DAY)} d ${Math.floor((whole % DAY) / HOUR)} h`;
}

/** Seconds in the largest unit alone: "42 s", "2 min", "3 h", "4 d". */
export function shortAgeText(seconds: number): string {
  const [size, unit] = [[DAY, "d"] as const, [HOUR, "h"] as const, [MINUTE, "min"] as const].find(
    ([least]) => seconds >= least,
  ) ?? [1, "s"];
  return `${Math.floor(seconds / size)} ${unit}`;
}

/** A number as few characters say it, in powers of 1,000: "512", "1.5k", "20M", "3.4G". */
export function amountText(amount: number): string {
  let value = Math.round(amount);
  let unit = "";
  for (const next of AMOUNT_UNITS) {
    if (value < 999.5) break;
    value /= 1_000;
    unit = next;
  }
  return value < 9.95 && unit !== "" ? `${value.toFixed(1)}${unit}` : `${Math.round(value)}${unit}`;
}

/** Bytes as "512 B", "1.5 KiB", "20.0 MiB". */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  let value = bytes;
  let unit = "";
  for (const next of BYTE_UNITS) {
    if (unit !== "" && value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value.toFixed(1)} ${unit}`;
}

/** Bits of a second as "64 kbit/s", "1.5 Mbit/s", "10 Gbit/s". */
export function rateText(bitsPerSecond: number): string {
  const [size, unit] = RATE_UNITS.find(([least]) => bitsPerSecond >= least) ?? [1, "bit/s"];
  return `${Math.round((bitsPerSecond / size) * 1_000) / 1_000} ${unit}`;
}

/** "1 packet", "2 packets". */
export function countText(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
