/**
 * What the status page is told: no keys, a bounded number of peers, sums of all of them.
 */
import { describe, expect, it } from "vitest";
import { MAX_PAGE_PEERS, pageView } from "../../../src/daemon/web/page-view.ts";
import { reading } from "../reading.ts";
import { peerSnapshot } from "../snapshot.ts";

describe("the page's view", () => {
  it("holds no key and no fingerprint", () => {
    const view = JSON.stringify(pageView(reading().status));

    expect(view).toContain('"name":"b"');
    expect(view).not.toMatch(/fingerprint|8d493a44/);
  });

  it("says in words what was dropped, and only that", () => {
    const { drops, errors } = pageView(reading().status);

    expect(drops).toEqual([
      { reason: "forged", text: "data does not open under the session key", count: 3 },
    ]);
    expect(errors).toEqual([{ errno: "ECONNREFUSED", count: 2 }]);
  });

  it("has so many peers at most, and counts all", () => {
    const names = Array.from({ length: MAX_PAGE_PEERS + 10 }, (_, index) => `peer-${index}`);
    const peers = names.map((name) => peerSnapshot({ name }));

    const view = pageView(reading(...peers).status);

    expect(view.peers).toHaveLength(MAX_PAGE_PEERS);
    expect(view.hiddenPeers).toBe(10);
    expect(view.totals).toMatchObject({ peers: MAX_PAGE_PEERS + 10, up: MAX_PAGE_PEERS + 10 });
    expect(JSON.stringify(view).length).toBeLessThan(200_000);
  });

  it("does not count a group as a peer", () => {
    const group = peerSnapshot({ name: "branch", kind: "group", state: "idle" });

    const view = pageView(reading(group, peerSnapshot()).status);

    expect(view.totals).toMatchObject({ peers: 1, up: 1 });
    expect(view.peers.map(({ name }) => name)).toEqual(["branch", "b"]);
  });
});
