/**
 * ECN and DSCP through whole tunnels: what the outer header gets, and what comes out of it (RFC 6040).
 *
 * A router behind Eve writes another ECN field; the plain twin says what must come out. Where a socket gives
 * runs, marks end them, as they do in Linux.
 */
import { describe, expect, it } from "vitest";
import { PACKET } from "../../src/core/rows.ts";
import { decapsulated, FIELDS, withClass } from "../helpers/ecn-twin.ts";
import { buildPacket, concat } from "../helpers/packet-builder.ts";
import { Random, seeds } from "../helpers/random.ts";
import { DATA_OVERHEAD, TYPE } from "../helpers/wire-view.ts";
import { bulk, deliveredTo, expectedOf, sendBulk } from "../sim/bulk.ts";
import { dropsDuring, frame, marked, receiveRun, sealed, segments } from "../sim/forged-runs.ts";
import { dropsOf, peerOf } from "../sim/observe.ts";
import {
  INNER,
  LEFT,
  newClientPair,
  type OffloadSites,
  type Pair,
  type PairOptions,
} from "../sim/pair.ts";
import { bare, chargedOf, connected as connectedTwin, marksOf } from "../sim/run-fixtures.ts";
import { fromHex, toHex } from "../vectors/vectors.ts";

const [NOT_ECT, ECT0, ECT1, CE] = [0, 2, 1, 3];
/** DSCP EF and CS1 (RFC 3246, RFC 8622) in their place. */
const EF = 0xb8;
const CS1 = 0x20;
/** Bytes of a control frame or keepalive at most, sealed; the packets here are longer. */
const LONGEST_FRAME = 41 + DATA_OVERHEAD;
const FAMILIES = [
  ["IPv4", { source: INNER.left, destination: INNER.right }],
  ["IPv6", { source: INNER.left6, destination: INNER.right6 }],
] as const;
const CELLS = FIELDS.flatMap(([innerName, inner]) =>
  FIELDS.map(([outerName, outer]) => [`${innerName} under ${outerName}`, inner, outer] as const),
);

describe.each(FAMILIES)("the outer header of %s inside", (_, family) => {
  it.each([
    ["the inner ECN and DSCP 0", false, 0x03],
    ["with copy_dscp the inner ECN and DSCP", true, 0xff],
  ])("has %s, of every class there is", (_, copyDscp, bits) => {
    const pair = connected({ left: { copyDscp, offloads: "all" } });
    const classes = Array.from({ length: 256 }, (_, index) => (index * 37) & 0xff);
    const mark = pair.world.eve.mark();

    pair.left.send(...classes.map((value) => withClass(bare(family), value)));
    pair.world.advance(100);

    expect(tosOfData(pair, mark)).toEqual(classes.map((value) => value & bits));
    expect(pair.right.delivered).toHaveLength(256);
  });

  it.each(FIELDS)("has it of all that a super-packet is cut into: %s", (_, field) => {
    const pair = connected();
    const mark = pair.world.eve.mark();

    sendBulk(pair.left, bulk(1, 30_000, { ...family, trafficClass: EF | field }));
    pair.world.advance(100);

    expect(tosOfData(pair, mark)).toEqual(Array(30).fill(field));
    expect(pair.left.batches.longestSent).toBe(30);
  });

  it("has it of a packet that waited for the session", () => {
    const pair = newClientPair({ left: { copyDscp: true } });
    const classes = [EF | CE, ECT0, NOT_ECT, CS1 | ECT1];

    pair.left.send(...classes.map((value) => withClass(bare(family), value)));
    pair.world.advance(2_000);

    expect(tosOfData(pair, 0)).toEqual(classes);
  });
});

it("packets of several flows each have their own, in the order in which they came", () => {
  const pair = connected();
  const mark = pair.world.eve.mark();
  const fields = Array.from({ length: 60 }, (_, index) => [0, 2, 2, 3, 1, 1, 0][index % 7] ?? 0);

  pair.left.send(...fields.map((field, index) => withClass(bare({ mark: index }), field)));
  pair.world.advance(100);

  expect(tosOfData(pair, mark)).toEqual(fields);
  expect(marksOf(pair.right)).toEqual(fields.map((_, index) => index));
});

