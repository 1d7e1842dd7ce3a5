/**
 * Which flow a packet belongs to, as a number: addresses, protocol and ports (RFC 8290 §4.1.1).
 *
 * All fragments of a packet are of one flow, so the ports of a fragmented one do not count. The hash is keyed
 * (HalfSipHash-1-3), so that nobody chooses flows that share a queue. A packet that is malformed is of some flow, too.
 */
import {
  emptyUpperLayer,
  findUpperLayer,
  IPV4_SOURCE,
  IPV6_SOURCE,
  TCP,
  UDP,
} from "../inner-packet.ts";
import { halfSipHash } from "../keyed-hash.ts";
import { viewOf } from "../wire.ts";

/** IANA protocol numbers of others whose header begins with two ports (RFC 9260, RFC 4340, RFC 3828). */
const SCTP = 132;
const DCCP = 33;
const UDP_LITE = 136;
const WITH_PORTS: ReadonlySet<number> = new Set([TCP, UDP, SCTP, DCCP, UDP_LITE]);

/** Bytes of two ports. */
const PORTS_BYTES = 4;

const upper = emptyUpperLayer();
/** Protocol, addresses and ports, padded as their hash wants it. */
const words4 = paddedMessage(4);
const words6 = paddedMessage(10);

/** 32 bits. */
export function flowHash(packet: Uint8Array, seed: number): number {
  if (!findUpperLayer(packet, 0, packet.length, upper)) return seed >>> 0;
  const view = viewOf(packet);
  const isV4 = view.getUint8(0) >> 4 === 4;
  const start = isV4 ? IPV4_SOURCE : IPV6_SOURCE;
  const words = isV4 ? words4 : words6;
  const addressWords = isV4 ? 2 : 8;
  words[0] = upper.protocol;
  for (let word = 0; word < addressWords; word++) words[1 + word] = view.getInt32(start + 4 * word);
  const hasPorts =
    upper.fragment === "none" &&
    WITH_PORTS.has(upper.protocol) &&
    upper.start + PORTS_BYTES <= packet.length;
  words[1 + addressWords] = hasPorts ? view.getInt32(upper.start) : 0;
  return halfSipHash(words, seed, seed) >>> 0;
}

/** Room for so many words, their length block and the zeros of the closing rounds. */
function paddedMessage(words: number): Int32Array {
  const message = new Int32Array(words + 4);
  message[words] = (words * 4) << 24;
  return message;
}
