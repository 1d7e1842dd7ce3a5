/**
 * An open run in the joiner's table, and the short question whether a packet is its next.
 *
 * `base` is where the run's fields start in the table. The question is asked for nearly every packet at full
 * speed, so it compares the words that must be equal and nothing else; join.ts has the long way, which
 * knows why a packet does not fit.
 */

import { IPV4, IPV4_HEADER_BYTES, IPV4_SOURCE, UDP_HEADER_BYTES } from "../inner-packet.ts";
import { at } from "../rows.ts";
import { ANY } from "./flow-header.ts";

/** Runs open at a time. */
export const MAX_RUNS = 8;
/** Rows that one gathered write takes. */
const MAX_PARTS = 128;
/** Datagrams of a UDP super-packet, which every kernel that knows them takes (UDP_MAX_SEGMENTS before Linux 6.8). */
const MAX_UDP_PARTS = 64;
/** Bytes that an IP length field can tell. */
const MAX_BYTES = 65_535;

/** What is kept of an open run, in a table of Int32. */
export const RUN = {
  /** Delivered row of the first packet, and of the last. */
  HEAD: 0,
  LAST: 1,
  /** Offset of the first packet in the arena. */
  OFFSET: 2,
  /** Offset of the transport header in the packet. */
  START: 3,
  /** Bytes of IP and transport header. */
  HEADER: 4,
  /** Payload bytes of every packet but the last. */
  SIZE: 5,
  /** Bytes of all as one packet. */
  TOTAL: 6,
  PARTS: 7,
  /** TCP sequence number that comes next, as an Int32. */
  SEQUENCE: 8,
  /** What each packet's IPv4 id is above the one before: 0 or 1, or ANY after the first. */
  ID_STEP: 9,
  /** TCP flags of the last packet that the whole gets: FIN, PSH. */
  LAST_FLAGS: 10,
  /** The first packet's headers, word by word: 40 bytes of IPv6 and 60 of TCP at most. */
  WORDS: 11,
} as const;
/** Int32 fields of a run. */
export const RUN_FIELDS = RUN.WORDS + 25;

/** Whether the run at `base` of the table takes `payload` bytes more. */
export function hasRoom(runs: Int32Array, base: number, payload: number): boolean {
  return at(runs, base + RUN.TOTAL) + payload <= MAX_BYTES && partsLeft(runs, base) > 0;
}

/** Packets of full size that the run at `base` of the table takes. */
export function roomIn(runs: Int32Array, base: number): number {
  const bytesLeft = MAX_BYTES - at(runs, base + RUN.TOTAL);
  return Math.min(partsLeft(runs, base), Math.floor(bytesLeft / at(runs, base + RUN.SIZE)));
}

function partsLeft(runs: Int32Array, base: number): number {
  const isUdp = at(runs, base + RUN.HEADER) - at(runs, base + RUN.START) === UDP_HEADER_BYTES;
  return (isUdp ? MAX_UDP_PARTS : MAX_PARTS) - at(runs, base + RUN.PARTS);
}

/**
 * Whether the packet, of the first one's length, has its header word by word: all but IPv4's id and
 * checksum, and TCP's sequence number, which is the next.
 */
export function hasNextHeader(
  view: DataView,
  runs: Int32Array,
  base: number,
  offset: number,
): boolean {
  const header = at(runs, base + RUN.HEADER);
  const start = at(runs, base + RUN.START);
  const words = base + RUN.WORDS;
  if (view.getInt32(offset) !== runs[words]) return false;
  let word = 4;
  if (start === IPV4_HEADER_BYTES) {
    // The id is the upper half of a word whose lower half is equal.
    const step = at(runs, base + RUN.ID_STEP);
    const id = (view.getInt32(offset + IPV4.ID) - at(runs, words + 1)) | 0;
    if (step === ANY || id !== (step * at(runs, base + RUN.PARTS)) << 16) return false;
    if ((view.getInt32(offset + IPV4.TTL) ^ at(runs, words + 2)) >>> 16 !== 0) return false;
    word = IPV4_SOURCE;
  }
  const ports = start + 4;
  for (; word < ports; word += 4) {
    if (view.getInt32(offset + word) !== runs[words + (word >> 2)]) return false;
  }
  if (header - start > UDP_HEADER_BYTES) {
    if (view.getInt32(offset + word) !== runs[base + RUN.SEQUENCE]) return false;
    word += 4;
  }
  for (; word < header; word += 4) {
    if (view.getInt32(offset + word) !== runs[words + (word >> 2)]) return false;
  }
  return true;
}
