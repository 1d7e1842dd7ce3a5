/**
 * The addon's tunWrite against a real kernel, in a namespace of its own.
 *
 * What each fact was made with stands in tun-write-scenarios.ts.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { type Facts, runIsolated } from "./isolated.ts";

let facts: Facts<typeof import("./tun-write-scenarios.ts")>;

beforeAll(async () => {
  facts = await runIsolated(new URL("./tun-write-scenarios.ts", import.meta.url));
}, 60_000);

describe("tunWrite", () => {
  it("writes packets whole and gathered from rows that alternate, in the order of their first rows", () => {
    expect(facts.writes).toEqual({
      wholeWritten: 1,
      gatheredWritten: 3,
      status: [0, 0, 0, 0, 0, 0],
      lengths: [84, 84, 85, 84],
      types: [0, 0, 0, 0],
      isEcho: true,
      isUnchanged: true,
    });
  });

  it("fails rows outside the arena or with impossible fields alone, and writes the others", () => {
    const bad = Array.from({ length: 9 }, () => "EINVAL");
    expect(facts.badRows.status).toEqual(["0", ...bad, "0", "EINVAL"]);
    expect(facts.badRows.written).toBe(2);
  });

  it.each([
    "ring",
    "back",
    "pastEnd",
    "farPastEnd",
    "negative",
    "noPart",
    "badPart",
    "lonelyParts",
    "tooMany",
    "tooManyPieces",
    "farTooManyPieces",
    "negativePieces",
    "piecesOutside",
    "piecesBefore",
    "piecesOverParts",
  ] as const)(
    "fails every row of a chain that is no packet (%s), and writes the next one",
    (name) => {
      expect(facts.badChains[name]).toEqual({
        written: 1,
        first: "EINVAL",
        last: "0",
        all: ["EINVAL", "0"],
      });
    },
  );

  it("gathers 128 rows", () => {
    expect(facts.badChains.most).toBe(1);
  });
});
