/**
 * Runs of datagrams in one message: which are opened in one row, and that what a row holds is judged, counted
 * and delivered datagram by datagram.
 */
import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/core/address.ts";
import type { Session } from "../../../src/core/peers/peer.ts";
import { MESSAGE } from "../../../src/core/rows.ts";
import { keepHalfOpen } from "../../../src/core/session/sessions.ts";
import type { State } from "../../../src/core/state.ts";
import { prefix } from "../../helpers/address.ts";
import { cutAgain } from "../../helpers/gso-twin.ts";
import { buildPacket } from "../../helpers/packet-builder.ts";
import {
  addConfirmed,
  addPeer,
  addSession,
  newCore,
  rowFrom,
  START,
  takeSent,
  udp,
} from "../core-fixtures.ts";
import { data, forged, Inbound } from "../receive-fixtures.ts";

const HOME = udp("198.51.100.1");
const AWAY = udp("203.0.113.5", 4_000);
const [V4, V6] = [{ source: "10.7.0.1" }, { source: "fd77::1", destination: "fd88::1" }];

describe("a run", () => {
  it.each<[string, readonly number[], readonly string[]]>([
    ["that counts on", [0, 1, 2], ["3 of 32"]],
    ["of two", [7, 8], ["2 of 32"]],
    ["of one", [7], ["1"]],
    ["with a gap", [0, 1, 5, 6], ["2 of 32", "2 of 32"]],
    ["that never counts on", [0, 2, 4], ["1", "1", "1"]],
    ["that goes back", [2, 1, 0], ["1", "1", "1"]],
    ["at the end of all counters", [2 ** 48 - 2, 2 ** 48 - 1], ["2 of 32"]],
  ])("%s (%j) is opened as %j", (_, counters, opens) => {
    const { state, session, inbound } = newPair();
    const datagrams = counters.map((counter) => data(state, session, counter));
    inbound.receive([{ from: HOME, datagrams }]);
    expect(inbound.opens).toEqual(opens);
    expect([session.receivedPackets, dropsOf(state)]).toEqual([counters.length, {}]);
    expect(session.window.highest).toBe(Math.max(...counters));
  });

  it.each<[string, readonly number[], readonly string[], object]>([
    ["are behind the highest", [3, 4], ["1", "1"], {}],
    ["begin with the highest", [10, 11, 12], ["2 of 32"], { replayed: 1 }],
    ["were seen", [10, 9], ["1"], { replayed: 1 }],
    ["are beyond all counters", [2 ** 48, 2 ** 48 + 1], [], { bad_counter: 2 }],
  ])("whose counters %s (%j) is opened as %j", (_, counters, opens, drops) => {
    const { state, session, inbound } = newPair();
    session.window.commit(10);
    const datagrams = counters.map((counter) => data(state, session, counter));
    inbound.receive([{ from: HOME, datagrams }]);
    expect([inbound.opens, dropsOf(state)]).toEqual([opens, drops]);
  });

  it("from elsewhere is opened one by one, for each of which its source pays", () => {
    const { state, session, inbound } = newPair();
    drain(state, AWAY, 2);
    const datagrams = [0, 1, 2].map((counter) => data(state, session, counter));
    inbound.receive([{ from: AWAY, datagrams }]);
    expect([inbound.opens, dropsOf(state)]).toEqual([["1", "1"], { source_limited: 1 }]);
  });

  it("from the endpoint costs its source nothing and gives nothing back", () => {
    const { state, session, inbound } = newPair();
    const { rows, base } = rowFrom(HOME);
    state.sources.charge(rows, base + MESSAGE.REMOTE, START);
    inbound.receive([{ from: HOME, datagrams: [0, 1].map((at) => data(state, session, at)) }]);
    expect(state.sources.snapshot().map(({ charged }) => charged)).toEqual([1]);
  });

  it.each([
    [1, ["1"], 4],
    [2, ["2 of 32"], 3],
    [3, ["3 of 32"], 2],
  ])("is cut where %i more packets find room, the rest is dropped", (capacity, opens, dropped) => {
    const { state, session } = newPair();
    const inbound = new Inbound(state, capacity);
    const datagrams = [0, 1, 2, 3, 4].map((counter) => data(state, session, counter));
    inbound.receive([{ from: HOME, datagrams }]);
    expect([inbound.opens, dropsOf(state)]).toEqual([opens, { no_room: dropped }]);
  });

  it("leaves room for those before it", () => {
    const { state, session } = newPair();
    const inbound = new Inbound(state, 4);
    const message = (counters: readonly number[]) => ({
      from: HOME,
      datagrams: counters.map((counter) => data(state, session, counter)),
    });
    inbound.receive([message([0, 1, 2]), message([3, 4, 5])]);
    expect([inbound.opens, dropsOf(state)]).toEqual([["3 of 32", "1"], { no_room: 2 }]);
  });

  it("of datagrams too short for any is refused one by one, and a short end alone", () => {
    const { state, session, inbound } = newPair();
    const short = [0, 1].map((counter) => data(state, session, counter).subarray(0, 31));
    inbound.receive([{ from: HOME, datagrams: short }]);
    expect([inbound.opens, dropsOf(state)]).toEqual([[], { bad_length: 2 }]);
    const whole = [0, 1].map((counter) => data(state, session, counter, new Uint8Array(9)));
    inbound.receive([{ from: HOME, datagrams: [...whole, Uint8Array.of(4)] }]);
    expect([inbound.opens, state.drops.bad_length]).toEqual([["2 of 41"], 3]);
  });
});

