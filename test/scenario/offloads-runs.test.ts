/**
 * Claims of core/inbound/receive.ts where a socket gives runs of datagrams (UDP_GRO): each datagram is judged alone.
 *
 * Runs are made by hand under a live session, so that a run may hold what an attacker on the path puts into
 * it: forged, replayed and foreign datagrams of the right size from the right address.
 */
import { describe, expect, it } from "vitest";
import { PACKET } from "../../src/core/rows.ts";
import { concat } from "../helpers/packet-builder.ts";
import { flipBit } from "../helpers/wire-view.ts";
import { EVE } from "../sim/eve.ts";
import { dropsDuring, receiveRun, sealed, segments } from "../sim/forged-runs.ts";
import { peerOf } from "../sim/observe.ts";
import { INNER, LEFT } from "../sim/pair.ts";
import {
  chargedOf,
  connected,
  hubWithTwo,
  marksOf,
  NARROW,
  packets,
  payloadsOf,
  pick,
  receiveBatch,
  sourcesOf,
} from "../sim/run-fixtures.ts";

describe("in a run", () => {
  it("a forged datagram is dropped and charged alone, wherever it stands", () => {
    for (const at of [0, 2, 4]) {
      const pair = connected();
      const charged = chargedOf(pair.right);
      const run = sealed(pair.leftSite, packets(5)).map((datagram, index) =>
        index === at ? flipBit(datagram, 8 * 40) : datagram,
      );

      expect(receiveRun(pair.right, LEFT, run)).toEqual({ forged: 1 });
      expect(marksOf(pair.right)).toEqual([0, 1, 2, 3, 4].filter((mark) => mark !== at));
      expect(chargedOf(pair.right) - charged).toBe(1);
    }
  });

  it("each forged datagram is charged, and those from elsewhere once, not twice", () => {
    for (const [from, isElsewhere] of [
      [LEFT, false],
      [EVE, true],
    ] as const) {
      const pair = connected();
      const charged = chargedOf(pair.right);
      const run = sealed(pair.leftSite, packets(6)).map((datagram, index) =>
        index % 2 === 0 ? flipBit(datagram, 8 * 40) : datagram,
      );

      expect(receiveRun(pair.right, from, run), String(isElsewhere)).toEqual({ forged: 3 });
      expect(chargedOf(pair.right) - charged).toBe(3);
      expect(marksOf(pair.right)).toEqual([1, 3, 5]);
    }
  });

  it("forged datagrams from elsewhere empty their source's bucket within one run", () => {
    const limits = { sourceBurst: 10, sourceRatePerSecond: 1 };
    const pair = connected({ right: { limits, offloads: "all" } });
    const run = sealed(pair.leftSite, packets(60)).map((datagram) => flipBit(datagram, 8 * 40));
    const { opened } = pair.rightSite.aead().counts;

    const drops = receiveRun(pair.right, EVE, run);

    expect(drops).toEqual({ forged: 10, source_limited: 50 });
    expect(pair.rightSite.aead().counts.opened - opened).toBe(10);
  });

  it.each([
    ["next to each other", [0, 1, 1, 2]],
    ["apart", [0, 1, 2, 1, 0]],
    ["of the highest counter", [0, 1, 2, 2]],
  ])("datagrams that come twice %s are delivered once", (_, order) => {
    const pair = connected();
    const fresh = sealed(pair.leftSite, packets(3));

    const drops = receiveRun(pair.right, LEFT, pick(fresh, order));

    expect(drops).toEqual({ replayed: order.length - 3 });
    expect(marksOf(pair.right).sort()).toEqual([0, 1, 2]);
  });

  it("a datagram of an earlier run is not delivered again", () => {
    const pair = connected();
    const fresh = sealed(pair.leftSite, packets(4));
    receiveRun(pair.right, LEFT, fresh.slice(0, 2));

    expect(receiveRun(pair.right, LEFT, pick(fresh, [2, 1, 3]))).toEqual({ replayed: 1 });
    expect(marksOf(pair.right)).toEqual([0, 1, 2, 3]);
  });

  it("datagrams out of order are all delivered, as they came", () => {
    const pair = connected();
    const fresh = sealed(pair.leftSite, packets(4));

    expect(receiveRun(pair.right, LEFT, pick(fresh, [3, 0, 2, 1]))).toEqual({});
    expect(marksOf(pair.right)).toEqual([3, 0, 2, 1]);
  });

  it.each([
    ["unknown_index", (datagram: Uint8Array) => flipBit(datagram, 8 * 4)],
    ["bad_version", (datagram: Uint8Array) => flipBit(datagram, 8)],
    ["bad_type", (datagram: Uint8Array) => flipBit(datagram, 7)],
    ["bad_reserved", (datagram: Uint8Array) => flipBit(datagram, 8 * 2)],
    ["bad_counter", (datagram: Uint8Array) => flipBit(datagram, 8 * 15)],
  ])("a datagram with %s leaves its neighbours alone", (reason, spoil) => {
    const pair = connected();
    const charged = chargedOf(pair.right);
    const run = sealed(pair.leftSite, packets(3)).map((datagram, index) =>
      index === 1 ? spoil(datagram) : datagram,
    );

    expect(receiveRun(pair.right, LEFT, run)).toEqual({ [reason]: 1 });
    expect(marksOf(pair.right)).toEqual([0, 2]);
    expect(chargedOf(pair.right) - charged).toBe(1);
  });

  it("datagrams of the old and the new session are each opened with their own keys", () => {
    const pair = connected();
    const old = sealed(pair.leftSite, packets(3));
    pair.left.act((tunnel, now) => tunnel.rekey("right", now));
    pair.world.advance(1_000);
    expect(peerOf(pair.right).counters.sessions).toBe(2);
    const fresh = sealed(pair.leftSite, packets(6).slice(3));
    const mixed = [0, 1, 2].flatMap((index) => [...pick(old, [index]), ...pick(fresh, [index])]);

    expect(receiveRun(pair.right, LEFT, mixed)).toEqual({});
    expect(marksOf(pair.right)).toEqual([0, 3, 1, 4, 2, 5]);
  });

  it("datagrams of two peers behind one address are each their own peer's", () => {
    const { hub, a, b } = hubWithTwo();
    const ofA = sealed(a, packets(2, { source: "10.1.0.1" }));
    const ofB = sealed(b, packets(2, { source: "10.3.0.1" }));
    const before = [peerOf(hub, "a"), peerOf(hub, "b")].map(
      ({ counters }) => counters.inboundPackets,
    );

    expect(receiveRun(hub, LEFT, [...ofA.slice(0, 1), ...ofB, ...ofA.slice(1)])).toEqual({});

    expect(sourcesOf(hub)).toEqual(["10.1.0.1", "10.3.0.1", "10.3.0.1", "10.1.0.1"]);
    const after = [peerOf(hub, "a"), peerOf(hub, "b")].map(
      ({ counters }) => counters.inboundPackets,
    );
    expect(after.map((count, index) => count - (before[index] ?? 0))).toEqual([2, 2]);
  });
});

