/** Who holds an inner address of a learned group, by the rules "Groups" of docs/protocol.md. */
import { describe, expect, it } from "vitest";
import {
  GROUP_ADDRESSES,
  PROBE_PERIOD_MS,
  PROBES,
  REST_FIRST_MS,
} from "../../../src/core/constants.ts";
import type { DropReason } from "../../../src/core/drop-reason.ts";
import { mayBring, probeHolder } from "../../../src/core/peers/claims.ts";
import type { Node, Peer } from "../../../src/core/peers/peer.ts";
import { formatPrefix } from "../../../src/core/prefix.ts";
import type { State } from "../../../src/core/state.ts";
import { after, type Instant } from "../../../src/core/time.ts";
import { innerBytes, prefix } from "../../helpers/address.ts";
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

const ADDRESS = "10.7.0.1";
const ANOTHER = "10.7.0.2";
/** The same first four bytes as ADDRESS. */
const ALIKE = "a07:1::";

describe("an inner address of a group", () => {
  it("is taken back by the node that lost it while it was silent, and by no other", () => {
    const { state, first, second, third } = threeNodes();
    bring(state, first, ADDRESS);
    bring(state, second, ANOTHER);
    moveTo(state, second, first);
    expect(holdings(second)).toEqual([ANOTHER, ADDRESS]);

    expect(bring(state, third, ADDRESS)).toBe("inner_taken");
    expect(bring(state, first, ANOTHER)).toBe("inner_taken");
    expect(bring(state, first, ADDRESS)).toBeUndefined();

    expect([holdings(first), holdings(second), holdings(third)]).toEqual([
      [ADDRESS],
      [ANOTHER],
      [],
    ]);
    expect(first.membership.refusedClaims + third.membership.refusedClaims).toBe(2);
  });

  it("that changed hands during a contest stays where it went", () => {
    const { state, first, second, third } = threeNodes();
    bring(state, first, ADDRESS);
    bring(state, second, ANOTHER);
    moveTo(state, second, first);
    bring(state, third, ADDRESS);
    bring(state, first, ADDRESS);

    askUntilTheEnd(state, second, START);

    expect([holdings(first), holdings(second), holdings(third)]).toEqual([
      [ADDRESS],
      [ANOTHER],
      [],
    ]);
  });

  it("is held by its holder through a rest of four seconds after it answered, and may be asked for then", () => {
    const { state, first, second } = threeNodes();
    bring(state, first, ADDRESS);
    bring(state, second, ADDRESS);
    first.lastHeardAt = START;
    const end = askUntilTheEnd(state, first, START);
    takeSent(state);

    const restEnds = after(end, 2 * REST_FIRST_MS);
    expect(bring(state, second, ADDRESS, after(restEnds, -1))).toBe("inner_taken");
    expect(takeSent(state)).toEqual([]);
    expect(bring(state, second, ADDRESS, restEnds)).toBe("inner_taken");
    expect(takeSent(state)).toHaveLength(1);
    expect(holdings(first)).toEqual([ADDRESS]);
  });

  it("moves from a holder that has no endpoint, which nobody can ask", () => {
    const { state, first, second } = threeNodes();
    bring(state, first, ADDRESS);
    first.endpoint = undefined;
    bring(state, second, ADDRESS);
    askUntilTheEnd(state, first, START);
    expect(takeSent(state)).toEqual([]);
    expect([holdings(first), holdings(second)]).toEqual([[], [ADDRESS]]);
  });

  it("is nobody's when a node holds it that has no session", () => {
    const { state, first, second } = threeNodes();
    bring(state, first, ADDRESS);
    first.current = undefined;
    bring(state, second, ADDRESS);
    expect(takeSent(state)).toEqual([]);
    expect(holdings(first)).toEqual([ADDRESS]);
  });

  it("is asked for no longer than its contest lasts", () => {
    const { state, first, second } = threeNodes();
    bring(state, first, ADDRESS);
    bring(state, second, ADDRESS);
    expect(takeSent(state)).toHaveLength(1);
    first.membership.contest = undefined;
    probeHolder(state, first, after(START, PROBE_PERIOD_MS));
    expect(takeSent(state)).toEqual([]);
  });

  it("is its holder's whatever it sends, and nobody is asked for that", () => {
    const { state, first } = threeNodes();
    expect([bring(state, first, ADDRESS), bring(state, first, ADDRESS)]).toEqual([
      undefined,
      undefined,
    ]);
    expect([holdings(first), first.membership.refusedClaims]).toEqual([[ADDRESS], 0]);
    expect(takeSent(state)).toEqual([]);
  });

  it("that several claim goes to the first of them, with all that is claimed in one contest", () => {
    const { state, first, second, third } = threeNodes();
    for (const address of [ADDRESS, ANOTHER, "10.7.0.3"]) bring(state, first, address);
    bring(state, second, ADDRESS);
    const halfWay = after(START, PROBE_PERIOD_MS);
    probeHolder(state, first, halfWay);
    bring(state, third, ADDRESS, halfWay);
    bring(state, third, ANOTHER, halfWay);
    expect(takeEvents(state)).toEqual([
      { kind: "claim", peer: second.name, holder: first.name, prefix: prefix(`${ADDRESS}/32`) },
    ]);
    expect(takeSent(state)).toHaveLength(2);

    probeHolder(state, first, halfWay);
    probeHolder(state, first, halfWay);

    expect([holdings(first), holdings(second), holdings(third)]).toEqual([
      ["10.7.0.3"],
      [ADDRESS],
      [ANOTHER],
    ]);
    expect(takeEvents(state)).toEqual([
      { kind: "moved", peer: second.name, holder: first.name, prefix: prefix(`${ADDRESS}/32`) },
      { kind: "moved", peer: third.name, holder: first.name, prefix: prefix(`${ANOTHER}/32`) },
    ]);
  });

  it("makes the holder's timer ask again a third of a second later", () => {
    const { state, first, second } = threeNodes();
    bring(state, first, ADDRESS);
    first.timers.clearAll();
    bring(state, second, ADDRESS);
    expect(first.timers.isSet("contest")).toBe(true);
    expect(state.heap.first()?.timers.wakeAt).toBe(START + PROBE_PERIOD_MS);
  });

  it("is free where who claimed it has no usable session when the contest ends", () => {
    const { state, first, second, third } = threeNodes();
    for (const address of [ADDRESS, ANOTHER]) bring(state, first, address);
    bring(state, second, ADDRESS);
    bring(state, third, ANOTHER);
    second.current = undefined;
    third.current?.end(state.aead);
    takeEvents(state);
    askUntilTheEnd(state, first, START);
    expect([holdings(first), holdings(second), holdings(third)]).toEqual([[], [], []]);
    expect(takeEvents(state)).toEqual([]);
    expect(bring(state, first, ADDRESS)).toBeUndefined();
  });

  it("is one of 64 that a node has; one more, and it loses the first", () => {
    const { state, first } = threeNodes();
    for (let last = 0; last < GROUP_ADDRESSES; last += 1) bring(state, first, `10.7.1.${last}`);
    expect(holdings(first)).toHaveLength(GROUP_ADDRESSES);
    expect(holdings(first)[0]).toBe("10.7.1.0");
    bring(state, first, ADDRESS);
    expect(holdings(first)).toHaveLength(GROUP_ADDRESSES);
    expect([holdings(first)[0], holdings(first).at(-1)]).toEqual(["10.7.1.1", ADDRESS]);
    expect(bring(state, first, "10.7.1.0")).toBeUndefined();
  });

  it("is not that of the other family which begins with the same bytes", () => {
    const { state, first, second } = threeNodes("10.7.0.9");
    expect(bring(state, first, "10.7.0.9")).toBe("inner_source");
    expect(bring(state, first, "a07:9::")).toBeUndefined();

    bring(state, second, ADDRESS);
    bring(state, second, ALIKE);
    moveTo(state, first, second, ALIKE);
    expect([holdings(first), holdings(second)]).toEqual([["a07:9::", ALIKE], [ADDRESS]]);
  });
});

