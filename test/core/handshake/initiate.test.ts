/** The initiator's half of the handshake: its INITs, and what their answers do (rules 3, 4, 5, 6 and 12). */
import { describe, expect, it } from "vitest";
import {
  COOKIE_RIDES_MS,
  GIVE_UP_AFTER_MS,
  REJECT_AFTER_MS,
  RETRY_FIRST_MS,
  RETRY_JITTER,
} from "../../../src/core/constants.ts";
import type { DropReason } from "../../../src/core/drop-reason.ts";
import {
  giveUp,
  receiveChallenge,
  receiveResp,
  repeatConfirmation,
  retry,
  startAttempt,
} from "../../../src/core/handshake/initiate.ts";
import type { PeerOptions } from "../../../src/core/options.ts";
import type { Peer, Psk } from "../../../src/core/peers/peer.ts";
import { PACKET, PACKET_FIELDS } from "../../../src/core/rows.ts";
import type { State } from "../../../src/core/state.ts";
import { after, type Instant } from "../../../src/core/time.ts";
import { INIT, MESSAGE_TYPE, RESP, viewOf } from "../../../src/core/wire.ts";
import { endpoint } from "../../helpers/address.ts";
import {
  addConfirmed,
  addPeer,
  id16,
  newCore,
  type Sent,
  START,
  takeEvents,
  takeSent,
  udp,
} from "../core-fixtures.ts";
import { makeResp, NODE, receive, writeRespMac } from "../init-fixtures.ts";
import { Inbound } from "../receive-fixtures.ts";

const [FIRST, SECOND, THIRD] = ["198.51.100.1", "198.51.100.2", "198.51.100.3"] as const;
const KEY = new Uint8Array(32).fill(7);

describe("a handshake between two cores", () => {
  it("leaves one session on both sides, which the initiator's keepalive confirms", () => {
    const { state, peer } = newPair({ endpoints: [endpoint(FIRST, 1194)] });
    const other = newCore({ nodeId: NODE });
    const { peer: back } = addPeer(other, { keys: [KEY], keepaliveSeconds: 25 });
    state.wallMicros = 5_000_000;
    startAttempt(state, peer, START);
    const { bytes: init } = onlySent(state);
    expect(receive(other, { bytes: init }, udp(SECOND))).toBe("challenged");
    expect(receiveChallenge(state, onlySent(other).bytes, at(20))).toBeUndefined();
    expect(receive(other, { bytes: onlySent(state).bytes }, udp(SECOND))).toBeUndefined();
    expect(receiveResp(state, onlySent(other).bytes, at(40))).toBeUndefined();

    const [{ current }, [waiting]] = [peer, back.halfOpen];
    expect(current).toMatchObject({
      isInitiator: true,
      isConfirmed: true,
      localIndex: waiting?.remoteIndex,
      remoteIndex: waiting?.localIndex,
      born: START,
      stamp: 5_000_000,
      node: { nodeId: NODE, mtu: 1420, keepaliveSeconds: 25 },
      path: udp(FIRST),
    });
    expect([peer.attempt, state.pendings.size, peer.endpoint]).toEqual([undefined, 0, udp(FIRST)]);
    expect([peer.lastHeardAt, peer.remote]).toEqual([at(40), { mtu: 1420, keepaliveSeconds: 25 }]);
    expect([state.handshakeComputations, peer.counters.handshakesStarted]).toEqual([1, 1]);
    expect(peer.confirming).toEqual({ session: current, since: at(40), sent: 0 });
    expect(isDueAt(peer, "confirm", 340)).toBe(true);
    const keepalive = onlySent(state);
    expect([keepalive.to, keepalive.type, keepalive.plaintext]).toEqual([FIRST, 4, []]);
    new Inbound(other).receive([{ from: udp(SECOND), datagrams: [keepalive.bytes] }]);
    expect([back.current, waiting?.isConfirmed, back.endpoint]).toEqual([
      waiting,
      true,
      udp(SECOND),
    ]);
  });
});

