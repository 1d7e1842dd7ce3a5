/**
 * What must become of an inner packet: the rules of docs/protocol.md ("Plaintext of DATA", rules 10 and 13) written
 * down plainly, as the twin of core/inner-packet.ts, core/inbound/deliver.ts and step 1 and 2 of core/outbound/send.ts.
 *
 * It slices and copies where the core must not, and shares no code with it. Two of its answers are choices of the core
 * and not of a standard: at most eight extension headers are followed, and a jumbogram (RFC 2675) is malformed.
 */
import { prefix } from "./address.ts";

export type Inbound =
  | "keepalive"
  | "frame"
  | "bad_plaintext"
  | "inner_malformed"
  | "inner_checksum"
  | "inner_source"
  | "inner_martian"
  | "delivered";
export type Outbound = "outbound_malformed" | "too_big" | "multicast" | "no_peer" | "sealed";

const MOST_EXTENSIONS = 8;
const MARTIANS = [
  ...["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"],
  ...["::/96", "fe80::/10", "ff00::/8"],
].map(prefix);
const PROTOCOL = { HOP_BY_HOP: 0, TCP: 6, UDP: 17, ROUTING: 43, DESTINATION: 60 } as const;

/** What a receiver must do with a plaintext from a peer with these networks. */
export function inboundVerdict(plaintext: Uint8Array, networks: readonly string[]): Inbound {
  const [first] = plaintext;
  if (first === undefined) return "keepalive";
  const isMarked = first >= 0x80;
  const packet = plaintext.slice();
  packet[0] = first & 0x7f;
  const version = packet[0] >> 4;
  if (version !== 4 && version !== 6) return first >= 1 && first <= 15 ? "frame" : "bad_plaintext";
  if (!isHonest(packet)) return "inner_malformed";
  if (isMarked && !hasWholeTransport(packet)) return "inner_checksum";
  const source = version === 4 ? packet.slice(12, 16) : packet.slice(8, 24);
  if (!networks.some((text) => covers(prefix(text), source))) return "inner_source";
  return isMartian(source) ? "inner_martian" : "delivered";
}

/** What a sender whose only peer has these networks must do with a packet of its device. */
export function outboundVerdict(
  packet: Uint8Array,
  networks: readonly string[],
  mtu: number,
): Outbound {
  if (!isHonest(packet)) return "outbound_malformed";
  const isV4 = (packet[0] ?? 0) >> 4 === 4;
  const destination = isV4 ? packet.slice(16, 20) : packet.slice(24, 40);
  if (networks.some((text) => covers(prefix(text), destination))) {
    return packet.length > mtu ? "too_big" : "sealed";
  }
  const [start = 0] = destination;
  return (isV4 ? start >= 224 && start < 240 : start === 255) ? "multicast" : "no_peer";
}

/** Whether header length and total length are those of a packet of these bytes. */
export function isHonest(packet: Uint8Array): boolean {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 6) return packet.length >= 40 && number16(packet, 4) + 40 === packet.length;
  if (version !== 4 || packet.length < 20) return false;
  const header = ((packet[0] ?? 0) & 15) * 4;
  return header >= 20 && header <= packet.length && number16(packet, 2) === packet.length;
}

/** Whether an honest packet is unfragmented TCP or UDP with its transport header inside. */
function hasWholeTransport(packet: Uint8Array): boolean {
  if ((packet[0] ?? 0) >> 4 === 6) return isWholeBehind(packet[6] ?? 0, packet.slice(40), 0);
  // More-fragments bit and offset.
  if ((number16(packet, 6) & 0x3fff) !== 0) return false;
  const header = ((packet[0] ?? 0) & 15) * 4;
  return isWhole(packet[9] ?? 0, packet.slice(header));
}

/** The same behind `extensions` headers of an IPv6 chain. */
function isWholeBehind(next: number, rest: Uint8Array, extensions: number): boolean {
  const isOptions = next === PROTOCOL.HOP_BY_HOP || next === PROTOCOL.DESTINATION;
  if (!isOptions && next !== PROTOCOL.ROUTING) return isWhole(next, rest);
  const size = ((rest[1] ?? 0) + 1) * 8;
  if (extensions === MOST_EXTENSIONS || rest.length < 8 || size > rest.length) return false;
  return isWholeBehind(rest[0] ?? 0, rest.slice(size), extensions + 1);
}

function isWhole(protocol: number, transport: Uint8Array): boolean {
  if (protocol === PROTOCOL.UDP) return transport.length >= 8;
  if (protocol !== PROTOCOL.TCP || transport.length < 20) return false;
  const header = ((transport[12] ?? 0) >> 4) * 4;
  return header >= 20 && header <= transport.length;
}

function isMartian(address: Uint8Array): boolean {
  const isMapped =
    address.length === 16 &&
    address.slice(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 255));
  return isMapped || MARTIANS.some((block) => covers(block, address));
}

/** Compares bit by bit. */
function covers(
  { bytes, length }: { readonly bytes: Uint8Array; readonly length: number },
  address: Uint8Array,
): boolean {
  if (bytes.length !== address.length) return false;
  for (let bit = 0; bit < length; bit += 1) {
    const mask = 0x80 >> (bit % 8);
    const at = Math.floor(bit / 8);
    if (((bytes[at] ?? 0) & mask) !== ((address[at] ?? 0) & mask)) return false;
  }
  return true;
}

function number16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
}
