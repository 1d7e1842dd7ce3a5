/** Datagrams on their way in, steps 1 to 8: what each fails at, who pays, and what the one before leaves (rule 10, Limits). */
import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/core/address.ts";
import { PASSIVE_KEEPALIVE_MS, REKEY_AFTER_FAILED_OPENS } from "../../../src/core/constants.ts";
import type { DropReason } from "../../../src/core/drop-reason.ts";
import { MESSAGE } from "../../../src/core/rows.ts";
import { keepHalfOpen } from "../../../src/core/session/sessions.ts";
import type { State } from "../../../src/core/state.ts";
import { after } from "../../../src/core/time.ts";
import { MESSAGE_TYPE, newChallenge, newResp, RESP } from "../../../src/core/wire.ts";
import { ipBytes, ipText } from "../../helpers/address.ts";
import { udpPacket } from "../../helpers/packets.ts";
import {
  addConfirmed,
  addPeer,
  addSession,
  newCore,
  rowFrom,
  START,
  takeEvents,
  takeSent,
  udp,
} from "../core-fixtures.ts";
import { makeInit, writeMac } from "../init-fixtures.ts";
import { data, forged, Inbound, type Message } from "../receive-fixtures.ts";

const HOME = udp("198.51.100.1");
const AWAY = udp("203.0.113.5", 4_000);
const PACKET = udpPacket("10.7.0.1", "10.8.0.1", new Uint8Array(20));

describe("a datagram", () => {
  it("that was longer than its slot is refused, its neighbours are not", () => {
    const { state, session, inbound } = newPair();
    const message = (counter: number): Message => at(HOME, data(state, session, counter, PACKET));
    const delivered = inbound.receive([
      message(0),
      { ...message(1), isTruncated: true },
      message(2),
    ]);
    expect([delivered.length, dropsOf(state)]).toEqual([2, { oversize: 1 }]);
  });

  it.each<[string, Uint8Array, DropReason]>([
    ["RESP with a reserved byte", reserved(newResp(1, 2)), "bad_reserved"],
    ["CHALLENGE with a reserved byte", reserved(newChallenge(1)), "bad_reserved"],
    ["RESP of nobody's", newResp(1, 2), "unexpected_response"],
    ["CHALLENGE of nobody's", newChallenge(1), "unexpected_response"],
    ["RESP cut by a byte", newResp(1, 2).subarray(0, RESP.SIZE - 1), "bad_length"],
    ["CHALLENGE with a byte more", new Uint8Array([...newChallenge(1), 0]), "bad_length"],
    [
      "DATA with a reserved byte",
      reserved(Uint8Array.of(4, 1, ...new Uint8Array(40))),
      "bad_reserved",
    ],
    ["DATA of no session", Uint8Array.of(4, 1, ...new Uint8Array(40)), "unknown_index"],
    ["message of type 5", Uint8Array.of(5, 1, ...new Uint8Array(62)), "bad_type"],
    ["message of version 2", Uint8Array.of(3, 2, ...new Uint8Array(62)), "bad_version"],
  ])("that is a %s is dropped for that: %s %s", (_, bytes, reason) => {
    const { state, inbound } = newPair();
    inbound.receive([at(HOME, bytes)]);
    expect(dropsOf(state)).toEqual({ [reason]: 1 });
    expect(inbound.opens).toEqual([]);
  });

  it.each<[number, DropReason | undefined]>([
    [2 ** 48 - 1, undefined],
    [2 ** 48, "bad_counter"],
    [2 ** 53 - 1, "bad_counter"],
  ])("with the counter %i is opened, or not: %s", (counter, reason) => {
    const { state, session, inbound } = newPair();
    inbound.receive([at(HOME, data(state, session, counter))]);
    expect(dropsOf(state)).toEqual(reason === undefined ? {} : { [reason]: 1 });
    expect(inbound.opens).toHaveLength(reason === undefined ? 1 : 0);
  });

  it("whose session has the index 1 is found like any other", () => {
    const { state, peer, inbound } = newPair();
    const session = addSession(state, peer);
    const one = Object.assign(session, { localIndex: 1 });
    state.sessions.set(1, one);
    inbound.receive([at(HOME, data(state, one, 0))]);
    expect([dropsOf(state), one.receivedPackets]).toEqual([{}, 1]);
  });

  it("that is forged moves no window and is charged to its own source", () => {
    const { state, session, inbound } = newPair();
    const [first, far] = [data(state, session, 0), data(state, session, 900)];
    inbound.receive([at(HOME, first), at(AWAY, forged(far))]);
    expect([session.window.highest, session.failedOpens, session.receivedPackets]).toEqual([
      0, 1, 1,
    ]);
    expect(chargesOf(state)).toEqual({ "203.0.113.5": 1 });
  });

  it("that is the 2^30th forged one of its session starts a new one", () => {
    const { state, session, inbound } = newPair();
    session.failedOpens = REKEY_AFTER_FAILED_OPENS - 2;
    const bad = forged(data(state, session, 0));
    inbound.receive([at(HOME, bad)]);
    expect(takeSent(state)).toEqual([]);
    inbound.receive([at(HOME, bad)]);
    expect(takeSent(state).map(({ type }) => type)).toEqual([MESSAGE_TYPE.INIT]);
  });
});