describe("a RESP", () => {
  it.each<[string, (psk: Psk, init: Uint8Array) => Uint8Array, DropReason]>([
    ["for no INIT of ours", withReceiver, "unexpected_response"],
    ["changed in its mac", (psk, init) => flipped(makeResp(psk, init), RESP.mac), "bad_mac"],
    ["changed under its mac", (psk, init) => flipped(makeResp(psk, init), 5), "bad_mac"],
    ["that answers another INIT", answerOfAnother, "bad_mac"],
    ["that does not open", unopenable, "handshake_failed"],
    ["made for other indices", otherIndices, "handshake_failed"],
    ["of our own node", (psk, init) => makeResp(psk, init, { nodeId: id16(1) }), "own_node"],
  ])("%s is dropped, and the next one can still be taken", (_, make, reason) => {
    const { state, peer, psk } = newPair({ endpoints: [endpoint(FIRST, 1194)] });
    startAttempt(state, peer, START);
    const { bytes: init } = onlySent(state);
    expect(receiveResp(state, make(psk, init), at(20))).toBe(reason);
    expect([peer.current, state.sessions.size, takeSent(state)]).toEqual([undefined, 0, []]);
    expect(receiveResp(state, makeResp(psk, init), at(30))).toBeUndefined();
    expect(peer.current?.born).toBe(START);
    expect(receiveResp(state, makeResp(psk, init), at(30))).toBe("unexpected_response");
  });

  it("finds no room where the key table is full, and leaves the attempt", () => {
    const { state, peer, psk } = newPair({ endpoints: [endpoint(FIRST, 1194)] }, 1);
    startAttempt(state, peer, START);
    expect(receiveResp(state, makeResp(psk, onlySent(state).bytes), at(1))).toBe("key_table_full");
    expect([peer.attempt?.tries, takeSent(state)]).toEqual([1, []]);
  });

  it.each<[string, number, string | undefined, string]>([
    ["moves the endpoint to the configured one that answered", 0, SECOND, SECOND],
    ["does so where the endpoint moved as the INIT left", 300, SECOND, SECOND],
    ["does not where it moved since", 301, SECOND, FIRST],
    ["does not where that one is configured no more", 0, undefined, FIRST],
  ])("%s", (_, movedAtMs, configured, expected) => {
    const { state, peer, psk } = newPair({
      endpoints: [endpoint(THIRD, 1194), endpoint(SECOND, 1194)],
    });
    peer.endpoint = udp(FIRST);
    startAttempt(state, peer, START);
    retry(state, peer, at(100));
    retry(state, peer, at(300));
    const sent = takeSent(state);
    expect(sent.map(({ to }) => to)).toEqual([FIRST, THIRD, SECOND]);
    peer.endpointSince = at(movedAtMs);
    if (configured === undefined) peer.configured = [udp(THIRD)];
    receiveResp(state, makeResp(psk, sent[2]?.bytes ?? new Uint8Array()), at(400));
    expect(peer.endpoint).toEqual(udp(expected));
    // The confirming keepalive goes to where the answered INIT went.
    expect(onlySent(state).to).toBe(SECOND);
  });

  it.each([
    ["that is not the current one moves nothing", FIRST, FIRST],
    ["that is not the current one is better than no endpoint", undefined, SECOND],
  ])("of a session %s", (_, inUse, expected) => {
    const { state, peer, psk } = newPair({ endpoints: [endpoint(SECOND, 1194)] });
    // It crosses the new one, and its initiator's node id is the smaller one.
    const crossing = addConfirmed(state, peer, { born: at(1), nodeId: id16(0) });
    startAttempt(state, peer, START);
    peer.endpoint = inUse === undefined ? undefined : udp(inUse);
    peer.timers.set("unanswered", at(99));
    const { bytes: init, to } = onlySent(state);
    expect(to).toBe(SECOND);
    receiveResp(state, makeResp(psk, init, { nodeId: id16(0) }), at(2));
    expect([peer.current, peer.endpoint]).toEqual([crossing, udp(expected)]);
    expect(peer.timers.isSet("unanswered")).toBe(true);
    expect(onlySent(state).to).toBe(SECOND);
  });

  it("of a session that two others are better than changes nothing", () => {
    const { state, peer, psk } = newPair({ endpoints: [endpoint(SECOND, 1194)] });
    const current = addConfirmed(state, peer, { born: at(1), nodeId: id16(0) });
    const previous = addConfirmed(state, peer, { isInitiator: true, born: at(1), nodeId: id16(0) });
    startAttempt(state, peer, START);
    const { bytes: init } = onlySent(state);
    expect(receiveResp(state, makeResp(psk, init, { nodeId: id16(0) }), at(2))).toBeUndefined();
    expect([peer.current, peer.previous, peer.confirming]).toEqual([current, previous, undefined]);
    expect([takeSent(state), peer.timers.isSet("passiveKeepalive")]).toEqual([[], false]);
  });

  it("to a peer whose endpoint was forgotten meanwhile brings that back", () => {
    const { state, peer, psk } = newPair({});
    peer.endpoint = udp(FIRST);
    startAttempt(state, peer, START);
    peer.endpoint = undefined;
    receiveResp(state, makeResp(psk, onlySent(state).bytes), at(2));
    expect(peer.endpoint).toEqual(udp(FIRST));
  });
});

