/**
 * FAULTS H11: whatever becomes of a configuration's text, the answer is a Config or a ConfigError, and
 * no message holds a key.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { CONFIG_SAMPLE, KEY_A, KEY_B } from "../helpers/config-samples.ts";
import { figure } from "../helpers/figure.ts";
import { amount } from "../helpers/full.ts";
import { slowness } from "../helpers/slowness.ts";
import { ConfigFiles } from "./config-files.ts";

/** So many characters in a row of a key would be a leak. */
const WINDOW = 36;
const NO_PEER = ": has no peer; expected at least one [[peer]]";
const MUTATIONS = amount({ quick: 700, short: 10_000, full: 1_000_000 });

it("H11 a configuration with any character left out gives a Config or a ConfigError without keys", () => {
  const files = new ConfigFiles();
  for (let at = 0; at < CONFIG_SAMPLE.length; at++) {
    checkText(files, CONFIG_SAMPLE.slice(0, at) + CONFIG_SAMPLE.slice(at + 1));
  }
});

it(`H11 a configuration with ${MUTATIONS} random changes gives a Config or a ConfigError without keys`, {
  timeout: 3_600_000,
}, () => {
  const files = new ConfigFiles();
  const found = { refused: 0, longestMs: 0 };
  const withoutLine: string[] = [];
  const before = process.memoryUsage().rss;
  fc.assert(
    fc.property(fc.array(mutation(), { minLength: 1, maxLength: 4 }), (mutations) => {
      let text = CONFIG_SAMPLE;
      for (const mutate of mutations) text = mutate(text);
      const started = performance.now();
      const message = checkText(files, text);
      found.longestMs = Math.max(found.longestMs, performance.now() - started);
      if (message === undefined) return;
      found.refused += 1;
      if (!/c\.toml:\d+/.test(message)) withoutLine.push(message);
    }),
    { numRuns: MUTATIONS },
  );
  const { refused, longestMs } = found;
  const grown = (process.memoryUsage().rss - before) / 1_048_576;
  figure(
    "H11",
    `${MUTATIONS} random changes of a configuration`,
    `${refused} refused, ${withoutLine.length} of them without a line; longest ${longestMs.toFixed(0)} ms, ${grown.toFixed(0)} MiB more`,
    "a line named, < 1 s, < 100 MiB, no key in a message",
  );
  // What the file lacks stands on none of its lines.
  expect(withoutLine.filter((message) => !message.endsWith(NO_PEER))).toEqual([]);
  expect(longestMs).toBeLessThan(1_000 * slowness());
  expect(grown).toBeLessThan(100);
});

it("H11 any bytes give a ConfigError", () => {
  const files = new ConfigFiles();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const path = files.write("c.toml", bytes);
      expect(() => loadConfig(path)).toThrow(ConfigError);
    }),
    { numRuns: 200 },
  );
});

it("H11 every key of the prototype is an unknown key", () => {
  const files = new ConfigFiles();
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    const text = `${CONFIG_SAMPLE}\n[${name}]\nmtu = 1\n[[peer]]\n${name} = 5\n`;
    const found = files.problems(text).filter((line) => line.includes("unknown key"));
    expect(found.length, name).toBe(2);
  }
  expect(Object.hasOwn(Object.prototype, "mtu")).toBe(false);
});

type Mutation = (text: string) => string;

/** Leaves out, doubles, moves or puts in a piece at a place given as a part of the length. */
function mutation(): fc.Arbitrary<Mutation> {
  const place = fc.double({ min: 0, max: 1, noNaN: true });
  const length = fc.integer({ min: 1, max: 60 });
  const token = fc.constantFrom(
    ...['"', "'", '"""', "[", "]", "[[", "{", "}", "=", ".", ",", "\n", "#", "\\", "\u0000", "\r"],
    ...["key", "key_file = ", "name = ", "endpoint = ", "allowed_ips = [", "peer", "[peer]\n", "0"],
    ...["-1", "1e9", "99999999999999999999", "nan", "1979-05-27", "true", KEY_A, "\ud800", "é"],
  );
  const at = (text: string, part: number) => Math.floor(text.length * part);
  return fc.tuple(fc.integer({ min: 0, max: 3 }), place, place, length, token).map(
    ([kind, from, to, count, piece]): Mutation =>
      (text) => {
        const start = at(text, from);
        const slice = text.slice(start, start + count);
        const rest = text.slice(0, start) + text.slice(start + count);
        const target = at(rest, to);
        if (kind === 0) return rest;
        if (kind === 1) return text.slice(0, start) + slice + text.slice(start);
        if (kind === 2) return rest.slice(0, target) + slice + rest.slice(target);
        return text.slice(0, start) + piece + text.slice(start);
      },
  );
}

/** The message; undefined: the text is a configuration. Throws where it is neither, or holds a key. */
function checkText(files: ConfigFiles, text: string): string | undefined {
  const path = files.write("c.toml", text);
  try {
    loadConfig(path);
    return undefined;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const shown = [KEY_A, KEY_B]
      .flatMap((key) => pieces(key))
      .filter((piece) => error.message.includes(piece));
    if (shown.length > 0) throw new Error(`a key is in the message: ${error.message}`);
    return error.message;
  }
}

function pieces(key: string): readonly string[] {
  return Array.from({ length: key.length - WINDOW + 1 }, (_, at) => key.slice(at, at + WINDOW));
}
