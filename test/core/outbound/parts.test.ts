/** Packets in two parts: what is put together, what is refused, and what is forgotten. */
import { describe, expect, it } from "vitest";
import { packetBatch } from "../../../src/core/batch.ts";
import { JOINED_BYTES, JOINED_PER_BATCH, PARTS_WAITING } from "../../../src/core/constants.ts";
import { Deliverer } from "../../../src/core/inbound/deliver.ts";
import { PartJoiner, sendParts } from "../../../src/core/outbound/parts.ts";
import type { Instant } from "../../../src/core/time.ts";
import { udpPacket } from "../../helpers/packets.ts";
import { addConfirmed, addPeer, newCore, START, takeSent, udp } from "../core-fixtures.ts";

const PACKET = udpPacket(
  "10.2.0.1",
  "10.1.0.1",
  Uint8Array.from({ length: 1252 }, (_, i) => i),
);

function setUp() {
  const state = newCore();
  const { peer } = addPeer(state, { allowed: ["10.2.0.0/16"] });
  const session = addConfirmed(state, peer);
  const delivered = packetBatch(new Uint8Array(4096 + JOINED_BYTES), 64);
  const deliverer = new Deliverer(state, delivered);
  const joiner = new PartJoiner(delivered.arena, deliverer);
  deliverer.begin(START);
  joiner.begin();
  const parts = (packet = PACKET): Uint8Array[] => {
    sendParts(state, session, packet, udp("192.0.2.9"), START);
    return takeSent(state).map(({ plaintext }) => Uint8Array.from(plaintext));
  };
  const add = (part: Uint8Array | undefined, ms = 0) =>
    joiner.add(session, part ?? new Uint8Array(0), (START + ms) as Instant);
  return { state, session, peer, delivered, joiner, parts, add };
}

describe("a packet in two parts", () => {
  it("has both in datagrams far below what every path carries", () => {
    const { parts } = setUp();
    const [first, second] = parts();
    expect([first?.length, second?.length]).toEqual([644, 644]);
  });

  it("names the packet by a number that goes up, and its own place", () => {
    const { session, parts } = setUp();
    session.nextPart = 0xfffe;
    const heads = [parts(), parts(), parts()].flat().map((part) => [...part.subarray(0, 4)]);
    expect(heads).toEqual([
      [8, 0xfe, 0xff, 0],
      [8, 0xfe, 0xff, 1],
      [8, 0xff, 0xff, 0],
      [8, 0xff, 0xff, 1],
      [8, 0, 0, 0],
      [8, 0, 0, 1],
    ]);
  });

  it.each([
    [0, 1],
    [1, 0],
  ])("is delivered when both have come, in the order %i %i", (a, b) => {
    const { parts, add, peer, session, delivered } = setUp();
    const both = parts();
    expect(add(both[a])).toBeUndefined();
    expect(peer.counters.inboundPackets).toBe(0);
    expect(add(both[b])).toBeUndefined();
    expect(peer.counters).toMatchObject({ inboundPackets: 1, inboundBytes: 1280 });
    expect([...delivered.arena.subarray(4096, 4096 + 1280)]).toEqual([...PACKET]);
    expect(session.parts).toEqual([]);
  });

  it("is none where the parts are of two packets, or the same twice", () => {
    const { parts, add, peer } = setUp();
    const [one, two] = [parts(), parts()];
    for (const part of [one[0], two[1], one[0], two[1]]) add(part);
    expect(peer.counters.inboundPackets).toBe(0);
  });

  it("is forgotten when the other part does not come in 2 s", () => {
    const { parts, add, peer, session } = setUp();
    const both = parts();
    add(both[0]);
    add(both[1], 2_000);
    expect(peer.counters.inboundPackets).toBe(0);
    expect(session.parts).toHaveLength(1);
  });

  it("waits with so many others at most", () => {
    const { parts, add, peer, session } = setUp();
    const all = Array.from({ length: PARTS_WAITING + 1 }, () => parts());
    for (const [first] of all) add(first);
    expect(session.parts).toHaveLength(PARTS_WAITING);
    for (const [, second] of all.toReversed()) add(second);
    expect(peer.counters.inboundPackets).toBe(PARTS_WAITING);
  });

  it("finds room with so many others in one batch, and again in the next", () => {
    const { parts, add, joiner, peer } = setUp();
    const reasons = Array.from({ length: JOINED_PER_BATCH + 1 }, () => {
      const [first, second] = parts();
      add(first);
      return add(second);
    });
    expect(reasons.slice(0, -1).every((reason) => reason === undefined)).toBe(true);
    expect(reasons.at(-1)).toBe("no_room");
    joiner.begin();
    const [first, second] = parts();
    add(first);
    expect(add(second)).toBeUndefined();
    expect(peer.counters.inboundPackets).toBe(JOINED_PER_BATCH + 1);
  });

  it("is checked like any other", () => {
    const { parts, add, state } = setUp();
    const foreign = parts(udpPacket("10.9.0.1", "10.1.0.1", new Uint8Array(1200)));
    for (const part of foreign) add(part);
    expect(state.drops.inner_source).toBe(1);
    const frames = parts(Uint8Array.from({ length: 1280 }, () => 3));
    add(frames[0]);
    expect(add(frames[1])).toBe("bad_plaintext");
  });
});

describe("a part is refused", () => {
  it.each<[string, readonly number[]]>([
    ["without bytes", [8, 0, 0, 0]],
    ["shorter than its header", [8, 0, 0]],
    ["that is neither first nor second", [8, 0, 0, 2, 69]],
    ["that is longer than a part can be", [8, 0, 0, 0, ...new Array<number>(641).fill(69)]],
  ])("%s", (_name, bytes) => {
    const { add, session } = setUp();
    expect(add(Uint8Array.from(bytes))).toBe("bad_control");
    expect(session.parts).toEqual([]);
  });
});
