/** What each timer of a peer does when it is due, and what being heard and sent to means for them (rules 5, 6, 11). */
import { describe, expect, it } from "vitest";
import {
  CONFIRM_REPEATS_MS,
  GIVE_UP_AFTER_MS,
  PASSIVE_KEEPALIVE_MS,
  PROBE_PERIOD_MS,
  REJECT_AFTER_MS,
  STALE_AFTER_MS,
  UNANSWERED_DATA_MS,
  UNHEARD_SESSION_MS,
} from "../../../src/core/constants.ts";
import { retry, startAttempt } from "../../../src/core/handshake/initiate.ts";
import type { PeerOptions } from "../../../src/core/options.ts";
import type { Peer } from "../../../src/core/peers/peer.ts";
import type { Timer } from "../../../src/core/session/deadlines.ts";
import { noteHeard, noteSent } from "../../../src/core/session/liveness.ts";
import { handleTimers } from "../../../src/core/session/timers.ts";
import type { State } from "../../../src/core/state.ts";
import { after, type Instant } from "../../../src/core/time.ts";
import { endpoint } from "../../helpers/address.ts";
import {
  addConfirmed,
  addNode,
  addPeer,
  id16,
  newCore,
  START,
  takeEvents,
  takeSent,
  udp,
} from "../core-fixtures.ts";

const HOME = "198.51.100.1";
const [INIT, DATA] = [1, 4];

describe("a timer", () => {
  it("is not handled a moment before it is due", () => {
    const { state, peer } = newPair();
    peer.endpoint = udp(HOME);
    peer.timers.set("stale", at(10));
    handleTimers(state, at(9));
    expect(takeEvents(state)).toEqual([]);
    handleTimers(state, at(10));
    expect(takeEvents(state)).toEqual([{ kind: "stale", peer: "other", endpointForgotten: true }]);
    expect([peer.endpoint, state.heap.first()]).toEqual([undefined, undefined]);
  });

  it("that finds a configured peer silent does not call its endpoint forgotten", () => {
    const { state, peer } = newPair({ endpoints: [endpoint(HOME, 1194)] });
    peer.endpoint = udp(HOME);
    peer.timers.set("stale", at(0));
    handleTimers(state, at(0));
    expect(takeEvents(state)).toEqual([{ kind: "stale", peer: "other", endpointForgotten: false }]);
  });

  it.each<Timer>(["rekey", "unanswered"])("of the kind %s starts a handshake", (timer) => {
    const { state, peer } = newPair();
    peer.endpoint = udp(HOME);
    peer.timers.set(timer, at(0));
    handleTimers(state, at(0));
    expect(takeSent(state).map(({ type, to }) => [type, to])).toEqual([[INIT, HOME]]);
  });

  it("of the kind expire ends what is over its age, before anything else is done", () => {
    const { state, peer } = newPair();
    peer.endpoint = udp(HOME);
    addConfirmed(state, peer);
    takeEvents(state);
    const end = after(START, REJECT_AFTER_MS);
    peer.timers.set("passiveKeepalive", end);
    peer.timers.clear("rekey");
    handleTimers(state, end);
    expect(takeEvents(state)).toEqual([{ kind: "down", peer: "other", reason: "expired" }]);
    expect(takeSent(state)).toEqual([]);
  });

  it("of the kind retry sends the next INIT, and only when it is due", () => {
    const { state, peer } = newPair();
    peer.endpoint = udp(HOME);
    startAttempt(state, peer, START);
    peer.timers.set("retry", at(300));
    peer.timers.set("stale", at(299));
    handleTimers(state, at(299));
    peer.endpoint = udp(HOME);
    expect(takeSent(state)).toHaveLength(1);
    handleTimers(state, at(300));
    expect(takeSent(state)).toHaveLength(1);
    expect(peer.attempt?.tries).toBe(2);
  });

  it("of the kind contest asks a node again, and only when it is due", () => {
    const state = newCore();
    const { psk, peer } = addPeer(state, { kind: "group", allowed: ["10.7.0.0/16"] });
    const node = addNode(state, psk, id16(7));
    addConfirmed(state, node, { nodeId: id16(7) });
    node.endpoint = udp(HOME);
    node.membership.contest = { since: START, sent: 1, claims: new Map() };
    node.timers.set("contest", at(PROBE_PERIOD_MS));
    node.timers.set("stale", at(9));
    handleTimers(state, at(9));
    node.endpoint = udp(HOME);
    expect(takeSent(state)).toEqual([]);
    peer.timers.set("contest", at(PROBE_PERIOD_MS));
    handleTimers(state, at(PROBE_PERIOD_MS));
    expect(takeSent(state).map(({ plaintext }) => plaintext[0])).toEqual([4]);
    expect(node.membership.contest?.sent).toBe(2);
  });

  it("for keepalives sends one, a probe where it is configured; a handshake without a session", () => {
    const { state, peer } = newPair({ keepaliveSeconds: 20 });
    peer.endpoint = udp(HOME);
    peer.timers.set("passiveKeepalive", at(0));
    peer.timers.set("keepalive", at(0));
    handleTimers(state, at(0));
    expect(takeSent(state).map(({ type }) => type)).toEqual([INIT]);
    expect(isDueAt(peer, "keepalive", 20_000)).toBe(true);

    addConfirmed(state, peer);
    peer.timers.set("keepalive", at(1));
    handleTimers(state, at(1));
    // What is sent puts the configured one off.
    peer.timers.set("passiveKeepalive", at(2));
    peer.timers.set("keepalive", at(2));
    handleTimers(state, at(2));
    expect(takeSent(state).map(({ type, plaintext }) => [type, plaintext.length])).toEqual([
      [DATA, 9],
      [DATA, 0],
    ]);
    expect(isDueAt(peer, "keepalive", 20_002)).toBe(true);

    peer.endpoint = undefined;
    peer.timers.set("passiveKeepalive", at(3));
    peer.timers.set("keepalive", at(3));
    handleTimers(state, at(3));
    expect(takeSent(state)).toEqual([]);
  });
});