describe("in a run, a datagram that is forged", () => {
  it.each<[string, readonly number[], readonly string[]]>([
    ["first", [0], ["5 of 41", "4 of 41"]],
    ["in the middle", [2], ["5 of 41", "2 of 41"]],
    ["last", [4], ["5 of 41"]],
    ["twice", [1, 3], ["5 of 41", "3 of 41", "1 of 41"]],
    ["always", [0, 1, 2, 3, 4], ["5 of 41", "4 of 41", "3 of 41", "2 of 41", "1 of 41"]],
  ])("%s (%j) is refused alone, and the rest is opened again: %j", (_, bad, opens) => {
    const { state, session, inbound } = newPair();
    const answers = [0, 1, 2, 3, 4].map((at) => data(state, session, at + 20, pathFrame(at)));
    const datagrams = answers.map((one, at) => (bad.includes(at) ? forged(one) : one));
    const good = [0, 1, 2, 3, 4].filter((at) => !bad.includes(at));
    // The row of another message stands before it.
    inbound.receive([
      { from: HOME, datagrams: [data(state, session, 1)] },
      { from: HOME, datagrams },
    ]);
    expect(inbound.opens).toEqual(["1", ...opens]);
    expect([dropsOf(state), session.failedOpens]).toEqual([{ forged: bad.length }, bad.length]);
    expect(takeSent(state).map(({ plaintext }) => plaintext[8])).toEqual(good);
    const unseen = [20, 21, 22, 23, 24].filter((counter) => session.window.check(counter));
    expect(unseen).toEqual(bad.map((at) => at + 20));
  });

  it("behind the end of the session ends the run: what follows is of no session", () => {
    const { state, session, inbound } = newPair();
    const close = Uint8Array.of(3, 0);
    const datagrams = [0, 1, 2, 3].map((counter) => data(state, session, counter, close));
    const [first, second, ...rest] = datagrams;
    if (first === undefined || second === undefined) throw new Error("no datagrams");
    inbound.receive([{ from: HOME, datagrams: [first, forged(second), ...rest] }]);
    expect(session.isEnded).toBe(true);
    expect([inbound.opens, dropsOf(state)]).toEqual([
      ["4 of 34"],
      { forged: 1, expired_session: 2 },
    ]);
  });

  it("is not needed for that: what opened behind a close frame is of no session either", () => {
    const { state, session, inbound } = newPair();
    const datagrams = [0, 1, 2].map((at) => data(state, session, at, Uint8Array.of(3, 0)));
    inbound.receive([{ from: HOME, datagrams }]);
    expect(dropsOf(state)).toEqual({ expired_session: 2 });
  });
});

