/** What stands between a genuine INIT and the Diffie-Hellman: order of stamps, room, lanes and budgets (rule 7, Limits). */
import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/core/address.ts";
import {
  GROUP_NODES,
  GROUP_RESERVE_BURST,
  GROUP_SOURCE_BURST,
  REORDERED_INIT_MS,
} from "../../../src/core/constants.ts";
import type { DropReason } from "../../../src/core/drop-reason.ts";
import { DEFAULT_LIMITS } from "../../../src/core/options.ts";
import type { Node, Peer, Psk } from "../../../src/core/peers/peer.ts";
import { MESSAGE } from "../../../src/core/rows.ts";
import type { State } from "../../../src/core/state.ts";
import { after, type Instant } from "../../../src/core/time.ts";
import {
  addConfirmed,
  addNode,
  addPeer,
  id16,
  newCore,
  rowFrom,
  START,
  takeSent,
  udp,
} from "../core-fixtures.ts";
import { HOME, makeInit, NODE, receive, receiveProven } from "../init-fixtures.ts";

const HANDSHAKES_AT_ONCE = DEFAULT_LIMITS.handshakeBurst;

describe("an INIT with a lower stamp than one that waits", () => {
  it.each<[number, number, number, DropReason | undefined]>([
    [20, 21, 0, undefined],
    [20, 20, 0, undefined],
    [20, 19, 0, "old_stamp"],
    [20, 19, REORDERED_INIT_MS - 1, "old_stamp"],
    [20, 19, REORDERED_INIT_MS, "challenged"],
    [20, 21, REORDERED_INIT_MS, undefined],
  ])("%i, then %i, %i ms later: %s", (first, second, ms, reason) => {
    const { state, psk } = newPair();
    expect(receive(state, makeInit(psk, { stamp: first }))).toBeUndefined();
    const later = makeInit(psk, { stamp: second });
    expect(receive(state, later, HOME, after(START, ms))).toBe(reason);
  });

  it("came out of order: it draws nothing, and nothing when it comes again", () => {
    const { state, psk } = newPair();
    receive(state, makeInit(psk, { stamp: 20 }));
    const late = makeInit(psk, { stamp: 19 });
    expect(receive(state, late)).toBe("old_stamp");
    takeSent(state);
    expect(receive(state, late)).toBe("replayed_init");
    expect(takeSent(state)).toEqual([]);
  });

  it("is answered to a proven address after 10 s, because that clock may have been ahead", () => {
    const { state, peer, psk } = newPair();
    receive(state, makeInit(psk, { stamp: 20 }));
    const now = after(START, REORDERED_INIT_MS);
    expect(receiveProven(state, psk, makeInit(psk, { stamp: 19 }), HOME, now)).toBeUndefined();
    expect(peer.halfOpen.map(({ stamp }) => stamp)).toEqual([20, 19]);
  });

  it("is judged by the youngest that waits with a later stamp", () => {
    const { state, psk } = newPair();
    receive(state, makeInit(psk, { stamp: 20 }));
    const middle = after(START, REORDERED_INIT_MS - 1);
    receive(state, makeInit(psk, { stamp: 21 }), HOME, middle);
    const late = after(START, REORDERED_INIT_MS + 1);
    expect(receive(state, makeInit(psk, { stamp: 19 }), HOME, late)).toBe("old_stamp");
  });

  it("is not compared with those of another node", () => {
    const { state, psk } = newPair();
    psk.floors.confirm(id16(3), 1);
    receive(state, makeInit(psk, { stamp: 20, nodeId: id16(3) }));
    expect(receive(state, makeInit(psk, { stamp: 19 }))).toBeUndefined();
  });

  it("of a node that had no session is out of order too, even with a cookie", () => {
    const { state, psk } = newPair("no floor");
    expect(receiveProven(state, psk, makeInit(psk, { stamp: 20 }))).toBeUndefined();
    expect(receiveProven(state, psk, makeInit(psk, { stamp: 19 }))).toBe("old_stamp");
  });

  it("and below the floor too is of a clock that fell back: its cookie lets it in", () => {
    const { state, psk } = newPair(10);
    expect(receive(state, makeInit(psk, { stamp: 20 }))).toBeUndefined();
    expect(receiveProven(state, psk, makeInit(psk, { stamp: 10 }))).toBeUndefined();
    expect(receiveProven(state, psk, makeInit(psk, { stamp: 11 }))).toBe("old_stamp");
  });
});

