/**
 * Inner packets that must not pass: claim C8, rule 13, control frames, and the ICMP answers to local
 * senders. Bad plaintext is forged under the live session's own keys, as a dishonest peer would.
 */
import { describe, expect, it } from "vitest";
import { figure } from "../helpers/figure.ts";
import {
  hasRightChecksum,
  ipPacket,
  PROTOCOL,
  pingPacket,
  tcpPacket,
  udpPacket,
  viewPacket,
  withPartialChecksum,
} from "../helpers/packets.ts";
import { TYPE } from "../helpers/wire-view.ts";
import { connect, dropsOf, endpointOf, isUp, peerOf, sessionIn } from "../sim/observe.ts";
import {
  addSite,
  INNER,
  LEFT,
  NETWORKS,
  newClientPair,
  newWorld,
  type Pair,
  type PairOptions,
  RIGHT,
} from "../sim/pair.ts";

/** A source, and the prefix that names it or its block; some cannot be named. */
type Source = readonly [what: string, address: string, named: string | undefined];

const MARTIANS: readonly Source[] = [
  ["the unspecified address", "0.0.0.0", "0.0.0.0/32"],
  ["this network", "0.255.255.255", "0.0.0.0/8"],
  ["loopback", "127.0.0.1", "127.0.0.0/8"],
  ["the end of loopback", "127.255.255.255", "127.0.0.0/8"],
  ["link-local", "169.254.0.1", "169.254.0.0/16"],
  ["the end of link-local", "169.254.255.255", "169.254.0.0/16"],
  ["multicast", "224.0.0.5", "224.0.0.0/4"],
  ["the end of multicast", "239.255.255.255", "224.0.0.0/4"],
  ["reserved", "240.0.0.1", "240.0.0.0/4"],
  ["broadcast", "255.255.255.255", "255.255.255.255/32"],
  ["the unspecified IPv6 address", "::", "::/128"],
  ["IPv6 loopback", "::1", "::1/128"],
  ["IPv6 link-local", "fe80::1", "fe80::/10"],
  ["the end of IPv6 link-local", "febf:ffff::1", "fe80::/10"],
  ["IPv6 multicast", "ff00::1", "ff00::/8"],
  ["all nodes", "ff02::1", "ff00::/8"],
  // No prefix of a configuration can say these.
  ["the peer's own IPv4 address in IPv6 form", `::ffff:${INNER.left}`, undefined],
];
const OTHERS: readonly Source[] = [
  ["an address of nobody", "10.77.0.1", "10.77.0.0/16"],
  ["the receiver's own address", INNER.right, `${INNER.right}/32`],
  ["the receiver's own IPv6 address", INNER.right6, `${INNER.right6}/128`],
  ["another IPv6 address", "fd00:9::99", "fd00:9::/64"],
  ["the peer's own IPv4 address in 6to4 form", "2002:a09:1::1", "2002::/16"],
];

const MTU = 1_420;

