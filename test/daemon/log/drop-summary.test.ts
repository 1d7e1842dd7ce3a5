/** Drops as lines: one a reason and interval, with what came since the last. */
import { describe, expect, it } from "vitest";
import { dropCounters } from "../../../src/core/drop-reason.ts";
import { DropSummary } from "../../../src/daemon/log/drop-summary.ts";

describe("a summary of drops", () => {
  it("has a line for each reason that grew, with its clause", () => {
    const summary = new DropSummary();

    const lines = summary.lines({ ...dropCounters(), forged: 3, bad_mac: 1 });

    expect(lines).toEqual([
      {
        reason: "bad_mac",
        count: 1,
        level: "info",
        message: "dropped 1 packet (bad_mac): handshake not made with a key configured here",
      },
      {
        reason: "forged",
        count: 3,
        level: "info",
        message: "dropped 3 packets (forged): data does not open under the session key",
      },
    ]);
  });

  it("counts from the last one", () => {
    const summary = new DropSummary();
    summary.lines({ ...dropCounters(), forged: 3 });

    const lines = summary.lines({ ...dropCounters(), forged: 10 });

    expect(lines.map(({ reason, count }) => [reason, count])).toEqual([["forged", 7]]);
  });

  it.each(["challenged", "multicast"] as const)(
    "keeps what belongs to a healthy tunnel to the debug level (%s)",
    (reason) => {
      const lines = new DropSummary().lines({ ...dropCounters(), [reason]: 1 });

      expect(lines.map(({ level }) => level)).toEqual(["debug"]);
    },
  );

  it("is empty where nothing grew", () => {
    const summary = new DropSummary();
    summary.lines({ ...dropCounters(), forged: 3 });

    expect(summary.lines({ ...dropCounters(), forged: 3 })).toEqual([]);
    expect(new DropSummary().lines(dropCounters())).toEqual([]);
  });
});