describe("a CHALLENGE", () => {
  it("makes its INIT go out again with a cookie, and the rest of it as it was", () => {
    const { state, peer, other } = challenged();
    peer.timers.clear("retry");
    receiveChallenge(state, challengeOf(other), at(200));
    // What is queued is a copy: the INIT may be changed again before it leaves.
    peer.attempt?.pendings[0]?.init.fill(0);
    const [first, again] = takeSent(state);
    if (first === undefined || again === undefined) throw new Error("no INIT");
    expect(again.bytes.subarray(0, INIT.cookieMac)).toEqual(
      first.bytes.subarray(0, INIT.cookieMac),
    );
    expect(first.bytes.subarray(INIT.cookieMac, INIT.mac)).toEqual(new Uint8Array(16));
    expect(again.to).toBe(FIRST);
    expect(receive(other, again)).toBeUndefined();
    expect(peer.timers.isSet("retry")).toBe(true);
    expect(peer.attempt?.tries).toBe(1);
  });

  it("does so three times an attempt", () => {
    const { state, peer, other } = challenged();
    const challenge = challengeOf(other);
    const { bytes: init } = onlySent(state);
    for (let count = 1; count <= 5; count += 1) {
      // Its mac is the first INIT's, which a resend replaces.
      peer.attempt?.pendings[0]?.init.set(init);
      expect(receiveChallenge(state, challenge, at(count))).toBeUndefined();
      expect(takeSent(state)).toHaveLength(count <= 3 ? 1 : 0);
    }
  });

  it("gives a cookie that rides in later INITs for 120 s", () => {
    const { state, peer, other } = challenged();
    receiveChallenge(state, challengeOf(other), at(0));
    takeSent(state);
    const hasCookie = (now: Instant) => {
      retry(state, peer, now);
      return onlySent(state)
        .bytes.subarray(INIT.cookieMac, INIT.mac)
        .some((byte) => byte !== 0);
    };
    expect([hasCookie(at(COOKIE_RIDES_MS - 1)), hasCookie(at(COOKIE_RIDES_MS))]).toEqual([
      true,
      false,
    ]);
  });

  it("of nobody's, or that does not open, does nothing", () => {
    const { state, peer, other } = challenged();
    takeSent(state);
    const challenge = challengeOf(other);
    expect(receiveChallenge(state, flipped(challenge, 5), START)).toBe("unexpected_response");
    expect(receiveChallenge(state, flipped(challenge, 60), START)).toBe("handshake_failed");
    expect([peer.cookie, takeSent(state)]).toEqual([undefined, []]);
  });
});

