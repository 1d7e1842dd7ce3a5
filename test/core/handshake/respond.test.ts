/** An INIT at its responder: the order of its checks, and what it draws (rules 1, 2, 7 and 9). */
import { describe, expect, it } from "vitest";
import {
  DEFERRED_INITS,
  HANDSHAKE_DH_WORK,
  HANDSHAKE_WORK_PER_TURN,
} from "../../../src/core/constants.ts";
import { handleDeferred } from "../../../src/core/handshake/deferred.ts";
import type { Peer, Psk } from "../../../src/core/peers/peer.ts";
import { MESSAGE, MESSAGE_FIELDS } from "../../../src/core/rows.ts";
import { closeSession, dropSessions } from "../../../src/core/session/sessions.ts";
import type { State } from "../../../src/core/state.ts";
import { after } from "../../../src/core/time.ts";
import {
  CHALLENGE,
  decodeRespPayload,
  INIT,
  MESSAGE_TYPE,
  RESP,
  viewOf,
} from "../../../src/core/wire.ts";
import { addConfirmed, addNode, addPeer, newCore, START, takeSent, udp } from "../core-fixtures.ts";
import {
  HOME,
  type Init,
  makeInit,
  NODE,
  proven,
  receive,
  receiveProven,
  theirs,
  withCookieOf,
  writeMac,
} from "../init-fixtures.ts";

const AWAY = udp("198.51.100.7", 4_000);

describe("an INIT that no key here made", () => {
  it("is dropped for its hint, or for its mac, before anything else is done", () => {
    const { state, psk } = newPair();
    const stranger = addPeer(newCore()).psk;
    const init = makeInit(psk);
    const unknown = makeInit({ ...stranger, ring: { ...stranger.ring, hint: psk.ring.hint ^ 1 } });
    expect(receive(state, unknown)).toBe("unknown_hint");
    for (const offset of [
      0,
      INIT.ephemeral,
      INIT.cookieMac,
      INIT.mac - 1,
      INIT.mac,
      INIT.SIZE - 1,
    ]) {
      expect(receive(state, { bytes: flipped(init.bytes, offset) }), `byte ${offset}`).toBe(
        "bad_mac",
      );
    }
    expect([state.handshakeWork, psk.seen.size, takeSent(state)]).toEqual([0, 0, []]);
    expect(receive(state, init)).toBeUndefined();
  });

  it("is told from that of another key with the same hint", () => {
    const state = newCore();
    const [first, second] = ["first", "second"].map((name) => addPeer(state, { name }).psk);
    if (first === undefined || second === undefined) throw new Error("keys");
    const twin = { ...second, ring: { ...second.ring, hint: first.ring.hint } };
    state.psks.add(twin);
    twin.floors.confirm(NODE, 1);
    expect(receive(state, makeInit(twin))).toBeUndefined();
    expect([first.peer.halfOpen.length, twin.peer.halfOpen.length]).toEqual([0, 1]);
  });

  it("is dropped after the AEAD where that or its stamp does not fit, and leaves nothing", () => {
    const { state, psk } = newPair();
    const forged = { bytes: flipped(makeInit(psk).bytes, INIT.sealed + 3) };
    writeMac(psk, forged.bytes);
    const beyond = makeInit(psk, { stamp: 2 ** 53 });
    for (const init of [forged, beyond]) expect(receive(state, init)).toBe("handshake_failed");
    expect([state.handshakeWork, state.handshakeComputations, psk.seen.size]).toEqual([2, 0, 0]);
    expect(takeSent(state)).toEqual([]);
  });
});

describe("an INIT at a site of a group", () => {
  it("is dropped whatever it is, because only sites send them", () => {
    const state = newCore();
    const { psk } = addPeer(state, { kind: "hub" });
    psk.floors.confirm(NODE, 1);
    expect(receive(state, makeInit(psk))).toBe("site_init");
    expect([state.handshakeWork, psk.seen.size, takeSent(state)]).toEqual([0, 0, []]);
  });
});

describe("an INIT of the own node", () => {
  it("is a reflection: dropped with no answer, now and when it comes again", () => {
    const { state, psk } = newPair();
    const init = makeInit(psk, { nodeId: state.nodeId });
    expect(receive(state, init)).toBe("own_node");
    expect(receive(state, init)).toBe("replayed_init");
    expect([state.handshakeComputations, takeSent(state)]).toEqual([0, []]);
  });
});

