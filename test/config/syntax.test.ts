/**
 * Text that is not TOML: one line with file, line and column, never a piece of the text.
 */
import { describe, expect, it } from "vitest";
import { KEY_A } from "../helpers/config-samples.ts";
import { configText, problemsOf } from "./config-files.ts";

describe("H11 a syntax error", () => {
  const cases: readonly (readonly [text: string, expected: string])[] = [
    [
      "[interface]\nname = iptun0\n",
      '2:9: expected a value: "text", a number, true, false or [a list]',
    ],
    ["[interface]\nmtu = 14x0\n", "2:9: expected the end of the line"],
    [
      '[interface]\nname = "a\nmtu = 1\n',
      "2:10: this string has no end; expected a closing quote on the same line",
    ],
    ["a = 1\n\na = 2\n", "3:6: this key or table is defined a second time"],
    ["[log]\n[log]\n", "2:5: this key or table is defined a second time"],
    ["[[peer]]\n[peer]\n", "2:6: this key or table is defined a second time"],
    ["[interface\nmtu = 1\n", '1:11: expected "]" after the table name'],
    ["a\n", '1:2: expected "=" after the key'],
    ["a b = 1\n", '1:3: expected "=" after the key'],
    ["a = [1, 2\nb = 3\n", '2:1: expected "," or the closing bracket'],
    ["a = {b = 1,}\n", '1:12: an inline table must not end with ","'],
    ["a = {b = 1,, c = 2}\n", '1:12: an inline table has two "," in a row'],
    ["a = {b = 1}\n[a.c]\n", "2:3: this key or table is defined a second time"],
    ["a = tru\n", "1:8: expected true or false"],
    ["a = 1__0\n", "1:7: this number is not valid"],
    ['a = "\\x41"\n', "1:7: unknown escape in a string; write '…' for text with backslashes"],
    ['a = "\\uZZZZ"\n', "1:8: bad \\u escape in a string"],
    ["a = '''x\n", "2:1: this multi-line string has no end"],
    ["= 1\n", "1:1: this is not valid TOML"],
    ["[]\n", "1:2: a key or table name is missing"],
  ];

  it.each(cases)("in %j has a place and a reason", (text, expected) => {
    expect(problemsOf(text)).toEqual([`c.toml:${expected}`]);
  });

  it("is the only problem reported", () => {
    expect(problemsOf('[interface]\nmtu = 1\nname = "\n')).toHaveLength(1);
  });

  it("counts columns from 1 on every line", () => {
    expect(problemsOf("?\n")[0]).toMatch(/^c\.toml:1:1: /);
    expect(problemsOf("\n?\n")[0]).toMatch(/^c\.toml:2:1: /);
    expect(problemsOf("\r\n  ?\r\n")[0]).toMatch(/^c\.toml:2:3: /);
  });

  it.each([
    `key = "${KEY_A}`,
    `key = ${KEY_A}`,
    `"${KEY_A}"`,
    `${KEY_A}`,
    `key = "${KEY_A}" "${KEY_A}"`,
    `[${KEY_A}`,
    `a = 1\n# ${KEY_A}\na = 2\n# ${KEY_A}`,
  ])("near a key does not repeat it: %#", (text) => {
    const message = problemsOf(text).join("\n");
    expect(message).toMatch(/^c\.toml:\d+:\d+: /);
    expect(message).not.toContain(KEY_A.slice(0, 8));
  });
});

describe("a date that does not exist", () => {
  it.each([
    ["a = 1\n\nb = 1979-13-45\nc = 2\n", 3],
    ["b = 1979-05-27T99:00:00Z\n", 1],
    ['x = """\n\n"""\n  b = 25:99:99\n', 4],
  ])("in %j is found on its line", (text, line) => {
    const [message] = problemsOf(text);
    expect(message).toMatch(
      new RegExp(`^c\\.toml:${line}:\\d+: this date or time does not exist$`),
    );
  });
});

describe("a control character", () => {
  it.each([
    ["a = 1\u0000\n", "1:6", "0000"],
    ['a = "x\u0007"\n', "1:7", "0007"],
    ["a = 1 # \u001b[31m\n", "1:9", "001B"],
    ["a = 1\n\u007f\n", "2:1", "007F"],
    ["a = 1\rb = 2\n", "1:6", "000D"],
  ])("in %j is refused where it stands", (text, place, code) => {
    expect(problemsOf(text)).toEqual([`c.toml:${place}: control character U+${code}; remove it`]);
  });

  it("may be a tab, or a carriage return before a line feed", () => {
    expect(
      problemsOf(configText({ device: "\tmtu = 1420 \t# x" }).replaceAll("\n", "\r\n")),
    ).toEqual([]);
  });
});

describe("H11 text encoding", () => {
  it("accepts a byte order mark", () => {
    expect(problemsOf(`\ufeff${configText()}`)).toEqual([]);
  });

  it("counts columns without the byte order mark", () => {
    expect(problemsOf("\ufeff?\n")[0]).toMatch(/^c\.toml:1:1: /);
  });

  it("names the line that is not UTF-8", () => {
    const text = Buffer.concat([Buffer.from("a = 1\nb = '"), Buffer.of(0xff), Buffer.from("'\n")]);
    expect(problemsOf(text)).toEqual(["c.toml:2: is not UTF-8 text"]);
  });

  it("refuses UTF-16", () => {
    expect(problemsOf(Buffer.from("\ufeffa = 1\n", "utf16le"))).toEqual([
      "c.toml:1: is not UTF-8 text",
    ]);
  });
});

describe("H11 hostile sizes", () => {
  it("refuses more than 256 KiB", () => {
    expect(problemsOf(`# ${"x".repeat(262_144)}\n`)).toEqual([
      "c.toml: is longer than 262144 bytes",
    ]);
  });

  it("follows lists to 8 levels", () => {
    const text = `a = ${"[".repeat(9)}${"]".repeat(9)}\n`;
    expect(problemsOf(text)).toContain("c.toml:1: a: is nested deeper than 8 levels");
  });

  it("survives deep nesting", () => {
    const depth = 5000;
    const text = `a = ${"[".repeat(depth)}${"]".repeat(depth)}\n`;
    expect(problemsOf(text)).toEqual(["c.toml:1:37: nested deeper than 32 levels"]);
  });

  it("survives a string of a quarter of a megabyte", () => {
    const text = `[interface]\nname = "${"é\\n".repeat(60_000)}"\n`;
    expect(problemsOf(text)).toContain(
      "c.toml:2: interface.name: holds a control character; expected printable text on one line",
    );
  });
});