describe("a source that is not the peer's, in a run behind one that is", () => {
  const v4 = ["10.1.0.1", "10.3.0.1", "10.1.0.2", "10.77.0.1", "10.1.0.1", "10.1.0.1"];
  const own = (ip: string) => ip.startsWith("10.1.") || ip.startsWith("fd00:1:");

  it("is dropped, and those before and behind are delivered", () => {
    const { hub, a } = hubWithTwo();
    const run = sealed(
      a,
      v4.flatMap((source) => packets(1, { source })),
    );

    expect(receiveRun(hub, LEFT, run)).toEqual({ inner_source: 2 });
    expect(sourcesOf(hub)).toEqual(v4.filter(own));
  });

  it("is dropped between IPv4 and IPv6 packets of right and wrong sources", () => {
    const { hub, a } = hubWithTwo();
    const sources = [
      "10.1.0.1",
      "fd00:1::1",
      "fd00:3::1",
      "10.3.0.1",
      "fd00:1::1",
      "fd00:3::1",
      "10.1.0.1",
      "10.3.0.1",
      "fd00:1::2",
    ];
    const run = sealed(
      a,
      sources.flatMap((source) => packets(1, { source })),
    );

    expect(receiveRun(hub, LEFT, run)).toEqual({ inner_source: 4 });
    expect(sourcesOf(hub)).toEqual(sources.filter(own));
  });

  it("is dropped though the peer that owns it sent it just before, in the same run or the same batch", () => {
    for (const isOneRun of [true, false]) {
      const { hub, a, b } = hubWithTwo();
      const ofA = sealed(a, packets(2, { source: "10.1.0.1" }));
      const asA = sealed(b, packets(2, { source: "10.1.0.1" }));
      const [first = ofA[0], second = ofA[0]] = ofA;
      const order = [first, ...asA, second].flatMap((one) => one ?? []);

      const drops = isOneRun ? receiveRun(hub, LEFT, order) : receiveBatch(hub, order);

      expect(drops).toEqual({ inner_source: 2 });
      expect(sourcesOf(hub)).toEqual(["10.1.0.1", "10.1.0.1"]);
      expect(peerOf(hub, "b").counters.inboundPackets).toBe(0);
    }
  });

  it("whose first twelve bytes of IPv6 address are an IPv4 packet's is looked up as what it is", () => {
    const { hub, a } = hubWithTwo();
    // Bytes 12 to 15 of this IPv6 header are 10.1.0.1 as well.
    const lookalike = "fd00:3::a01:1:0:0";
    const run = sealed(a, [
      ...packets(1, { source: "10.1.0.1" }),
      ...packets(1, { source: lookalike }),
      ...packets(1, { source: "10.1.0.1" }),
    ]);

    expect(receiveRun(hub, LEFT, run)).toEqual({ inner_source: 1 });
    expect(sourcesOf(hub)).toEqual(["10.1.0.1", "10.1.0.1"]);
  });

  it("is looked up anew in the next batch, when the peer no longer owns it", () => {
    const { hub, hubSite, a } = hubWithTwo();
    const run = sealed(a, packets(4, { source: "10.1.5.1" }));
    expect(receiveRun(hub, LEFT, run.slice(0, 2))).toEqual({});
    hub.act((tunnel, now) =>
      tunnel.addPeer({ ...NARROW, keys: [hubSite.spec.nodeId ?? new Uint8Array(32).fill(9)] }, now),
    );

    expect(receiveRun(hub, LEFT, run.slice(2))).toEqual({ inner_source: 2 });
  });
});