it("handshakes, keepalives and control frames have TOS 0, over rekeys, moves and a close", () => {
  const pair = newClientPair({
    left: { copyDscp: true },
    right: { copyDscp: true },
    leftPeer: { keepaliveSeconds: 10 },
  });
  const { world, left, right } = pair;
  const stop = world.every(700, () => left.send(withClass(bare({}), EF | ECT0)));
  world.advance(200_000);
  left.move(["192.0.2.77"]);
  world.advance(60_000);
  stop();
  world.advance(60_000);
  left.act((tunnel, now) => tunnel.close(now));
  world.advance(1_000);

  const others = world.eve.seen.filter(({ bytes }) => !isPacketData(bytes));
  const types = new Set(others.map(({ bytes }) => bytes[0]));
  expect([...types].sort()).toEqual([TYPE.INIT, TYPE.RESP, TYPE.CHALLENGE, TYPE.DATA]);
  expect(peerOf(right).counters.endpointMoves).toBeGreaterThan(0);
  expect(others.filter(({ tos }) => tos !== 0)).toEqual([]);
  expect(tosOfData(pair, 0).every((tos) => tos === (EF | ECT0))).toBe(true);
});

describe.each(FAMILIES)(
  "packets of %s come out as figure 4 says, in each of its 16 cells",
  (_, family) => {
    it("one by one", () => {
      const pair = connected({ offloads: "neither" });
      for (const [cell, inner, outer] of CELLS) {
        const packets = Array.from({ length: 5 }, (_, mark) =>
          withClass(bare({ ...family, mark }), CS1 | inner),
        );
        const [drops, came] = through(pair, EF | outer, () => pair.left.send(...packets));
        expectCell(cell, packets, outer, drops, came);
      }
    });

    it("in runs that are joined again", () => {
      const pair = connected();
      for (const [cell, inner, outer] of CELLS) {
        const whole = [1, 2, 3].map((mark) =>
          bulk(mark, 5_500, { ...family, trafficClass: CS1 | inner, isTcp: mark !== 2 }),
        );
        const [drops, came] = through(pair, EF | outer, () => sendBulk(pair.left, ...whole));
        expectCell(cell, expectedOf(...whole).map(fromHex), outer, drops, came);
      }
      expect(pair.right.batches.runs).toBeGreaterThanOrEqual(CELLS.length);
    });
  },
);

