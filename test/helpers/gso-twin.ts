/**
 * Plain twins of core/inbound/join.ts: which packets may become one, and what a kernel makes of the rows again.
 *
 * `plainJoin` says by the rules, in objects and lists, which of the packets that arrived form a run. It
 * looks at every header with code of its own. `readDelivered` follows the rows as the addon would and
 * refuses any that the kernel would refuse (`virtio_net_hdr_to_skb` in linux/virtio_net.h), `cutAgain`
 * makes single packets of what it gives. The trap: a twin that shares code with what it checks agrees with its
 * mistakes, so nothing but row numbers comes from src.
 */
import {
  GSO,
  PACKET,
  PACKET_FIELDS,
  PACKET_NEEDS_CHECKSUM,
  PACKET_PART,
} from "../../src/core/rows.ts";
import { cutSuperPacket } from "./cut-twin.ts";
import { concat } from "./packet-builder.ts";
import { internetChecksum } from "./packets.ts";

/** A packet as it came out of the tunnel. */
export interface Arrived {
  readonly bytes: Uint8Array;
  /** Marked as having a partial checksum; then it is unfragmented TCP or UDP. */
  readonly isPartial: boolean;
}

/** One packet of the delivered rows, gathered. */
export interface Delivered {
  readonly bytes: Uint8Array;
  /** Rows that it was gathered from. */
  readonly parts: number;
  readonly needsChecksum: boolean;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly headerLength: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

/** Runs open at a time, and packets and bytes that one may have. */
const OPEN_RUNS = 8;
const MOST = { tcp: 128, udp: 64 } as const;
const MOST_BYTES = 65_535;
const FIN_PSH = 0x09;
const MOST_PARTS = 128;

/** What the rules look at. */
interface Seen {
  readonly protocol: "tcp" | "udp";
  /** Addresses; addresses, protocol and ports; every field that the packets of a run share. */
  readonly pair: string;
  readonly flow: string;
  readonly same: string;
  /** Whether a run may hold it at all. */
  readonly isJoinable: boolean;
  readonly payload: number;
  readonly header: number;
  readonly sequence: number;
  /** IPv4 only. */
  readonly id: number | undefined;
  readonly isDontFragment: boolean;
  readonly hasFinOrPsh: boolean;
}

interface Run {
  readonly members: number[];
  readonly packets: Seen[];
}

/** The runs that the rules allow: indices of packets, in the order of their first. */
export function plainJoin(
  packets: readonly Arrived[],
  wish: { readonly tcp: boolean; readonly udp: boolean },
): readonly (readonly number[])[] {
  const runs: Run[] = [];
  let open: Run[] = [];
  packets.forEach((packet, index) => {
    const seen = packet.isPartial ? look(packet.bytes) : undefined;
    if (seen === undefined) {
      const pair = pairOf(packet.bytes);
      open = open.filter(({ packets: [first] }) => first?.pair !== pair);
      runs.push({ members: [index], packets: [] });
      return;
    }
    const mine = open.find(({ packets: [first] }) => first?.flow === seen.flow);
    const isWished = wish[seen.protocol] && seen.isJoinable;
    const goesOn = mine !== undefined && isWished && isNext(mine, seen);
    const run = goesOn ? mine : { members: [], packets: [] };
    run.members.push(index);
    run.packets.push(seen);
    if (!goesOn) runs.push(run);
    if (goesOn && !isEnd(run, seen)) return;
    open = open.filter((other) => other !== mine);
    if (!goesOn && isWished && !seen.hasFinOrPsh) open = [...open, run].slice(-OPEN_RUNS);
  });
  return runs.map(({ members }) => members);
}

function isEnd(run: Run, last: Seen): boolean {
  return last.hasFinOrPsh || last.payload < (run.packets[0]?.payload ?? 0);
}

function isNext(run: Run, seen: Seen): boolean {
  const [first] = run.packets;
  const last = run.packets.at(-1);
  if (first === undefined || last === undefined || first.same !== seen.same) return false;
  const total = first.header + run.packets.reduce((sum, { payload }) => sum + payload, 0);
  return (
    seen.payload <= first.payload &&
    total + seen.payload <= MOST_BYTES &&
    run.packets.length < MOST[seen.protocol] &&
    seen.sequence === (last.sequence + (seen.protocol === "tcp" ? last.payload : 0)) >>> 0 &&
    hasNextId([...run.packets, seen])
  );
}

/** RFC 6864 §4.1: the id of a packet that may not be fragmented says nothing, but a run of them must not mix. */
function hasNextId(packets: readonly Seen[]): boolean {
  const [{ id: first } = { id: undefined }] = packets;
  if (first === undefined) return true;
  const isCounting = packets.every(({ id }, index) => id === ((first + index) & 0xffff));
  return isCounting || packets.every(({ id, isDontFragment }) => isDontFragment && id === first);
}

function look(bytes: Uint8Array): Seen {
  const view = viewOf(bytes);
  const is4 = view.getUint8(0) >> 4 === 4;
  const { protocol, start } = transportOf(bytes);
  const isTcp = protocol === 6;
  const header = start + (isTcp ? (view.getUint8(start + 12) >> 4) * 4 : 8);
  const payload = bytes.length - header;
  const pair = pairOf(bytes);
  const ports = view.getUint32(start);
  const flags = isTcp ? view.getUint16(start + 12) & 0x0fff : 0;
  const isLonely = isTcp ? (flags & 0x10) === 0 || (flags & 0xa6) !== 0 : false;
  const isHonestUdp = isTcp || view.getUint16(start + 4) === bytes.length - start;
  const network = is4
    ? [view.getUint8(1), view.getUint8(8), view.getUint16(6)]
    : [view.getUint32(0), view.getUint8(7)];
  const transport = isTcp
    ? [view.getUint32(start + 8), flags & ~FIN_PSH, view.getUint16(start + 14)]
    : [];
  const options = isTcp ? [...bytes.subarray(start + 18, header)] : [];
  return {
    protocol: isTcp ? "tcp" : "udp",
    pair,
    flow: `${pair} ${protocol} ${ports}`,
    same: JSON.stringify([header, network, transport, options, pseudoRest(bytes, start, isTcp)]),
    isJoinable: start === (is4 ? 20 : 40) && payload > 0 && !isLonely && isHonestUdp,
    payload,
    header,
    sequence: isTcp ? view.getUint32(start + 4) : 0,
    id: is4 ? view.getUint16(4) : undefined,
    isDontFragment: is4 && (view.getUint16(6) & 0x4000) !== 0,
    hasFinOrPsh: (flags & FIN_PSH) !== 0,
  };
}

/** The partial checksum without the length that is part of it: the same in all packets of a run that tell no lies. */
function pseudoRest(bytes: Uint8Array, start: number, isTcp: boolean): number {
  const sum = viewOf(bytes).getUint16(start + (isTcp ? 16 : 6));
  return (sum - (bytes.length - start) + 2 * 0xffff) % 0xffff;
}

/** Version and addresses. */
function pairOf(bytes: Uint8Array): string {
  const is4 = (bytes[0] ?? 0) >> 4 === 4;
  return (is4 ? bytes.subarray(12, 20) : bytes.subarray(8, 40)).join(".");
}

/** Protocol and offset of the transport header; trusts the packet. */
function transportOf(bytes: Uint8Array): { readonly protocol: number; readonly start: number } {
  if ((bytes[0] ?? 0) >> 4 === 4) {
    return { protocol: bytes[9] ?? 0, start: ((bytes[0] ?? 0) & 0x0f) * 4 };
  }
  let protocol = bytes[6] ?? 0;
  let start = 40;
  while ([0, 43, 60].includes(protocol)) {
    protocol = bytes[start] ?? 0;
    start += ((bytes[start + 1] ?? 0) + 1) * 8;
  }
  return { protocol, start };
}

/**
 * The packets of `count` rows, in the order in which they are written. Throws where the addon would refuse
 * a row, where a row is used twice or never, and where the vnet header contradicts the bytes.
 */
export function readDelivered(
  arena: Uint8Array,
  rows: Int32Array,
  count: number,
): readonly Delivered[] {
  const used = new Set<number>();
  const delivered: Delivered[] = [];
  for (let row = 0; row < count; row++) {
    const isPart = (field(rows, row, PACKET.FLAGS) & PACKET_PART) !== 0;
    if (isPart) {
      check(used.has(row), `row ${row} is a part of nothing`);
    } else {
      const packet = gather(arena, rows, row, count, used);
      checkHeader(packet);
      delivered.push(packet);
    }
  }
  return delivered;
}

function gather(
  arena: Uint8Array,
  rows: Int32Array,
  head: number,
  count: number,
  used: Set<number>,
): Delivered {
  const parts: Uint8Array[] = [];
  for (let row = head; ; row = field(rows, row, PACKET.NEXT)) {
    const [offset, length] = [field(rows, row, PACKET.OFFSET), field(rows, row, PACKET.LENGTH)];
    const pieces = Math.max(1, field(rows, row, PACKET.PIECES));
    for (let piece = 0; piece < pieces; piece++) {
      const start = offset + piece * field(rows, row, PACKET.STRIDE);
      check(start >= 0 && length > 0 && start + length <= arena.length, `row ${row} is outside`);
      parts.push(arena.slice(start, start + length));
    }
    const next = field(rows, row, PACKET.NEXT);
    if (next === 0) break;
    check(next > row && next < count, `row ${row} leads to ${next}`);
    check((field(rows, next, PACKET.FLAGS) & PACKET_PART) !== 0, `row ${next} is no part`);
    check(!used.has(next), `row ${next} is used twice`);
    used.add(next);
  }
  check(parts.length <= MOST_PARTS, `row ${head} has ${parts.length} parts`);
  return {
    bytes: concat(...parts),
    parts: parts.length,
    needsChecksum: (field(rows, head, PACKET.FLAGS) & PACKET_NEEDS_CHECKSUM) !== 0,
    gsoType: field(rows, head, PACKET.GSO_TYPE),
    gsoSize: field(rows, head, PACKET.GSO_SIZE),
    headerLength: field(rows, head, PACKET.HEADER_LENGTH),
    checksumStart: field(rows, head, PACKET.CHECKSUM_START),
    checksumOffset: field(rows, head, PACKET.CHECKSUM_OFFSET),
  };
}

/** What the kernel checks of a vnet header, and what it trusts. */
function checkHeader(packet: Delivered): void {
  const { bytes, gsoType, gsoSize, headerLength, checksumStart, checksumOffset } = packet;
  if (packet.needsChecksum) {
    const { protocol, start } = transportOf(bytes);
    check(checksumStart === start, `checksum starts at ${checksumStart}, not ${start}`);
    check(checksumOffset === (protocol === 6 ? 16 : 6), `checksum at ${checksumOffset}`);
  } else check(checksumStart === 0 && checksumOffset === 0, "a place for no checksum");
  check((gsoType === GSO.NONE) === (packet.parts === 1), `${packet.parts} parts, type ${gsoType}`);
  if (gsoType === GSO.NONE) {
    check(gsoSize === 0 && headerLength === 0, "sizes without a type");
    return;
  }
  check(packet.needsChecksum, "a super-packet with a full checksum");
  check(gsoType === typeOf(bytes), `type ${gsoType} does not fit the packet`);
  check(gsoSize > 0 && bytes.length > headerLength + gsoSize, `${gsoSize} leave nothing to cut`);
  check(hasHonestLengths(bytes, checksumStart), "lengths that do not fit the packet");
}

function typeOf(bytes: Uint8Array): number {
  if (transportOf(bytes).protocol === 17) return GSO.UDP;
  return (bytes[0] ?? 0) >> 4 === 4 ? GSO.TCP4 : GSO.TCP6;
}

function hasHonestLengths(bytes: Uint8Array, start: number): boolean {
  const view = viewOf(bytes);
  const isUdp = transportOf(bytes).protocol === 17;
  if (isUdp && view.getUint16(start + 4) !== bytes.length - start) return false;
  if (view.getUint8(0) >> 4 === 6) return view.getUint16(4) + 40 === bytes.length;
  return view.getUint16(2) === bytes.length && internetChecksum(bytes.subarray(0, start)) === 0;
}

/** The single packets of a delivered one. */
export function cutAgain(packet: Delivered): readonly Uint8Array[] {
  const { bytes, gsoType, gsoSize, headerLength, checksumStart } = packet;
  if (gsoType === GSO.NONE) return [bytes];
  return cutSuperPacket(bytes, { gsoType, gsoSize, headerLength, checksumStart });
}

function field(rows: Int32Array, row: number, index: number): number {
  return rows[row * PACKET_FIELDS + index] ?? Number.NaN;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function check(isRight: boolean, otherwise: string): void {
  if (!isRight) throw new Error(otherwise);
}