describe("sizes at the borders", () => {
  it.each([1, 16, 31])(
    "a last datagram of %i bytes is too short, its neighbours are whole",
    (length) => {
      const pair = connected();
      const run = sealed(pair.leftSite, packets(3));
      const tail = (run[0] ?? new Uint8Array()).slice(0, length);

      expect(receiveRun(pair.right, LEFT, [...run, tail])).toEqual({ bad_length: 1 });
      expect(marksOf(pair.right)).toEqual([0, 1, 2]);
    },
  );

  it("a last datagram of 32 bytes is a keepalive", () => {
    const pair = connected();
    const { keepalivesReceived } = peerOf(pair.right).counters;

    const run = sealed(pair.leftSite, [...packets(2), new Uint8Array(0)]);
    expect(receiveRun(pair.right, LEFT, run)).toEqual({});
    expect(peerOf(pair.right).counters.keepalivesReceived - keepalivesReceived).toBe(1);
    expect(marksOf(pair.right)).toEqual([0, 1]);
  });

  it("a run of 64 keepalives is 64 keepalives", () => {
    const pair = connected();
    const { keepalivesReceived } = peerOf(pair.right).counters;
    const empty = Array.from({ length: 64 }, () => new Uint8Array(0));

    expect(receiveRun(pair.right, LEFT, sealed(pair.leftSite, empty))).toEqual({});
    expect(peerOf(pair.right).counters.keepalivesReceived - keepalivesReceived).toBe(64);
  });

  it("a run of the largest size fits, all of it", () => {
    const pair = connected();
    const run = sealed(pair.leftSite, packets(45, { size: 1420 }));

    expect(receiveRun(pair.right, LEFT, run)).toEqual({});
    expect(pair.right.delivered).toHaveLength(45);
  });

  it("128 runs of 64 datagrams in one batch are all delivered", () => {
    const pair = connected({ crypto: "stub" });
    const runs = Array.from({ length: 128 }, (_, row) =>
      sealed(pair.leftSite, packets(64), 1_000 + 64 * row),
    );

    const drops = dropsDuring(pair.right, () => {
      for (const run of runs) pair.right.receiveRun(LEFT, run[0]?.length ?? 0, concat(...run));
      pair.right.turn();
    });

    expect(drops).toEqual({});
    expect(pair.right.delivered).toHaveLength(128 * 64);
  });

  it("of more datagrams than a batch delivers, the rest is dropped, and nothing is written past the rows", () => {
    const pair = connected({ right: { rows: 1, offloads: "all" } });
    const run = sealed(pair.leftSite, packets(300, { size: 76 }));

    expect(receiveRun(pair.right, LEFT, run)).toEqual({ no_room: 172 });
    expect(marksOf(pair.right)).toHaveLength(128);
  });

  it("what a close in a run leaves behind it is dropped as such, also behind a forged datagram", () => {
    const pair = connected();
    const close = Uint8Array.of(3, 0);
    const run = sealed(pair.leftSite, [close, close, close, close]).map((datagram, index) =>
      index === 1 ? flipBit(datagram, 8 * 17) : datagram,
    );

    expect(receiveRun(pair.right, LEFT, run)).toEqual({ forged: 1, expired_session: 2 });
  });

  it("datagrams of one byte in a run as long as a slot are each dropped and charged, and nothing else happens", () => {
    const pair = connected();
    pair.right.receiveRun(EVE, 1, new Uint8Array(65_507));

    expect(dropsDuring(pair.right, () => pair.right.turn())).toEqual({ bad_length: 65_507 });
  });

  it("an empty datagram is dropped once", () => {
    const pair = connected();

    expect(receiveRun(pair.right, EVE, [new Uint8Array(0)])).toEqual({ bad_length: 1 });
  });

  it("a truncated run is dropped as a whole, once, whatever its beginning says", () => {
    const pair = connected();
    const run = sealed(pair.leftSite, packets(3));
    const stride = pair.right.tunnel.buffers.datagramStride;
    const whole = new Uint8Array(stride + 1);
    whole.set(concat(...run));

    pair.right.receiveRun(LEFT, run[0]?.length ?? 0, whole);

    expect(dropsDuring(pair.right, () => pair.right.turn())).toEqual({ oversize: 1 });
    expect(pair.right.delivered).toEqual([]);
    expect(receiveRun(pair.right, LEFT, run)).toEqual({});
  });
});