describe("an attempt", () => {
  it("is one at a time, and none where the peer cannot be reached", () => {
    const { state, peer } = newPair();
    startAttempt(state, peer, START);
    retry(state, peer, START);
    expect(peer.attempt).toBeUndefined();
    peer.endpoint = udp(HOME);
    startAttempt(state, peer, START);
    startAttempt(state, peer, START);
    expect([takeSent(state).length, state.pendings.size]).toEqual([1, 1]);
  });

  it("keeps its last four INITs answerable, and none after 90 s", () => {
    const { state, peer } = newPair();
    peer.endpoint = udp(HOME);
    startAttempt(state, peer, START);
    const [first] = [...state.pendings.keys()];
    for (let sent = 1; sent < 4; sent += 1) retry(state, peer, START);
    expect([state.pendings.size, state.pendings.has(first ?? 0)]).toEqual([4, true]);
    retry(state, peer, START);
    expect([state.pendings.size, state.pendings.has(first ?? 0)]).toEqual([4, false]);
    peer.timers.clear("retry");
    handleTimers(state, at(GIVE_UP_AFTER_MS - 1));
    expect(state.pendings.size).toBe(4);
    handleTimers(state, at(GIVE_UP_AFTER_MS));
    expect([state.pendings.size, peer.attempt]).toEqual([0, undefined]);
  });

  it("waits 0.3, 0.3, 0.6 s, then a second each, and from 30 s on five; up to a fifth longer", () => {
    const { state, peer } = newPair();
    peer.endpoint = udp(HOME);
    startAttempt(state, peer, START);
    const waits: [sentAt: number, wait: number][] = [
      [0, 300],
      [0, 300],
      [0, 600],
      [0, 1_000],
      [29_999, 1_000],
      [30_000, 5_000],
    ];
    for (const [index, [sentAt, wait]] of waits.entries()) {
      if (index > 0) retry(state, peer, at(sentAt));
      const longer = (peer.timers.earliest()?.at ?? 0) - at(sentAt) - wait;
      expect(longer).toBeGreaterThanOrEqual(0);
      expect(longer).toBeLessThanOrEqual(wait / 5);
    }
  });

  it("takes the endpoint in use and the configured ones in turn", () => {
    const endpoints = [endpoint(HOME, 1194), endpoint("198.51.100.2", 1194)];
    const { state, peer } = newPair({ endpoints });
    peer.endpoint = udp("203.0.113.5");
    startAttempt(state, peer, START);
    for (let sent = 1; sent < 4; sent += 1) retry(state, peer, START);
    peer.endpoint = udp(HOME);
    retry(state, peer, START);
    retry(state, peer, START);
    expect(takeSent(state).map(({ to }) => to)).toEqual([
      "203.0.113.5",
      HOME,
      "198.51.100.2",
      "203.0.113.5",
      HOME,
      "198.51.100.2",
    ]);
  });

  it("says that it is unanswered after 5 s, and 30 s after that", () => {
    const { state, peer } = newPair();
    peer.endpoint = udp(HOME);
    startAttempt(state, peer, START);
    const told = [4_999, 5_000, 34_999, 35_000].map((ms) => {
      retry(state, peer, at(ms));
      return takeEvents(state);
    });
    const unanswered = (seconds: number) => [{ kind: "unanswered", peer: "other", seconds }];
    expect(told).toEqual([[], unanswered(5), [], unanswered(35)]);
  });
});