describe("a CHALLENGE", () => {
  it("is drawn by the first INIT of a node, for its index and to its address, and makes no session", () => {
    const { state, peer, psk } = newPair("no floor");
    expect(receive(state, makeInit(psk), AWAY)).toBe("challenged");
    const [sent, ...others] = takeSent(state);
    expect([sent?.type, sent?.to, sent?.bytes.length]).toEqual([
      MESSAGE_TYPE.CHALLENGE,
      "198.51.100.7",
      CHALLENGE.SIZE,
    ]);
    expect(viewOf(sent?.bytes ?? new Uint8Array(64)).getUint32(CHALLENGE.receiverIndex, true)).toBe(
      0xa0b0c0d0,
    );
    expect([others, state.handshakeComputations, state.sessions.size]).toEqual([[], 0, 0]);
    expect(peer.counters.handshakesAnswered).toBe(0);
  });

  it.each([
    ["above the floor", 11, undefined],
    ["at the floor", 10, "challenged"],
    ["below the floor", 9, "challenged"],
  ])("is not spared by a stamp unless that is above what was confirmed: %s", (_, stamp, reason) => {
    const { state, psk } = newPair(10);
    expect(receive(state, makeInit(psk, { stamp }))).toBe(reason);
  });

  it("proves one address and one port, also after a copy of it was challenged at another", () => {
    const { state, psk } = newPair("no floor");
    const init = makeInit(psk);
    receive(state, init, HOME);
    const withCookie = proven(state, psk, init);
    expect(receive(state, withCookie, udp("192.0.2.1", 1195))).toBe("challenged");
    takeSent(state);
    expect(receive(state, withCookie, HOME)).toBeUndefined();
    expect(takeSent(state).map(({ bytes }) => bytes.length)).toEqual([RESP.SIZE]);
    expect(receive(state, withCookie, HOME)).toBe("replayed_init");

    const second = makeInit(psk, { stamp: 11 });
    expect(receiveProven(state, psk, second, HOME)).toBeUndefined();
  });

  it("spares nobody in a group but a node that is there now", () => {
    const state = newCore();
    const { psk } = addPeer(state, { kind: "group" });
    psk.floors.confirm(NODE, 1);
    expect(receive(state, makeInit(psk))).toBe("challenged");

    const node = addNode(state, psk, NODE);
    expect(receive(state, makeInit(psk))).toBe("challenged");
    addConfirmed(state, node, { stamp: 1 });
    expect(receive(state, makeInit(psk))).toBeUndefined();
    expect(node.halfOpen).toHaveLength(1);
    expect(receive(state, makeInit(psk, { stamp: 1 }))).toBe("challenged");
  });
});

describe("a RESP", () => {
  it("answers its INIT alone, and leaves a session that waits for data", () => {
    const { state, peer, psk } = newPair();
    const init = makeInit(psk, { stamp: 12 });
    const now = after(START, 7);
    expect(receive(state, init, AWAY, now)).toBeUndefined();
    const [sent] = takeSent(state);
    const [session] = peer.halfOpen;
    if (sent === undefined || session === undefined) throw new Error("no answer");

    const resp = sent.bytes;
    const covered = [resp.subarray(0, RESP.mac), init.bytes.subarray(INIT.mac)];
    expect([sent.type, sent.to, resp.length]).toEqual([MESSAGE_TYPE.RESP, "198.51.100.7", 108]);
    expect(resp.subarray(RESP.mac)).toEqual(theirs.blake2b(16, covered, psk.ring.mac));
    const answer = init.noise.readSecond(resp.subarray(RESP.ephemeral, RESP.mac));
    if (answer === undefined) throw new Error("the answer does not open");
    expect(decodeRespPayload(resp, answer.payload)).toEqual({
      nodeId: state.nodeId,
      mtu: 1420,
      keepaliveSeconds: 15,
    });
    expect(viewOf(resp).getUint32(RESP.receiverIndex, true)).toBe(0xa0b0c0d0);
    expect(viewOf(resp).getUint32(RESP.senderIndex, true)).toBe(session.localIndex);
    expect(session).toMatchObject({
      psk,
      isInitiator: false,
      isConfirmed: false,
      remoteIndex: 0xa0b0c0d0,
      born: now,
      stamp: 12,
      path: AWAY,
      node: { nodeId: NODE, mtu: 1380, keepaliveSeconds: 25 },
    });
    expect(state.sessions.get(session.localIndex)).toBe(session);
    expect([peer.counters.handshakesAnswered, state.handshakeComputations]).toEqual([1, 1]);
    expect(state.handshakeWork).toBe(1 + HANDSHAKE_DH_WORK);
  });

  it("is not made where the Diffie-Hellman has no result, or no key slot is free; a new node is forgotten", () => {
    const ephemeral = { publicKey: new Uint8Array(32), secretKey: new Uint8Array(32) };
    for (const [keySlots, spec, reason] of [
      [8, { ephemeral }, "handshake_failed"],
      [1, {}, "key_table_full"],
    ] as const) {
      const state = newCore({}, keySlots);
      const { psk, peer } = addPeer(state, { kind: "group" });
      expect(receiveProven(state, psk, makeInit(psk, spec))).toBe(reason);
      expect([peer.group?.nodes.size, state.halfOpen.size, state.sessions.size]).toEqual([0, 0, 0]);
      expect(takeSent(state)).toEqual([]);
    }
  });
});

