/**
 * Inner packets of odd shape for FAULTS I4: tunnels in tunnels, long chains of extension headers, dishonest lengths.
 */

import type { Inbound } from "../../helpers/inner-reference.ts";
import { concat } from "../../helpers/packet-builder.ts";
import { ipPacket, pingPacket, tcpPacket, udpPacket } from "../../helpers/packets.ts";

/** A packet and what a receiver must do with it. */
export interface Shape {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly verdict: Inbound;
}

const V4 = ["10.1.0.1", "10.2.0.1"] as const;
const V6 = ["fd00:1::1", "fd00:2::1"] as const;
const PAYLOAD = new Uint8Array(32).fill(7);

/** The same with the mark of a partial checksum. */
function marked(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy[0] = (copy[0] ?? 0) | 0x80;
  return copy;
}

/** IPIP, 6in4, 4in6 and GRE, one in another `depth` times. */
export function nested(depth: number): Shape[] {
  const wrap = (ends: readonly [string, string], protocol: number, inner: Uint8Array) =>
    ipPacket(ends[0], ends[1], protocol, inner);
  const gre = (inner: Uint8Array) => concat(Uint8Array.of(0, 0, 8, 0), inner);
  let [ipip, mixed, greOnly] = [pingPacket(...V4), pingPacket(...V4), pingPacket(...V4)];
  for (let level = 0; level < depth; level += 1) {
    ipip = wrap(V4, 4, ipip);
    mixed = level % 2 === 0 ? wrap(V6, 4, mixed) : wrap(V4, 41, mixed);
    greOnly = wrap(V4, 47, gre(greOnly));
  }
  return [
    { name: "IPIP", bytes: ipip },
    { name: "4in6 and 6in4", bytes: mixed },
    { name: "GRE", bytes: greOnly },
  ].flatMap(({ name, bytes }) => [
    { name: `${name} nested ${depth}`, bytes, verdict: "delivered" as const },
    // A tunnel has no transport checksum that could be unfinished.
    {
      name: `${name} nested ${depth}, marked`,
      bytes: marked(bytes),
      verdict: "inner_checksum" as const,
    },
  ]);
}

/** A TCP segment behind `count` destination option headers of `units` times 8 bytes. */
function chained(count: number, units: number): Uint8Array {
  const tcp = tcpPacket(...V6, 1, PAYLOAD).subarray(40);
  const header = new Uint8Array(8 * units);
  header.set([60, units - 1, 1, 0]);
  const last = header.slice();
  last[0] = 6;
  const headers = Array.from({ length: count }, (_, index) => (index + 1 < count ? header : last));
  return ipPacket(...V6, count === 0 ? 6 : 60, concat(...headers, tcp));
}

/** Chains of extension headers, up to 64 KB; a mark is good on at most eight. */
export function chains(): Shape[] {
  const counts = [0, 1, 2, 7, 8, 9, 16, 31];
  const whole = counts.flatMap((count) =>
    [1, 2, 255, 256].flatMap((units): Shape[] => {
      const bytes = chained(count, units);
      const name = `${count} extension headers of ${8 * units} bytes`;
      return [
        { name, bytes, verdict: "delivered" },
        {
          name: `${name}, marked`,
          bytes: marked(bytes),
          verdict: count <= 8 ? "delivered" : "inner_checksum",
        },
      ];
    }),
  );
  const cut = chained(3, 4);
  // Each header says that it is longer than the packet.
  for (const at of [40, 72, 104]) {
    const bytes = cut.slice();
    bytes[at + 1] = 255;
    whole.push(
      { name: `a header at ${at} that ends outside`, bytes, verdict: "delivered" },
      { name: `the same, marked`, bytes: marked(bytes), verdict: "inner_checksum" },
    );
  }
  return whole.filter(({ bytes }) => bytes.length <= 65_535 + 40);
}

/** Payload length 0 and a hop-by-hop header with the jumbo option (RFC 2675). */
export function jumbogram(): Shape[] {
  const option = Uint8Array.of(6, 0, 0xc2, 4, 0, 0, 0, 60);
  const bytes = ipPacket(...V6, 0, concat(option, tcpPacket(...V6, 1, PAYLOAD).subarray(40)));
  bytes.set([0, 0], 4);
  const short = bytes.slice(0, 40);
  return [
    { name: "a jumbogram", bytes, verdict: "inner_malformed" },
    { name: "a jumbogram, marked", bytes: marked(bytes), verdict: "inner_malformed" },
    { name: "IPv6 with no payload", bytes: short, verdict: "delivered" },
  ];
}

/** Every header length and every version; lengths that are not the packet's. */
export function dishonest(): Shape[] {
  const good = udpPacket(...V4, PAYLOAD);
  const good6 = udpPacket(...V6, PAYLOAD);
  const shapes: Shape[] = [];
  for (let words = 0; words < 16; words += 1) {
    const bytes = good.slice();
    bytes[0] = 0x40 | words;
    const isFit = words >= 5 && words * 4 <= bytes.length;
    shapes.push({ name: `IHL ${words}`, bytes, verdict: isFit ? "delivered" : "inner_malformed" });
  }
  for (let version = 0; version < 16; version += 1) {
    const bytes = good.slice();
    bytes[0] = (version << 4) | 5;
    shapes.push({ name: `version ${version}`, bytes, verdict: versionVerdict(version) });
  }
  for (const off of [-good.length, -20, -1, 1, 2, 100, 65_535 - good.length]) {
    const bytes = good.slice();
    bytes.set([(good.length + off) >> 8, (good.length + off) & 0xff], 2);
    shapes.push({ name: `IPv4 length off by ${off}`, bytes, verdict: "inner_malformed" });
  }
  for (const off of [-(good6.length - 40), -1, 1, 40, 65_535 - (good6.length - 40)]) {
    const bytes = good6.slice();
    const length = good6.length - 40 + off;
    bytes.set([length >> 8, length & 0xff], 4);
    shapes.push({ name: `IPv6 length off by ${off}`, bytes, verdict: "inner_malformed" });
  }
  return shapes;
}

/** Of a UDP packet over IPv4 whose version says otherwise; from 12 on that is a mark. */
function versionVerdict(version: number): Inbound {
  if (version === 0) return "frame";
  if (version === 4 || version === 12) return "delivered";
  return version === 6 || version === 14 ? "inner_malformed" : "bad_plaintext";
}

/** Fragments that overlap, are tiny, or point behind the end of every packet. */
export function fragments(): Shape[] {
  const shapes: Shape[] = [];
  // Flags and offset in units of 8 bytes, RFC 791 and RFC 8200 §4.5.
  for (const [what, word] of [
    ["first", 0x2000],
    ["second", 0x2002],
    ["overlapping the second", 0x2001],
    ["last", 0x0004],
    ["behind 65,535 bytes", 0x1fff],
  ] as const) {
    const v4 = udpPacket(...V4, PAYLOAD);
    v4.set([word >> 8, word & 0xff], 6);
    const offset = (word & 0x1fff) << 3;
    const more = word >> 13;
    const head = Uint8Array.of(17, 0, offset >> 8, (offset & 0xff) | more, 0, 0, 0, 9);
    const v6 = ipPacket(...V6, 44, concat(head, PAYLOAD));
    for (const [family, bytes] of [
      ["IPv4", v4],
      ["IPv6", v6],
    ] as const) {
      shapes.push(
        { name: `${family} fragment ${what}`, bytes, verdict: "delivered" },
        {
          name: `${family} fragment ${what}, marked`,
          bytes: marked(bytes),
          verdict: "inner_checksum",
        },
      );
    }
  }
  return shapes;
}
