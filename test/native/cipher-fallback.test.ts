/**
 * EVP takes over where the primitives are missing or are not what they should be.
 *
 * Each case is a build of its own, in which one of their names is another: the functions lie in the node
 * executable, whose names a preloaded library cannot take.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SEAL, SEAL_FIELDS } from "../../src/core/rows.ts";
import { CIPHER, loadNative, type Native } from "../../src/io/native.ts";
import { Random } from "../helpers/random.ts";
import { run } from "./isolated.ts";
import { testNative } from "./native.ts";

const BUILD = fileURLToPath(new URL("../../scripts/build-native", import.meta.url));
const WRONG = fileURLToPath(new URL("./wrong-final.c", import.meta.url));
const CASES = {
  missing: ["-nostdlib", "-DPoly1305_Update=iptun_has_no_such_function"],
  wrong: ["-nostdlib", "-DPoly1305_Final=wrong_final", WRONG],
} as const;
const directory = mkdtempSync(join(tmpdir(), "iptun-cipher-"));
const addons = new Map<string, Native>();

beforeAll(async () => {
  for (const [name, flags] of Object.entries(CASES)) {
    const path = join(directory, `${name}.node`);
    const { ending, errors } = await run(BUILD, [path, ...flags], { LD_PRELOAD: "" });
    if (ending !== "code 0") throw new Error(errors);
    addons.set(name, loadNative(path));
  }
}, 60_000);

afterAll(() => rmSync(directory, { recursive: true }));

describe.each(Object.keys(CASES))("an addon whose primitives are %s", (name) => {
  it("uses EVP, also when asked for them", () => {
    const addon = addonOf(name);
    expect([0, CIPHER.PRIMITIVES, 0].map((wanted) => addon.cipherKind(wanted))).toEqual(
      Array.from({ length: 3 }, () => CIPHER.EVP),
    );
  });

  it("seals what any other seals", () => {
    expect(sealed(addonOf(name))).toEqual(sealed(testNative()));
  });
});

function addonOf(name: string): Native {
  const addon = addons.get(name);
  if (addon === undefined) throw new Error(`no addon ${name}`);
  return addon;
}

function sealed(native: Native): Uint8Array {
  const rows = new Int32Array(SEAL_FIELDS);
  const datagram = new Uint8Array(132);
  rows[SEAL.IN_LENGTH] = 100;
  rows[SEAL.SEGMENTS] = 1;
  native.keyLoad(0, new Random(1).bytes(48));
  native.seal(new Random(2).bytes(100), datagram, rows, 1);
  expect(rows[SEAL.STATUS]).toBe(0);
  return datagram;
}