describe("the same INIT again", () => {
  it("draws the same RESP twice more from anywhere, a third time only from an address of the peer", () => {
    const { state, peer, psk } = newPair();
    peer.endpoint = udp("203.0.113.9");
    const init = makeInit(psk);
    receive(state, init);
    const [resp] = takeSent(state);
    const again = (from = AWAY) => {
      expect(receive(state, init, from, START)).toBe("replayed_init");
      return takeSent(state).map(({ to, bytes }) => [to, bytes]);
    };
    expect(again()).toEqual([["198.51.100.7", resp?.bytes]]);
    expect(again()).toEqual([["198.51.100.7", resp?.bytes]]);
    expect(again()).toEqual([]);
    expect(again(udp("203.0.113.9"))).toEqual([["203.0.113.9", resp?.bytes]]);
    expect(again(udp("203.0.113.9"))).toEqual([]);

    expect([peer.halfOpen.length, state.handshakeComputations]).toEqual([1, 1]);
  });

  it("lets its session be confirmed from there too, as long as there is one", () => {
    const { state, peer, psk } = newPair();
    const init = makeInit(psk);
    receive(state, init);
    const [session] = peer.halfOpen;
    receive(state, init, AWAY);
    expect(session?.otherPaths).toEqual([AWAY]);

    dropSessions(state, peer);
    takeSent(state);
    receive(state, init, AWAY);
    expect(takeSent(state).map(({ type }) => type)).toEqual([MESSAGE_TYPE.RESP]);
  });

  it("is judged anew where no key slot was free for its session", () => {
    const state = newCore({}, 2);
    const { psk, peer } = addPeer(state);
    psk.floors.confirm(NODE, 1);
    const other = addConfirmed(state, peer);
    const init = makeInit(psk);
    expect(receive(state, init)).toBe("key_table_full");
    closeSession(state, other);
    expect(receive(state, init)).toBeUndefined();
  });

  it.each([
    ["configured, while none is in use", undefined, "203.0.113.5"],
    ["configured, beside the one in use", "203.0.113.9", "203.0.113.5"],
    ["the second one configured", undefined, "203.0.113.6"],
  ])("finds its third answer at an address that is %s", (_, inUse, from) => {
    const { state, peer, psk } = newPair();
    peer.configured = [udp("203.0.113.5"), udp("203.0.113.6")];
    if (inUse !== undefined) peer.endpoint = udp(inUse);
    expect(answersFrom(state, makeInit(psk), udp(from))).toBe(3);
  });

  it("of a node of a group finds it at the endpoint of that node", () => {
    const state = newCore();
    const { psk } = addPeer(state, { kind: "group" });
    const node = addNode(state, psk, NODE);
    addConfirmed(state, node, { stamp: 1 });
    node.endpoint = udp("203.0.113.9");
    expect(answersFrom(state, makeInit(psk, { stamp: 2 }), udp("203.0.113.9"))).toBe(3);
    expect(answersFrom(state, makeInit(psk, { stamp: 3 }), udp("203.0.113.8"))).toBe(2);
  });

  it("draws a CHALLENGE for the address it comes from, with a cookie that counts there", () => {
    const { state, psk } = newPair("no floor");
    const init = makeInit(psk);
    receive(state, init, AWAY);
    takeSent(state);
    expect(receive(state, init, HOME)).toBe("replayed_init");
    const [sent, ...others] = takeSent(state);
    if (sent === undefined) throw new Error("no CHALLENGE");
    expect([sent.to, others]).toEqual(["192.0.2.1", []]);
    expect(receive(state, withCookieOf(sent.bytes, psk, init), HOME)).toBeUndefined();
  });

  it.each([
    ["once, then at the peer's", [AWAY, HOME], [CHALLENGE, RESP, RESP, RESP]],
    [
      "until only the peer's is left",
      [AWAY, AWAY, AWAY, HOME],
      [CHALLENGE, CHALLENGE, CHALLENGE, RESP],
    ],
  ])(
    "draws four answers in all where a cookie has it judged anew: elsewhere %s",
    (_, ways, drawn) => {
      const { state, peer, psk } = newPair("no floor");
      peer.endpoint = HOME;
      const init = makeInit(psk);
      receive(state, init, HOME);
      const withCookie = proven(state, psk, init);
      for (const from of [...ways, HOME, HOME, HOME, HOME]) receive(state, withCookie, from);

      expect(takeSent(state).map(({ bytes }) => bytes.length)).toEqual(
        drawn.map(({ SIZE }) => SIZE),
      );
      expect(state.handshakeComputations).toBe(1);
    },
  );

  it("draws nothing where it drew nothing, in a group too", () => {
    const state = newCore();
    const { psk } = addPeer(state, { kind: "group" });
    const init = makeInit(psk, { nodeId: state.nodeId });
    expect(receive(state, init)).toBe("own_node");
    expect(receive(state, init)).toBe("replayed_init");
    expect(takeSent(state)).toEqual([]);
  });
});

