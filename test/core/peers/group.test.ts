/** What each source that proved its address has of a group's hub. */
import { describe, expect, it } from "vitest";
import { GROUP_NODES } from "../../../src/core/constants.ts";
import { SourceShares } from "../../../src/core/peers/group.ts";
import { after } from "../../../src/core/time.ts";
import { START } from "../core-fixtures.ts";

describe("the shares of a group's sources", () => {
  it("are one budget each, which refills", () => {
    const shares = new SourceShares(10, 2);
    const take = (source: string, ms = 0): boolean => shares.take(source, after(START, ms));

    expect([take("a"), take("a"), take("a")]).toEqual([true, true, false]);
    expect([take("b"), take("b"), take("b")]).toEqual([true, true, false]);
    expect([take("a", 99), take("a", 100), take("a", 100)]).toEqual([false, true, false]);
  });

  it("are kept for as many sources as there may be nodes; the one asked for longest ago is forgotten", () => {
    const shares = new SourceShares(1, 1);
    for (let source = 0; source < GROUP_NODES; source += 1) shares.take(`${source}`, START);
    // All are known, and spent what they had. The first is not the oldest any more.
    expect(shares.take("0", START)).toBe(false);
    expect(shares.take("new", START)).toBe(true);

    expect(shares.take("2", START)).toBe(false);
    expect(shares.take("0", START)).toBe(false);
    expect(shares.take("1", START)).toBe(true);
  });
});
