/**
 * Outer DF and path MTU against a real kernel, in a namespace of their own.
 *
 * What each fact was made with stands in fragment-scenarios.ts.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { type Facts, runIsolated } from "./isolated.ts";

let facts: Facts<typeof import("./fragment-scenarios.ts")>;

beforeAll(async () => {
  facts = await runIsolated(new URL("./fragment-scenarios.ts", import.meta.url));
}, 60_000);

describe("outer fragmentation", () => {
  it.each(["dual", "v4"] as const)(
    "sets DF only in rows that ask for it, and fails those that do not fit (%s)",
    (socket) => {
      expect(facts.dontFragment[socket]).toEqual({
        status: ["0", "0", "EMSGSIZE", "0", "0"],
        wire: ["0", "DF0", "MF0", "1376", "0"],
      });
    },
  );

  it("does the same over IPv6, where the sender fragments", () => {
    expect(facts.dontFragmentV6).toEqual({
      status: ["EMSGSIZE", "0", "0"],
      nextHeaders: [44, 44, 17],
      trafficClass: 0xb9,
    });
  });

  it("is not moved by a forged path MTU", () => {
    expect(facts.forgedPathMtu).toEqual({
      before: 1428,
      written: 1,
      status: ["0", "0"],
      after: [1428, 1428],
    });
  });
});

it.each(["v4", "dual", "v6"] as const)(
  "datagrams leave with the hop limit of their row, or the kernel's (%s)",
  (socket) => {
    expect(facts.hops[socket]).toEqual({
      status: ["0", "0", "0", "0"],
      wire: [48, 64, 1, 255, 255],
    });
  },
);
