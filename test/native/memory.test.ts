/**
 * Where the addon keeps keys: locked pages, and no copy after they are wiped.
 *
 * Not run with the sanitized build: there mlock does nothing and the process maps terabytes.
 */
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { CIPHER } from "../../src/io/native.ts";
import { run } from "./isolated.ts";

/** What key-memory.ts prints. */
interface KeyMemory {
  readonly inUse: number;
  readonly afterWipe: number;
  readonly flags: readonly string[];
  readonly mayLock: boolean;
}

const memory = new Map<string, KeyMemory>();

beforeAll(async () => {
  const program = fileURLToPath(new URL("./key-memory.ts", import.meta.url));
  for (const kind of Object.keys(CIPHER)) {
    const { output, errors } = await run(process.execPath, ["--import", "tsx", program, kind]);
    if (errors !== "") throw new Error(errors);
    memory.set(kind, JSON.parse(output) as KeyMemory);
  }
}, 60_000);

describe("key memory", () => {
  it("holds a key in its slot and one cipher context a direction, and nowhere once it is wiped", () => {
    expect(memory.get("EVP")).toMatchObject({ inUse: 3, afterWipe: 0 });
  });

  it("holds a key in its slot alone where the primitives are used", () => {
    expect(memory.get("PRIMITIVES")).toMatchObject({ inUse: 1, afterWipe: 0 });
  });

  it("is left out of dumps and wiped in children", () => {
    expect(memory.get("EVP")?.flags).toEqual(expect.arrayContaining(["dd", "wf"]));
  });

  it("is locked where the limit allows", () => {
    const { flags = [], mayLock = true } = memory.get("EVP") ?? {};
    expect(flags.includes("lo") || !mayLock).toBe(true);
  });
});
