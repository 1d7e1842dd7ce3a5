/**
 * Scenarios of tunWrite, run in a namespace of their own (tun-write.test.ts asserts on the facts).
 *
 * Each has its own device and its own 10.x.0.0/24 network behind it.
 */
import { packetBatch } from "../../src/core/batch.ts";
import { PACKET, PACKET_FIELDS, PACKET_PART } from "../../src/core/rows.ts";
import { bringUp, column, icmp, ipv4, packetsToWrite, pattern } from "./namespace.ts";
import { testNative } from "./native.ts";
import { nameOrZero } from "./sockets.ts";

const native = testNative();
const STRIDE = 256;

/** The kernel answers an echo request that comes whole, or gathered from rows. */
export async function writes() {
  const fd = open("writes0");
  bringUp("writes0", "10.4.0.1/24");
  const request = ipv4(1, "10.4.0.2", "10.4.0.1", icmp(8, 0, pattern(60)));
  const whole = packetsToWrite([request]);
  const other = ipv4(1, "10.4.0.2", "10.4.0.1", icmp(8, 0, pattern(61)));
  // Two packets whose rows alternate, then one alone.
  const gathered = packetsToWrite([
    request.subarray(0, 20),
    other.subarray(0, 33),
    request.subarray(20, 21),
    request.subarray(21),
    other.subarray(33),
    request,
  ]);
  chain(gathered.rows, [0, 2, 3]);
  chain(gathered.rows, [1, 4]);
  // The first one's last row is its pieces of one byte.
  const rest = gathered.rows[3 * PACKET_FIELDS + PACKET.LENGTH] ?? 0;
  gathered.rows[3 * PACKET_FIELDS + PACKET.LENGTH] = 1;
  gathered.rows[3 * PACKET_FIELDS + PACKET.PIECES] = rest;
  gathered.rows[3 * PACKET_FIELDS + PACKET.STRIDE] = 1;
  const before = Buffer.from(gathered.arena);
  const wholeWritten = native.tunWrite(fd, whole.arena, whole.rows, 1);
  const gatheredWritten = native.tunWrite(fd, gathered.arena, gathered.rows, 6);
  const batch = packetBatch(new Uint8Array(8 * STRIDE), 8);
  const replies = native.tunRead(fd, batch.arena, STRIDE, batch.rows, 8);
  const offsets = column(batch.rows, PACKET_FIELDS, PACKET.OFFSET, replies);
  const facts = {
    wholeWritten,
    gatheredWritten,
    status: column(gathered.rows, PACKET_FIELDS, PACKET.STATUS, 6),
    lengths: column(batch.rows, PACKET_FIELDS, PACKET.LENGTH, replies),
    types: offsets.map((offset) => batch.arena[offset + 20]),
    isEcho: Buffer.compare(batch.arena.subarray(24, 84), pattern(60)) === 0,
    isUnchanged: Buffer.compare(gathered.arena, before) === 0,
  };
  native.close(fd);
  return facts;
}

/** Rows that make no sense fail alone. */
export async function badRows() {
  const fd = open("badrows0");
  bringUp("badrows0", "10.5.0.1/24");
  const good = ipv4(1, "10.5.0.2", "10.5.0.1", icmp(8, 0, pattern(8)));
  const batch = packetsToWrite(Array.from({ length: 12 }, () => good));
  const set = (row: number, field: number, value: number) => {
    batch.rows[row * PACKET_FIELDS + field] = value;
  };
  set(1, PACKET.OFFSET, -1);
  set(2, PACKET.OFFSET, batch.arena.length - good.length + 1);
  set(3, PACKET.LENGTH, -1);
  set(4, PACKET.LENGTH, 0x7fffffff);
  set(5, PACKET.OFFSET, 0x7fffffff);
  set(6, PACKET.GSO_SIZE, 65_536);
  set(7, PACKET.CHECKSUM_START, -1);
  set(8, PACKET.GSO_TYPE, 256);
  set(9, PACKET.LENGTH, 0);
  set(11, PACKET.FLAGS, PACKET_PART);
  const written = native.tunWrite(fd, batch.arena, batch.rows, 12);
  const facts = {
    written,
    status: column(batch.rows, PACKET_FIELDS, PACKET.STATUS, 12).map(nameOrZero),
  };
  native.close(fd);
  return facts;
}

