/** One screen of the watch: what is on it, and that it never has more than fits. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { paintOf } from "../../src/cli/paint.ts";
import { sparkline } from "../../src/cli/sparkline.ts";
import { screenLines, type WatchState } from "../../src/cli/watch-screen.ts";
import { dropCounters } from "../../src/core/drop-reason.ts";
import type { PeerHistory } from "../../src/daemon/control/history.ts";
import { peerStatus, statusDocument } from "./status-fixture.ts";

describe("sparklines", () => {
  it.each([
    [[0, 1, 2, 3, 4, 5, 6, 7], 8, 0, "▁▂▃▄▅▆▇█"],
    [[7, 0, 7], 2, 0, "▁█"],
    [[null, 5], 4, 0, "   █"],
    [[1, 2], 2, 7, "▂▃"],
    [[0, 0], 2, 1, "▁▁"],
    [[], 3, 1, "   "],
  ])("of %j in %i characters, %i at least, are %j", (values, length, least, expected) => {
    expect(sparkline(values, length, least)).toBe(expected);
  });
});

describe("a screen", () => {
  it("has the interface, each peer with its last minute, and how to leave", () => {
    expect(screen(state(), 80, 24)).toEqual([
      "iptun0  up 2 h 3 min, 10.0.0.1/24, fd00::1/64, mtu 1420, UDP port 1194",
      "",
      "peer  state  endpoint        in/out bit/s  rtt ms  session  loss %  in/out bytes",
      "b     up     192.0.2.1:1194  1.0M/64k      20.1    12 s     0/2.1   84/1.0M",
      `  in ${"▁█".padStart(14)}  out ${"▁▁".padStart(14)}  rtt ${"▄█".padStart(14)}  loss ${"▅▁".padStart(14)}`,
      "q quits",
    ]);
  });

  it("says troubles below the peers, and what went wrong with the last question", () => {
    const drops = { ...dropCounters(), bad_mac: 12 };
    const lines = screen({ ...state({ drops }), failure: "not running" }, 80, 24);
    expect(lines.slice(-5)).toEqual([
      "not running",
      "",
      "dropped",
      "  bad_mac  12  handshake not made with a key configured here",
      "q quits",
    ]);
  });

  it("leaves sparklines out where there is no room, then peers, which it counts", () => {
    const names = ["a", "b", "c", "d", "e"];
    const peers = names.map((name) => peerStatus({ name }));
    const history = { seconds: 2, peers: names.map((name) => ({ ...HISTORY, peer: name })) };
    const many: WatchState = { ...state(), document: statusDocument(peers), history };
    expect(screen(many, 80, 14).filter((line) => line.startsWith("  in "))).toHaveLength(5);
    expect(screen(many, 80, 13).filter((line) => line.startsWith("  in "))).toEqual([]);
    const small = screen(many, 80, 7);
    expect(small).toHaveLength(7);
    expect(small.slice(-2)).toEqual(["3 more lines", "q quits"]);
  });

  it("has a peer's line alone where it has no history", () => {
    const unknown = { ...state(), history: { seconds: 2, peers: [] } };
    expect(screen(unknown, 80, 24)).toHaveLength(5);
  });

  it("never has more lines than rows, nor a table wider than the terminal", () => {
    const drops = { ...dropCounters(), bad_mac: 12, forged: 3, no_route: 1 };
    const full = { ...state({ drops }), failure: "x".repeat(200) };
    fc.assert(
      fc.property(fc.integer({ min: 12, max: 120 }), fc.integer({ min: 1, max: 40 }), (w, h) => {
        const lines = screen(full, w, h);
        expect(lines.length).toBeLessThanOrEqual(h);
        // A word alone (an address) may be longer than a very narrow line; the terminal does not wrap it.
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(Math.max(w, 24));
      }),
    );
  });

  it("says that there is no peer", () => {
    expect(screen({ ...state(), document: statusDocument([]) }, 80, 24)[2]).toBe("no peers");
  });
});

const HISTORY: PeerHistory = {
  peer: "b",
  inboundBytesPerSecond: [0, 125_000],
  outboundBytesPerSecond: [0, 10],
  roundTripMs: [10, 20.1],
  inboundLoss: [null, 0],
  outboundLoss: [0.005, null],
};

function state(changes: Parameters<typeof statusDocument>[1] = {}): WatchState {
  return {
    document: statusDocument([peerStatus()], changes),
    history: { seconds: 2, peers: [HISTORY] },
    failure: undefined,
  };
}

function screen(given: WatchState, columns: number, rows: number): readonly string[] {
  return screenLines(given, { columns, rows }, paintOf(false));
}
