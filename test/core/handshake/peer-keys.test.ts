/** Keys of a peer that change while it lives: which sessions stay, what is wiped and when, and the way back. */
import { describe, expect, it } from "vitest";
import { startAttempt } from "../../../src/core/handshake/initiate.ts";
import { keepKeys, setKeys, takeKeys, wipeKeys } from "../../../src/core/handshake/peer-keys.ts";
import type { HeldKey, KeySource } from "../../../src/core/options.ts";
import type { Peer, Psk } from "../../../src/core/peers/peer.ts";
import type { State } from "../../../src/core/state.ts";
import { MESSAGE_TYPE } from "../../../src/core/wire.ts";
import { endpoint } from "../../helpers/address.ts";
import { bringUp, newGroup, nodesOf } from "../../sim/group.ts";
import { connect, isUp, peerOf } from "../../sim/observe.ts";
import { newPair } from "../../sim/pair.ts";
import {
  addConfirmed,
  addPeer,
  addSession,
  newCore,
  START,
  takeEvents,
  takeSent,
  udp,
} from "../core-fixtures.ts";

const KEY_A = new Uint8Array(32).fill(9).fill(1, 0, 5);
const KEY_B = new Uint8Array(32).fill(9).fill(2, 0, 5);
const AWAY = endpoint("203.0.113.9", 1194);

/** A peer with key A and one that can be called. */
function newPeer(name = "other", key = KEY_A): { state: State; peer: Peer; psk: Psk } {
  const state = newCore();
  return { state, ...addPeer(state, { name, keys: [key], endpoints: [AWAY] }) };
}

function change(state: State, peer: Peer, ...keys: readonly KeySource[]): void {
  setKeys(state, peer, keys, START);
}

function nameOf({ ring }: Psk): HeldKey {
  return { fingerprint: ring.fingerprint };
}

function isWiped({ ring }: Psk): boolean {
  return [ring.noise, ring.mac, ring.challenge].every((key) => key.every((byte) => byte === 0));
}

function firstOf(peer: Peer): Psk {
  const [psk] = peer.psks;
  if (psk === undefined) throw new Error("no key");
  return psk;
}

describe("a key that is added", () => {
  it("leaves the sessions and what was seen under the others, whatever the order", () => {
    const { state, peer, psk } = newPeer();
    const session = addConfirmed(state, peer);
    peer.endpoint = udp("203.0.113.9");
    change(state, peer, KEY_A, KEY_B);
    expect(takeSent(state)).toEqual([]);
    change(state, peer, KEY_B, KEY_A);
    expect(peer.psks[1]).toBe(psk);
    expect([peer.current, session.isEnded]).toEqual([session, false]);
    expect(state.psks.candidates(firstOf(peer).ring.hint)).toContain(firstOf(peer));
    change(state, peer, KEY_A, KEY_B);
    expect([peer.psks[0], peer.current]).toEqual([psk, session]);
  });

  it("is shown to the other side by a handshake at once where it comes first", () => {
    const { state, peer } = newPeer();
    peer.endpoint = udp("203.0.113.9");
    change(state, peer, KEY_B, KEY_A);
    expect(takeSent(state).map(({ type }) => type)).toEqual([MESSAGE_TYPE.INIT]);
    expect(peer.attempt?.pendings[0]?.psk).toBe(firstOf(peer));
  });
});

