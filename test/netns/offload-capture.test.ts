/**
 * A live tunnel cuts real super-packets, of UDP and of TCP that meets congestion marks, as the plain twin does.
 *
 * Both tunnel devices are captured: on the left super-packets as the kernel gave them, on the right single
 * packets as they came, because nothing is joined there. The twin is held against the kernel's own
 * segmentation in offload-cut.test.ts. The trap: a capture does not say the segment size of a super-packet. For
 * TCP it is that of the largest packet on the right, because it changes only with the path's MTU; a datagram
 * of delivery-agent.ts says its own.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPackets, startCapture } from "../../scripts/netns/capture.ts";
import { deliver } from "../../scripts/netns/delivery.ts";
import { type Host, type Lab, openLab } from "../../scripts/netns/lab.ts";
import { pause } from "../../scripts/netns/process.ts";
import { ADDRESSES, startPair, TUN } from "../../scripts/netns/topology.ts";
import { GSO } from "../../src/core/rows.ts";
import { cutSuperPacket } from "../helpers/cut-twin.ts";
import { TCP_FLAG } from "../helpers/packet-builder.ts";

const { left, right } = ADDRESSES;
const MTU = 1420;
/** Time for tcpdump to write what it saw. */
const SETTLE_MS = 300;

let lab: Lab;
let given: readonly Segment[];
let arrived: readonly Segment[];

beforeAll(async () => {
  lab = openLab();
  const settings = { mtu: MTU, offload: { tso: false, uso: false } };
  const pair = await startPair(lab, { left: { settings: { mtu: MTU } }, right: { settings } });
  const hosts = [pair.left.host, pair.right.host] as const;
  for (const host of hosts) host.sysctl("net.ipv4.tcp_ecn", "1");
  await markCongestion(pair.right.host);
  const filter = `(tcp or udp) and (src ${left.inner4} or src ${left.inner6})`;
  const captures = [
    await startCapture(hosts[0], TUN, { filter }),
    await startCapture(hosts[1], TUN, { filter }),
  ];
  const order = { streams: 2, streamBytes: 1_500_000, bursts: 40 };
  await deliver(...hosts, [right.inner4, right.inner6], order);
  await pause(SETTLE_MS);
  await Promise.all(captures.map((capture) => capture.stop()));
  const [before = [], after = []] = captures.map(({ file }) => readPackets(file).map(segmentOf));
  given = before;
  arrived = after;
});
afterAll(() => lab.close());

describe("a live tunnel", () => {
  it("was given super-packets of every kind, and some that answer a congestion mark", () => {
    const large = given.filter(({ bytes }) => bytes.length > MTU);

    for (const kind of ["tcp4", "tcp6", "udp4", "udp6"]) {
      expect(large.filter((segment) => segment.kind === kind).length).toBeGreaterThan(10);
    }
    expect(large.some(({ flags }) => (flags & TCP_FLAG.CWR) !== 0)).toBe(true);
    expect(large.some(({ flags }) => (flags & TCP_FLAG.PSH) !== 0)).toBe(true);
  });

  it("cuts each as the twin does: nothing else arrives, byte for byte", () => {
    const sizes = { tcp4: largestPayload("tcp4"), tcp6: largestPayload("tcp6") };
    const expected = new Set(given.flatMap((segment) => cut(segment, sizes)).map(text));

    const strange = arrived.filter(({ bytes }) => !expected.has(text(bytes)));

    expect(arrived.length).toBeGreaterThan(2000);
    expect(arrived.every(({ bytes }) => bytes.length <= MTU)).toBe(true);
    expect(strange.map(({ bytes }) => Buffer.from(bytes.subarray(0, 80)).toString("hex"))).toEqual(
      [],
    );
  });
});

type Kind = "tcp4" | "tcp6" | "udp4" | "udp6";

/** A captured packet. */
interface Segment {
  readonly bytes: Buffer;
  readonly kind: Kind;
  /** Offset of the transport header. */
  readonly start: number;
  /** Bytes of IP and transport header. */
  readonly header: number;
  /** TCP only. */
  readonly flags: number;
}

/** Packets without IPv4 options or extension headers, as sockets send them. */
function segmentOf(bytes: Buffer): Segment {
  const isIpv4 = bytes.readUInt8(0) >> 4 === 4;
  const isTcp = bytes.readUInt8(isIpv4 ? 9 : 6) === 6;
  const start = isIpv4 ? 20 : 40;
  if (!isTcp) return { bytes, kind: isIpv4 ? "udp4" : "udp6", start, header: start + 8, flags: 0 };
  const header = start + (bytes.readUInt8(start + 12) >> 4) * 4;
  const flags = bytes.readUInt8(start + 13);
  return { bytes, kind: isIpv4 ? "tcp4" : "tcp6", start, header, flags };
}

/** What the twin makes of a packet, with the segment size of TCP by kind. */
function cut(
  { bytes, kind, start, header }: Segment,
  sizes: Readonly<Record<"tcp4" | "tcp6", number>>,
): readonly Uint8Array[] {
  const isUdp = kind === "udp4" || kind === "udp6";
  // Behind the number of a datagram stands its length.
  const gsoSize = isUdp ? bytes.readUInt16BE(header + 4) : sizes[kind];
  if (bytes.length - header <= gsoSize) return [bytes];
  const gsoType = isUdp ? GSO.UDP : kind === "tcp4" ? GSO.TCP4 : GSO.TCP6;
  return cutSuperPacket(bytes, { gsoType, gsoSize, headerLength: header, checksumStart: start });
}

function largestPayload(kind: Kind): number {
  const mine = arrived.filter((segment) => segment.kind === kind);
  return Math.max(...mine.map(({ bytes, header }) => bytes.length - header));
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

/** One packet in 40 that comes out of the tunnel says that it met congestion (RFC 3168 §5), if its sender can be told. */
async function markCongestion(host: Host): Promise<void> {
  const rules = ["ip", "ip6"].map(
    (family) => `iifname ${TUN} ${family} ecn ect0 numgen inc mod 40 0 ${family} ecn set ce`,
  );
  const chain = "type filter hook prerouting priority mangle;";
  await host.output(["nft", "add table inet marks"]);
  await host.output(["nft", `add chain inet marks marking { ${chain} }`]);
  for (const rule of rules) await host.output(["nft", `add rule inet marks marking ${rule}`]);
}