describe("joined packets", () => {
  it("of a run leave as one write, and are cut into what was sent", () => {
    const pair = connected();
    const sent = segments(10, 1000);
    const { inboundPackets } = peerOf(pair.right).counters;

    expect(receiveRun(pair.right, LEFT, sealed(pair.leftSite, sent))).toEqual({});
    const { delivered } = pair.right.tunnel.buffers;

    expect(delivered.rows[PACKET.GSO_SIZE]).toBe(1000);
    expect(payloadsOf(pair.right)).toEqual(sent.map((packet) => packet.slice(40)));
    expect(peerOf(pair.right).counters.inboundPackets - inboundPackets).toBe(10);
  });

  it("lack what was forged, replayed or spoofed in the middle, and the rest is whole", () => {
    const pair = connected();
    const sent = segments(9, 500);
    const spoofed = segments(9, 500, { source: "10.2.0.1" });
    const fresh = sealed(
      pair.leftSite,
      sent.map((packet, index) => (index === 6 ? (spoofed[6] ?? packet) : packet)),
    );
    const run = fresh.flatMap((datagram, index) =>
      index === 2 ? [flipBit(datagram, 8 * 100)] : index === 4 ? [datagram, datagram] : [datagram],
    );

    const drops = receiveRun(pair.right, LEFT, run);

    expect(drops).toEqual({ forged: 1, replayed: 1, inner_source: 1 });
    const expected = sent.filter((_, index) => index !== 2 && index !== 6);
    expect(payloadsOf(pair.right)).toEqual(expected.map((packet) => packet.slice(40)));
  });

  it("of two sessions of one peer are one stream", () => {
    const pair = connected();
    const sent = segments(6, 800);
    const old = sealed(pair.leftSite, sent.slice(0, 3));
    pair.left.act((tunnel, now) => tunnel.rekey("right", now));
    pair.world.advance(1_000);
    const fresh = sealed(pair.leftSite, sent.slice(3));

    expect(receiveRun(pair.right, LEFT, [...old, ...fresh])).toEqual({});
    expect(payloadsOf(pair.right)).toEqual(sent.map((packet) => packet.slice(40)));
  });

  it("of two peers with one inner header are never one packet", () => {
    const { hub, a, b } = hubWithTwo();
    const flow = { destination: INNER.right, source: "10.1.0.1" };
    const sent = segments(4, 300, flow);
    const ofA = sealed(a, sent);
    const ofB = sealed(
      b,
      sent.map((packet) => packet.map((byte, at) => (at < 40 ? byte : 0xbb))),
    );

    const mixed = ofA.flatMap((datagram, index) => [datagram, ...pick(ofB, [index])]);

    expect(receiveRun(hub, LEFT, mixed)).toEqual({ inner_source: 4 });
    expect(payloadsOf(hub)).toEqual(sent.map((packet) => packet.slice(40)));
  });
});

