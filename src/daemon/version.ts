/**
 * The program's version, read from package.json, which lies two folders above both src and dist.
 */
import { readFileSync } from "node:fs";

/** The version of this installation, such as "0.1.0". */
export function readVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const parsed: unknown = JSON.parse(text);
  const isPackage = typeof parsed === "object" && parsed !== null && "version" in parsed;
  return isPackage ? String(parsed.version) : "unknown";
}