describe("an INIT from a source whose bucket is empty", () => {
  it("takes the reserved lane of a pair, one for each, and is dropped unseen when that is empty", () => {
    const { state, peer, psk } = newPair();
    empty(state, HOME);
    spend(peer.reservedLane, HANDSHAKES_AT_ONCE - 2);
    expect(receive(state, makeInit(psk, { stamp: 10 }))).toBeUndefined();
    expect(receive(state, makeInit(psk, { stamp: 11 }))).toBeUndefined();
    const [work, seen] = [state.handshakeWork, psk.seen.size];
    expect(receive(state, makeInit(psk, { stamp: 99 }))).toBe("source_limited");
    expect([state.handshakeWork, psk.seen.size]).toEqual([work, seen]);
    expect(receive(state, makeInit(psk, { stamp: 99 }), HOME, after(START, 50))).toBeUndefined();
    expect(peer.counters.handshakesAnswered).toBe(3);
  });

  it("of a group takes the lane of its own node, and draws nothing when it comes again", () => {
    const { state, psk, node } = newGroup();
    addNode(state, psk, id16(3));
    empty(state, HOME);
    spend(node.reservedLane, HANDSHAKES_AT_ONCE - 1);
    spend(psk.peer.reservedLane, HANDSHAKES_AT_ONCE);
    expect(receive(state, makeInit(psk, { stamp: 10 }))).toBeUndefined();
    const second = makeInit(psk, { stamp: 11 });
    expect(receive(state, second)).toBe("source_limited");
    takeSent(state);
    expect(receive(state, second)).toBe("replayed_init");
    expect(takeSent(state)).toEqual([]);
    expect(receive(state, makeInit(psk, { nodeId: id16(3) }))).toBe("challenged");
    expect(receive(state, makeInit(psk, { nodeId: id16(9) }))).toBe("source_limited");
  });

  it("alone takes a lane", () => {
    const pair = newPair();
    empty(pair.state, udp("192.0.2.77"));
    receive(pair.state, makeInit(pair.psk));
    const group = newGroup();
    receive(group.state, makeInit(group.psk));
    for (const { reservedLane } of [pair.peer, group.node]) {
      expect(spend(reservedLane, 99)).toBe(HANDSHAKES_AT_ONCE);
    }
  });
});

describe("a full group", () => {
  it("has no room for a new node with a cookie, but for one of its own", () => {
    const { state, psk, node } = newGroup();
    const nodes = node.group.nodes;
    for (let at = nodes.size; at < GROUP_NODES; at += 1) nodes.set(`place ${at}`, node);
    const init = makeInit(psk, { nodeId: id16(9) });
    expect(receiveProven(state, psk, init, udp("198.51.100.9"))).toBe("group_full");
    expect(receive(state, makeInit(psk))).toBeUndefined();
    expect([nodes.size, node.halfOpen.length]).toEqual([GROUP_NODES, 1]);
  });
});

