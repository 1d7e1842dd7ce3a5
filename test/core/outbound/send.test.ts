/** Packets on their way out, steps 1 to 8 of send.ts: what each is dropped for, and what leaves for whom. */
import { describe, expect, it } from "vitest";
import { messageBatch, packetBatch } from "../../../src/core/batch.ts";
import {
  ICMP_BURST,
  REJECT_AFTER_MESSAGES,
  REJECT_AFTER_MS,
  REKEY_AFTER_MESSAGES,
  WAITING_PACKETS,
} from "../../../src/core/constants.ts";
import type { DropReason } from "../../../src/core/drop-reason.ts";
import { REPLY_BYTES, Sender } from "../../../src/core/outbound/send.ts";
import {
  at,
  MESSAGE,
  MESSAGE_FIELDS,
  OPEN,
  OPEN_FIELDS,
  PACKET,
  PACKET_FIELDS,
  SEAL,
} from "../../../src/core/rows.ts";
import type { State } from "../../../src/core/state.ts";
import { after, type Instant } from "../../../src/core/time.ts";
import { DATA, MESSAGE_TYPE, readUint64, viewOf } from "../../../src/core/wire.ts";
import { udpPacket } from "../../helpers/packets.ts";
import { superPacket } from "../../helpers/super-packets.ts";
import {
  addConfirmed,
  addNode,
  addPeer,
  id16,
  newCore,
  START,
  takeSent,
  udp,
} from "../core-fixtures.ts";

const HOME = udp("198.51.100.1");
const OWN = "10.8.0.1";
/** The index under which the peer knows the session. */
const OWN_INDEX = 0x01020304;

describe("a packet", () => {
  it.each<[string, Uint8Array, DropReason | undefined, number]>([
    ["for the peer", to("10.7.0.1"), undefined, 0],
    ["for an IPv6 address of the peer", to("fd77::1", "fd88::1"), undefined, 0],
    ["that is a datagram of this tunnel's own", own(), "loop", 0],
    ["of the MTU", udpPacket(OWN, "10.7.0.1", new Uint8Array(1_420 - 28)), undefined, 0],
    ["over the MTU", udpPacket(OWN, "10.7.0.1", new Uint8Array(1_421 - 28)), "too_big", 1],
    ["cut short", to("10.7.0.1").subarray(0, 27), "outbound_malformed", 0],
    ["for nobody's address", to("10.9.0.1"), "no_peer", 1],
    ["for an IPv6 address of nobody's", to("fd99::1", "fd88::1"), "no_peer", 1],
    ["for an IPv4 group", to("224.0.0.1"), "multicast", 0],
    ["for another IPv4 group", to("239.255.0.1"), "multicast", 0],
    ["for a reserved address", to("240.0.0.1"), "no_peer", 0],
    ["for an IPv6 group", to("ff02::1", "fd88::1"), "multicast", 0],
    [
      "for an IPv6 address that begins as an IPv4 group does",
      to("e000::1", "fd88::1"),
      "no_peer",
      1,
    ],
    ["for an IPv4 address of a peer without endpoint", to("10.6.0.1"), "no_endpoint", 1],
  ])("%s leaves or is dropped", (_, bytes, reason, replies) => {
    const { state, outbound } = newPair();
    addConfirmed(state, addPeer(state, { name: "away", allowed: ["10.6.0.0/16"] }).peer);
    outbound.send([bytes]);
    expect(dropsOf(state)).toEqual(reason === undefined ? {} : { [reason]: 1 });
    expect([outbound.sent().length, outbound.replies.count]).toEqual([
      reason === undefined ? 1 : 0,
      replies,
    ]);
  });

  it("that did not fit its slot is too big", () => {
    const { state, outbound } = newPair();
    outbound.send([to("10.7.0.1")], START, { [PACKET.STATUS]: -90 });
    expect([dropsOf(state), outbound.sent()]).toEqual([{ too_big: 1 }, []]);
  });

  it("leaves sealed under the next counter, is counted, and waits for an answer", () => {
    const { state, peer, session, outbound } = newPair();
    session.nextCounter = 2 ** 33 + 5;
    peer.timers.set("passiveKeepalive", START);
    const packet = to("10.7.0.1");
    outbound.send([packet, packet]);
    const sent = outbound.sent();
    expect(sent.map(({ port, hops }) => [port, hops])).toEqual([
      [1194, 0],
      [1194, 0],
    ]);
    expect(sent.map(({ bytes }) => [...bytes.subarray(16, -16)])).toEqual([
      [...packet],
      [...packet],
    ]);
    expect(sent.map(({ bytes }) => readUint64(viewOf(bytes), DATA.counter))).toEqual([
      2 ** 33 + 5,
      2 ** 33 + 6,
    ]);
    const open = new Int32Array(OPEN_FIELDS);
    open[OPEN.LENGTH] = sent[0]?.bytes.length ?? 0;
    open[OPEN.KEY_SLOT] = session.sealSlot;
    state.aead.open(sent[0]?.bytes.slice() ?? packet, open, 1);
    expect(open[OPEN.OPENED]).toBe(1);
    expect(viewOf(sent[0]?.bytes ?? packet).getUint32(DATA.receiverIndex, true)).toBe(
      session.remoteIndex,
    );
    expect(peer.counters).toMatchObject({ outboundPackets: 2, outboundBytes: 2 * packet.length });
    expect([peer.timers.isSet("unanswered"), peer.timers.isSet("passiveKeepalive")]).toEqual([
      true,
      false,
    ]);
  });

  it("for a group leaves for the node that holds the address, or for nobody", () => {
    const { state, outbound } = newPair();
    const { psk } = addPeer(state, { name: "branch", kind: "group", allowed: ["10.5.0.0/16"] });
    const node = addNode(state, psk, id16(7));
    const session = addConfirmed(state, node, { nodeId: id16(7) });
    node.endpoint = udp("203.0.113.7");
    node.group.addresses.insert({ family: 4, bytes: Uint8Array.of(10, 5, 0, 1), length: 32 }, node);
    outbound.send([to("10.5.0.1"), to("10.5.0.2")]);
    expect([dropsOf(state), session.nextCounter, node.counters.outboundPackets]).toEqual([
      { no_peer: 1 },
      1,
      1,
    ]);
  });
});

