/**
 * Compiles a C program of this folder into a lab's folder, with the warnings of scripts/build-native.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "../../scripts/netns/lab.ts";
import { ROOT, runNow } from "../../scripts/netns/process.ts";

/** Path of the program; compiled once a lab. */
export function compiled(lab: Lab, name: "flood" | "steady"): string {
  const program = join(lab.dir, name);
  if (existsSync(program)) return program;
  const warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"];
  const flags = ["-std=c17", "-O2", ...warnings, "-D_GNU_SOURCE", "-o", program];
  runNow([process.env["CC"] ?? "cc", ...flags, join(ROOT, `test/attackers/${name}.c`)]);
  return program;
}
