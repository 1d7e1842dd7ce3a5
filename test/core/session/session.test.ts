/** Sessions alone: counters up to their limit, life span, and which of two confirmed ones is current. */
import { describe, expect, it } from "vitest";
import {
  CROSSING_MS,
  REJECT_AFTER_MESSAGES,
  REJECT_AFTER_MS,
} from "../../../src/core/constants.ts";
import type { Aead, KeySlot } from "../../../src/core/crypto.ts";
import { newPsk } from "../../../src/core/handshake/psk.ts";
import { DEFAULT_LIMITS } from "../../../src/core/options.ts";
import { Peer, type Session } from "../../../src/core/peers/peer.ts";
import { DeadlineHeap } from "../../../src/core/session/deadlines.ts";
import { SessionOf } from "../../../src/core/session/session.ts";
import type { Instant } from "../../../src/core/time.ts";
import { Random } from "../../helpers/random.ts";
import { stubCrypto } from "../../sim/stub-crypto.ts";
import { rowFrom, udp } from "../core-fixtures.ts";

const SMALL = new Uint8Array(16).fill(1);
const LARGE = new Uint8Array(16).fill(2);
const at = (ms: number): Instant => ms as Instant;

describe("a session's counters", () => {
  it("are handed out in runs without a gap", () => {
    const session = newSession({});
    expect([session.takeCounters(1), session.takeCounters(40), session.takeCounters(1)]).toEqual([
      0, 1, 41,
    ]);
  });

  it.each([2 ** 31 - 2, 2 ** 32 - 2, 2 ** 40 - 2])("grow past %d without a repeat", (first) => {
    const session = newSession({});
    session.nextCounter = first;
    const taken = Array.from({ length: 5 }, () => session.takeCounters(1));
    expect(taken).toEqual([0, 1, 2, 3, 4].map((step) => first + step));
  });

  it("stop below 2^48 minus the window, also in the middle of a run", () => {
    const session = newSession({});
    session.nextCounter = REJECT_AFTER_MESSAGES - 2;
    expect(session.takeCounters(3)).toBeUndefined();
    expect(session.takeCounters(2)).toBe(REJECT_AFTER_MESSAGES - 2);
    expect(session.takeCounters(1)).toBeUndefined();
  });
});

describe("a session's life", () => {
  it("ends at 180 s", () => {
    const session = newSession({ born: 1_000 });
    expect(session.isUsable(at(1_000 + REJECT_AFTER_MS - 1))).toBe(true);
    expect(session.isUsable(at(1_000 + REJECT_AFTER_MS))).toBe(false);
  });

  it("ends once, and wipes both of its keys", () => {
    const wiped: number[] = [];
    const aead: Pick<Aead, "wipe"> = { wipe: (slot) => wiped.push(slot) };
    const session = newSession({});
    session.end(aead);
    session.end(aead);
    expect(wiped).toEqual([11, 12]);
    expect(session.isUsable(at(0))).toBe(false);
  });
});

