/**
 * Plaintexts to start from: control frames and inner packets of every kind, and a plain word on what may become of one.
 */
import { inboundVerdict } from "../../helpers/inner-reference.ts";
import { buildPacket, optionsExtension, TCP_FLAG } from "../../helpers/packet-builder.ts";
import { ipPacket, PROTOCOL, pingPacket, tcpPacket, udpPacket } from "../../helpers/packets.ts";

const PAYLOAD = Uint8Array.from({ length: 48 }, (_, index) => index);

/** Control frames, docs/protocol.md "Plaintext of DATA". */
const FRAMES: readonly Uint8Array[] = [
  Uint8Array.of(),
  Uint8Array.of(1, 1, 2, 3, 4, 5, 6, 7, 8),
  Uint8Array.of(2, 1, 2, 3, 4, 5, 6, 7, 8),
  Uint8Array.of(3, 0),
  Uint8Array.of(4, 9, 0, 41, 0, 0, 0, 0, 0),
  Uint8Array.of(5, 9, 0, 41, 0),
  Uint8Array.from({ length: 21 }, (_, index) => (index === 0 ? 6 : index)),
  Uint8Array.of(7, 4, 10, 77, 0, 1, 4, 10, 77, 9, 9),
  Uint8Array.of(7, 16, 0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5),
  Uint8Array.of(8, 1, 2),
  Uint8Array.of(0),
  Uint8Array.of(16, 1),
];

function packetsBetween(source: string, destination: string): readonly Uint8Array[] {
  const ends = { source, destination };
  const marked = (packet: Uint8Array): Uint8Array => {
    packet[0] = (packet[0] ?? 0) | 0x80;
    return packet;
  };
  return [
    pingPacket(source, destination),
    udpPacket(source, destination, PAYLOAD),
    tcpPacket(source, destination, 1, PAYLOAD),
    marked(buildPacket({ ...ends, payload: PAYLOAD }).bytes),
    marked(buildPacket({ ...ends, payload: PAYLOAD, flags: TCP_FLAG.PSH | TCP_FLAG.ACK }).bytes),
    marked(buildPacket({ ...ends, protocol: "udp", payload: PAYLOAD }).bytes),
    // An inner packet in an inner packet: 4 and 41.
    ipPacket(source, destination, 41, pingPacket("fd00::5", "fd00::6")),
    ipPacket(source, destination, 4, pingPacket("10.9.9.9", "10.8.8.8")),
    // GRE with no payload.
    ipPacket(source, destination, 47, Uint8Array.of(0, 0, 8, 0)),
  ];
}

function extended(source: string, destination: string): readonly Uint8Array[] {
  const ends = { source, destination, payload: PAYLOAD };
  const fragment = { protocol: 44, body: Uint8Array.of(0, 1, 0, 0, 0, 7) };
  const authentication = { protocol: 51, body: Uint8Array.of(1, 0, 0, 0, 0, 1) };
  return [
    buildPacket({ ...ends, extensions: [optionsExtension(0), optionsExtension(60, 2)] }).bytes,
    buildPacket({ ...ends, extensions: [fragment] }).bytes,
    buildPacket({ ...ends, extensions: [authentication] }).bytes,
    ipPacket(source, destination, PROTOCOL.ICMPV6, Uint8Array.of(128, 0, 0, 0, 0, 1, 0, 1)),
  ];
}

/** Every plaintext to start from. */
export const PLAINTEXTS: readonly Uint8Array[] = [
  ...FRAMES,
  ...packetsBetween("10.1.0.1", "10.2.0.1"),
  ...packetsBetween("10.2.0.1", "10.1.0.1"),
  ...packetsBetween("10.77.0.1", "10.77.0.250"),
  ...packetsBetween("10.77.0.250", "10.77.0.2"),
  ...packetsBetween("fd00:1::1", "fd00:2::1"),
  ...packetsBetween("fd77::1", "fd77::2"),
  ...extended("fd00:1::1", "fd00:2::1"),
  ...extended("fd77::1", "fd77::2"),
  pingPacket("8.8.8.8", "10.2.0.1"),
  pingPacket("127.0.0.1", "10.2.0.1"),
];

/** What the first byte says a plaintext is. */
export function kindOf(plaintext: Uint8Array): "keepalive" | "packet" | "frame" | "unknown" {
  const first = plaintext[0];
  if (first === undefined) return "keepalive";
  const version = (first & 0x7f) >> 4;
  if (version === 4 || version === 6) return "packet";
  return first >= 1 && first <= 15 ? "frame" : "unknown";
}

/** Writes the length that the packet has into its header. */
export function withHonestLength(packet: Uint8Array): Uint8Array {
  const version = ((packet[0] ?? 0) & 0x7f) >> 4;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if (version === 4 && packet.length >= 4) view.setUint16(2, packet.length & 0xffff);
  if (version === 6 && packet.length >= 40) view.setUint16(4, (packet.length - 40) & 0xffff);
  return packet;
}

/** Prefixes from which each kind of sender may send, and those inside of them from which not. */
const MAY_SEND = {
  pair: { from: ["0.0.0.0/0", "fd00:1::/64"], not: ["10.77.0.0/16"] },
  site: { from: ["10.77.0.0/16", "fd77::/32"], not: ["10.77.0.250/32"] },
  "hub of a pair": { from: ["10.2.0.0/16", "fd00:2::/64"], not: [] },
  "hub of a group": { from: ["10.77.0.0/16", "fd77::/32"], not: [] },
} as const;

export type Sender = keyof typeof MAY_SEND;

/** Whether such a sender may have sent a packet. */
export function isFrom(packet: Uint8Array, sender: Sender): boolean {
  const { from, not } = MAY_SEND[sender];
  return (
    inboundVerdict(packet, from) === "delivered" && inboundVerdict(packet, not) === "inner_source"
  );
}