/** Chains that lead nowhere, back, in a ring or on for too long fail alone. */
export async function badChains() {
  const fd = open("chains0");
  bringUp("chains0", "10.11.0.1/24");
  const good = ipv4(1, "10.11.0.2", "10.11.0.1", icmp(8, 0, pattern(8)));
  const write = (count: number, spoil: (set: SetField, rows: Int32Array) => void) => {
    const batch = packetsToWrite(Array.from({ length: count }, () => good.subarray(0, 1)));
    const last = packetsToWrite([good]);
    const arena = Buffer.concat([batch.arena, last.arena]);
    const rows = Int32Array.from([...batch.rows, ...last.rows]);
    rows[count * PACKET_FIELDS + PACKET.OFFSET] = batch.arena.length;
    spoil((row, field, value) => {
      rows[row * PACKET_FIELDS + field] = value;
    }, rows);
    const written = native.tunWrite(fd, arena, rows, count + 1);
    const status = column(rows, PACKET_FIELDS, PACKET.STATUS, count + 1).map(nameOrZero);
    return { written, first: status[0], last: status[count], all: [...new Set(status)] };
  };
  const from = (count: number) => Array.from({ length: count }, (_, row) => row);
  const facts = {
    ring: write(2, (set) => {
      set(0, PACKET.NEXT, 1);
      set(1, PACKET.FLAGS, PACKET_PART);
      set(1, PACKET.NEXT, 1);
    }),
    back: write(3, (set) => {
      set(0, PACKET.NEXT, 2);
      set(1, PACKET.FLAGS, PACKET_PART);
      set(2, PACKET.FLAGS, PACKET_PART);
      set(2, PACKET.NEXT, 1);
    }),
    pastEnd: write(1, (set) => set(0, PACKET.NEXT, 2)),
    farPastEnd: write(1, (set) => set(0, PACKET.NEXT, 0x7fffffff)),
    negative: write(1, (set) => set(0, PACKET.NEXT, -1)),
    noPart: write(1, (set) => set(0, PACKET.NEXT, 1)),
    badPart: write(3, (set, rows) => {
      chain(rows, [0, 1, 2]);
      set(2, PACKET.LENGTH, 0x7fffffff);
    }),
    lonelyParts: write(2, (set) => {
      set(0, PACKET.FLAGS, PACKET_PART);
      set(0, PACKET.NEXT, 1);
      set(1, PACKET.FLAGS, PACKET_PART);
    }),
    tooMany: write(129, (_, rows) => chain(rows, from(129))),
    tooManyPieces: write(1, (set) => set(0, PACKET.PIECES, 129)),
    farTooManyPieces: write(1, (set) => set(0, PACKET.PIECES, 0x7fffffff)),
    negativePieces: write(1, (set) => set(0, PACKET.PIECES, -1)),
    piecesOutside: write(1, (set) => {
      set(0, PACKET.PIECES, 3);
      set(0, PACKET.STRIDE, 0x7fffffff);
    }),
    piecesBefore: write(1, (set) => {
      set(0, PACKET.PIECES, 2);
      set(0, PACKET.STRIDE, -1);
    }),
    piecesOverParts: write(2, (set) => {
      set(0, PACKET.NEXT, 1);
      set(1, PACKET.FLAGS, PACKET_PART);
      set(1, PACKET.PIECES, 128);
    }),
  };
  const spread = packetsToWrite([
    ...from(127).map((at) => good.subarray(at % 28, (at % 28) + 1)),
    good,
  ]);
  chain(spread.rows, from(128));
  for (let row = 0; row < 28; row++) spread.rows[row * PACKET_FIELDS + PACKET.OFFSET] = row;
  for (let row = 28; row < 128; row++) spread.rows[row * PACKET_FIELDS + PACKET.LENGTH] = 0;
  spread.rows[127 * PACKET_FIELDS + PACKET.LENGTH] = good.length - 28;
  spread.rows[127 * PACKET_FIELDS + PACKET.OFFSET] = 127 + 28;
  const most = native.tunWrite(fd, spread.arena, spread.rows, 128);
  native.close(fd);
  return { ...facts, most };
}

type SetField = (row: number, field: number, value: number) => void;

/** Joins rows to one packet. */
function chain(rows: Int32Array, list: readonly number[]): void {
  list.forEach((row, index) => {
    if (index > 0) rows[row * PACKET_FIELDS + PACKET.FLAGS] = PACKET_PART;
    rows[row * PACKET_FIELDS + PACKET.NEXT] = list[index + 1] ?? 0;
  });
}

function open(name: string): number {
  const fd = native.tunOpen(name, 0, new Uint8Array(16));
  if (fd < 0) throw new Error(`tunOpen ${name}: ${native.errnoName(fd)}`);
  return fd;
}
