/** The nodes of a learned group: room for them, where each comes from, and how one is forgotten. */
import { describe, expect, it } from "vitest";
import { GROUP_NODES, GROUP_NODES_PER_SOURCE } from "../../../src/core/constants.ts";
import {
  admit,
  everyPeer,
  hasRoomFor,
  originOf,
  settleNode,
} from "../../../src/core/peers/members.ts";
import type { Node, Psk } from "../../../src/core/peers/peer.ts";
import { PACKET, PACKET_FIELDS } from "../../../src/core/rows.ts";
import type { State } from "../../../src/core/state.ts";
import { prefix } from "../../helpers/address.ts";
import {
  addConfirmed,
  addNode,
  addPeer,
  addSession,
  id16,
  newCore,
  START,
  takeEvents,
  udp,
} from "../core-fixtures.ts";

describe("room in a group", () => {
  it("is for 1,024 nodes in all; one that is there has its place", () => {
    const { state, psk } = newGroup();
    const known = addNode(state, psk, id16(7));
    fill(psk, sourcesOf(state, psk, 5), GROUP_NODES - 1);
    expect(hasRoomFor(psk, id16(9), udp("198.51.100.9"))).toBe(true);

    fill(psk, [known], GROUP_NODES);
    expect(hasRoomFor(psk, id16(9), udp("198.51.100.9"))).toBe(false);
    expect(hasRoomFor(psk, id16(7), udp("198.51.100.9"))).toBe(true);
  });

  it("is for 256 nodes of one source, however many others there are", () => {
    const { state, psk } = newGroup();
    const one = addNode(state, psk, id16(7), "192.0.2.1");
    fill(psk, [one], GROUP_NODES_PER_SOURCE - 1);
    fill(psk, [addNode(state, psk, id16(8), "192.0.2.2")], GROUP_NODES_PER_SOURCE + 9);
    expect(hasRoomFor(psk, id16(9), udp("192.0.2.1", 9))).toBe(true);

    psk.peer.group?.nodes.set("one more", one);
    expect(hasRoomFor(psk, id16(9), udp("192.0.2.1", 9))).toBe(false);
    expect(hasRoomFor(psk, id16(9), udp("192.0.2.3"))).toBe(true);
    expect(hasRoomFor(psk, id16(7), udp("192.0.2.1"))).toBe(true);
  });

  it("is no question for a pair", () => {
    const state = newCore();
    const { psk, peer } = addPeer(state);
    expect(hasRoomFor(psk, id16(9), udp("192.0.2.1"))).toBe(true);
    expect(admit(state, psk, id16(9), udp("192.0.2.1"), START)).toBe(peer);
  });
});

describe("the source that a handshake is counted for", () => {
  const { peer } = addPeer(newCore());
  const isOne = (a: string, b: string): boolean =>
    originOf(peer, udp(a)) === originOf(peer, udp(b, 9));

  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["2001:db8::1", "2001:db8::2"],
    ["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"],
    ["0:0:1:2::1", "0:0:1:2::2"],
    ["1:2::1", "1:2::2"],
  ])("is one for %s and %s", (a, b) => {
    expect(isOne(a, b)).toBe(true);
  });

  it.each([
    ["192.0.2.1", "192.0.2.2"],
    ["192.0.2.1", "193.0.2.1"],
    ["2001:db8:1:2::1", "2001:db8:1:3::1"],
    ["2001:db8:1::1", "2001:db9:1::1"],
    ["::5:6:7:8", "::5:6:7:9"],
  ])("differs between %s and %s", (a, b) => {
    expect(isOne(a, b)).toBe(false);
  });

  it("stays the one that a node proved first, wherever it comes from later", () => {
    const { state, psk } = newGroup();
    const node = addNode(state, psk, id16(7), "192.0.2.1");
    expect(originOf(node, udp("192.0.2.2"))).toBe(originOf(psk.peer, udp("192.0.2.1")));
  });
});