describe("the handshake budget", () => {
  it("of a pair is five at once and 20 a second; what is beyond draws nothing", () => {
    const { state, psk } = newPair();
    spend(state.peers.get("other")?.handshakeBudget, HANDSHAKES_AT_ONCE);
    const init = makeInit(psk);
    expect(receive(state, init)).toBe("handshake_budget");
    expect(receive(state, init)).toBe("replayed_init");
    expect([takeSent(state), state.handshakeComputations]).toEqual([[], 0]);
    expect(receive(state, makeInit(psk), HOME, after(START, 49))).toBe("handshake_budget");
    expect(receive(state, makeInit(psk), HOME, after(START, 50))).toBeUndefined();
  });

  it("of one source is 60 at once for all nodes of a group that it proved", () => {
    const { state, psk, node } = newGroup();
    const origin = node.membership.source;
    for (let count = 0; count < GROUP_SOURCE_BURST; count += 1)
      node.group.shares.take(origin, START);
    expect(receive(state, makeInit(psk))).toBe("handshake_budget");
    const init = makeInit(psk, { nodeId: id16(9) });
    expect(receiveProven(state, psk, init, HOME)).toBe("handshake_budget");
    expect(receiveProven(state, psk, init, udp("198.51.100.9"))).toBe("replayed_init");
    const other = makeInit(psk, { nodeId: id16(9) });
    expect(receiveProven(state, psk, other, udp("198.51.100.9"))).toBeUndefined();
  });

  it("in all keeps a share for a pair's node that had a session", () => {
    const { state, psk } = newPair();
    spend(state.handshakes.all, 99);
    const stranger = makeInit(psk, { nodeId: id16(9) });
    expect(receiveProven(state, psk, stranger)).toBe("handshake_budget");
    expect(receive(state, makeInit(psk, { stamp: 10 }))).toBeUndefined();
    expect(spend(state.handshakes.reserved, 99)).toBe(RESERVED - 1);
    expect(receive(state, makeInit(psk, { stamp: 11 }))).toBe("handshake_budget");
  });

  it("in all is not taken from the share while there is any other", () => {
    const { state, psk } = newPair();
    spend(state.handshakes.all, TOTAL - RESERVED - 1);
    expect(receive(state, makeInit(psk))).toBeUndefined();
    expect([spend(state.handshakes.all, 99), spend(state.handshakes.reserved, 99)]).toEqual([
      0,
      RESERVED,
    ]);
  });

  it("in all keeps a share for a group's node that has a session, five at once for one source", () => {
    const { state, psk, node } = newGroup();
    spend(state.handshakes.all, 99);
    const { reserves } = node.group;
    for (let count = 1; count < GROUP_RESERVE_BURST; count += 1) {
      reserves.take(node.membership.source, START);
    }
    expect(receive(state, makeInit(psk, { stamp: 10 }))).toBeUndefined();
    expect(receive(state, makeInit(psk, { stamp: 11 }))).toBe("handshake_budget");
    expect(spend(state.handshakes.reserved, 99)).toBe(RESERVED - 1);
  });

  it("in all keeps none for a node without a session", () => {
    const { state, psk } = newGroup();
    psk.floors.confirm(id16(3), 1);
    addNode(state, psk, id16(3));
    spend(state.handshakes.all, 99);
    const init = makeInit(psk, { nodeId: id16(3) });
    expect(receiveProven(state, psk, init)).toBe("handshake_budget");
    expect(spend(state.handshakes.reserved, 99)).toBe(RESERVED);
  });
});

const TOTAL = 16;
const RESERVED = 4;
const LIMITS = { ...DEFAULT_LIMITS, handshakesPerSecondTotal: TOTAL };

/** A pair whose node has a floor, unless it never had a session. */
function newPair(floor: number | "no floor" = 1): {
  readonly state: State;
  readonly peer: Peer;
  readonly psk: Psk;
} {
  const state = newCore({ limits: LIMITS });
  const { peer, psk } = addPeer(state);
  if (floor !== "no floor") psk.floors.confirm(NODE, floor);
  return { state, peer, psk };
}

/** A group with one node that has a session. */
function newGroup(): { readonly state: State; readonly psk: Psk; readonly node: Node } {
  const state = newCore({ limits: LIMITS });
  const { psk } = addPeer(state, { kind: "group" });
  const node = addNode(state, psk, NODE);
  addConfirmed(state, node, { stamp: 1 });
  return { state, psk, node };
}

/** Empties the bucket of a source. */
function empty({ sources }: State, from: Endpoint): void {
  const { rows, base } = rowFrom(from);
  while (sources.charge(rows, base + MESSAGE.REMOTE, START));
}

/** Takes so many tokens where they are there; returns how many were. */
function spend(bucket: { take(now: Instant): boolean } | undefined, most: number): number {
  let taken = 0;
  while (taken < most && bucket?.take(START)) taken += 1;
  return taken;
}
