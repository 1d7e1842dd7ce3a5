/**
 * Numbers as the page writes them: short, with a unit, and a dash for what is not known.
 *
 * Rates are bits a second, as links are sold; amounts are bytes in powers of 1000.
 */

export const UNKNOWN = "–";

/** Bytes a second as bits: "12.3 Mbit/s". */
export function rateText(bytesPerSecond: number | null): string {
  if (bytesPerSecond === null) return UNKNOWN;
  return scaled(bytesPerSecond * 8, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]);
}

/** "1.25 GB". */
export function bytesText(bytes: number): string {
  return scaled(bytes, ["B", "kB", "MB", "GB", "TB", "PB"]);
}

/** "12.3 ms". */
export function millisecondsText(ms: number | null): string {
  if (ms === null) return UNKNOWN;
  return ms >= 1_000 ? `${threeDigits(ms / 1_000)} s` : `${threeDigits(ms)} ms`;
}

/** A share from 0 to 1: "0.52 %". */
export function shareText(share: number | null): string {
  if (share === null) return UNKNOWN;
  return share === 0 ? "0 %" : `${threeDigits(share * 100)} %`;
}

/** "41 s", "12 min", "3 h", "9 d". */
export function ageText(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** The age of an event, "41 s ago". */
export function agoText(seconds: number | null): string {
  return seconds === null ? "never" : `${ageText(seconds)} ago`;
}

/** "1 234 567", with spaces that do not break. */
export function countText(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

function scaled(value: number, units: readonly string[]): string {
  let step = 0;
  let rest = value;
  while (rest >= 999.5 && step < units.length - 1) {
    rest /= 1_000;
    step += 1;
  }
  return `${step === 0 ? Math.round(rest) : threeDigits(rest)} ${units[step]}`;
}

function threeDigits(value: number): string {
  if (value >= 99.95) return String(Math.round(value));
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}