describe("handshake messages", () => {
  it("of a batch are as many as it can deliver; further ones are dropped", () => {
    const { state } = newPair();
    const inbound = new Inbound(state, 2);
    inbound.receive([1, 2, 3].map((index) => at(HOME, newChallenge(index))));
    expect(dropsOf(state)).toEqual({ unexpected_response: 2, no_room: 1 });
    expect(inbound.opens).toEqual([]);
  });

  it("that no key here made tell of a stranger, once a minute", () => {
    const { state, psk, inbound } = newPair();
    const wrongMac = makeInit(psk).bytes.fill(0, 119);
    const wrongHint = makeInit({ ...psk, ring: { ...psk.ring, hint: psk.ring.hint ^ 1 } }).bytes;
    const source = (ip: string) => ({ address: ipBytes(ip), port: 1194, scope: 0 });
    inbound.receive([at(udp("192.0.2.1"), wrongMac), at(udp("192.0.2.2"), wrongHint)]);
    expect(takeEvents(state)).toEqual([
      { kind: "stranger", source: source("192.0.2.1"), reason: "bad_mac" },
      { kind: "stranger", source: source("192.0.2.2"), reason: "unknown_hint" },
    ]);
    inbound.receive([at(udp("192.0.2.1"), wrongMac)]);
    expect(takeEvents(state)).toEqual([]);
  });

  it("that fail otherwise tell of none", () => {
    const { state, psk, inbound } = newPair();
    const failing = makeInit(psk).bytes.fill(0, 60, 64);
    writeMac(psk, failing);
    inbound.receive([at(HOME, failing)]);
    expect([dropsOf(state), takeEvents(state)]).toEqual([{ handshake_failed: 1 }, []]);
  });
});

describe("data from elsewhere than its session's endpoint", () => {
  it("pays before it is opened, and has it back once it opened", () => {
    const { state, session, inbound } = newPair();
    inbound.receive([at(AWAY, data(state, session, 0)), at(AWAY, data(state, session, 1))]);
    expect([dropsOf(state), chargesOf(state)]).toEqual([{}, { "203.0.113.5": 0 }]);
    inbound.receive([at(AWAY, forged(data(state, session, 2)))]);
    expect([dropsOf(state), chargesOf(state)]).toEqual([{ forged: 1 }, { "203.0.113.5": 1 }]);
  });

  it("is refused where its source has nothing left; data from the endpoint never is", () => {
    const { state, session, inbound } = newPair();
    for (const from of [HOME, AWAY]) empty(state, from);
    inbound.receive([
      at(HOME, data(state, session, 0)),
      at(AWAY, data(state, session, 1)),
      at(HOME, data(state, session, 2)),
    ]);
    expect([dropsOf(state), session.receivedPackets]).toEqual([{ source_limited: 1 }, 2]);
  });

  it("is asked for each session of one message", () => {
    const { state, session, inbound } = newPair();
    const third = addPeer(state, { name: "third" }).peer;
    third.endpoint = AWAY;
    const other = addConfirmed(state, third);
    empty(state, HOME);
    inbound.receive([at(HOME, data(state, session, 0), data(state, other, 0))]);
    expect([dropsOf(state), session.receivedPackets, other.receivedPackets]).toEqual([
      { source_limited: 1 },
      1,
      0,
    ]);
  });

  it("shares a limit with all such data, which only a failed open uses up", () => {
    const { state, session, inbound } = newPair();
    for (let count = 1; count < 5_000; count += 1) state.strangeOpens.take(START);
    inbound.receive([at(AWAY, data(state, session, 0))]);
    inbound.receive([at(AWAY, data(state, session, 1))]);
    expect(dropsOf(state)).toEqual({});
    inbound.receive([at(AWAY, forged(data(state, session, 2)))]);
    inbound.receive([at(AWAY, data(state, session, 3))]);
    expect([dropsOf(state), session.receivedPackets]).toEqual([{ forged: 1, open_limited: 1 }, 2]);
  });
});

