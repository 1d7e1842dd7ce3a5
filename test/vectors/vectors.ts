/**
 * Published test vectors: read from the JSON files beside this one, each with its source.
 *
 * Byte strings are hexadecimal there; `fromHex` and `toHex` are for tests only (core has no use for them).
 */
import { readFileSync } from "node:fs";

/** Reads a vector file of this folder; its shape is the caller's word. */
export function readVectors<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(file, import.meta.url), "utf8")) as T;
}

/** Bytes of a hexadecimal text; spaces and line ends are ignored. */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/\s/g, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`not hexadecimal: ${text}`);
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Lower-case hexadecimal text of bytes. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
