/**
 * FAULTS H11: files that are wrong in very many places, or very deep, are refused quickly.
 *
 * What bounds the work is tested exactly; the time only against a limit far above what is needed, because
 * other work runs on the same processors.
 */
import { describe, expect, it, vi } from "vitest";
import type * as Keys from "../../src/core/handshake/keys.ts";
import { KEY_A } from "../helpers/config-samples.ts";
import { ConfigFiles, configOf, configText, problemsOf } from "./config-files.ts";

/** Bytes of the largest configuration. */
const LARGEST = 262_144;
/** H11's second, times three for busy processors; unbounded work took from 2 to 6 seconds on idle ones. */
const LIMIT_MS = 3000;
const TOO_MANY_VALUES = "c.toml: has more than 20000 values; expected fewer; split it";
const TOO_MANY_PROBLEMS = "c.toml: has more than 200 problems; the rest is not read";

const readKeys: Uint8Array[] = [];
vi.mock("../../src/core/handshake/keys.ts", async (importOriginal) => {
  const original = await importOriginal<typeof Keys>();
  return {
    ...original,
    parseKeyText: (text: string) => {
      const parsed = original.parseKeyText(text);
      if ("key" in parsed) readKeys.push(parsed.key);
      return parsed;
    },
  };
});

describe("H11 problems", () => {
  it.each([200, 201])("are collected to 200, here of %i", (count) => {
    const lines = problemsOf(`${configText()}${repeated((at) => `k${at} = 1\n`, count)}`);
    expect(lines.includes(TOO_MANY_PROBLEMS)).toBe(count > 200);
    expect(lines.filter((line) => line.includes("unknown key")).length).toBe(
      count > 200 ? 99 : 100,
    );
    expect(lines.at(-1)).toMatch(/^c\.toml: 10[01] more problems$/);
  });

  it("beyond the limit leave no key behind", () => {
    readKeys.length = 0;
    const peer = `key = "${KEY_A}"\nallowed_ips = [${'"x",'.repeat(300)}]`;
    expect(problemsOf(configText({ peer }))).toContain(TOO_MANY_PROBLEMS);
    expect(readKeys).toEqual([new Uint8Array(32)]);
  });
});

describe("values", () => {
  it("may be some thousands", () => {
    const prefixes = repeated((at) => `"10.${at >> 8}.${at & 255}.0/24",`, 15_000);
    const peer = `key = "${KEY_A}"\nallowed_ips = [${prefixes}]`;
    expect(configOf(configText({ peer })).peers[0]?.allowedIps).toHaveLength(15_000);
  });

  it("above 20,000 are refused as a whole", () => {
    const text = (count: number) => `${configText()}x = [${"1,".repeat(count)}]\n`;
    // The list, and around it: the root, two tables, a list of tables, two addresses, a name and a key.
    expect(problemsOf(text(19_980))[0]).toContain('unknown key "x"');
    expect(problemsOf(text(20_000))).toEqual([TOO_MANY_VALUES]);
  });
});

describe("H11 brackets", () => {
  it.each([
    ["[", "]"],
    ["[\n", "\n]"],
    ["{a=[", "]}"],
  ])("%j are followed 32 deep", (open, close) => {
    const text = `${configText()}x = ${open.repeat(40_000)}${close.repeat(40_000)}\n`;
    expect(problemsOf(text)[0]).toMatch(/^c\.toml:\d+:\d+: nested deeper than 32 levels$/);
  });

  it.each([`# ${"[".repeat(99)}`, `x = "${"[".repeat(99)}"`, `x = '''\n${"{".repeat(99)}'''`])(
    "in comments and strings do not count: %j",
    (line) => {
      expect(problemsOf(`${configText()}${line}\n`).join()).not.toContain("nested");
    },
  );
});

describe("H11 a file of the largest size", () => {
  const cases: readonly (readonly [name: string, head: string, unit: (at: number) => string])[] = [
    ["unknown keys", configText(), (at) => `k${at}=1\n`],
    ["long unknown keys", configText(), (at) => `keepalive_interval_in_seconds_${at}=1\n`],
    ["dotted keys", configText(), (at) => `a${at}.b.c.d.e.f.g.h.i.j.k=1\n`],
    ["tables", configText(), (at) => `[t${at}]\n`],
    ["peers", "", () => "[[peer]]\n"],
    ["peers with one key", "", () => `[[peer]]\nkey="${KEY_A}"\n`],
    ["peers whose keys begin alike", "", (at) => `[[peer]]\nkey="${similarKey(at)}"\n`],
    ["numbers for prefixes", `${configText()}allowed_ips=[\n`, () => "5,"],
    ["escaped quotes without an end", 'x="', () => '\\"'],
    ["dates and a wrong one", "x = 1979-13-45\n", (at) => `k${at}=1979-05-27\n`],
  ];

  it.each(cases)("full of %s is refused in time", (_, head, unit) => {
    const files = new ConfigFiles();
    const text = filled(head, unit);
    const start = performance.now();
    const lines = files.problems(text);
    expect(performance.now() - start).toBeLessThan(LIMIT_MS);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThanOrEqual(101);
  });
});

function repeated(unit: (at: number) => string, count: number): string {
  return Array.from({ length: count }, (_, at) => unit(at)).join("");
}

function filled(head: string, unit: (at: number) => string): string {
  const parts = [head];
  let length = head.length;
  for (let at = 0; ; at++) {
    const part = unit(at);
    length += part.length;
    if (length > LARGEST) return parts.join("");
    parts.push(part);
  }
}

/** Different keys with the same first 28 bytes. */
function similarKey(at: number): string {
  const key = Buffer.alloc(32, 0x4d);
  key.fill(0x71, 9, 20);
  key.writeUInt32BE(at, 28);
  return key.toString("base64");
}
