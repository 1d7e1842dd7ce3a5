/** What `iptun status` says of the keys of a peer and of a group. */
import { describe, expect, it } from "vitest";
import { keyRow } from "../../src/cli/key-text.ts";
import type { KeyStatus } from "../../src/daemon/control/status.ts";
import { keyStatus, peerStatus } from "./status-fixture.ts";

const FIRST = keyStatus({ fingerprint: "abcd1234" });

function textOf(kind: "pair" | "group", old: Partial<KeyStatus>): string {
  const keys = [FIRST, keyStatus({ fingerprint: "1234abcd", ...old })];
  const [, text = ""] = keyRow(peerStatus({ name: "branch", kind, keys }));
  return text.replace(/^.*1234abcd /, "");
}

describe("the keys of a peer", () => {
  it("are one name where there is one", () => {
    expect(keyRow(peerStatus({ keys: [FIRST] }))).toEqual(["key", "abcd1234"]);
  });

  it("are told apart, each with its use", () => {
    const old = keyStatus({ fingerprint: "1234abcd", use: "removable", heardSeconds: 720 });

    expect(keyRow(peerStatus({ keys: [FIRST, old] }))).toEqual([
      "keys",
      "abcd1234 in use by both sides, 1234abcd unused for 12 min 0 s: safe to remove",
    ]);
  });

  it.each<[Partial<KeyStatus>, string]>([
    [{ use: "in-use" }, "in use"],
    [
      { use: "peer-starts", peerStartedSeconds: 180 },
      "not yet: branch started with it 3 min 0 s ago",
    ],
    [{ use: "first-unproven" }, "not yet: branch was not heard under the first key"],
    [{ use: "unknown" }, "not yet: branch has started no session, so its first key is not known"],
    [{ use: "removable", heardSeconds: null }, "never used: nothing needs it"],
    [{ startedSeconds: null }, "in use by the other side"],
    [{ peerStartedSeconds: null }, "in use by this side"],
    [{ startedSeconds: null, peerStartedSeconds: null }, "not used yet"],
  ])("of a pair: %j", (old, text) => {
    expect(textOf("pair", old)).toBe(text);
  });

  it.each<[Partial<KeyStatus>, string]>([
    [{ use: "in-use", sites: 3 }, "in use by 3 sites"],
    [
      { use: "peer-starts", sites: 1, heardSeconds: 60 },
      "not yet: 1 site used it last, 1 min 0 s ago",
    ],
    [{ use: "unknown", sites: 0 }, "not used yet"],
    [{ use: "removable", sites: 0, heardSeconds: 3 }, "unused for 3 s: safe to remove"],
  ])("of a group: %j", (old, text) => {
    expect(textOf("group", old)).toBe(text);
  });
});