describe("the next segment of another peer's flow", () => {
  const flows = [
    { source: "10.1.0.1", destination: INNER.right },
    { source: "fd00:1::1", destination: INNER.right6 },
  ];
  it.each(flows)("is not taken from a peer whose own packet came between ($source)", (flow) => {
    const { hub, a, b } = hubWithTwo();
    const sent = segments(4, 300, flow);
    const ofA = sealed(a, sent);
    const asA = sealed(b, sent);
    // Of the same size, with a full checksum: it opens no run of its own.
    const size = sent[0]?.length ?? 0;
    const ownOfB = sealed(b, packets(2, { source: "10.3.0.1", size }), 3_000);

    const order = [
      pick(ofA, [0]),
      pick(ownOfB, [0]),
      pick(asA, [1, 2]),
      pick(ofA, [1]),
      pick(asA, [2]),
    ];

    expect(receiveRun(hub, LEFT, order.flat())).toEqual({ inner_source: 2, replayed: 1 });
    expect(hub.delivered).toHaveLength(3);
    expect(peerOf(hub, "b").counters.inboundPackets).toBe(1);
  });

  it("is not taken in place of a segment that was lost, and the flow goes on behind it", () => {
    const { hub, a, b } = hubWithTwo();
    const sent = segments(6, 300, { source: "10.1.0.1" });
    const ofA = sealed(a, sent);
    const asA = sealed(b, sent);

    const order = [...pick(ofA, [0, 1]), ...pick(asA, [2]), ...pick(ofA, [3, 4, 5])];

    expect(receiveRun(hub, LEFT, order)).toEqual({ inner_source: 1 });
    expect(payloadsOf(hub)).toEqual(pick(sent, [0, 1, 3, 4, 5]).map((packet) => packet.slice(40)));
  });
});
