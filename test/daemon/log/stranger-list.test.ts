/** Strangers that are remembered: the last ones, with how often and how long ago. */
import { describe, expect, it } from "vitest";
import type { TunnelEvent } from "../../../src/core/options.ts";
import { REMEMBERED_STRANGERS, StrangerList } from "../../../src/daemon/log/stranger-list.ts";
import { endpoint } from "../../helpers/address.ts";

describe("the list of strangers", () => {
  it("has each source once, with its reports and the age of the last, the latest first", () => {
    const list = new StrangerList();
    list.event(stranger("192.0.2.1"), 1_000);
    list.event(stranger("192.0.2.2", "unknown_hint"), 2_000);
    list.event(stranger("192.0.2.1"), 61_000);

    expect(list.status(71_000)).toEqual([
      { source: "192.0.2.1:1194", reason: "bad_mac", reports: 2, ageSeconds: 10 },
      { source: "192.0.2.2:1194", reason: "unknown_hint", reports: 1, ageSeconds: 69 },
    ]);
  });

  it("forgets the one that was reported longest ago", () => {
    const list = new StrangerList();
    for (let index = 1; index <= REMEMBERED_STRANGERS; index += 1) {
      list.event(stranger(`192.0.2.${index}`), index);
    }
    list.event(stranger("192.0.2.1"), 100);
    list.event(stranger("192.0.2.99"), 101);

    const sources = list.status(101).map(({ source }) => source);
    expect(sources).toHaveLength(REMEMBERED_STRANGERS);
    expect(sources.slice(0, 2)).toEqual(["192.0.2.99:1194", "192.0.2.1:1194"]);
    expect(sources).not.toContain("192.0.2.2:1194");
  });

  it("takes no other event", () => {
    const list = new StrangerList();
    list.event({ kind: "lost", count: 3 }, 0);
    expect(list.status(0)).toEqual([]);
  });
});

function stranger(ip: string, reason: "bad_mac" | "unknown_hint" = "bad_mac"): TunnelEvent {
  return { kind: "stranger", source: endpoint(ip, 1194), reason };
}
