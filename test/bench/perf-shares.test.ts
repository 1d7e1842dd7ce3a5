/**
 * Sorting a profile's samples by whose code they fell into.
 */
import { describe, expect, it } from "vitest";
import {
  kindOf,
  parseSamples,
  sharesOf,
  sharesTable,
} from "../../scripts/benchmark/perf-shares.ts";

const SCRIPT = `            node 12/34  ffffffff81b6ccb0 _copy_to_iter ([kernel.kallsyms])
            node 12/34      7f72f321f6a1 aead_open (/opt/x/dist/iptun.node)
  node worker 1 12/34           18d3380 Builtins_KeyedLoadIC (/usr/bin/node)
            node 56/78           18d3381 ChaCha20_16x (/usr/bin/node)
            node 56/78           18d3382 JS:*#fits file:///opt/x/dist/core/join.js:153:10 (/tmp/perf-56.map)
            node 56/78           18d3382 JS:*#fits file:///opt/x/dist/core/join.js:153:10 (/tmp/perf-56.map)
            node 56/78           18d3383 EVP_Cipher (/usr/bin/node)
            node 56/78           18d3384 v8::internal::Heap::Scavenge (/usr/bin/node)
            node 56/78           18d3385 [unknown] ([unknown])
            node 56/78           18d3386 operator()(int) const (/usr/bin/node)

`;

describe("a profile", () => {
  it("is read sample by sample, whatever a thread or a function is called", () => {
    const samples = parseSamples(SCRIPT);

    expect(samples).toHaveLength(10);
    expect(samples[2]).toEqual({
      pid: 12,
      symbol: "Builtins_KeyedLoadIC",
      object: "/usr/bin/node",
    });
    expect(samples[9]?.symbol).toBe("operator()(int) const");
  });

  it("knows whose code each is", () => {
    expect(parseSamples(SCRIPT).map(kindOf)).toEqual([
      ...["kernel", "addon", "javascript", "cipher", "javascript", "javascript"],
      ...["openssl", "v8", "other", "other"],
    ]);
  });

  it("is counted by kind and by function, without folders", () => {
    const { samples, kinds, functions } = sharesOf(parseSamples(SCRIPT));

    expect(samples).toBe(10);
    expect(kinds.get("javascript")).toBe(3);
    expect(functions.get("#fits join.js:153 (JavaScript)")).toBe(2);
  });

  it("becomes a table whose columns add up", () => {
    const all = parseSamples(SCRIPT);
    const left = sharesOf(all.filter(({ pid }) => pid === 12));

    const table = sharesTable([{ title: "left", shares: left }], sharesOf(all), 1);

    expect(table).toMatch(/^JavaScript +33\.3 % +30\.0 %$/m);
    expect(table).toMatch(/^kernel +33\.3 % +10\.0 %$/m);
    expect(table).toContain("10 samples; most of them in:\n  20.0 %  #fits join.js:153");
  });

  it("without samples has no shares", () => {
    expect(sharesTable([], sharesOf([]), 5)).toMatch(/^kernel +-$/m);
  });
});
