/**
 * The socket's shield against a real kernel, in a namespace of its own (shield-scenarios.ts).
 */
import { beforeAll, describe, expect, it } from "vitest";
import { type Facts, runIsolated } from "./isolated.ts";

let facts: Facts<typeof import("./shield-scenarios.ts")>;

beforeAll(async () => {
  facts = await runIsolated(new URL("./shield-scenarios.ts", import.meta.url));
}, 60_000);

describe("the shield", () => {
  it("lets every kind of message through, and nothing else, over both families", () => {
    const { sorting } = facts;
    expect(sorting.isUp).toBe(true);
    expect(sorting.before).toEqual([sorting.all, sorting.all]);
    expect(sorting.messages).toEqual([sorting.wanted, sorting.wanted]);
    expect(sorting.junk).toEqual([[], []]);
    expect(sorting.after).toEqual([sorting.all, sorting.all]);
  });

  it("leaves the kernel to count what it drops", () => {
    const { unread, unreadBefore, junkCount } = facts.sorting;
    expect(unreadBefore).toBe(0);
    expect(unread).toBe(2 * junkCount);
  });

  it("drops no genuine datagram of a run for one before it", () => {
    const joined = [[432, 200]];
    const apart = [
      [200, 0],
      [32, 0],
    ];
    expect(facts.runs).toEqual({
      before: [joined, joined],
      shielded: [apart, apart],
      after: [joined, joined],
    });
  });

  it("does not stay on a socket that another process takes over", () => {
    expect(facts.adoption).toEqual([[100], [100]]);
  });

  it("takes at most eight beginnings, in pairs, and fails on what is no socket", () => {
    expect(facts.refusals).toEqual({
      noneToTakeAway: "0",
      oddWords: "EINVAL",
      tooMany: "EINVAL",
      most: "0",
      negative: "EINVAL",
      tooLong: "EINVAL",
      granted: 2,
      closed: "EBADF",
      closedNone: "EBADF",
      closedDropped: "EBADF",
    });
  });
});