describe("a packet for a peer without a session", () => {
  it("waits, and starts a handshake; what is too much is dropped", () => {
    const { state, peer, outbound } = newPair();
    const old = after(START, REJECT_AFTER_MS);
    outbound.send([to("10.7.0.1")], old);
    expect([peer.waiting.count, outbound.sent()]).toEqual([1, []]);
    expect(takeSent(state).map(({ type }) => type)).toEqual([MESSAGE_TYPE.INIT]);
    while (peer.waiting.count < WAITING_PACKETS) peer.waiting.push(to("10.7.0.1"), ROW, 0);
    outbound.send([to("10.7.0.1")], old);
    expect([dropsOf(state), peer.waiting.count]).toEqual([{ queue_full: 1 }, WAITING_PACKETS]);
  });

  it("that cannot be reached is answered at once", () => {
    const { state, peer, outbound } = newPair();
    peer.current = undefined;
    peer.endpoint = undefined;
    outbound.send([to("10.7.0.1")]);
    expect([dropsOf(state), peer.waiting.count, outbound.replies.count]).toEqual([
      { no_endpoint: 1 },
      0,
      1,
    ]);
  });
});

describe("the counters of a session", () => {
  it("end before the last, and a new session is started well before", () => {
    for (const [next, drops, inits] of [
      [REKEY_AFTER_MESSAGES - 1, {}, 0],
      [REKEY_AFTER_MESSAGES, {}, 1],
      [REJECT_AFTER_MESSAGES - 1, {}, 1],
      [REJECT_AFTER_MESSAGES, { counter_exhausted: 1 }, 0],
    ] as const) {
      const { state, session, outbound } = newPair();
      session.nextCounter = next;
      outbound.send([to("10.7.0.1")]);
      expect([dropsOf(state), takeSent(state).length], `${next}`).toEqual([drops, inits]);
    }
  });
});