describe("an INIT beyond what a turn may spend", () => {
  it("waits for the next turn, whole, and keeps its place; the first says since when", () => {
    const { state, peer, psk } = newPair();
    state.handshakeWork = HANDSHAKE_WORK_PER_TURN - 1;
    expect(receive(state, makeInit(psk, { stamp: 10 }))).toBeUndefined();
    expect([state.deferred.length, peer.halfOpen.length]).toEqual([0, 1]);

    const late = [11, 12].map((stamp) => makeInit(psk, { stamp }));
    for (const [index, init] of late.entries()) {
      expect(receive(state, init, AWAY, after(START, 5 + index))).toBeUndefined();
      init.bytes.fill(0);
    }
    expect([state.deferred.length, state.deferredSince, peer.halfOpen.length]).toEqual([
      2,
      START + 5,
      1,
    ]);
    expect(state.deferred.map(({ rows, base }) => [rows.length, base])).toEqual([
      [MESSAGE_FIELDS, 0],
      [MESSAGE_FIELDS, 0],
    ]);
    expect(state.deferred[0]?.rows[MESSAGE.PORT]).toBe(4_000);

    handleDeferred(state, after(START, 9));
    expect(peer.halfOpen.map(({ stamp }) => stamp)).toEqual([10, 11, 12]);
    expect(peer.halfOpen[2]?.path).toEqual(AWAY);
    expect([state.deferred.length, state.drops.old_stamp]).toEqual([0, 0]);
  });

  it("is dropped for the budget where 256 wait already", () => {
    const { state, psk } = newPair();
    state.handshakeWork = HANDSHAKE_WORK_PER_TURN;
    const init = makeInit(psk);
    receive(state, init);
    const [first] = state.deferred;
    if (first === undefined) throw new Error("nothing waits");
    while (state.deferred.length < DEFERRED_INITS - 1) state.deferred.push(first);
    expect(receive(state, init)).toBeUndefined();
    expect(receive(state, init)).toBe("handshake_budget");
    expect(state.deferred).toHaveLength(DEFERRED_INITS);
  });

  it("that was answered before draws its answer at once", () => {
    const { state, psk } = newPair();
    const init = makeInit(psk);
    receive(state, init);
    state.handshakeWork = HANDSHAKE_WORK_PER_TURN;
    expect(receive(state, init)).toBe("replayed_init");
    expect([state.deferred.length, takeSent(state).length]).toEqual([0, 2]);
  });
});

/** A pair whose node has a floor, unless it never had a session. */
function newPair(floor: number | "no floor" = 1): {
  readonly state: State;
  readonly peer: Peer;
  readonly psk: Psk;
} {
  const state = newCore();
  const { peer, psk } = addPeer(state, { keepaliveSeconds: 15 });
  if (floor !== "no floor") psk.floors.confirm(NODE, floor);
  return { state, peer, psk };
}

/** How many answers an INIT draws from an address after its first, which went elsewhere. */
function answersFrom(state: State, init: Init, from = AWAY): number {
  receive(state, init);
  takeSent(state);
  for (let count = 0; count < 6; count += 1) receive(state, init, from);
  return takeSent(state).length;
}

function flipped(bytes: Uint8Array, offset: number): Uint8Array {
  return bytes.map((byte, at) => (at === offset ? byte ^ 4 : byte));
}
