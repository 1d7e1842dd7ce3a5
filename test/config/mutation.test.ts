/**
 * FAULTS H11: whatever becomes of a configuration's text, the answer is a Config or a ConfigError, and
 * no message holds a key.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { CONFIG_SAMPLE, KEY_A, KEY_B } from "../helpers/config-samples.ts";
import { ConfigFiles } from "./config-files.ts";

/** So many characters in a row of a key would be a leak. */
const WINDOW = 36;

it("a configuration with any character left out gives a Config or a ConfigError without keys", () => {
  const files = new ConfigFiles();
  for (let at = 0; at < CONFIG_SAMPLE.length; at++) {
    checkText(files, CONFIG_SAMPLE.slice(0, at) + CONFIG_SAMPLE.slice(at + 1));
  }
});

it("a configuration with random changes gives a Config or a ConfigError without keys", () => {
  const files = new ConfigFiles();
  fc.assert(
    fc.property(fc.array(mutation(), { minLength: 1, maxLength: 4 }), (mutations) => {
      let text = CONFIG_SAMPLE;
      for (const mutate of mutations) text = mutate(text);
      checkText(files, text);
    }),
    { numRuns: 700 },
  );
});

it("any bytes give a ConfigError", () => {
  const files = new ConfigFiles();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const path = files.write("c.toml", bytes);
      expect(() => loadConfig(path)).toThrow(ConfigError);
    }),
    { numRuns: 200 },
  );
});

it("every key of the prototype is an unknown key", () => {
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

function checkText(files: ConfigFiles, text: string): void {
  const path = files.write("c.toml", text);
  try {
    loadConfig(path);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const key of [KEY_A, KEY_B]) {
      for (let at = 0; at + WINDOW <= key.length; at++) {
        expect(error.message).not.toContain(key.slice(at, at + WINDOW));
      }
    }
  }
}