describe("a run of packets", () => {
  it.each([
    ["TCP over IPv4", { ...V4 }],
    ["UDP over IPv4", { ...V4, protocol: "udp" }],
    ["TCP over IPv6", { ...V6 }],
    ["UDP over IPv6", { ...V6, protocol: "udp" }],
  ] as const)(
    "of %s is delivered joined where that is wished, byte for byte, and counted",
    (_, flow) => {
      for (const isWished of [true, false]) {
        const { state, session, inbound } = newPair(isWished);
        const packets = flowOf(flow, 6);
        const delivered = inbound.receive([
          { from: HOME, datagrams: sealed(state, session, packets) },
        ]);
        expect(delivered).toHaveLength(isWished ? 1 : 6);
        expect(delivered.flatMap(cutAgain).map(hex)).toEqual(packets.map(hex));
        const bytes = packets.reduce((sum, { length }) => sum + length, 0);
        expect(session.peer.counters).toMatchObject({ inboundPackets: 6, inboundBytes: bytes });
      }
    },
  );

  it("goes on with that of the message before, from the same peer only", () => {
    const { state, session, inbound } = newPair(true);
    const other = addPeer(state, { name: "third", allowed: ["10.7.0.1/32"] }).peer;
    other.endpoint = HOME;
    const stranger = addConfirmed(state, other);
    const packets = flowOf({ source: "10.7.0.2" }, 6);
    const delivered = inbound.receive([
      { from: HOME, datagrams: sealed(state, session, packets.slice(0, 3)) },
      { from: HOME, datagrams: sealed(state, stranger, packets.slice(3)) },
      { from: HOME, datagrams: sealed(state, session, packets.slice(3), 3) },
    ]);
    expect(delivered).toHaveLength(1);
    expect(delivered.flatMap(cutAgain).map(hex)).toEqual(packets.map(hex));
    expect([session.peer.counters.inboundPackets, other.counters.inboundPackets]).toEqual([6, 0]);
    expect(dropsOf(state)).toEqual({ inner_source: 3 });
  });

  it("is looked at twice, and the rest is gathered as one row", () => {
    const { state, session, inbound } = newPair(true);
    const packets = flowOf({}, 12);
    const delivered = inbound.receive([{ from: HOME, datagrams: sealed(state, session, packets) }]);
    // The first two, whose ids show how the others count on, then two more, then the other eight.
    expect([delivered.length, inbound.rows]).toEqual([1, 5]);
    expect(delivered.flatMap(cutAgain).map(hex)).toEqual(packets.map(hex));
  });

  it("is joined as well where each comes alone, or one behind a run", () => {
    const packets = flowOf({}, 6);
    for (const cuts of [[1, 2, 3, 4, 5], [3, 4], [5]]) {
      const { state, session, inbound } = newPair(true);
      const datagrams = sealed(state, session, packets);
      const parts = [0, ...cuts].map((from, at) => datagrams.slice(from, cuts[at]));
      const delivered = inbound.receive(parts.map((some) => ({ from: HOME, datagrams: some })));
      expect(delivered).toHaveLength(1);
      expect(delivered.flatMap(cutAgain).map(hex)).toEqual(packets.map(hex));
      expect(session.peer.counters.inboundPackets).toBe(6);
    }
  });

  it("is delivered whole where packets without the mark stand between those with it", () => {
    const { state, session, inbound } = newPair(true);
    const packets = flowOf({}, 6);
    const datagrams = packets.map((bytes, at) =>
      data(state, session, at, at === 3 ? bytes : marked(bytes)),
    );
    const delivered = inbound.receive([{ from: HOME, datagrams }]);
    expect(delivered.flatMap(cutAgain).map(hex)).toEqual(packets.map(hex));
    expect(delivered.map(({ parts }) => parts)).toEqual([3, 1, 2]);
    expect(session.peer.counters.inboundPackets).toBe(6);
  });

  it("is judged by its sources one by one", () => {
    const { state, session, inbound } = newPair();
    const sources = ["10.7.0.1", "10.7.0.1", "10.9.0.1", "10.7.0.1", "10.7.9.1"];
    const six = ["fd77::1", "fd77::2", "fd78::1", "fd77::1:0:0:1"];
    const packets = [
      ...sources.map((source) => packet({ source })),
      ...six.map((source) => packet({ ...V6, source })),
      packet({ source: "10.7.0.1" }),
    ];
    const delivered = packets.flatMap((bytes, at) =>
      inbound.receive([{ from: HOME, datagrams: [data(state, session, at, bytes)] }]),
    );
    expect([delivered.length, dropsOf(state)]).toEqual([8, { inner_source: 2 }]);

    const again = inbound.receive(
      packets.map((bytes, at) => ({
        from: HOME,
        datagrams: [data(state, session, at + 20, bytes)],
      })),
    );
    expect(again.map(({ bytes }) => hex(bytes))).toEqual(delivered.map(({ bytes }) => hex(bytes)));
    expect(dropsOf(state)).toEqual({ inner_source: 4 });
  });

  it.each<[string, string, string]>([
    ["of the other family that has the same bytes there", "fd77:0:a09:1::1", "10.9.0.1"],
    ["whose bytes are the index of its session", "10.7.0.1", "10.6.0.1"],
    ["behind one whose bytes are the index", "10.6.0.1", "10.9.0.1"],
  ])("is not let through by one before it %s: %s, %s", (_, good, bad) => {
    const { state, peer, session } = newPair();
    state.routes.insert(prefix("fd77::/16"), peer);
    if (good === "10.6.0.1") state.routes.insert(prefix("10.6.0.1/32"), peer);
    const one = Object.assign(session, { localIndex: 0x0100_060a });
    state.sessions.set(one.localIndex, one);
    const other = (source: string) => (source.includes(":") ? V6.destination : "10.0.0.2");
    const datagrams = [good, bad].map((source, at) =>
      data(state, one, at, packet({ source, destination: other(source) })),
    );
    const delivered = new Inbound(state).receive(
      datagrams.map((datagram) => ({ from: HOME, datagrams: [datagram] })),
    );
    expect(delivered).toHaveLength(1);
  });

  it("that confirms its session draws a keepalive, and arms the passive one behind it", () => {
    const state = newCore();
    const { peer } = addPeer(state, { allowed: ["10.7.0.0/16"] });
    const session = addSession(state, peer, { path: HOME });
    keepHalfOpen(state, session);
    const inbound = new Inbound(state);
    inbound.receive([{ from: HOME, datagrams: sealed(state, session, flowOf({}, 3)) }]);
    expect([inbound.opens.length, takeSent(state).map(({ plaintext }) => plaintext)]).toEqual([
      1,
      [[]],
    ]);
    expect(peer.timers.isSet("passiveKeepalive")).toBe(true);
  });
});

