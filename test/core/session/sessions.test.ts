/** Sessions in a peer's slots: which one makes room, which is current, and when each ends (rules 7 and 8). */
import { describe, expect, it } from "vitest";
import {
  GROUP_HALF_OPEN,
  HALF_OPEN_NEWCOMER_MS,
  HALF_OPEN_PER_NODE,
  HALF_OPEN_TOTAL,
  REJECT_AFTER_MS,
  REKEY_AFTER_MS,
  RESPONDER_REKEY_AFTER_MS,
} from "../../../src/core/constants.ts";
import { startAttempt } from "../../../src/core/handshake/initiate.ts";
import type { Peer, Session } from "../../../src/core/peers/peer.ts";
import { PACKET, PACKET_FIELDS } from "../../../src/core/rows.ts";
import {
  closeSession,
  confirmSession,
  dropSessions,
  expireSessions,
  keepHalfOpen,
} from "../../../src/core/session/sessions.ts";
import type { State } from "../../../src/core/state.ts";
import { after } from "../../../src/core/time.ts";
import { TwinAead } from "../../sim/twin-aead.ts";
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
  udp,
} from "../core-fixtures.ts";

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
    const elsewhere = keep(state, addPeer(state, { name: "pair" }).peer, {});
    // Others that wait in their turn.
    for (let count = 1; count < GROUP_HALF_OPEN - 1; count += 1) {
      state.halfOpen.add(Object.create(first) as Session);
    }
    join(3);
    expect([waiting.isEnded, first.isEnded]).toEqual([false, false]);
    join(4);
    expect([waiting.isEnded, elsewhere.isEnded, first.isEnded]).toEqual([false, false, true]);
    expect([...(psk.peer.group?.nodes.values() ?? [])].map(({ name }) => name)).toHaveLength(3);
  });

  it("in all are 4,096; the oldest goes, whoever's it is", () => {
    const { state, peer } = newPair();
    const first = keep(state, peer, {});
    const place = Object.create(first) as Session;
    const places = times(HALF_OPEN_TOTAL - 2, () => Object.create(place) as Session);
    for (const one of places) state.halfOpen.add(one);
    const third = addPeer(state, { name: "third" }).peer;
    keep(state, third, {});
    expect([first.isEnded, state.halfOpen.size]).toEqual([false, HALF_OPEN_TOTAL]);
    keep(state, third, { stamp: 2 });
    expect([first.isEnded, state.halfOpen.size]).toEqual([true, HALF_OPEN_TOTAL]);
  });

  it("of a node that has a session live as long as that one's would, whatever its floor", () => {
    const { state, peer } = newPair();
    addConfirmed(state, peer, { isInitiator: true });
    const known = keep(state, peer, { stamp: 2 });
    expireSessions(state, peer, after(START, HALF_OPEN_NEWCOMER_MS));
    expect(known.isEnded).toBe(false);
    addConfirmed(state, peer, { isInitiator: true, nodeId: id16(8), stamp: 3 });
    expireSessions(state, peer, after(START, HALF_OPEN_NEWCOMER_MS));
    expect(known.isEnded).toBe(false);
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
  it("are two: the third ends the older, and the current one takes with it what it replaced", () => {
    const { state, peer } = newPair();
    const [first, second, third] = times(3, (at) =>
      addConfirmed(state, peer, { born: after(START, at), stamp: at }),
    );
    expect([peer.previous, peer.current]).toEqual([second, third]);
    expect([first?.isEnded, slotsOf(state)]).toEqual([true, 4]);
    takeEvents(state);

    if (second !== undefined) closeSession(state, second);
    expect([peer.previous, peer.current, peer.isUp]).toEqual([undefined, third, true]);
    expect(takeEvents(state)).toEqual([]);

    addConfirmed(state, peer, { born: after(START, 3), stamp: 3 });
    takeEvents(state);
    expect([peer.previous, slotsOf(state)]).toEqual([third, 4]);
    peer.timers.set("unanswered", START);
    peer.timers.set("passiveKeepalive", START);
    if (peer.current !== undefined) closeSession(state, peer.current);
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

  it("that are confirmed end the attempt, and let go what waited", () => {
    const { state, peer } = newPair();
    peer.endpoint = udp("192.0.2.1");
    const session = addSession(state, peer, { isInitiator: true });
    startAttempt(state, peer, START);
    peer.timers.set("unanswered", START);
    confirmSession(state, session, START);
    expect([peer.attempt, peer.timers.isSet("unanswered"), state.flushable.size]).toEqual([
      undefined,
      false,
      0,
    ]);
    expect(peer.remote).toEqual({ mtu: 1420, keepaliveSeconds: 0 });
    // Its own stamp says nothing of the other side's clock.
    expect(peer.psks[0]?.floors.has(id16(2))).toBe(false);

    const row = new Int32Array(PACKET_FIELDS);
    row[PACKET.LENGTH] = 8;
    peer.waiting.push(new Uint8Array(8), row, 0);
    addConfirmed(state, peer, { isInitiator: true, stamp: 2 });
    expect([...state.flushable]).toEqual([peer]);
  });

  it("that crossed are settled by the smaller node id; a third is ended, unless it is better", () => {
    const { state, peer } = newPair();
    peer.endpoint = udp("192.0.2.1");
    const current = addConfirmed(state, peer, { nodeId: id16(0) });
    startAttempt(state, peer, START);
    peer.timers.set("unanswered", START);
    const second = addConfirmed(state, peer, { isInitiator: true, nodeId: id16(0), stamp: 2 });
    expect([peer.current, peer.previous, second.isEnded]).toEqual([current, second, false]);
    expect([peer.attempt === undefined, peer.timers.isSet("unanswered")]).toEqual([false, true]);

    const older = addSession(state, peer, { isInitiator: true, born: after(START, -1) });
    confirmSession(state, older, START);
    expect([older.isEnded, peer.previous]).toEqual([true, second]);
    const newer = addSession(state, peer, { isInitiator: true, born: after(START, 1) });
    confirmSession(state, newer, START);
    expect([second.isEnded, peer.current, peer.previous]).toEqual([true, current, newer]);

    closeSession(state, newer);
    expect([peer.current, peer.previous, newer.isEnded]).toEqual([current, undefined, true]);
  });

  it("that end are not confirmed any more, but others are", () => {
    const { state, peer } = newPair();
    const [first, second] = times(2, (at) => addConfirmed(state, peer, { stamp: at }));
    if (first === undefined || second === undefined) throw new Error("no sessions");
    peer.confirming = { session: second, since: START, sent: 0 };
    peer.timers.set("confirm", START);
    closeSession(state, first);
    expect([peer.confirming?.session, peer.timers.isSet("confirm")]).toEqual([second, true]);
    closeSession(state, second);
    expect([peer.confirming, peer.timers.isSet("confirm")]).toEqual([undefined, false]);
  });

  it("stay where one that waits ends", () => {
    const { state, peer } = newPair();
    const [first, second] = times(2, (at) => addConfirmed(state, peer, { stamp: at }));
    keep(state, peer, { nodeId: id16(9) });
    expireSessions(state, peer, after(START, HALF_OPEN_NEWCOMER_MS));
    expect([peer.previous, peer.current, peer.halfOpen]).toEqual([first, second, []]);
  });

  it("are all dropped with their peer", () => {
    const { state, peer } = newPair();
    const all = [addConfirmed(state, peer), addConfirmed(state, peer), keep(state, peer, {})];
    takeEvents(state);
    dropSessions(state, peer);
    expect(all.map(({ isEnded }) => isEnded)).toEqual([true, true, true]);
    expect(takeEvents(state)).toEqual([{ kind: "down", peer: "other", reason: "removed" }]);
    expect([slotsOf(state), state.sessions.size]).toEqual([0, 0]);
  });

  it("leave nothing of what their keys were made from", () => {
    const { state, peer } = newPair();
    const wiped: number[] = [];
    state.crypto.wipe = (bytes) => {
      wiped.push(bytes.length);
    };
    addSession(state, peer);
    expect(wiped.toSorted((a, b) => a - b)).toEqual([32, 32, 48, 48, 64]);
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