describe("what finds no room among the outgoing", () => {
  it.each([
    ["bytes", 2 * 60 + 59, 9],
    ["messages", 999, 2],
  ])("for want of %s stays for the next call", (_, bytes, messages) => {
    const { state, outbound } = newPair({ bytes, messages });
    const packets = [1, 2, 3].map((last) => to(`10.7.0.${last}`));
    outbound.send(packets);
    expect([outbound.packets.count, outbound.sent().length]).toEqual([3, 2]);
    outbound.again();
    expect([outbound.packets.count, outbound.sent().map(({ bytes: [...all] }) => all[35])]).toEqual(
      [0, [3]],
    );
    expect(dropsOf(state)).toEqual({});
  });

  it("in a whole batch is dropped", () => {
    const { state, outbound } = newPair({ bytes: 59, messages: 9 });
    outbound.send([to("10.7.0.1"), to("10.7.0.2")]);
    expect([dropsOf(state), outbound.packets.count]).toEqual([{ no_room: 2 }, 0]);
  });
});

describe("a super-packet", () => {
  const SUPER = superPacket({
    source: OWN,
    destination: "10.7.0.1",
    isTcp: true,
    gsoSize: 100,
    payload: new Uint8Array(250).fill(3),
  });
  const META = {
    [PACKET.GSO_TYPE]: SUPER.gsoType,
    [PACKET.GSO_SIZE]: SUPER.gsoSize,
    [PACKET.FLAGS]: 1,
    [PACKET.HEADER_LENGTH]: SUPER.headerLength,
    [PACKET.CHECKSUM_START]: SUPER.checksumStart,
    [PACKET.CHECKSUM_OFFSET]: SUPER.checksumOffset,
  };

  it("leaves as a run of datagrams, each under a counter of its own", () => {
    const { peer, session, outbound } = newPair({}, true);
    outbound.send([SUPER.bytes], START, META);
    const [run, ...others] = outbound.sent();
    const header = SUPER.headerLength;
    expect([run?.segment, run?.bytes.length, others]).toEqual([
      header + 132,
      3 * (header + 32) + 250,
      [],
    ]);
    expect([session.nextCounter, peer.counters.outboundPackets]).toEqual([3, 3]);
    expect(peer.counters.outboundBytes).toBe(3 * header + 250);
  });

  it("tells the cipher where its checksum goes", () => {
    const { state, outbound } = newPair({}, true);
    const seal = state.aead.seal.bind(state.aead);
    let fields: readonly number[] = [];
    state.aead.seal = (packets, datagrams, rows, count) => {
      fields = [SEAL.CHECKSUM_START, SEAL.CHECKSUM_OFFSET].map((field) => at(rows, field));
      seal(packets, datagrams, rows, count);
    };
    outbound.send([SUPER.bytes], START, META);
    expect(fields).toEqual([20, 16]);
  });

  it("says itself how long its headers are, whatever the hint says", () => {
    const { outbound } = newPair({}, true);
    outbound.send([SUPER.bytes], START, { ...META, [PACKET.HEADER_LENGTH]: 0 });
    expect(outbound.sent()[0]?.segment).toBe(SUPER.headerLength + 132);
  });

  it("takes exactly the room of its datagrams", () => {
    const bytes = 3 * (SUPER.headerLength + 32) + 250;
    for (const [room, drops] of [
      [bytes, {}],
      [bytes - 1, { no_room: 1 }],
    ] as const) {
      const { state, outbound } = newPair({ bytes: room }, true);
      outbound.send([SUPER.bytes], START, META);
      expect(dropsOf(state)).toEqual(drops);
    }
  });

  it("that cannot be sealed is dropped with all its packets, and nothing was sent", () => {
    const { state, peer, outbound } = newPair();
    state.aead.seal = (_packets, _datagrams, rows) => {
      rows[SEAL.STATUS] = -22;
    };
    outbound.send([SUPER.bytes], START, META);
    expect([dropsOf(state), outbound.sent(), peer.sends]).toEqual([{ seal_failed: 3 }, [], 0]);
    expect(peer.counters.outboundPackets).toBe(0);
  });
});