describe("an inner source", () => {
  it("I2 outside of the peer's prefixes is dropped and counted, whatever it is", () => {
    const tried = [...MARTIANS, ...OTHERS];
    const delivered = tried.filter(([what, source]) => {
      const { drops, packets } = offered([], source);
      expect(drops, what).toEqual({ inner_source: 1 });
      return packets > 0;
    });

    figure(
      "I2",
      `${tried.length} sources outside of allowed_ips`,
      `${delivered.length} delivered`,
      "0",
    );
    expect(delivered).toEqual([]);
  });

  it("I2 that no single host has is refused where only a default route covers it; others pass", () => {
    const everything = ["0.0.0.0/0", "::/0"];
    const delivered = [...MARTIANS, ...OTHERS].filter(([what, source]) => {
      const isMartian = MARTIANS.some(([, address]) => address === source);
      const { drops, packets } = offered(everything, source);
      expect(drops, what).toEqual(isMartian ? { inner_martian: 1 } : {});
      return packets > 0;
    });

    const measured = `${delivered.length} delivered`;
    figure(
      "I2",
      `${MARTIANS.length} martians and ${OTHERS.length} others under a default route`,
      measured,
      `${OTHERS.length}`,
    );
    expect(delivered).toEqual(OTHERS);
  });

  it("I2 that is named in allowed_ips is delivered: the switch of the configuration", () => {
    const nameable = [...MARTIANS, ...OTHERS].flatMap(([what, source, named]) =>
      named === undefined ? [] : [{ what, source, named }],
    );
    const delivered = nameable.filter(({ what, source, named }) => {
      const { drops, packets } = offered([named], source);
      expect(drops, what).toEqual({});
      return packets > 0;
    });

    const measured = `${delivered.length} of ${nameable.length} delivered`;
    figure("I2", "sources whose block is named in allowed_ips", measured, "all");
    expect(delivered).toEqual(nameable);
  });

  it.each([
    ["169.254.7.7", INNER.right, "169.254.7.0/24"],
    ["fe80::1", INNER.right6, "fe80::/10"],
    ["8.8.8.8", INNER.right, "0.0.0.0/1"],
    ["128.0.0.1", INNER.right, "128.0.0.0/1"],
    ["1.0.0.1", INNER.right, "0.0.0.0/0"],
    ["2001:db8::1", INNER.right6, "::/0"],
    ["fec0::1", INNER.right6, "::/0"],
  ])("I2 %s is delivered where %s is among the prefixes", (source, destination, allowed) => {
    const pair = connected({ rightPeer: { allowedIps: [`${INNER.left}/32`, allowed] } });

    expect(sendForged(pair, [innerUdp(source, destination)])).toEqual({});
    expect(pair.right.delivered).toHaveLength(1);
  });

  it("I2 127.0.0.1 does not come in because another such block is among the prefixes by name", () => {
    const allowedIps = ["0.0.0.0/0", "::/0", "169.254.7.0/24"];
    const pair = connected({ rightPeer: { allowedIps } });

    const packets = ["127.0.0.1", "169.254.7.1"].map((source) => innerUdp(source, INNER.right));
    expect(sendForged(pair, packets)).toEqual({ inner_martian: 1 });
    expect(pair.right.delivered.map(({ bytes }) => bytes)).toEqual(packets.slice(1));
  });

  it.each(["127.0.0.1", "0.0.0.1", "100.64.0.1"])(
    "I2 %s does not come in by a wide prefix whose ends are such addresses",
    (source) => {
      const pair = connected({ rightPeer: { allowedIps: ["0.0.0.0/1"] } });
      const isMartian = !source.startsWith("100.");

      const drops = sendForged(pair, [innerUdp(source, INNER.right)]);

      expect(drops).toEqual(isMartian ? { inner_martian: 1 } : {});
    },
  );

  it.each([
    [INNER.left, INNER.right],
    ["10.1.255.255", INNER.right],
    [INNER.left6, INNER.right6],
  ])("I2 %s inside the peer's prefixes is delivered, whole", (source, destination) => {
    const pair = connected();
    const packet = innerUdp(source, destination);

    expect(sendForged(pair, [packet])).toEqual({});
    expect(pair.right.delivered.map(({ bytes }) => bytes)).toEqual([packet]);
  });

  it("I2 belongs to the peer with the longest prefix, not to every peer whose prefix covers it", () => {
    const world = newWorld();
    const [wideKey, narrowKey] = [world.random.bytes(32), world.random.bytes(32)];
    const hub = addSite(world, {
      name: "right",
      addresses: [RIGHT.ip],
      peers: [
        { name: "wide", keys: [wideKey], allowedIps: ["10.1.0.0/16"] },
        { name: "narrow", keys: [narrowKey], allowedIps: ["10.1.5.0/24"] },
      ],
    });
    const wide = addSite(world, {
      name: "wide",
      addresses: [LEFT.ip],
      peers: [{ name: "hub", keys: [wideKey], endpoints: [RIGHT], allowedIps: NETWORKS.right }],
    });
    wide.host.send(innerUdp("10.1.4.1", INNER.right), innerUdp("10.1.5.1", INNER.right));

    world.advance(1_000);

    expect(hub.host.delivered.map(({ bytes }) => viewPacket(bytes).source)).toEqual(["10.1.4.1"]);
    expect(dropsOf(hub.host).inner_source).toBe(1);
  });
});

