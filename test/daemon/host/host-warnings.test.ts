/**
 * What `check` says of the host: only what is there to see, and only what concerns this configuration.
 */
import { describe, expect, it } from "vitest";
import { hostWarnings } from "../../../src/daemon/host/host-warnings.ts";
import type { JournalState } from "../../../src/daemon/host/journal.ts";
import { config, peerConfig, prefix } from "../config.ts";

const ROUTED = config({ peers: [peerConfig({ allowedIps: [prefix("::/0")] })] });
const MISSING =
  "interface.firewall: nft is not installed, so forged packets to the inner addresses are let in; install nftables";

describe("a missing nft", () => {
  it.each([
    ["a default route", ROUTED, [MISSING]],
    ["a firewall that is switched on", config({ interface: { firewall: true } }), [MISSING]],
    ["neither", config(), []],
    ["a firewall that is switched off", config({ interface: { firewall: false } }), []],
  ])("is told with %s", (_, given, expected) => {
    expect(hostWarnings(given, () => false, journalOf({ kind: "none" }))).toEqual(expected);
    expect(hostWarnings(given, () => true, journalOf({ kind: "none" }))).toEqual([]);
  });

  it("is what is on the path", () => {
    const there = hostWarnings(config({ interface: { firewall: true } }), undefined, NONE);
    expect([[], [MISSING]]).toContainEqual(there);
  });
});

describe("a journal", () => {
  it.each([
    [
      "of a killed run",
      { kind: "left", changes: [] },
      /^interface\.state_dir: \/s\/j tells of a run/,
    ],
    [
      "of no use",
      { kind: "bad", reason: "is a directory", isDenied: false },
      /^interface\.state_dir: \/s\/j is a directory, so what a killed run may have left is not undone; .*remove the file$/,
    ],
  ] as const)("%s is told", (_, state, expected) => {
    const lines = hostWarnings(config(), () => true, journalOf(state));
    expect(lines).toEqual([expect.stringMatching(expected)]);
  });

  it.each([
    { kind: "none" },
    { kind: "alive", pid: 7 },
    { kind: "elsewhere", where: "boot" },
    { kind: "bad", reason: "cannot be read: permission denied", isDenied: true },
  ] as const)("that is $kind is not", (state) => {
    expect(hostWarnings(config(), () => true, journalOf(state))).toEqual([]);
  });
});

const NONE = journalOf({ kind: "none" });

function journalOf(state: JournalState) {
  return { path: "/s/j", read: () => state };
}