describe("an answer to a local sender", () => {
  it("is made for as many as find room, and no oftener than the bucket allows", () => {
    const { state, outbound } = newPair({ replies: 2 });
    const three = [1, 2, 3].map((last) => to(`10.9.0.${last}`));
    outbound.replies.rows.fill(9);
    outbound.send(three);
    expect([outbound.replies.count, dropsOf(state)]).toEqual([2, { no_peer: 3 }]);
    const { rows } = outbound.replies;
    expect([0, 1].map((row) => at(rows, row * PACKET_FIELDS + PACKET.OFFSET))).toEqual([
      0,
      REPLY_BYTES,
    ]);
    expect(at(rows, PACKET.LENGTH)).toBe(28 + to("10.9.0.1").length);
    // Nothing of what stood there before is said of the second.
    expect([...rows.subarray(PACKET_FIELDS + PACKET.FLAGS, 2 * PACKET_FIELDS)]).toEqual(
      new Array(PACKET_FIELDS - PACKET.FLAGS).fill(0),
    );
    for (let taken = 2; taken < ICMP_BURST; taken += 1) state.icmp.take(START);
    outbound.send(three);
    expect(outbound.replies.count).toBe(0);
  });
});

const ROW = new Int32Array(PACKET_FIELDS);
ROW[PACKET.LENGTH] = 20;

interface Room {
  readonly bytes?: number;
  readonly messages?: number;
  readonly replies?: number;
}

/** A peer at home with a session in use, and the way out. */
function newPair(room: Room = {}, runs = false) {
  const state = newCore({ offloads: { joinTcp: false, joinUdp: false, runs } });
  // Takes the first key slots.
  addConfirmed(state, addPeer(state, { name: "another" }).peer);
  const { peer } = addPeer(state, { allowed: ["10.7.0.0/16", "fd77::/16"] });
  const session = Object.assign(addConfirmed(state, peer), { remoteIndex: OWN_INDEX });
  peer.endpoint = HOME;
  return { state, peer, session, outbound: new Outbound(state, room) };
}

class Outbound {
  readonly packets = packetBatch(new Uint8Array(4_000), 8);
  readonly replies;
  readonly #outgoing;
  readonly #sender: Sender;
  #now = START;

  constructor(state: State, { bytes = 4_000, messages = 8, replies = 4 }: Room) {
    this.#outgoing = messageBatch(new Uint8Array(bytes), messages);
    this.replies = packetBatch(new Uint8Array(replies * REPLY_BYTES), replies);
    this.#sender = new Sender(state, this.packets, this.#outgoing, this.replies);
  }

  /** Handles one batch; `meta` are fields of each row. */
  send(packets: readonly Uint8Array[], now = START, meta: Readonly<Record<number, number>> = {}) {
    const { arena, rows } = this.packets;
    let offset = 0;
    for (const [row, bytes] of packets.entries()) {
      const base = row * PACKET_FIELDS;
      arena.set(bytes, offset);
      rows.fill(0, base, base + PACKET_FIELDS);
      rows[base + PACKET.OFFSET] = offset;
      rows[base + PACKET.LENGTH] = bytes.length;
      for (const [field, value] of Object.entries(meta)) rows[base + Number(field)] = value;
      offset += bytes.length;
    }
    this.packets.count = packets.length;
    this.#now = now;
    this.again();
  }

  again(now: Instant = this.#now): void {
    this.#sender.handle(now);
  }

  /** The messages that leave. */
  sent() {
    const { arena, rows, count } = this.#outgoing;
    return Array.from({ length: count }, (_, row) => {
      const base = row * MESSAGE_FIELDS;
      const offset = at(rows, base + MESSAGE.OFFSET);
      return {
        bytes: arena.slice(offset, offset + at(rows, base + MESSAGE.LENGTH)),
        segment: at(rows, base + MESSAGE.SEGMENT),
        port: at(rows, base + MESSAGE.PORT),
        hops: at(rows, base + MESSAGE.HOPS),
      };
    });
  }
}

/** A packet with the header of DATA that this tunnel sends to the peer. */
function own(): Uint8Array {
  const datagram = new Uint8Array(32);
  datagram.set([MESSAGE_TYPE.DATA, 1]);
  viewOf(datagram).setUint32(DATA.receiverIndex, OWN_INDEX, true);
  return udpPacket(OWN, "10.7.0.1", datagram);
}

/** A UDP packet of 28 bytes and no payload. */
function to(destination: string, source = OWN): Uint8Array {
  return udpPacket(source, destination, new Uint8Array(0));
}

/** The reasons for which something was dropped. */
function dropsOf({ drops }: State): Record<string, number> {
  return Object.fromEntries(Object.entries(drops).filter(([, count]) => count !== 0));
}