describe("what is heard", () => {
  it.each<[string, Uint8Array, number]>([
    ["a keepalive", new Uint8Array(0), 1],
    ["a probe", Uint8Array.of(4, 0, 0, 41, 0, 0, 0, 0, 0), 1],
    ["a probe of the path", Uint8Array.of(4, 0, 0, 42, 0, 0, 0, 0, 0, 0), 0],
    ["a report", Uint8Array.of(6, ...new Uint8Array(20)), 0],
    ["a packet", PACKET, 0],
  ])("of %s counts as a keepalive, or not", (_, plaintext, count) => {
    const { state, session, inbound } = newPair();
    inbound.receive([at(HOME, data(state, session, 0, plaintext))]);
    expect(session.peer.counters.keepalivesReceived).toBe(count);
  });

  it("ends the repetition of what confirms the session", () => {
    const { state, session, peer, inbound } = newPair();
    peer.confirming = { session, since: START, sent: 0 };
    peer.timers.set("confirm", after(START, 300));
    inbound.receive([at(HOME, data(state, session, 0))]);
    expect([peer.confirming, peer.timers.isSet("confirm")]).toEqual([undefined, false]);
  });

  it("of a late packet behind a keepalive arms the passive keepalive all the same", () => {
    const { state, session, peer, inbound } = newPair();
    // Too short to cause a path challenge too.
    const short = Uint8Array.of(0x45, ...new Uint8Array(7));
    inbound.receive([at(HOME, data(state, session, 5)), at(HOME, data(state, session, 4, short))]);
    expect(peer.timers.isSet("passiveKeepalive")).toBe(true);
    expect(peer.timers.takeDue("passiveKeepalive", after(START, PASSIVE_KEEPALIVE_MS))).toBe(true);
  });

  it("first on a session from where no answer can go confirms it and draws nothing", () => {
    const state = newCore();
    const { peer } = addPeer(state);
    const from = udp("203.0.113.5", 0);
    const session = addSession(state, peer, { path: from });
    keepHalfOpen(state, session);
    new Inbound(state).receive([at(from, data(state, session, 0))]);
    expect([session.isConfirmed, peer.endpoint, takeSent(state)]).toEqual([true, undefined, []]);
  });
});

/** A pair with a confirmed session, at home. */
function newPair() {
  const state = newCore();
  const { peer, psk } = addPeer(state, { allowed: ["10.7.0.0/16"] });
  const session = addConfirmed(state, peer);
  peer.endpoint = HOME;
  takeEvents(state);
  return { state, peer, psk, session, inbound: new Inbound(state) };
}

function at(from: Endpoint, ...datagrams: readonly Uint8Array[]): Message {
  return { from, datagrams };
}

function reserved(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, index) => (index === 3 ? 1 : byte));
}

/** The reasons for which something was dropped. */
function dropsOf({ drops }: State): Record<string, number> {
  return Object.fromEntries(Object.entries(drops).filter(([, count]) => count > 0));
}

/** What each source was charged. */
function chargesOf({ sources }: State): Record<string, number> {
  return Object.fromEntries(sources.snapshot().map((one) => [ipText(one.address), one.charged]));
}

function empty({ sources }: State, from: Endpoint): void {
  const { rows, base } = rowFrom(from);
  while (sources.charge(rows, base + MESSAGE.REMOTE, START));
}
