/**
 * What messages quote and suggest: values on one line, no keys, near words.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigError, formatProblem } from "../../src/config/problem.ts";
import { looksSecret, printable, shown } from "../../src/config/shown.ts";
import { closest } from "../../src/config/suggest.ts";
import { KEY_A, KEY_B } from "../helpers/config-samples.ts";

describe("a quoted value", () => {
  it.each([
    [5, "5"],
    [-0.5, "-0.5"],
    [true, "true"],
    [10n, "a number of 2^53 or more"],
    [new Date(0), "a date or time"],
    [[1], "a list"],
    [{ a: 1 }, "a table"],
    [undefined, "missing"],
    ["", '""'],
    ['a"b', '"a\\"b"'],
    ["a\nb\u001b[0m", '"a\\nb\\u001b[0m"'],
    ["a\u202eb\u200bc", '"a\\u202eb\\u200bc"'],
    ["\ud800", '"\\ud800"'],
    ["x".repeat(81), `"${"x".repeat(80)}…"`],
    ["é".repeat(80), `"${"é".repeat(80)}"`],
    [KEY_A, "text that looks like a key (not shown)"],
    [`/etc/${KEY_B}`, "text that looks like a key (not shown)"],
  ])("is short and on one line: case %#", (value, expected) => {
    expect(shown(value)).toBe(expected);
  });

  it("has no control character whatever it is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it finds.
        expect(shown(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
      }),
    );
  });

  it("is never a key", () => {
    const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(key, (bytes) => {
        const text = Buffer.from(bytes).toString("base64");
        // Fewer capitals, or no digit: one random key in a thousand is quoted.
        fc.pre(/[0-9]/.test(text) && text.replace(/[^A-Z]/g, "").length >= 4);
        expect(shown(`x ${text}`)).not.toContain(text);
      }),
    );
  });
});

describe("what looks like a key", () => {
  it.each([
    ["/etc/iptun/keys/site-a.key", false],
    ["/home/User1/some/very/long/path/which/has.a.dot", false],
    ["vpn.example.org:1194", false],
    ["2001:db8:1111:2222:3333:4444:5555:6666", false],
    [KEY_A, true],
    [KEY_A.slice(0, 36), true],
    [KEY_A.slice(0, 35), false],
  ])("%s: %s", (text, expected) => {
    expect(looksSecret(text)).toBe(expected);
  });
});

describe("printable text", () => {
  it("has its control characters written out", () => {
    expect(printable("a\r\n\tb\u007f\u0085")).toBe("a\\u000d\\u000a\\u0009b\\u007f\\u0085");
  });

  it("keeps letters of every language", () => {
    expect(printable("Zürich 東京 👍")).toBe("Zürich 東京 👍");
  });
});

describe("a suggestion", () => {
  const KEYS = ["name", "key", "key_file", "endpoint", "allowed_ips", "keepalive", "roaming"];

  it.each([
    ["allowed_ip", "allowed_ips"],
    ["AllowedIPs", "allowed_ips"],
    ["allowedips", "allowed_ips"],
    ["alowed-ips", "allowed_ips"],
    ["endpiont", "endpoint"],
    ["keyfile", "key_file"],
    ["keep_alive", "keepalive"],
    ["kye", "key"],
    ["roming", "roaming"],
    ["colour", undefined],
    ["", undefined],
    ["k", undefined],
    ["n".repeat(41), undefined],
  ])("for %j is %s", (word, expected) => {
    expect(closest(word, KEYS)).toBe(expected);
  });

  it("for a word with one letter changed is that word", () => {
    const word = fc.constantFrom("handshakes", "keepalive", "endpoint", "address");
    fc.assert(
      fc.property(word, fc.nat(6), (known, at) => {
        const mistyped = `${known.slice(0, at)}x${known.slice(at + 1)}`;
        expect(closest(mistyped, ["handshakes", "keepalive", "endpoint", "address"])).toBe(known);
      }),
    );
  });
});

describe("a problem", () => {
  it.each([
    [{ key: "a.b", text: "is wrong", line: 3 }, "f.toml:3: a.b: is wrong"],
    [{ key: "", text: "is wrong", line: 3, column: 7 }, "f.toml:3:7: is wrong"],
    [{ key: "", text: "is wrong" }, "f.toml: is wrong"],
  ])("%j is one line", (problem, expected) => {
    expect(formatProblem("f.toml", problem)).toBe(expected);
  });

  it("is named among the first 100 of an error, the rest counted", () => {
    const problems = Array.from({ length: 102 }, (_, at) => ({
      key: "a",
      text: "x",
      line: at + 1,
    }));
    const lines = new ConfigError("f.toml", problems).message.split("\n");
    expect(lines).toHaveLength(101);
    expect(lines.slice(-2)).toEqual(["f.toml:100: a: x", "f.toml: 2 more problems"]);
  });

  it("stands in the error in the order of lines", () => {
    const error = new ConfigError("f.toml", [
      { key: "b", text: "second", line: 9 },
      { key: "a", text: "first", line: 2 },
      { key: "", text: "general" },
    ]);
    expect(error.message).toBe("f.toml: general\nf.toml:2: a: first\nf.toml:9: b: second");
    expect(error.problems.map((problem) => problem.key)).toEqual(["", "a", "b"]);
  });
});