describe("an inner address of a pair", () => {
  it.each<[string, string, DropReason | undefined]>([
    ["inside the peer's prefixes", "10.7.0.1", undefined],
    ["inside another peer's", "10.8.0.1", "inner_source"],
    ["of nobody's", "100.64.0.1", "inner_source"],
    ["that is no host's, under a default route", "2001:db8::1", undefined],
    ["that is loopback, under a default route", "::1", "inner_martian"],
    ["that is link-local, under a default route", "fe80::1", "inner_martian"],
    ["that is multicast by name", "ff02::1", undefined],
    ["that is reserved by name", "240.0.0.9", undefined],
    ["that is reserved", "241.0.0.9", "inner_martian"],
  ])("%s (%s): %s", (_, address, reason) => {
    const state = newCore();
    const allowed = ["10.7.0.0/16", "::/0", "128.0.0.0/1", "ff02::/16", "240.0.0.0/8"];
    const { peer } = addPeer(state, { allowed });
    addPeer(state, { name: "another", allowed: ["10.8.0.0/16"] });
    expect(bring(state, peer, address)).toBe(reason);
  });
});

/** A hub with an own inner address, whose group has three nodes with a session each. */
function threeNodes(own?: string): {
  readonly state: State;
  readonly first: Node;
  readonly second: Node;
  readonly third: Node;
} {
  const state = newCore(own === undefined ? {} : { innerAddresses: [innerBytes(own)] });
  const { psk } = addPeer(state, { kind: "group", allowed: ["10.7.0.0/16", "a07::/16"] });
  const [first, second, third] = [11, 12, 13].map((number) => {
    const node = addNode(state, psk, id16(number), `192.0.2.${number}`);
    addConfirmed(state, node, { nodeId: id16(number) });
    node.endpoint = udp(`192.0.2.${number}`);
    return node;
  });
  if (first === undefined || second === undefined || third === undefined) throw new Error("nodes");
  takeEvents(state);
  return { state, first, second, third };
}

/** A packet of the peer with this source, amid other bytes that are overwritten afterwards. */
function bring(
  state: State,
  peer: Peer,
  address: string,
  now: Instant = START,
): DropReason | undefined {
  const bytes = innerBytes(address);
  const arena = new Uint8Array(40).fill(0x5a);
  arena.set(bytes, 12);
  const reason = mayBring(state, peer, bytes.length === 4 ? 4 : 6, arena, 12, now);
  arena.fill(0xa5);
  return reason;
}

/** Moves an address to a node while its holder is silent. */
function moveTo(state: State, node: Node, holder: Node, address = ADDRESS): void {
  bring(state, node, address);
  askUntilTheEnd(state, holder, START);
}

/** Lets a holder's contest, begun at `since`, run out; returns when it did. */
function askUntilTheEnd(state: State, holder: Node, since: Instant): Instant {
  for (let probe = 1; probe <= PROBES; probe += 1) {
    probeHolder(state, holder, after(since, probe * PROBE_PERIOD_MS));
  }
  return after(since, PROBES * PROBE_PERIOD_MS);
}

/** Addresses that a node holds, in the order in which it got them. */
function holdings({ membership }: Node): string[] {
  return membership.addresses.map((one) => formatPrefix(one).replace(/\/(32|128)$/, ""));
}