describe("a mark on the way", () => {
  it.each<OffloadSites>(["neither", "right", "both"])(
    "of some datagrams of a stream is on the packets that they held, and no other (offloads on: %s)",
    (offloads) => {
      const pair = connected({ offloads });
      const stream = bulk(1, 60_000, { trafficClass: ECT0 });
      const isMarked = (index: number) => index % 7 === 3 || (index > 20 && index < 30);
      let index = 0;
      pair.world.remark = ({ tos = 0 }) => (isMarked(index++) ? CE : tos);

      const parts = expectedOf(stream).map(fromHex);
      if (offloads === "both") sendBulk(pair.left, stream);
      else pair.left.send(...parts);
      pair.world.advance(100);

      const due = parts.map((part, at) => (isMarked(at) ? withClass(part, CE) : part));
      expect(due.filter((part) => part[1] === CE)).toHaveLength(17);
      expect(deliveredTo(pair.right)).toEqual(due.map(toHex));
    },
  );

  it("that is the same for all leaves them joined: one write with one mark", () => {
    const pair = connected();
    const { leftSite, right } = pair;
    const run = segments(20, 500, { trafficClass: ECT0 });

    receiveRun(right, LEFT, sealed(leftSite, run), CE);

    // Cut again by the kernel of the simulation; the joined rows are one super-packet.
    expect(right.delivered.map(({ bytes }) => bytes[1])).toEqual(Array(20).fill(CE));
    expect(right.tunnel.buffers.delivered.rows[PACKET.GSO_SIZE]).toBe(500);
  });

  it("drops packets that are Not-ECT, each counted and none charged to the source", () => {
    const pair = connected();
    const { leftSite, right } = pair;
    const before = [peerOf(right).counters.inboundPackets, chargedOf(right)];

    const drops = receiveRun(right, LEFT, sealed(leftSite, segments(20, 500)), CE);

    expect(drops).toEqual({ inner_not_ect: 20 });
    expect(right.delivered).toEqual([]);
    expect([peerOf(right).counters.inboundPackets, chargedOf(right)]).toEqual(before);
  });

  it("is judged after the tag and before the source: forged and replayed ones stay what they are", () => {
    const { leftSite, right } = connected();
    const [genuine = new Uint8Array(0)] = sealed(leftSite, [bare({})]);
    const forged = genuine.map((byte, at) => (at === 20 ? byte ^ 1 : byte));
    const strange = (field: number) => withClass(bare({ source: "10.2.0.9" }), field);

    expect(receiveRun(right, LEFT, [forged], CE)).toEqual({ forged: 1 });
    expect(receiveRun(right, LEFT, [genuine], CE)).toEqual({ inner_not_ect: 1 });
    expect(receiveRun(right, LEFT, [genuine], CE)).toEqual({ replayed: 1 });
    expect(receiveRun(right, LEFT, sealed(leftSite, [strange(ECT0)], 1_100), CE)).toEqual({
      inner_source: 1,
    });
    expect(receiveRun(right, LEFT, sealed(leftSite, [strange(NOT_ECT)], 1_200), CE)).toEqual({
      inner_not_ect: 1,
    });
  });

  it("leaves what is shorter than its header to the check of headers, wherever it ends", () => {
    const { leftSite, right } = connected();
    for (const first of [0x45, 0x60, 0xc5, 0xe0]) {
      const header = (first & 0x7f) === 0x45 ? 20 : 40;
      const cut = Array.from({ length: header - 1 }, (_, at) => Uint8Array.of(first, ...Array(at)));

      const drops = dropsDuring(right, () => {
        for (const datagram of sealed(leftSite, cut, 1_000 * first)) {
          right.receiveRun(LEFT, datagram.length, datagram, CE);
        }
        right.turn();
      });

      expect(drops).toEqual({ inner_malformed: header - 1 });
    }
  });

  it("means nothing to a keepalive or a control frame", () => {
    const pair = connected();
    const { leftSite, right, world } = pair;
    const mark = world.eve.mark();

    const probe = frame(4, 41);
    const drops = receiveRun(right, LEFT, sealed(leftSite, [probe]), EF | CE);
    expect(receiveRun(right, LEFT, sealed(leftSite, [new Uint8Array(0)], 1_100), CE)).toEqual({});

    expect(drops).toEqual({});
    const [answer] = world.eve.since(mark, TYPE.DATA);
    expect([answer?.by, answer?.tos]).toEqual(["right", 0]);
  });

  it("crosses handshakes: a session comes up where every datagram is marked", () => {
    const pair = newClientPair();
    pair.world.remark = () => EF | CE;
    pair.left.send(withClass(bare({}), ECT0));
    pair.world.advance(2_000);

    expect(pair.right.delivered.map(({ bytes }) => bytes[1])).toEqual([CE]);
    expect(dropsOf(pair.right)).toEqual({ challenged: 1 });
  });
});

it.each(seeds(10))(
  "any mixture of packets and marks comes out as the twin says (seed %i)",
  (seed) => {
    const random = new Random(seed);
    const offloads = seed % 2 === 0 ? "both" : "neither";
    const { leftSite, right } = connected({ seed, offloads });
    const flows = new Flows(random);
    const due: string[][] = flows.list();
    let dropped = 0;
    let ahead = 1_000;
    for (let batch = 0; batch < 10; batch += 1) {
      for (let message = 0; message < 12; message += 1) {
        const tos = random.below(256);
        const { flow, packets } = flows.next();
        for (const { whole } of packets) {
          const packet = decapsulated(whole, tos);
          if (packet === undefined) dropped += 1;
          else due[flow]?.push(toHex(packet));
        }
        const run = sealed(
          leftSite,
          packets.map(({ sent }) => sent),
          ahead,
        );
        if (offloads === "both") right.receiveRun(LEFT, run[0]?.length ?? 0, concat(...run), tos);
        else for (const one of run) right.receiveRun(LEFT, one.length, one, tos);
        ahead += run.length;
      }
      right.turn();
    }

    expect(right.snapshot().drops.inner_not_ect).toBe(dropped);
    const came = flows.list();
    for (const { bytes } of right.delivered) came[flowOf(bytes)]?.push(toHex(bytes));
    expect(came).toEqual(due);
  },
);

