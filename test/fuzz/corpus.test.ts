/**
 * The committed corpora of the engine's targets, each program on new state: what once led somewhere must stay right.
 *
 * The corpora of the native targets are run by scripts/test-sanitized. A crash that scripts/fuzz found becomes a file
 * here, beside a test of its own.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { decodeProgram } from "./engine/program.ts";
import type { Target } from "./engine/target.ts";
import { ConfigTarget } from "./targets/config.ts";
import { ControlTarget } from "./targets/control.ts";
import { WireTarget } from "./targets/wire.ts";

it.each<[string, () => Target]>([
  ["wire", () => new WireTarget()],
  ["config", () => new ConfigTarget()],
  ["control", () => new ControlTarget()],
])("the corpus of %s runs without a fault", async (name, make) => {
  const folder = new URL(`corpus/${name}/`, import.meta.url);
  const files = readdirSync(folder);
  const target = make();
  expect(files.length).toBeGreaterThan(20);
  try {
    for (const file of files) {
      await target.begin();
      const program = decodeProgram(readFileSync(new URL(file, folder)), Number.POSITIVE_INFINITY);
      for (const operation of program) await target.run(operation);
    }
  } finally {
    await target.close?.();
  }
});