describe("a malformed inner header", () => {
  const v4 = (): Uint8Array => innerUdp(INNER.left, INNER.right);
  const v6 = (): Uint8Array => innerUdp(INNER.left6, INNER.right6);
  it.each<[string, Uint8Array]>([
    ["IPv4 header length below 5", changed(v4(), 0, 0x44)],
    ["IPv4 header longer than the packet", changed(v4(), 0, 0x4f)],
    ["IPv4 total length one too long", changed(v4(), 3, v4().length + 1)],
    ["IPv4 total length one too short", changed(v4(), 3, v4().length - 1)],
    ["IPv4 total length zero", changed(v4(), 3, 0)],
    ["IPv4 with trailing bytes", Uint8Array.of(...v4(), 0, 0)],
    ["IPv4 cut to 19 bytes", v4().subarray(0, 19)],
    ["IPv4 of one byte", Uint8Array.of(0x45)],
    ["IPv6 payload length one too long", changed(v6(), 5, v6().length - 40 + 1)],
    ["IPv6 payload length one too short", changed(v6(), 5, v6().length - 40 - 1)],
    ["IPv6 jumbo payload length", changed(changed(v6(), 4, 0), 5, 0)],
    ["IPv6 payload length near 65,536", changed(changed(v6(), 4, 0xff), 5, 0xf8)],
    ["IPv6 with trailing bytes", Uint8Array.of(...v6(), 0, 0)],
    ["IPv6 cut to 39 bytes", v6().subarray(0, 39)],
  ])("%s is dropped and counted on the way in", (_, plaintext) => {
    const pair = connected();

    expect(sendForged(pair, [plaintext])).toEqual({ inner_malformed: 1 });
    expect(pair.right.delivered).toEqual([]);
  });

  it("of every other version is dropped as unknown content", () => {
    const pair = connected();
    const versions = [1, 2, 3, 5, 7, 8, 9, 10, 11, 13, 15];

    const drops = sendForged(
      pair,
      versions.map((version) => changed(v4(), 0, (version << 4) | 5)),
    );

    expect(drops).toEqual({ bad_plaintext: versions.length });
  });

  it("is dropped and counted on the way out as well", () => {
    const pair = connected();
    const mark = pair.world.eve.mark();
    pair.left.send(
      changed(v4(), 0, 0x44),
      changed(v4(), 3, 1),
      v4().subarray(0, 19),
      changed(v6(), 5, 0),
      changed(v4(), 0, 0x75),
    );

    pair.world.advance(100);

    expect(dropsOf(pair.left)).toEqual({ outbound_malformed: 5 });
    expect(pair.world.eve.since(mark, TYPE.DATA)).toEqual([]);
  });
});

