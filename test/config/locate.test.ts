/**
 * The locator finds the line of every key, whatever form the document has, and ends on any text.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { locate } from "../../src/config/locate.ts";
import { parseToml } from "../../src/config/toml.ts";

describe("the line of a key", () => {
  it("is found in tables and arrays of tables", () => {
    const lineOf = locate(`# comment
a = 1

[interface] # [not.a.table]
mtu = 1
[[peer]]
name = "x"
[[peer]]

name = "y"
[peer.sub]
z = 1
[[peer.list]]
z = 2
[[peer.list]]
z = 3
`);
    expect(lineOf(["a"])).toBe(2);
    expect(lineOf(["interface"])).toBe(4);
    expect(lineOf(["interface", "mtu"])).toBe(5);
    expect(lineOf(["peer", 0])).toBe(6);
    expect(lineOf(["peer", 0, "name"])).toBe(7);
    expect(lineOf(["peer", 1])).toBe(8);
    expect(lineOf(["peer", 1, "name"])).toBe(10);
    expect(lineOf(["peer", 1, "sub", "z"])).toBe(12);
    expect(lineOf(["peer", 1, "list", 0, "z"])).toBe(14);
    expect(lineOf(["peer", 1, "list", 1, "z"])).toBe(16);
  });

  it("is found behind dotted and quoted keys", () => {
    const lineOf = locate(
      `interface . mtu = 1\n"inter face".'a.b'."c\\"\\u0064" = 2\n["x.y".z]\nw = 1\n`,
    );
    expect(lineOf(["interface", "mtu"])).toBe(1);
    expect(lineOf(["inter face", "a.b", 'c"d'])).toBe(2);
    expect(lineOf(["x.y", "z", "w"])).toBe(4);
    expect(lineOf(["x.y"])).toBe(3);
  });

  it("is found inside inline tables and lists", () => {
    const lineOf = locate(`a = { b = [1, 2], c.d = { e = 1 } }
list = [
  "one", # ] not the end
  [2,
   3],
  { name = "x" },
]
after = 1
`);
    expect(lineOf(["a", "b", 1])).toBe(1);
    expect(lineOf(["a", "c", "d", "e"])).toBe(1);
    expect(lineOf(["list", 0])).toBe(3);
    expect(lineOf(["list", 1, 1])).toBe(5);
    expect(lineOf(["list", 2, "name"])).toBe(6);
    expect(lineOf(["after"])).toBe(8);
  });

  it("is not confused by strings", () => {
    const lineOf = locate(`a = "\\" # [x]"
b = '\\'
c = """
[x]
d = 1 \\"""
"""
e = '''
f = 1
'''
g = """a"""""
h = 2
`);
    expect(lineOf(["b"])).toBe(2);
    expect(lineOf(["c"])).toBe(3);
    expect(lineOf(["d"])).toBeUndefined();
    expect(lineOf(["e"])).toBe(7);
    expect(lineOf(["f"])).toBeUndefined();
    expect(lineOf(["g"])).toBe(10);
    expect(lineOf(["h"])).toBe(11);
  });

  it("counts lines that end in CRLF once", () => {
    expect(locate("a = 1\r\n\r\nb = 2\r\n")(["b"])).toBe(3);
  });

  it("is that of the nearest part that has one", () => {
    const lineOf = locate("[peer]\nname = 1\n");
    expect(lineOf(["peer", "name", 3, "x"])).toBe(2);
    expect(lineOf(["peer", "absent"])).toBe(1);
    expect(lineOf(["absent"])).toBeUndefined();
    expect(lineOf([])).toBeUndefined();
  });
});

describe("any text", () => {
  it("is scanned to an end", () => {
    const piece = fc.constantFrom(
      "[",
      "]",
      "[[",
      "{",
      "}",
      "=",
      ".",
      ",",
      '"',
      "'",
      '"""',
      "'''",
      "\\",
      "\n",
      "#",
      "a",
      " ",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const text = pieces.join("");
        const line = locate(text)(["a"]);
        expect(line ?? 1).toBeLessThanOrEqual(text.split("\n").length);
      }),
      { numRuns: 2000 },
    );
  });

  it("of a megabyte is scanned without running out of stack", () => {
    const text = `a = "${"x\\n".repeat(300_000)}"\nb = """${"y\\\n".repeat(100_000)}"""\n${"# c\n".repeat(50_000)}c = 1\n`;
    expect(locate(text)(["c"])).toBe(150_003);
  });

  it("of endless dotted keys is scanned in bounded memory", () => {
    const dotted = `${"a.".repeat(400_000)}b`;
    expect(locate(`${dotted} = 1\n[${dotted}]\nc = 1\n`)(["a", "a"])).toBe(1);
  });

  it("of deep nesting is scanned without running out of stack", () => {
    expect(locate(`a = ${"[".repeat(100_000)}`)(["a"])).toBe(1);
  });
});

it("finds every key that the parser finds", () => {
  fc.assert(
    fc.property(documents(), (text) => {
      const parsed = parseToml(text);
      if ("fault" in parsed) return;
      const lineOf = locate(text);
      for (const [path, line] of leaves(parsed.tree)) expect(lineOf(path)).toBe(line);
    }),
    { numRuns: 300 },
  );
});

/** Documents in which each number is the line that it stands on. */
function documents(): fc.Arbitrary<string> {
  const name = fc.constantFrom("a", "b", "c-1", '"q.r"', "'s t'");
  const pair = name.map((key) => `${key} = LINE`);
  const inline = fc.tuple(name, name).map(([key, inner]) => `${key} = { ${inner} = LINE }`);
  const list = name.map((key) => `${key} = [LINE, [\n LINE,\n # c\n LINE ] ]`);
  const header = fc
    .tuple(name, name, fc.boolean())
    .map(([key, sub, isArray]) => (isArray ? `[[${key}]]` : `[${key}.${sub}]`));
  const line = fc.oneof(pair, inline, list, header, fc.constant("# x = 1"), fc.constant(""));
  return fc.array(line, { maxLength: 12 }).map((lines) =>
    lines
      .join("\n")
      .split("\n")
      .map((text, index) => text.replaceAll("LINE", String(index + 1)))
      .join("\n"),
  );
}

type Leaf = readonly [path: readonly (string | number)[], line: number];

function leaves(tree: unknown, path: readonly (string | number)[] = []): readonly Leaf[] {
  if (typeof tree === "number") return [[path, tree]];
  if (typeof tree !== "object" || tree === null) return [];
  const isList = Array.isArray(tree);
  return Object.entries(tree).flatMap(([key, value]) =>
    leaves(value, [...path, isList ? Number(key) : key]),
  );
}