describe("a key that is removed", () => {
  it("ends its sessions, tells the other side, is wiped, and another handshake begins", () => {
    const { state, peer, psk } = newPeer();
    const older = addConfirmed(state, peer, { stamp: 1 });
    const session = addConfirmed(state, peer, { stamp: 2 });
    peer.endpoint = udp("203.0.113.9");
    takeSent(state);
    takeEvents(state);
    change(state, peer, KEY_B);
    expect([session.isEnded, older.isEnded, peer.current]).toEqual([true, true, undefined]);
    expect(takeSent(state).map(({ type, to }) => [type, to])).toEqual([
      [MESSAGE_TYPE.DATA, "203.0.113.9"],
      [MESSAGE_TYPE.INIT, "203.0.113.9"],
    ]);
    expect([isWiped(psk), state.psks.candidates(psk.ring.hint)]).toEqual([true, []]);
    expect(takeEvents(state)).toEqual([{ kind: "down", peer: "other", reason: "removed" }]);
  });

  it("leaves the session of another, and ends the one before it without a word", () => {
    const { state, peer } = newPeer();
    change(state, peer, KEY_A, KEY_B);
    const older = addConfirmed(state, peer, { stamp: 1 });
    change(state, peer, KEY_B, KEY_A);
    const newer = addConfirmed(state, peer, { stamp: 2 });
    const waiting = addSession(state, peer, { stamp: 3 });
    peer.halfOpen.push(waiting);
    peer.endpoint = udp("203.0.113.9");
    takeSent(state);
    change(state, peer, KEY_B);
    expect([older.isEnded, newer.isEnded, waiting.isEnded]).toEqual([true, false, false]);
    expect([peer.current, peer.previous, takeSent(state)]).toEqual([newer, undefined, []]);
  });

  it("takes the handshake along that was begun with it, and begins anew", () => {
    const { state, peer, psk } = newPeer();
    startAttempt(state, peer, START);
    const [before] = [...state.pendings.values()];
    change(state, peer, KEY_B);
    const [after] = [...state.pendings.values()];
    expect([before?.psk, after?.psk, state.pendings.size]).toEqual([psk, firstOf(peer), 1]);
  });

  it("of a group takes the nodes along that are known by it", () => {
    const group = newGroup({ sites: 2, crypto: "stub" });
    bringUp(group);
    const { hub, sites, world, key } = group;
    const options = { name: "branch", hasConfiguredEndpoint: false, keepaliveSeconds: 0 };
    const keys = (...some: readonly Uint8Array[]) =>
      hub.act((tunnel, now) =>
        tunnel.updatePeer({ ...options, allowedIps: [], roaming: "validated", keys: some }, now),
      );
    keys(KEY_B, key);
    world.settle();
    expect([nodesOf(hub).length, hub.snapshot().sessions]).toEqual([2, 2]);
    expect(nodesOf(hub)[0]?.fingerprints).toHaveLength(2);
    keys(KEY_B);
    world.advance(50);
    expect([nodesOf(hub), hub.snapshot().sessions]).toEqual([[], 0]);
    expect(sites.map(({ host }) => isUp(host))).toEqual([false, false]);
  });
});

describe("keys that are set aside", () => {
  it("come back by their names with all that was seen under them, and are wiped in the end", () => {
    const { state, peer, psk } = newPeer();
    keepKeys(state);
    change(state, peer, KEY_B);
    const replaced = firstOf(peer);
    expect(isWiped(psk)).toBe(false);
    change(state, peer, nameOf(psk));
    expect([firstOf(peer).ring, firstOf(peer).floors]).toEqual([psk.ring, psk.floors]);
    expect(state.psks.candidates(psk.ring.hint)).toEqual([firstOf(peer)]);
    wipeKeys(state);
    expect([isWiped(replaced), isWiped(psk), state.keysAside]).toEqual([true, false, undefined]);
    change(state, peer, KEY_B);
    expect(isWiped(psk)).toBe(true);
  });

  it("are given to a peer that is made again", () => {
    const { state, peer, psk } = newPeer();
    keepKeys(state);
    state.peers.delete(peer.name);
    takeKeys(state, peer);
    const again = addPeer(state, { name: "other", keys: [KEY_B] });
    change(state, again.peer, nameOf(psk));
    wipeKeys(state);
    expect([firstOf(again.peer).peer, isWiped(firstOf(again.peer))]).toEqual([again.peer, false]);
    expect(isWiped(again.psk)).toBe(true);
  });

  it.each([["first"], ["second"]])("pass between two peers, the %s told first", (order) => {
    const { state, peer, psk } = newPeer("one");
    const other = addPeer(state, { name: "two", keys: [KEY_B] });
    keepKeys(state);
    const swap = [
      () => change(state, peer, nameOf(other.psk)),
      () => change(state, other.peer, nameOf(psk)),
    ];
    for (const act of order === "first" ? swap : swap.toReversed()) act();
    wipeKeys(state);
    expect([peer, other.peer].map((one) => nameOf(firstOf(one)))).toEqual([
      nameOf(other.psk),
      nameOf(psk),
    ]);
    expect([firstOf(peer), firstOf(other.peer)].map(isWiped)).toEqual([false, false]);
  });

  it("are none that nobody had", () => {
    const { state, peer } = newPeer();
    keepKeys(state);
    expect(() => change(state, peer, { fingerprint: "00000000" })).toThrow("no such key is held");
  });

  it("are wiped with the tunnel", () => {
    const pair = newPair({ crypto: "stub" });
    connect(pair);
    const { left } = pair;
    const [before] = peerOf(left).fingerprints;
    left.tunnel.keepKeys();
    left.tunnel.removePeer("right", left.now);
    left.tunnel.wipe();
    const options = { name: "right", endpoints: [], hasConfiguredEndpoint: false, allowedIps: [] };
    const keys = [{ fingerprint: before ?? "" }];
    const again = { ...options, keys, keepaliveSeconds: 0, roaming: "validated" } as const;
    expect(() => left.tunnel.addPeer(again, left.now)).toThrow("no such key is held");
  });
});
