/**
 * Super-packets: what the TUN gives as one packet and the wire carries as several.
 *
 * The vnet header says how the kernel would cut it (linux/virtio_net.h); here it is held against the
 * packet itself, so that the cutter in the addon is never told a header that is not there. The trap: the
 * vnet header's HEADER_LENGTH is a hint and may be anything.
 */
import {
  findTransport,
  TCP,
  TCP_FIELD,
  UDP,
  UDP_HEADER_BYTES,
  type UpperLayer,
} from "../inner-packet.ts";
import { at, GSO, PACKET, PACKET_NEEDS_CHECKSUM } from "../rows.ts";

/** How a packet row is cut; made once, filled by `readCut`. */
export interface Cut {
  /** Datagrams that it becomes. */
  segments: number;
  /** Bytes of IP and transport header that every segment repeats; 0 where it is one packet. */
  headerLength: number;
  /** Bytes of the largest segment. */
  largest: number;
}

/** Fills `cut`; false where row and packet contradict each other. The packet's IP header is honest. */
export function readCut(
  arena: Uint8Array,
  rows: Int32Array,
  base: number,
  upper: UpperLayer,
  cut: Cut,
): boolean {
  const length = at(rows, base + PACKET.LENGTH);
  cut.segments = 1;
  cut.headerLength = 0;
  cut.largest = length;
  const type = at(rows, base + PACKET.GSO_TYPE);
  if ((type & ~GSO.ECN) === GSO.NONE) return true;
  const offset = at(rows, base + PACKET.OFFSET);
  const size = at(rows, base + PACKET.GSO_SIZE);
  const needsChecksum = (at(rows, base + PACKET.FLAGS) & PACKET_NEEDS_CHECKSUM) !== 0;
  if (!needsChecksum || size <= 0 || !findTransport(arena, offset, length, upper)) return false;
  if (upper.start !== at(rows, base + PACKET.CHECKSUM_START)) return false;
  if (upper.checksumOffset !== at(rows, base + PACKET.CHECKSUM_OFFSET)) return false;
  if (!isOfType(type, (arena[offset] ?? 0) >> 4, upper.protocol)) return false;
  const header = upper.start + transportBytes(arena, offset, upper);
  if (length - header <= size) return true;
  cut.segments = Math.ceil((length - header) / size);
  cut.headerLength = header;
  cut.largest = header + size;
  return true;
}

/**
 * Cuts a TCP super-packet into segments of at most `most` bytes instead; false where it is none: TCP is a stream
 * of bytes, so where it is cut is its carrier's to choose, but UDP's datagrams are the sender's. `cut` and
 * `upper` are as `readCut` left them.
 */
export function cutSmaller(
  arena: Uint8Array,
  rows: Int32Array,
  base: number,
  most: number,
  upper: UpperLayer,
  cut: Cut,
): boolean {
  const type = at(rows, base + PACKET.GSO_TYPE) & ~GSO.ECN;
  if (type !== GSO.TCP4 && type !== GSO.TCP6) return false;
  const header = upper.start + transportBytes(arena, at(rows, base + PACKET.OFFSET), upper);
  const size = most - header;
  if (size <= 0) return false;
  rows[base + PACKET.GSO_SIZE] = size;
  cut.segments = Math.ceil((at(rows, base + PACKET.LENGTH) - header) / size);
  cut.headerLength = header;
  cut.largest = most;
  return true;
}

function isOfType(type: number, version: number, protocol: number): boolean {
  if (type === GSO.UDP) return protocol === UDP;
  return protocol === TCP && (type & ~GSO.ECN) === (version === 4 ? GSO.TCP4 : GSO.TCP6);
}

function transportBytes(
  arena: Uint8Array,
  offset: number,
  { protocol, start }: UpperLayer,
): number {
  if (protocol === UDP) return UDP_HEADER_BYTES;
  return ((arena[offset + start + TCP_FIELD.FLAGS] ?? 0) >> 4) * 4;
}