describe("of two confirmed sessions", () => {
  it("with the same initiator the newer is current", () => {
    const older = newSession({ isInitiator: true, born: 0 });
    const newer = newSession({ isInitiator: true, born: 5 });
    expect([newer.supersedes(older), older.supersedes(newer)]).toEqual([true, false]);
  });

  it("that crossed, both ends choose the one whose initiator has the smaller node id", () => {
    const here = { own: SMALL, other: LARGE };
    const there = { own: LARGE, other: SMALL };
    const mineHere = newSession({ isInitiator: true, born: 100, ...here });
    const theirsHere = newSession({ isInitiator: false, born: 103, ...here });
    const mineThere = newSession({ isInitiator: true, born: 101, ...there });
    const theirsThere = newSession({ isInitiator: false, born: 102, ...there });

    expect(mineHere.supersedes(theirsHere)).toBe(true);
    expect(theirsHere.supersedes(mineHere)).toBe(false);
    expect(theirsThere.supersedes(mineThere)).toBe(true);
    expect(mineThere.supersedes(theirsThere)).toBe(false);
  });

  it("the newer is current where the older was heard before the newer was born: its side started anew", () => {
    const older = newSession({ isInitiator: true, born: 100, own: SMALL, other: LARGE });
    older.heardAt = at(120);
    const newer = newSession({ isInitiator: false, born: 121, own: SMALL, other: LARGE });
    expect([newer.supersedes(older), older.supersedes(newer)]).toEqual([true, false]);
  });

  it("that crossed at the edges: 10 s apart, the younger born as the older was heard", () => {
    const mine = newSession({ isInitiator: true, born: 100, own: SMALL, other: LARGE });
    mine.heardAt = at(100 + CROSSING_MS);
    const born = 100 + CROSSING_MS;
    const theirs = newSession({ isInitiator: false, born, own: SMALL, other: LARGE });
    expect([theirs.supersedes(mine), mine.supersedes(theirs)]).toEqual([false, true]);
  });

  it("of one instant and one initiator each gives way to the one confirmed later", () => {
    const [one, other] = [newSession({ born: 5 }), newSession({ born: 5 })];
    expect([one.supersedes(other), other.supersedes(one)]).toEqual([true, true]);
  });

  it("that crossed compare node ids byte by byte, the first that differs says", () => {
    const small = new Uint8Array(16).fill(5);
    const large = small.slice();
    small.set([4, 9], 14);
    const pair = { own: small, other: large } as const;
    const mine = newSession({ isInitiator: true, born: 100, ...pair });
    const theirs = newSession({ isInitiator: false, born: 100, ...pair });
    expect([mine.supersedes(theirs), theirs.supersedes(mine)]).toEqual([true, false]);
  });

  it("the newer is current where they were born more than 10 s apart", () => {
    const older = newSession({ isInitiator: true, born: 100, own: SMALL, other: LARGE });
    const born = 101 + CROSSING_MS;
    const newer = newSession({ isInitiator: false, born, own: SMALL, other: LARGE });
    expect([newer.supersedes(older), older.supersedes(newer)]).toEqual([true, false]);
  });
});

describe("a session's paths", () => {
  it("are where its RESP went, the first time and again; nowhere else", () => {
    const session = newSession({});
    session.otherPaths.push(udp("192.0.2.5"), udp("192.0.2.6"));
    const isOnPath = (ip: string): boolean => {
      const { rows, base } = rowFrom(udp(ip));
      return session.isOnPath(rows, base);
    };
    expect(["192.0.2.1", "192.0.2.6", "192.0.2.7"].map(isOnPath)).toEqual([true, true, false]);
  });
});

interface SessionSpec {
  readonly isInitiator?: boolean;
  readonly born?: number;
  readonly own?: Uint8Array;
  readonly other?: Uint8Array;
}

function newSession(spec: SessionSpec): Session {
  const crypto = stubCrypto(new Random(1));
  const peer = new Peer(
    {
      name: "other",
      keys: [],
      endpoints: [],
      hasConfiguredEndpoint: false,
      allowedIps: [],
      keepaliveSeconds: 0,
      roaming: "validated",
    },
    DEFAULT_LIMITS,
    {
      heap: new DeadlineHeap(),
      waiting: { bytes: 0 },
      mtu: 1420,
      pathMtu: { isAuto: false, linkMtu: 1500, raiseMs: 600_000 },
      measuresQuality: false,
      paced: { bytes: 0 },
      flowSeed: 1,
    },
    at(0),
  );
  return new SessionOf({
    peer,
    psk: newPsk(new Uint8Array(32).fill(7), peer, crypto),
    isInitiator: spec.isInitiator ?? true,
    localIndex: 1,
    remoteIndex: 2,
    born: at(spec.born ?? 0),
    stamp: 1,
    node: { nodeId: spec.other ?? LARGE, mtu: 1420, keepaliveSeconds: 0 },
    ownNodeId: spec.own ?? SMALL,
    path: udp("192.0.2.1"),
    sealSlot: 11 as KeySlot,
    openSlot: 12 as KeySlot,
  });
}