describe("an attempt", () => {
  it("alternates between the endpoint in use and the configured ones, each once", () => {
    const endpoints = [endpoint(FIRST, 1194), endpoint(SECOND, 1194)];
    const tries = (inUse?: string) => {
      const { state, peer } = newPair({ endpoints });
      if (inUse !== undefined) peer.endpoint = udp(inUse);
      startAttempt(state, peer, START);
      for (let count = 0; count < 3; count += 1) retry(state, peer, START);
      return takeSent(state).map(({ to }) => to);
    };
    expect(tries()).toEqual([FIRST, SECOND, FIRST, SECOND]);
    expect(tries(SECOND)).toEqual([SECOND, FIRST, SECOND, FIRST]);
    expect(tries(THIRD)).toEqual([THIRD, FIRST, SECOND, THIRD]);
  });

  it("that has no address yet, or no key, waits for the next try", () => {
    const unresolved = newPair({ hasConfiguredEndpoint: true });
    const keyless = newPair({ endpoints: [endpoint(FIRST, 1194)] });
    keyless.peer.psks = [];
    for (const { state, peer } of [unresolved, keyless]) {
      startAttempt(state, peer, START);
      expect([takeSent(state), peer.timers.isSet("retry")]).toEqual([[], true]);
      expect(peer.counters.handshakesStarted).toBe(0);
    }
  });

  it("is none of a group's hub", () => {
    const { state, peer } = newPair({ kind: "group" });
    peer.endpoint = udp(FIRST);
    startAttempt(state, peer, START);
    expect([peer.attempt, takeSent(state)]).toEqual([undefined, []]);
  });

  it("sends a copy of each INIT, with stamp, index and ephemeral of its own", () => {
    const { state, peer } = newPair({ endpoints: [endpoint(FIRST, 1194)] });
    startAttempt(state, peer, START);
    peer.attempt?.pendings[0]?.init.fill(0);
    retry(state, peer, START);
    const sent = takeSent(state).map(({ bytes }) => bytes);
    expect(new Set(sent.map((bytes) => viewOf(bytes).getUint32(INIT.senderIndex))).size).toBe(2);
    expect(sent.map(([type]) => type)).toEqual([MESSAGE_TYPE.INIT, MESSAGE_TYPE.INIT]);
    expect(peer.attempt?.pendings.map(({ stamp }) => stamp)).toEqual([1, 2]);
  });

  it("lengthens each wait by up to a fifth, at random", () => {
    const { state, peer } = newPair({ endpoints: [endpoint(FIRST, 1194)] });
    const [shortest = 0] = RETRY_FIRST_MS;
    const waits = Array.from({ length: 12 }, () => {
      peer.attempt = undefined;
      peer.timers.clearAll();
      startAttempt(state, peer, START);
      return (peer.timers.earliest()?.at ?? START) - START;
    });
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(shortest);
    expect(Math.max(...waits)).toBeLessThanOrEqual(shortest * (1 + RETRY_JITTER));
    expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(shortest * 0.1);
  });

  it("that is given up drops what waited, and leaves the timers of a session that lives", () => {
    const { state, peer } = newPair({ endpoints: [endpoint(FIRST, 1194)], keepaliveSeconds: 20 });
    const row = new Int32Array(PACKET_FIELDS);
    row[PACKET.LENGTH] = 8;
    addConfirmed(state, peer);
    startAttempt(state, peer, START);
    for (let count = 0; count < 2; count += 1) peer.waiting.push(new Uint8Array(8), row, 0);
    peer.timers.clearAll();
    giveUp(state, peer, at(GIVE_UP_AFTER_MS));
    expect([state.drops.queue_timeout, state.waiting.bytes, peer.attempt]).toEqual([
      2,
      0,
      undefined,
    ]);
    expect(isDueAt(peer, "keepalive", GIVE_UP_AFTER_MS + 20_000)).toBe(true);
    expect(isDueAt(peer, "expire", REJECT_AFTER_MS)).toBe(true);
  });
});

describe("a confirmation", () => {
  it("is not repeated where there is none any more", () => {
    const { state, peer } = newPair({});
    repeatConfirmation(state, peer, START);
    expect(takeSent(state)).toEqual([]);
  });
});

/** A core with one peer. */
function newPair(options: Partial<PeerOptions>, keySlots?: number) {
  const state = newCore({}, keySlots);
  const { peer, psk } = addPeer(state, { keys: [KEY], ...options });
  takeEvents(state);
  return { state, peer, psk };
}

/** A core that sent an INIT to another one, which has not received it. */
function challenged() {
  const { state, peer } = newPair({ endpoints: [endpoint(FIRST, 1194)] });
  const other = newCore({ nodeId: NODE });
  addPeer(other, { keys: [KEY] });
  startAttempt(state, peer, START);
  const init = peer.attempt?.pendings[0]?.init ?? new Uint8Array();
  expect(receive(other, { bytes: init.slice() })).toBe("challenged");
  return { state, peer, other };
}

function challengeOf(other: State): Uint8Array {
  return onlySent(other).bytes;
}

/** The one datagram that was queued. */
function onlySent(state: State): Sent {
  const [sent, ...others] = takeSent(state);
  if (sent === undefined || others.length > 0) throw new Error(`${1 + others.length} were sent`);
  return sent;
}

function withReceiver(psk: Psk, init: Uint8Array): Uint8Array {
  return flipped(makeResp(psk, init), RESP.receiverIndex);
}

function answerOfAnother(psk: Psk, init: Uint8Array): Uint8Array {
  const resp = makeResp(psk, init);
  writeRespMac(psk, resp, flipped(init, INIT.mac));
  return resp;
}

function unopenable(psk: Psk, init: Uint8Array): Uint8Array {
  const resp = flipped(makeResp(psk, init), RESP.sealed);
  writeRespMac(psk, resp, init);
  return resp;
}

function otherIndices(psk: Psk, init: Uint8Array): Uint8Array {
  return makeResp(psk, init, { indices: [1, 2] });
}

function flipped(bytes: Uint8Array, offset: number): Uint8Array {
  return bytes.map((byte, index) => (index === offset ? byte ^ 1 : byte));
}

/** Whether the timer is due so many milliseconds after the start, and not before. */
function isDueAt(
  { timers }: Peer,
  timer: Parameters<Peer["timers"]["takeDue"]>[0],
  ms: number,
): boolean {
  return !timers.takeDue(timer, at(ms - 1)) && timers.takeDue(timer, at(ms));
}

function at(ms: number): Instant {
  return after(START, ms);
}