describe("a destination without peer", () => {
  it.each([
    ["10.77.0.1", INNER.left, PROTOCOL.ICMP, 3],
    ["fd77::1", INNER.left6, PROTOCOL.ICMPV6, 1],
  ])(
    "%s: dropped, counted, and the local sender gets unreachable",
    (destination, source, protocol, type) => {
      const pair = connected();
      const packet = innerUdp(source, destination);
      pair.left.send(packet);

      pair.world.advance(10);

      const [reply] = pair.left.icmp;
      if (reply === undefined) throw new Error("no ICMP error");
      const view = viewPacket(reply.bytes);
      expect(view).toMatchObject({ destination: source, protocol });
      expect(view.transport[0]).toBe(type);
      expect(view.transport.subarray(8, 8 + 28)).toEqual(packet.subarray(0, 28));
      expect(dropsOf(pair.left)).toEqual({ no_peer: 1 });
    },
  );

  it.each([
    [
      "an ICMP error",
      ipPacket(INNER.left, "10.77.0.1", PROTOCOL.ICMP, Uint8Array.of(3, 1, 0, 0, 0, 0, 0, 0)),
    ],
    [
      "an ICMPv6 error",
      ipPacket(INNER.left6, "fd77::1", PROTOCOL.ICMPV6, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)),
    ],
    ["a later fragment", changed(udpPacket(INNER.left, "10.77.0.1", new Uint8Array(4)), 7, 1)],
    ["a packet from the unspecified address", udpPacket("0.0.0.0", "10.77.0.1", new Uint8Array(4))],
  ])("draws no answer to %s", (_, packet) => {
    const pair = connected();
    pair.left.send(packet);

    pair.world.advance(10);

    expect(pair.left.icmp).toEqual([]);
    expect(dropsOf(pair.left)).toEqual({ no_peer: 1 });
  });

  it.each([
    ["IPv4", udpPacket(INNER.left, "224.0.0.5", new Uint8Array(4))],
    ["IPv6", udpPacket(INNER.left6, "ff02::1", new Uint8Array(4))],
  ])("draws no answer to %s multicast, which has a reason of its own", (_, packet) => {
    const pair = connected();
    pair.left.send(packet);

    pair.world.advance(10);

    expect(pair.left.icmp).toEqual([]);
    expect(dropsOf(pair.left)).toEqual({ multicast: 1 });
  });

  it("answers a flood of such packets only at a bounded rate", () => {
    const pair = connected();
    for (let round = 0; round < 100; round += 1) {
      for (let index = 0; index < 20; index += 1) pair.left.send(innerUdp(INNER.left, "10.77.0.1"));
      pair.world.advance(10);
    }

    expect(dropsOf(pair.left).no_peer).toBe(2_000);
    expect(pair.left.icmp.length).toBeGreaterThan(10);
    expect(pair.left.icmp.length).toBeLessThanOrEqual(200);
  });
});

describe("a partial checksum", () => {
  it.each([
    ["UDP over IPv4", udpPacket(INNER.left, INNER.right, Uint8Array.of(1, 2, 3)), 20, 6],
    ["TCP over IPv4", tcpPacket(INNER.left, INNER.right, 9, Uint8Array.of(1, 2, 3)), 20, 16],
    ["UDP over IPv6", udpPacket(INNER.left6, INNER.right6, Uint8Array.of(1, 2, 3)), 40, 6],
    ["TCP over IPv6", tcpPacket(INNER.left6, INNER.right6, 9, Uint8Array.of(1, 2, 3)), 40, 16],
  ])("of %s is completed at the other end", (_, packet, start, offset) => {
    const pair = connected();
    const partial = withPartialChecksum(packet, offset);
    expect(hasRightChecksum(partial)).toBe(false);
    pair.left.sendRow({ bytes: partial, checksum: { start, offset } });

    pair.world.advance(100);

    expect(pair.right.delivered.map(({ bytes }) => [...bytes])).toEqual([[...packet]]);
  });

  it.each<[string, Uint8Array]>([
    ["ICMP", pingPacket(INNER.left, INNER.right)],
    ["ICMPv6", pingPacket(INNER.left6, INNER.right6)],
    ["a first fragment", changed(udpPacket(INNER.left, INNER.right, new Uint8Array(16)), 6, 0x20)],
    ["a later fragment", changed(udpPacket(INNER.left, INNER.right, new Uint8Array(16)), 7, 2)],
    ["a UDP header cut short", ipPacket(INNER.left, INNER.right, PROTOCOL.UDP, new Uint8Array(7))],
    ["a TCP header cut short", ipPacket(INNER.left, INNER.right, PROTOCOL.TCP, new Uint8Array(19))],
    ["another protocol", ipPacket(INNER.left, INNER.right, 47, new Uint8Array(40))],
  ])("claimed for %s is dropped and counted", (_, packet) => {
    const pair = connected();

    const drops = sendForged(pair, [changed(packet, 0, (packet[0] ?? 0) | 0x80)]);

    expect(drops).toEqual({ inner_checksum: 1 });
    expect(pair.right.delivered).toEqual([]);
  });
});