describe("a run that another message of its batch overtook", () => {
  it("is heard from the endpoint in use with what is above, and ends a path challenge", () => {
    const { state, session, peer, inbound } = newPair();
    const nine = (counter: number) => data(state, session, counter, pathFrame(counter));
    inbound.receive([
      { from: AWAY, datagrams: [nine(9)] },
      { from: HOME, datagrams: [nine(8), nine(9), nine(10)] },
    ]);
    expect(inbound.opens).toEqual(["1", "3 of 41"]);
    expect([dropsOf(state), peer.pathChallenge]).toEqual([{ replayed: 1 }, undefined]);
  });
});

/** A pair with a confirmed session, at home. */
function newPair(isJoining = false) {
  const offloads = { joinTcp: isJoining, joinUdp: isJoining, runs: true };
  const state = newCore({ offloads });
  const { peer } = addPeer(state, { allowed: ["10.7.0.0/16", "fd77::/64"] });
  const session = addConfirmed(state, peer);
  peer.endpoint = HOME;
  return { state, peer, session, inbound: new Inbound(state) };
}

type Flow = Parameters<typeof buildPacket>[0];

/** Packets of one flow that follow one another, with a partial checksum. */
function flowOf(flow: Partial<Flow>, count: number): readonly Uint8Array[] {
  return Array.from({ length: count }, (_, at) =>
    packet({
      ...flow,
      sequence: 1_000 + at * 40,
      id: 500 + at,
      payload: new Uint8Array(40).fill(at),
    }),
  );
}

function packet(spec: Partial<Flow>): Uint8Array {
  return buildPacket({ source: "10.7.0.1", isPartial: true, ...spec }).bytes;
}

/** With the mark of a partial checksum, as it travels. */
function marked(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, at) => (at === 0 ? byte | 0x80 : byte));
}

/** Datagrams with marked packets, counting from `first`. */
function sealed(
  state: State,
  session: Session,
  packets: readonly Uint8Array[],
  first = 0,
): readonly Uint8Array[] {
  return packets.map((bytes, at) => data(state, session, first + at, marked(bytes)));
}

/** A path challenge, whose answer ends with `last`. */
function pathFrame(last: number): Uint8Array {
  return Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, last);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** The reasons for which something was dropped. */
function dropsOf({ drops }: State): Record<string, number> {
  return Object.fromEntries(Object.entries(drops).filter(([, count]) => count > 0));
}

/** Leaves a source so many tokens. */
function drain({ sources }: State, from: Endpoint, left: number): void {
  const { rows, base } = rowFrom(from);
  for (let count = left; count < 200; count += 1)
    sources.charge(rows, base + MESSAGE.REMOTE, START);
}
