/**
 * Which flow a packet belongs to, as a number: addresses, protocol and ports (RFC 8290 §4.1.1).
 *
 * All fragments of a packet are of one flow, so the ports of a fragmented one do not count. The seed keeps
 * anybody from choosing flows that share a queue. A packet that is malformed is of some flow, too.
 */
import {
  emptyUpperLayer,
  findUpperLayer,
  IPV4_SOURCE,
  IPV6_SOURCE,
  TCP,
  UDP,
} from "./inner-packet.ts";
import { viewOf } from "./wire.ts";

/** IANA protocol numbers of others whose header begins with two ports (RFC 9260, RFC 4340, RFC 3828). */
const SCTP = 132;
const DCCP = 33;
const UDP_LITE = 136;
const WITH_PORTS: ReadonlySet<number> = new Set([TCP, UDP, SCTP, DCCP, UDP_LITE]);

/** Bytes of two ports. */
const PORTS_BYTES = 4;
/** An odd number that mixes bits well when it is multiplied with: 2^32 / golden ratio. */
const GOLDEN = 0x9e3779b1;

const upper = emptyUpperLayer();

/** 32 bits. */
export function flowHash(packet: Uint8Array, seed: number): number {
  if (!findUpperLayer(packet, 0, packet.length, upper)) return seed >>> 0;
  const view = viewOf(packet);
  const isV4 = view.getUint8(0) >> 4 === 4;
  const start = isV4 ? IPV4_SOURCE : IPV6_SOURCE;
  let hash = mixed(seed, upper.protocol);
  for (let at = start; at < start + (isV4 ? 8 : 32); at += 4) hash = mixed(hash, view.getInt32(at));
  const hasPorts = upper.fragment === "none" && WITH_PORTS.has(upper.protocol);
  if (hasPorts && upper.start + PORTS_BYTES <= packet.length) {
    hash = mixed(hash, view.getInt32(upper.start));
  }
  return spread(hash);
}

function mixed(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, GOLDEN);
  return (product << 13) | (product >>> 19);
}

/** Makes every bit depend on every other (the finalizer of MurmurHash3, public domain). */
function spread(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return (twice ^ (twice >>> 16)) >>> 0;
}