describe("trailing bytes", () => {
  it.each([
    ["IPv4", innerUdp(INNER.left, INNER.right)],
    ["IPv6", innerUdp(INNER.left6, INNER.right6)],
  ])("I6 behind a packet of %s, any number up to the MTU: dropped both ways", (family, packet) => {
    const longer = Array.from({ length: MTU - packet.length }, (_, index) =>
      Uint8Array.of(...packet, ...new Uint8Array(index + 1)),
    );
    const pair = connected();

    const drops = sendForged(pair, longer);
    pair.left.send(...longer);
    pair.world.settle();

    const delivered = pair.right.delivered.length;
    figure(
      "I6",
      `${longer.length} lengths of trailing bytes, ${family}`,
      `${delivered} delivered`,
      "0",
    );
    expect(drops).toEqual({ inner_malformed: longer.length });
    expect(dropsOf(pair.left)).toEqual({ outbound_malformed: longer.length });
    expect(delivered).toBe(0);
  });
});

describe("control frames", () => {
  /** Exact lengths with the type byte; a probe says its own. */
  const LENGTHS: Readonly<Record<number, number>> = { 1: 9, 2: 9, 3: 2, 5: 5, 6: 21, 7: 1 };
  it.each([1, 2, 3, 5, 6, 7])("I6 of type %i are dropped in every length but one", (type) => {
    const exact = LENGTHS[type] ?? 0;
    const pair = connected();
    const lengths = Array.from({ length: MTU }, (_, at) => at + 1).filter((n) => n !== exact);

    const drops = sendForged(
      pair,
      lengths.map((length) => frame(type, length)),
    );

    const accepted = lengths.length - (drops["bad_control"] ?? 0);
    figure("I6", `frames of type ${type}, ${lengths.length} lengths`, `${accepted} accepted`, "0");
    expect(drops).toEqual({ bad_control: lengths.length });
    expect(isUp(pair.right)).toBe(true);
  });

  it("I6 of type 4, probes, pass only in the length that they say, which counts the datagram", () => {
    const pair = connected();
    const lengths = Array.from({ length: MTU }, (_, at) => at + 1);
    const wrong = lengths.flatMap((length) => [
      probe(length, 0),
      probe(length, length),
      probe(length, length + 31),
      probe(length, length + 33),
    ]);
    const cut = [1, 2, 3, 4].map((length) => probe(length, length + 32));
    const right = lengths.slice(4).map((length) => probe(length, length + 32));

    const drops = sendForged(pair, [...wrong, ...cut]);

    const accepted = wrong.length + cut.length - (drops["bad_control"] ?? 0);
    figure(
      "I6",
      `${wrong.length + cut.length} probes of wrong length`,
      `${accepted} accepted`,
      "0",
    );
    expect(drops).toEqual({ bad_control: wrong.length + cut.length });
    expect(sendForged(connected(), right)).toEqual({});
  });

  it.each([1, 2, 5, 6])("of type %i in their exact length are no drop", (type) => {
    const pair = connected();

    expect(sendForged(pair, [frame(type, LENGTHS[type] ?? 0)])).toEqual({});
    expect(isUp(pair.right)).toBe(true);
  });

  it.each([
    ["a length that no address has", [7, 5, 1, 2, 3, 4, 5]],
    ["an address cut short", [7, 4, 10, 0, 0]],
    ["a second one cut short", [7, 4, 10, 0, 0, 1, 16, 1]],
    ["more addresses than a node can have", [7, ...Array(65).fill([4, 10, 0, 0, 1]).flat()]],
  ])("of addresses with %s are dropped", (_, bytes) => {
    const pair = connected();
    expect(sendForged(pair, [Uint8Array.from(bytes)])).toEqual({ bad_control: 1 });
  });

  it("of addresses mean nothing between the two of a pair", () => {
    const pair = connected();
    expect(sendForged(pair, [Uint8Array.of(7, 4, 10, 9, 0, 9), Uint8Array.of(7)])).toEqual({});
    expect(peerOf(pair.right).addresses).toEqual([]);
  });

  it("of unknown types 8 to 15 are ignored, so that a later version can add one", () => {
    const pair = connected();
    const frames = [8, 9, 10, 11, 12, 13, 14, 15].map((type) => frame(type, 12));

    expect(sendForged(pair, frames)).toEqual({});
    expect(sessionIn(pair.right, "current")).toBeDefined();
  });

  it("of type 0 and from 16 on are unknown content", () => {
    const pair = connected();

    expect(sendForged(pair, [frame(0, 9), frame(0x10, 9), frame(0x3f, 9)])).toEqual({
      bad_plaintext: 3,
    });
  });

  it("a path challenge draws a response of the same length with the same 8 bytes, to the current endpoint", () => {
    const pair = connected();
    const mark = pair.world.eve.mark();

    sendForged(pair, [frame(1, 9)], { ip: "203.0.113.9", port: 9 });

    const sent = pair.world.eve.since(mark, TYPE.DATA).filter(({ by }) => by === "right");
    const responses = sent.filter(({ bytes, to }) => bytes.length === 41 && to.ip === LEFT.ip);
    expect(responses).toHaveLength(1);
  });

  it("a path response that nobody asked for moves nothing", () => {
    const pair = connected();

    expect(sendForged(pair, [frame(2, 9)], { ip: "203.0.113.9", port: 9 })).toEqual({});
    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
  });

  it("a close ends the session that carried it", () => {
    const pair = connected();

    sendForged(pair, [frame(3, 2)]);

    expect(sessionIn(pair.right, "current")).toBeUndefined();
    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
  });
});