describe("a confirmation that is not heard", () => {
  it("is repeated after 0.3, 1, 3 and 7 s where the INIT went; then the handshake begins anew at 15 s", () => {
    const { state, peer } = newPair();
    const session = addConfirmed(state, peer, { isInitiator: true, path: udp("203.0.113.5") });
    peer.endpoint = udp(HOME);
    peer.confirming = { session, since: START, sent: 0 };
    peer.timers.set("confirm", at(300));
    const sentAt = [299, ...CONFIRM_REPEATS_MS, UNHEARD_SESSION_MS - 1, UNHEARD_SESSION_MS].map(
      (ms) => {
        handleTimers(state, at(ms));
        return takeSent(state).map(({ type, to }) => [type, to]);
      },
    );
    const keepalive = [[DATA, "203.0.113.5"]];
    expect(sentAt).toEqual([[], keepalive, keepalive, keepalive, keepalive, [], [[INIT, HOME]]]);
  });
});

describe("being heard and sent to", () => {
  it("arms what waits for an answer once, and takes the passive keepalive back", () => {
    const { peer } = newPair({ keepaliveSeconds: 25 });
    noteHeard(peer, true, true, START);
    noteHeard(peer, true, true, at(1));
    expect(isDueAt(peer, "passiveKeepalive", PASSIVE_KEEPALIVE_MS)).toBe(true);
    noteHeard(peer, true, true, START);
    noteSent(peer, true, START);
    noteSent(peer, true, at(1));
    noteSent(peer, false, at(2));
    expect(peer.timers.isSet("passiveKeepalive")).toBe(false);
    expect(isDueAt(peer, "keepalive", 25_002)).toBe(true);
    expect(isDueAt(peer, "unanswered", UNANSWERED_DATA_MS)).toBe(true);
    expect(isDueAt(peer, "stale", STALE_AFTER_MS)).toBe(true);
    expect([peer.sends, peer.lastHeardAt]).toEqual([3, START]);
  });

  it("counts as an answer only on the session in use, and a keepalive draws none", () => {
    const { peer } = newPair();
    noteSent(peer, false, START);
    expect(peer.timers.isSet("unanswered")).toBe(false);
    noteSent(peer, true, START);
    noteHeard(peer, false, false, START);
    expect([peer.timers.isSet("unanswered"), peer.timers.isSet("passiveKeepalive")]).toEqual([
      true,
      false,
    ]);
    noteHeard(peer, true, false, START);
    expect(peer.timers.isSet("unanswered")).toBe(false);
    expect(peer.timers.isSet("keepalive")).toBe(false);
  });
});

function newPair(spec: Partial<PeerOptions> = {}): { readonly state: State; readonly peer: Peer } {
  const state = newCore();
  return { state, peer: addPeer(state, spec).peer };
}

function at(ms: number): Instant {
  return after(START, ms);
}

/** Whether a timer is due so long after START and not before; clears it. */
function isDueAt({ timers }: Peer, timer: Timer, ms: number): boolean {
  return !timers.takeDue(timer, at(ms - 1)) && timers.takeDue(timer, at(ms));
}
