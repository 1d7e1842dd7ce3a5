/** Sessions in a peer's slots: which one makes room, which is current, and when each ends (rules 7 and 8). */
import { describe, expect, it } from "vitest";
import {
  GROUP_HALF_OPEN,
  HALF_OPEN_NEWCOMER_MS,
  HALF_OPEN_PER_NODE,
  REJECT_AFTER_MS,
  REKEY_AFTER_MS,
  RESPONDER_REKEY_AFTER_MS,
} from "../../src/core/constants.ts";
import type { Peer, Session } from "../../src/core/peer.ts";
import {
  closeSession,
  confirmSession,
  dropSessions,
  expireSessions,
  keepHalfOpen,
} from "../../src/core/sessions.ts";
import type { State } from "../../src/core/state.ts";
import { after } from "../../src/core/time.ts";
import { TwinAead } from "../sim/twin-aead.ts";
import {
  addConfirmed,
  addNode,
  addPeer,
  addSession,
  id16,
  newCore,
  type SessionSpec,
  START,
  takeEvents,
} from "./core-fixtures.ts";

describe("half-open sessions", () => {
  it("of one node are four; a fifth displaces the oldest and wipes its keys", () => {
    const { state, peer } = newPair();
    const kept = times(HALF_OPEN_PER_NODE, (stamp) => keep(state, peer, { stamp }));
    expect(kept.map(({ isEnded }) => isEnded)).toEqual([false, false, false, false]);
    const fifth = keep(state, peer, { stamp: 9 });
    expect(kept.map(({ isEnded }) => isEnded)).toEqual([true, false, false, false]);
    expect(peer.halfOpen).toEqual([...kept.slice(1), fifth]);
    expect([state.sessions.size, state.halfOpen.size, slotsOf(state)]).toEqual([4, 4, 8]);
  });

  it("of one peer are eight; those of nodes that had no session go first, the oldest of them", () => {
    const { state, peer } = newPair();
    peer.psks[0]?.floors.confirm(id16(1), 1);
    const known = keep(state, peer, { nodeId: id16(1), stamp: 5 });
    const others = times(7, (at) => keep(state, peer, { nodeId: id16(10 + at) }));
    expect(peer.halfOpen).toHaveLength(8);

    keep(state, peer, { nodeId: id16(30) });

    expect([known.isEnded, ...others.map(({ isEnded }) => isEnded)]).toEqual([
      false,
      true,
      ...new Array<boolean>(6).fill(false),
    ]);
  });

  it("of one peer whose nodes are all known are eight; the oldest goes", () => {
    const { state, peer } = newPair();
    const all = times(9, (at) => {
      peer.psks[0]?.floors.confirm(id16(at >> 2), 1);
      return keep(state, peer, { nodeId: id16(at >> 2) });
    });
    expect(all.map(({ isEnded }) => isEnded)).toEqual([true, ...new Array(8).fill(false)]);
  });

  it("of a group's new nodes are 128; the oldest goes, and its node with it", () => {
    const state = newCore();
    const { psk } = addPeer(state, { kind: "group" });
    const join = (number: number): Session => {
      const node = addNode(state, psk, id16(number), `192.0.2.${number & 0xff}`);
      return keep(state, node, { nodeId: id16(number) });
    };
    const known = join(1);
    confirmSession(state, known, START);
    const waiting = keep(state, known.peer, { nodeId: id16(1), stamp: 2 });
    const first = join(2);
    times(GROUP_HALF_OPEN - 1, (at) => join(10 + at));
    expect([waiting.isEnded, first.isEnded]).toEqual([false, false]);

    join(999);

    expect([waiting.isEnded, first.isEnded]).toEqual([false, true]);
    expect(psk.peer.group?.nodes.size).toBe(1 + GROUP_HALF_OPEN);
  });

  it("of a new node live 10 s, of one that had a session 180 s", () => {
    const { state, peer } = newPair();
    const stranger = keep(state, peer, { nodeId: id16(2) });
    expect(peer.timers.earliest()).toEqual({ at: START + HALF_OPEN_NEWCOMER_MS, timer: "expire" });
    expireSessions(state, peer, after(START, HALF_OPEN_NEWCOMER_MS - 1));
    expect(stranger.isEnded).toBe(false);
    expireSessions(state, peer, after(START, HALF_OPEN_NEWCOMER_MS));
    expect(stranger.isEnded).toBe(true);

    peer.psks[0]?.floors.confirm(id16(2), 1);
    const known = keep(state, peer, { nodeId: id16(2) });
    expireSessions(state, peer, after(START, REJECT_AFTER_MS - 1));
    expect(known.isEnded).toBe(false);
    expireSessions(state, peer, after(START, REJECT_AFTER_MS));
    expect(known.isEnded).toBe(true);
    expect(takeEvents(state)).toEqual([]);
  });

  it("with a lower stamp of the node that is confirmed end, and only those", () => {
    const { state, peer } = newPair();
    const lower = keep(state, peer, { stamp: 1 });
    const chosen = keep(state, peer, { stamp: 2 });
    const same = keep(state, peer, { stamp: 2 });
    const higher = keep(state, peer, { stamp: 3 });
    const other = keep(state, peer, { stamp: 1, nodeId: id16(9) });

    confirmSession(state, chosen, START);

    const all = [lower, chosen, same, higher, other];
    expect(all.map(({ isEnded }) => isEnded)).toEqual([true, false, false, false, false]);
    expect(peer.halfOpen).toEqual([same, higher, other]);
    expect(peer.psks[0]?.floors.isAbove(id16(2), 2)).toBe(false);
    expect(peer.psks[0]?.floors.isAbove(id16(2), 3)).toBe(true);
  });
});

