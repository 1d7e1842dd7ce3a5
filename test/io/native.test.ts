/** Loading the addon: the right one, none, and one that does not fit. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { addonPath, loadNative, ROW_LAYOUT } from "../../src/io/native.ts";
import { testNative } from "../native/native.ts";

const directory = mkdtempSync(join(tmpdir(), "iptun-native-"));

afterAll(() => rmSync(directory, { recursive: true }));

describe("loadNative", () => {
  it("finds the built addon from the sources", () => {
    expect(loadNative().keySlots()).toBe(16_384);
  });

  it("loads one whose layout is that of core/rows.ts", () => {
    expect([...testNative().layout()]).toEqual(ROW_LAYOUT);
  });

  it("gives each caller a layout of its own", () => {
    const native = testNative();
    native.layout().fill(0);
    expect([...native.layout()]).toEqual(ROW_LAYOUT);
  });

  it("says what to run when the addon is missing, in one line", () => {
    const path = join(directory, "missing.node");
    expect(() => loadNative(path)).toThrow(
      `the native addon ${path} is missing; build it in a clone of iptun: npm ci && npm run build`,
    );
  });

  it("names a CPU that has no addon", () => {
    expect(() => loadNative(addonPath("riscv64"))).toThrow(
      /^the native addon \S+\/dist\/native\/linux-riscv64\/iptun\.node is missing; build it in a clone /,
    );
  });

  it("says why a file does not load, in one line", () => {
    const path = join(directory, "broken.node");
    writeFileSync(path, "this is no shared object");
    const message = messageOf(() => loadNative(path));
    expect(message).toMatch(
      /^the native addon .* does not load \(.+\); build it in a clone of iptun: npm ci && npm run build$/,
    );
  });

  it.each([
    ["a number that differs", `{ layout: () => Int32Array.from([${ROW_LAYOUT}].reverse()) }`],
    ["a number too few", `{ layout: () => Int32Array.from([${ROW_LAYOUT.slice(1)}]) }`],
    ["a number too many", `{ layout: () => Int32Array.from([${ROW_LAYOUT}, 0]) }`],
    ["a layout of another kind", `{ layout: () => [${ROW_LAYOUT}] }`],
    ["a layout that is no function", "{ layout: 1 }"],
    ["no layout", "{}"],
    ["nothing", "null"],
  ])("refuses an addon with %s", (_, exported) => {
    const path = join(directory, `${Math.abs(hash(exported))}.cjs`);
    writeFileSync(path, `module.exports = ${exported};`);
    expect(() => loadNative(path)).toThrow(
      `${path} does not fit this version; build it in a clone of iptun: npm ci && npm run build`,
    );
  });
});

describe("the boot-time clock", () => {
  it("grows, in milliseconds with fractions", () => {
    const native = testNative();
    const readings = Array.from({ length: 100 }, () => native.clock());
    expect(readings).toEqual([...readings].sort((a, b) => a - b));
    expect(readings.some((reading) => !Number.isInteger(reading))).toBe(true);
  });
});

function messageOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "";
}

function hash(text: string): number {
  let sum = 0;
  for (const character of text) sum = (sum * 31 + character.charCodeAt(0)) | 0;
  return sum;
}
