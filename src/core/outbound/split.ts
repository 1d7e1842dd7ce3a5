/**
 * Splits a super-packet into shorter ones, so that none holds up a paced link for long.
 *
 * Each is what the sender's kernel would have made of that part: lengths, IPv4 id and sequence number count on,
 * CWR stays with the first, FIN and PSH with the last (as linux/net/ipv4/tcp_offload.c does for segments). The
 * partial checksum holds the sum of the pseudo-header, in which only the length differs (RFC 9293 §3.1).
 */
import { addToSum, correctIpv4Checksum, writeUint16 } from "../checksum.ts";
import {
  IPV4,
  IPV6,
  IPV6_HEADER_BYTES,
  TCP,
  TCP_FIELD,
  TCP_FLAG,
  UDP_FIELD,
  type UpperLayer,
  uint16At,
} from "../inner-packet.ts";
import { at, GSO, PACKET } from "../rows.ts";
import { viewOf } from "../wire.ts";

/** A packet of its own, with its row (OFFSET is meaningless). */
export interface Part {
  readonly bytes: Uint8Array;
  readonly row: Int32Array;
  /** Datagrams that it becomes. */
  readonly segments: number;
}

/**
 * Parts of at most `segmentsEach` segments of the super-packet `bytes` with row `row`, whose headers have
 * `headerLength` bytes (super-packet.ts) and whose transport header `upper` tells.
 */
export function splitPacket(
  bytes: Uint8Array,
  row: Int32Array,
  headerLength: number,
  upper: UpperLayer,
  segmentsEach: number,
): Part[] {
  const size = at(row, PACKET.GSO_SIZE);
  const parts: Part[] = [];
  for (let start = headerLength; start < bytes.length; start += segmentsEach * size) {
    const end = Math.min(start + segmentsEach * size, bytes.length);
    const part = new Uint8Array(headerLength + end - start);
    part.set(bytes.subarray(0, headerLength));
    part.set(bytes.subarray(start, end), headerLength);
    const done = start - headerLength;
    writeHeaders(part, upper, { done, segmentsDone: done / size, left: bytes.length - end });
    const segments = Math.ceil((end - start) / size);
    parts.push({ bytes: part, row: partRow(row, part.length, segments, done > 0), segments });
  }
  return parts;
}

/** Where in the payload a part lies, bytes; `segmentsDone` before it. */
interface Place {
  readonly done: number;
  readonly segmentsDone: number;
  readonly left: number;
}

function partRow(
  whole: Int32Array,
  length: number,
  segments: number,
  isLater: boolean,
): Int32Array {
  const row = whole.slice();
  row[PACKET.LENGTH] = length;
  const type = at(whole, PACKET.GSO_TYPE);
  row[PACKET.GSO_TYPE] = segments === 1 ? GSO.NONE : isLater ? type & ~GSO.ECN : type;
  if (segments === 1) row[PACKET.GSO_SIZE] = 0;
  return row;
}

/** The headers are the whole's still. */
function writeHeaders(part: Uint8Array, upper: UpperLayer, place: Place): void {
  const isV4 = (part[0] ?? 0) >> 4 === 4;
  const before = isV4
    ? uint16At(part, IPV4.TOTAL_LENGTH)
    : uint16At(part, IPV6.PAYLOAD_LENGTH) + IPV6_HEADER_BYTES;
  if (isV4) {
    changeIpv4Word(part, IPV4.TOTAL_LENGTH, part.length);
    changeIpv4Word(part, IPV4.ID, (uint16At(part, IPV4.ID) + place.segmentsDone) & 0xffff);
  } else {
    writeUint16(part, IPV6.PAYLOAD_LENGTH, part.length - IPV6_HEADER_BYTES);
  }
  const { start } = upper;
  if (upper.protocol === TCP) writeTcp(part, start, place);
  else writeUint16(part, start + UDP_FIELD.LENGTH, part.length - start);
  // In one's complement what is taken away is added as 0xffff less that.
  addToSum(part, start + upper.checksumOffset, 0xffff - (before - part.length));
}

function writeTcp(part: Uint8Array, start: number, { done, left }: Place): void {
  const view = viewOf(part);
  const sequence = view.getUint32(start + TCP_FIELD.SEQUENCE);
  view.setUint32(start + TCP_FIELD.SEQUENCE, sequence + done);
  let flags = part[start + TCP_FIELD.FLAGS_LOW] ?? 0;
  if (left > 0) flags &= ~(TCP_FLAG.FIN | TCP_FLAG.PSH);
  if (done > 0) flags &= ~TCP_FLAG.CWR;
  part[start + TCP_FIELD.FLAGS_LOW] = flags;
}

function changeIpv4Word(part: Uint8Array, field: number, value: number): void {
  correctIpv4Checksum(part, 0, value - uint16At(part, field));
  writeUint16(part, field, value);
}