describe("sessions in use", () => {
  it("are two: the third ends the older, and one that closes lets the other move up", () => {
    const { state, peer } = newPair();
    const [first, second, third] = times(3, (at) =>
      addConfirmed(state, peer, { born: after(START, at), stamp: at }),
    );
    expect([peer.previous, peer.current]).toEqual([second, third]);
    expect([first?.isEnded, slotsOf(state)]).toEqual([true, 4]);
    takeEvents(state);

    if (third !== undefined) closeSession(state, third);
    expect([peer.previous, peer.current, peer.isUp]).toEqual([undefined, second, true]);
    expect(takeEvents(state)).toEqual([]);

    peer.timers.set("unanswered", START);
    peer.timers.set("passiveKeepalive", START);
    if (second !== undefined) closeSession(state, second);
    expect([peer.current, peer.isUp, slotsOf(state)]).toEqual([undefined, false, 0]);
    expect(takeEvents(state)).toEqual([{ kind: "down", peer: "other", reason: "closed" }]);
    expect(peer.timers.earliest()).toBeUndefined();
    dropSessions(state, peer);
    expect(takeEvents(state)).toEqual([]);
  });

  it("are renewed by their initiator at 120 s, by the responder at 165 s", () => {
    for (const [isInitiator, age] of [
      [true, REKEY_AFTER_MS],
      [false, RESPONDER_REKEY_AFTER_MS],
    ] as const) {
      const { state, peer } = newPair();
      addConfirmed(state, peer, { isInitiator });
      expect(peer.timers.earliest()).toEqual({ at: START + age, timer: "rekey" });
    }
  });

  it("say what they are when they are confirmed, and that the last one expired", () => {
    const { state, peer } = newPair();
    const told = { kind: "session", peer: "other", isInitiator: false };
    const session = addConfirmed(state, peer);
    addConfirmed(state, peer, { stamp: 2, isInitiator: true });
    expect(takeEvents(state)).toMatchObject([
      { ...told, isNew: true },
      { ...told, isInitiator: true, isNew: false },
    ]);
    expect(peer.counters.sessions).toBe(2);
    expect(session.isConfirmed).toBe(true);
    expireSessions(state, peer, after(START, REJECT_AFTER_MS));
    expect(takeEvents(state)).toEqual([{ kind: "down", peer: "other", reason: "expired" }]);
  });

  it("are not made where no two key slots are free, and take none then", () => {
    for (const keySlots of [0, 1]) {
      const state = newCore({}, keySlots);
      const { peer } = addPeer(state);
      expect(() => addSession(state, peer)).toThrow("no key slot");
      expect([slotsOf(state), state.sessions.size]).toEqual([0, 0]);
    }
  });
});

function newPair(): { readonly state: State; readonly peer: Peer } {
  const state = newCore();
  return { state, peer: addPeer(state).peer };
}

function keep(state: State, peer: Peer, spec: SessionSpec): Session {
  const session = addSession(state, peer, spec);
  keepHalfOpen(state, session);
  return session;
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

function slotsOf({ aead }: State): number {
  if (!(aead instanceof TwinAead)) throw new Error("not the twin");
  return aead.slotsInUse;
}