/** What becomes of a packet from `source`, where `allowedIps` are the peer's beside its usual ones. */
function offered(allowedIps: readonly string[], source: string) {
  const pair = connected({ rightPeer: { allowedIps: [...NETWORKS.left, ...allowedIps] } });
  const destination = source.includes(":") ? INNER.right6 : INNER.right;
  const drops = sendForged(pair, [innerUdp(source, destination)]);
  return { drops, packets: pair.right.delivered.length };
}

function connected(options: PairOptions = {}): Pair {
  const pair = newClientPair(options);
  connect(pair);
  return pair;
}

/** Sends each plaintext from left under its live session; returns what right dropped for it. */
function sendForged(
  pair: Pair,
  plaintexts: readonly Uint8Array[],
  from = pair.left.address,
): Partial<Record<string, number>> {
  const before = dropsOf(pair.right);
  plaintexts.forEach((plaintext, index) => {
    const datagram = pair.leftSite.aead().forge(plaintext, 1_000 + index);
    pair.world.eve.inject(pair.right.address, datagram, from);
  });
  pair.world.settle();
  const after = Object.entries(dropsOf(pair.right)).map(
    ([reason, count]) =>
      [reason, count - ((before as Record<string, number>)[reason] ?? 0)] as const,
  );
  return Object.fromEntries(after.filter(([, count]) => count > 0));
}

function innerUdp(source: string, destination: string): Uint8Array {
  return udpPacket(source, destination, Uint8Array.of(1, 2, 3, 4));
}

function changed(packet: Uint8Array, at: number, value: number): Uint8Array {
  const copy = packet.slice();
  copy[at] = value;
  return copy;
}

/** A probe of `length` bytes that says it makes a datagram of `says`. */
function probe(length: number, says: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, 5));
  bytes[0] = 4;
  new DataView(bytes.buffer).setUint16(3, says, true);
  return bytes.slice(0, length);
}

function frame(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[0] = type;
  return bytes;
}