describe("a node", () => {
  it("is known by eight digits of its id, or by all where those are taken", () => {
    const { state, psk } = newGroup();
    const [first, second, third] = [id16(1), id16(2), id16(3)];
    third[0] = 0xab;
    const names = [first, second, third].map((nodeId) => addNode(state, psk, nodeId).name);
    expect(names).toEqual([
      "branch/00000000",
      "branch/00000000000000000000000000000002",
      "branch/ab000000",
    ]);
  });

  it("has nothing of its own configured, only what its group has", () => {
    const { state, psk } = newGroup();
    const node = addNode(state, psk, id16(1));
    expect(node).toMatchObject({
      kind: "node",
      group: psk.peer.group,
      psks: psk.peer.psks,
      configured: [],
      allowedIps: [],
      hasConfiguredEndpoint: false,
      keepaliveSeconds: 25,
      roaming: "on",
    });
    expect([...everyPeer(state)]).toEqual([psk.peer, node]);
    expect(addNode(state, psk, id16(1), "192.0.2.9")).toBe(node);
  });

  it("that has no session any more is forgotten with all it holds, and its counters stay in the sum", () => {
    const { state, psk } = newGroup();
    const node = addNode(state, psk, id16(1));
    holdAll(node);
    node.waiting.push(new Uint8Array(8), packetRow(8), 0);
    state.flushable.add(node);
    node.timers.set("stale", START);
    node.counters.inboundBytes = 70;

    settleNode(state, node);

    expect([...everyPeer(state)]).toEqual([psk.peer]);
    expect([node.membership.addresses, node.membership.takenFrom.size]).toEqual([[], 0]);
    expect(psk.peer.group?.addresses.lookup4(Uint8Array.of(10, 7, 0, 1), 0)).toBeUndefined();
    expect([state.drops.queue_timeout, state.waiting.bytes, state.flushable.size]).toEqual([
      1, 0, 0,
    ]);
    expect(state.heap.first()).toBeUndefined();
    expect(psk.peer.counters.inboundBytes).toBe(70);
    expect(takeEvents(state)).toEqual([]);
  });

  it("that has a session keeps what it holds", () => {
    const { state, psk } = newGroup();
    const node = addNode(state, psk, id16(1));
    addConfirmed(state, node, { nodeId: id16(1) });
    holdAll(node);
    settleNode(state, node);
    expect([...everyPeer(state)]).toEqual([psk.peer, node]);
    expect([node.membership.addresses.length, node.membership.takenFrom.size]).toEqual([1, 1]);
  });

  it("whose handshake waits for its first data gives its addresses back, but stays", () => {
    const { state, psk } = newGroup();
    const node = addNode(state, psk, id16(1));
    holdAll(node);
    node.halfOpen.push(addSession(state, node));
    node.waiting.push(new Uint8Array(8), packetRow(8), 0);

    settleNode(state, node);

    expect([...everyPeer(state)]).toEqual([psk.peer, node]);
    expect([node.membership.addresses, node.waiting.count]).toEqual([[], 1]);
  });
});

function newGroup(): { readonly state: State; readonly psk: Psk } {
  const state = newCore();
  const { psk } = addPeer(state, {
    name: "branch",
    kind: "group",
    allowed: ["10.7.0.0/16"],
    keepaliveSeconds: 25,
    roaming: "on",
  });
  return { state, psk };
}

/** A node from each of so many sources. */
function sourcesOf(state: State, psk: Psk, count: number): Node[] {
  return Array.from({ length: count }, (_, index) =>
    addNode(state, psk, id16(100 + index), `203.0.113.${index}`),
  );
}

/** Adds places in the group's table, taken by `nodes` in turn, until so many are there. */
function fill({ peer }: Psk, nodes: readonly Node[], count: number): void {
  const table = peer.group?.nodes ?? new Map<string, Node>();
  while (table.size < count) {
    const node = nodes[table.size % nodes.length];
    if (node !== undefined) table.set(`place ${table.size}`, node);
  }
}

/** An address, got from another node, that a third one claims. */
function holdAll(node: Node): void {
  const held = prefix("10.7.0.1");
  node.membership.addresses.push(held);
  node.group.addresses.insert(held, node);
  node.membership.takenFrom.set("10.7.0.1/32", node);
}

function packetRow(length: number): Int32Array {
  const row = new Int32Array(PACKET_FIELDS);
  row[PACKET.LENGTH] = length;
  return row;
}
