/**
 * Where the addon keeps keys: locked pages, and no copy after they are wiped.
 *
 * Not run with the sanitized build: there mlock does nothing and the process maps terabytes.
 */
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { run } from "./isolated.ts";

/** What key-memory.ts prints. */
interface KeyMemory {
  readonly inUse: number;
  readonly afterWipe: number;
  readonly flags: readonly string[];
  readonly mayLock: boolean;
}

let memory: KeyMemory;

beforeAll(async () => {
  const program = fileURLToPath(new URL("./key-memory.ts", import.meta.url));
  const { output, errors } = await run(process.execPath, ["--import", "tsx", program]);
  if (errors !== "") throw new Error(errors);
  memory = JSON.parse(output) as KeyMemory;
}, 60_000);

describe("key memory", () => {
  it("holds a key in its slot and one cipher context, and nowhere once it is wiped", () => {
    expect(memory).toMatchObject({ inUse: 2, afterWipe: 0 });
  });

  it("is left out of dumps and wiped in children", () => {
    expect(memory.flags).toEqual(expect.arrayContaining(["dd", "wf"]));
  });

  it("is locked where the limit allows", () => {
    expect(memory.flags.includes("lo") || !memory.mayLock).toBe(true);
  });
});