/** A pair with every offload unless told, and a cipher that costs nothing. */
function connected(options: PairOptions = {}): Pair {
  return connectedTwin({ crypto: "stub", ...options });
}

/** Packets of one size of a flow, as they are sent and with finished checksums. */
interface Message {
  readonly flow: number;
  readonly packets: readonly { readonly sent: Uint8Array; readonly whole: Uint8Array }[];
}

/** TCP and UDP over both families, each flow counting on; their source ports are their places. */
class Flows {
  readonly #random: Random;
  readonly #specs = ["tcp", "udp"].flatMap((protocol) =>
    FAMILIES.map(([, family]) => ({ protocol: protocol as "tcp" | "udp", ...family })),
  );
  readonly #sequences = this.#specs.map(() => 1);
  #id = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** An empty list for each flow. */
  list(): string[][] {
    return this.#specs.map(() => []);
  }

  next(): Message {
    const random = this.#random;
    const flow = random.below(this.#specs.length);
    const payload = random.bytes(100 + random.below(3));
    const isPartial = random.chance(0.8);
    const usual = random.below(256);
    const packets = Array.from({ length: 1 + random.below(8) }, () => {
      const trafficClass = random.chance(0.1) ? random.below(256) : usual;
      const sequence = this.#sequences[flow] ?? 0;
      this.#sequences[flow] = sequence + payload.length;
      this.#id += 1;
      const spec = { ...this.#specs[flow], sourcePort: flow, id: this.#id, sequence, trafficClass };
      const whole = buildPacket({ ...spec, payload, isPartial: false }).bytes;
      const sent = isPartial ? marked(buildPacket({ ...spec, payload }).bytes) : whole;
      return { sent, whole };
    });
    return { flow, packets };
  }
}

function flowOf(packet: Uint8Array): number {
  return packet[(packet[0] ?? 0) >> 4 === 4 ? 21 : 41] ?? 0;
}

/** The TOS of each datagram with a packet that the left side sent since a mark of Eve. */
function tosOfData({ world }: Pair, mark: number): (number | undefined)[] {
  const sent = world.eve
    .since(mark)
    .filter(({ by, bytes }) => by === "left" && isPacketData(bytes));
  return sent.map(({ tos }) => tos);
}

function isPacketData(bytes: Uint8Array): boolean {
  return bytes[0] === TYPE.DATA && bytes.length > LONGEST_FRAME;
}

/** What the right side drops and delivers of what is sent while a router writes `tos` into all that comes from the left. */
function through(pair: Pair, tos: number, send: () => void) {
  pair.world.remark = (datagram) => (datagram.by === "left" ? tos : (datagram.tos ?? 0));
  pair.right.delivered.length = 0;
  const drops = dropsDuring(pair.right, () => {
    send();
    pair.world.advance(100);
  });
  return [drops, deliveredTo(pair.right)] as const;
}

/** Expects what figure 4 makes of `packets`, and nothing else. */
function expectCell(
  cell: string,
  packets: readonly Uint8Array[],
  outer: number,
  drops: Partial<Record<string, number>>,
  came: readonly string[],
): void {
  const due = packets.flatMap((packet) => decapsulated(packet, outer) ?? []);
  expect(came, cell).toEqual(due.map(toHex));
  expect(drops, cell).toEqual(due.length > 0 ? {} : { inner_not_ect: packets.length });
}
