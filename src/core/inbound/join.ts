/**
 * Joining packets for the TUN: consecutive segments of one flow become one super-packet.
 *
 * A run is a chain of delivered rows, the first with its header, the others with their payload alone; it
 * goes to the kernel as one gathered write with a vnet header. It is what generic receive offload does on
 * a network card, under the same conditions, so a forwarding host can cut it again without loss: same
 * header but for lengths, checksum and IPv4 id, next TCP sequence number, equal payload sizes. A short
 * segment, or one with PSH or FIN, is a run's last.
 *
 * Only packets with a partial checksum are joined: their bytes are covered by the tag, and nothing has to
 * be summed. The trap is order inside a flow: a packet that cannot be joined ends its flow's run, and one
 * whose transport header is not seen ends every run between its two addresses.
 *
 * BOUNDED: 8 runs open at a time; the one opened longest ago is closed for a ninth.
 */
import type { PacketBatch } from "../batch.ts";
import { addToSum, writeIpv4Length, writeUint16 } from "../checksum.ts";
import {
  IPV4_HEADER_BYTES,
  IPV6,
  IPV6_HEADER_BYTES,
  TCP,
  TCP_FIELD,
  TCP_FLAG,
  UDP,
  UDP_FIELD,
  UDP_HEADER_BYTES,
  type UpperLayer,
} from "../inner-packet.ts";
import { at, GSO, PACKET, PACKET_FIELDS, PACKET_NEEDS_CHECKSUM, PACKET_PART } from "../rows.ts";
import { viewOf } from "../wire.ts";
import {
  ANY,
  continuesIpv4,
  continuesIpv6,
  continuesTcp,
  ENDING,
  idStep,
  isSamePair,
} from "./flow-header.ts";
import { hasNextHeader, hasRoom, MAX_RUNS, RUN, RUN_FIELDS, roomIn } from "./run.ts";

/** No run. */
const NONE = -1;

/** SYN, RST, URG, CWR: such a segment stands alone. */
const LONELY = TCP_FLAG.SYN | TCP_FLAG.RST | TCP_FLAG.URG | TCP_FLAG.CWR;
/** Which transports are joined. */
export interface JoinWish {
  readonly tcp: boolean;
  readonly udp: boolean;
}

/** Writes the rows of `packets`, joining what may be joined. */
export class Joiner {
  readonly #packets: PacketBatch;
  readonly #view: DataView;
  readonly #wish: JoinWish;
  readonly #runs = new Int32Array(MAX_RUNS * RUN_FIELDS);
  #openRuns = 0;
  /** The run of the packet that was added last, or NONE. */
  #recent = NONE;

  constructor(packets: PacketBatch, wish: JoinWish) {
    this.#packets = packets;
    this.#view = viewOf(packets.arena);
    this.#wish = wish;
  }

  /** Starts an empty batch. */
  begin(): void {
    this.#packets.count = 0;
    this.#openRuns = 0;
    this.#recent = NONE;
  }

  /**
   * Adds a packet with a partial checksum that continues the run of the packet before it, at full size;
   * false, and nothing done, where it does not, or `add` has to look. This is the short way for the bulk of
   * a run: a header that is the run's header needs no other check.
   */
  addNext(offset: number, length: number): boolean {
    if (this.#recent === NONE) return false;
    const runs = this.#runs;
    const base = this.#recent * RUN_FIELDS;
    const header = at(runs, base + RUN.HEADER);
    const size = at(runs, base + RUN.SIZE);
    if (length !== header + size || !hasRoom(runs, base, size)) return false;
    if (!hasNextHeader(this.#view, runs, base, offset)) return false;
    this.#extend(base, offset + header, size, 1, 0);
    return true;
  }

  /**
   * The same for up to `count` packets, `stride` apart, of which each continues the one before (OPENED_ALIKE);
   * returns how many were added. Two are looked at, which shows that the rest count on as the run does.
   */
  addAlike(offset: number, length: number, stride: number, count: number): number {
    if (!this.addNext(offset, length)) return 0;
    if (count < 2 || !this.addNext(offset + stride, length)) return 1;
    const runs = this.#runs;
    const base = this.#recent * RUN_FIELDS;
    const header = at(runs, base + RUN.HEADER);
    const size = at(runs, base + RUN.SIZE);
    const pieces = Math.min(count - 2, roomIn(runs, base));
    if (pieces === 0) return 2;
    this.#extend(base, offset + 2 * stride + header, size, pieces, stride);
    return 2 + pieces;
  }

  /**
   * Adds a packet with an honest IP header; `upper` is of this packet where its checksum is partial. Packets
   * are written in the order of their first rows.
   */
  add(offset: number, length: number, isPartial: boolean, upper: UpperLayer): void {
    this.#recent = NONE;
    if (!isPartial) {
      this.#closePair(offset);
      this.#addRow(offset, length, 0);
      return;
    }
    const run = this.#findFlow(offset, upper);
    const header = this.#headerOf(offset, length, upper);
    if (header > 0 && run >= 0 && this.#fits(run, offset, length, header)) {
      this.#append(run, offset, length, header);
      return;
    }
    if (run >= 0) this.#close(run);
    const row = this.#addRow(offset, length, PACKET_NEEDS_CHECKSUM);
    this.#packets.rows[row * PACKET_FIELDS + PACKET.CHECKSUM_START] = upper.start;
    this.#packets.rows[row * PACKET_FIELDS + PACKET.CHECKSUM_OFFSET] = upper.checksumOffset;
    if (header > 0 && !this.#isLast(offset, upper)) this.#open(row, offset, length, header, upper);
  }

  /** Ends every run; the rows can be written afterwards. */
  finish(): void {
    while (this.#openRuns > 0) this.#close(this.#openRuns - 1);
  }

  /** Bytes of all headers where the packet may be part of a run, else 0. */
  #headerOf(offset: number, length: number, { protocol, start }: UpperLayer): number {
    const view = this.#view;
    // Neither options nor extension headers.
    const isPlain =
      start === (view.getUint8(offset) >> 4 === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES);
    if (!isPlain || (protocol === TCP ? !this.#wish.tcp : !this.#wish.udp)) return 0;
    if (protocol === UDP) {
      const isHonest = view.getUint16(offset + start + UDP_FIELD.LENGTH) === length - start;
      return isHonest && length > start + UDP_HEADER_BYTES ? start + UDP_HEADER_BYTES : 0;
    }
    const flags = view.getUint16(offset + start + TCP_FIELD.FLAGS);
    if ((flags & TCP_FLAG.ACK) === 0 || (flags & LONELY) !== 0) return 0;
    const header = start + (flags >> 12) * 4;
    return length > header ? header : 0;
  }

  /** Whether nothing may follow a segment. */
  #isLast(offset: number, { protocol, start }: UpperLayer): boolean {
    return (
      protocol === TCP && (this.#view.getUint8(offset + start + TCP_FIELD.FLAGS_LOW) & ENDING) !== 0
    );
  }

  /** The open run of the packet's flow, or NONE. */
  #findFlow(offset: number, upper: UpperLayer): number {
    for (let run = this.#openRuns - 1; run >= 0; run--) {
      if (this.#isSameFlow(run, offset, upper)) return run;
    }
    return NONE;
  }

  /** Same addresses, transport and ports. */
  #isSameFlow(run: number, offset: number, { protocol, start }: UpperLayer): boolean {
    const view = this.#view;
    const first = this.#field(run, RUN.OFFSET);
    const runStart = this.#field(run, RUN.START);
    return (
      view.getInt32(first + runStart) === view.getInt32(offset + start) &&
      this.#protocolOf(run) === protocol &&
      isSamePair(view, first, offset)
    );
  }

  #protocolOf(run: number): number {
    return this.#field(run, RUN.HEADER) - this.#field(run, RUN.START) > UDP_HEADER_BYTES
      ? TCP
      : UDP;
  }

  /** Whether the packet, of the run's flow, is the next one of the run. */
  #fits(run: number, offset: number, length: number, header: number): boolean {
    const view = this.#view;
    const base = run * RUN_FIELDS;
    const first = this.#field(run, RUN.OFFSET);
    const start = this.#field(run, RUN.START);
    const bytes = header - start;
    const sequence = this.#field(run, RUN.SEQUENCE);
    return (
      header === this.#field(run, RUN.HEADER) &&
      length - header <= this.#field(run, RUN.SIZE) &&
      hasRoom(this.#runs, base, length - header) &&
      (start === IPV4_HEADER_BYTES
        ? this.#continuesIpv4(base, offset)
        : continuesIpv6(view, first, offset)) &&
      (bytes === UDP_HEADER_BYTES ||
        continuesTcp(view, first + start, offset + start, bytes, sequence)) &&
      this.#hasSameSum(run, offset, length)
    );
  }

  #continuesIpv4(base: number, offset: number): boolean {
    const runs = this.#runs;
    return continuesIpv4(
      this.#view,
      at(runs, base + RUN.OFFSET),
      offset,
      at(runs, base + RUN.PARTS),
      at(runs, base + RUN.ID_STEP),
    );
  }

  /** Whether the partial checksum is the first packet's, but for its length. */
  #hasSameSum(run: number, offset: number, length: number): boolean {
    const first = this.#field(run, RUN.OFFSET);
    const field = this.#checksumField(run);
    const firstLength = this.#field(run, RUN.HEADER) + this.#field(run, RUN.SIZE);
    const sum = this.#view.getUint16(offset + field) + firstLength - length;
    return (sum - this.#view.getUint16(first + field)) % 0xffff === 0;
  }

  #checksumField(run: number): number {
    const offset = this.#protocolOf(run) === TCP ? TCP_FIELD.CHECKSUM : UDP_FIELD.CHECKSUM;
    return this.#field(run, RUN.START) + offset;
  }

  /** Adds the payload to the run. */
  #append(run: number, offset: number, length: number, header: number): void {
    const payload = length - header;
    const base = run * RUN_FIELDS;
    const runs = this.#runs;
    if (this.#field(run, RUN.START) === IPV4_HEADER_BYTES) {
      const first = at(runs, base + RUN.OFFSET);
      runs[base + RUN.ID_STEP] = idStep(this.#view, first, offset, at(runs, base + RUN.PARTS));
    }
    this.#extend(base, offset + header, payload, 1, 0);
    const isTcp = this.#protocolOf(run) === TCP;
    const flagsAt = offset + this.#field(run, RUN.START) + TCP_FIELD.FLAGS_LOW;
    const flags = isTcp ? this.#view.getUint8(flagsAt) & ENDING : 0;
    runs[base + RUN.LAST_FLAGS] = flags;
    this.#recent = run;
    if (flags !== 0 || payload < at(runs, base + RUN.SIZE)) this.#close(run);
  }

  #open(
    row: number,
    offset: number,
    length: number,
    header: number,
    { protocol, start }: UpperLayer,
  ): void {
    if (this.#openRuns === MAX_RUNS) this.#close(0);
    const base = this.#openRuns * RUN_FIELDS;
    const runs = this.#runs;
    const payload = length - header;
    const sequenceAt = offset + start + TCP_FIELD.SEQUENCE;
    runs[base + RUN.HEAD] = row;
    runs[base + RUN.LAST] = row;
    runs[base + RUN.OFFSET] = offset;
    runs[base + RUN.START] = start;
    runs[base + RUN.HEADER] = header;
    runs[base + RUN.SIZE] = payload;
    runs[base + RUN.TOTAL] = length;
    runs[base + RUN.PARTS] = 1;
    runs[base + RUN.SEQUENCE] = protocol === TCP ? this.#view.getInt32(sequenceAt) + payload : 0;
    runs[base + RUN.ID_STEP] = ANY;
    runs[base + RUN.LAST_FLAGS] = 0;
    for (let word = 0; word < header >> 2; word++) {
      runs[base + RUN.WORDS + word] = this.#view.getInt32(offset + word * 4);
    }
    this.#recent = this.#openRuns;
    this.#openRuns += 1;
  }

  /** Ends the runs between the packet's two addresses. */
  #closePair(offset: number): void {
    for (let run = this.#openRuns - 1; run >= 0; run--) {
      if (isSamePair(this.#view, this.#field(run, RUN.OFFSET), offset)) this.#close(run);
    }
  }

  /** Ends a run and makes the first packet's header that of the whole. */
  #close(run: number): void {
    if (this.#field(run, RUN.PARTS) > 1) this.#complete(run);
    this.#recent = NONE;
    this.#openRuns -= 1;
    const base = run * RUN_FIELDS;
    // The order of the others stays: the first is the one opened longest ago.
    this.#runs.copyWithin(base, base + RUN_FIELDS, (this.#openRuns + 1) * RUN_FIELDS);
  }

  #complete(run: number): void {
    const { arena, rows } = this.#packets;
    const offset = this.#field(run, RUN.OFFSET);
    const start = this.#field(run, RUN.START);
    const total = this.#field(run, RUN.TOTAL);
    const size = this.#field(run, RUN.SIZE);
    const isTcp = this.#protocolOf(run) === TCP;
    const base = this.#field(run, RUN.HEAD) * PACKET_FIELDS;
    addToSum(arena, offset + this.#checksumField(run), total - at(rows, base + PACKET.LENGTH));
    const isV4 = start === IPV4_HEADER_BYTES;
    if (isV4) writeIpv4Length(arena, offset, total);
    else writeUint16(arena, offset + IPV6.PAYLOAD_LENGTH, total - IPV6_HEADER_BYTES);
    if (!isTcp) writeUint16(arena, offset + start + UDP_FIELD.LENGTH, total - start);
    const flagsAt = offset + start + TCP_FIELD.FLAGS_LOW;
    if (isTcp) arena[flagsAt] = (arena[flagsAt] ?? 0) | this.#field(run, RUN.LAST_FLAGS);
    rows[base + PACKET.GSO_TYPE] = isTcp ? (isV4 ? GSO.TCP4 : GSO.TCP6) : GSO.UDP;
    rows[base + PACKET.GSO_SIZE] = size;
    rows[base + PACKET.HEADER_LENGTH] = this.#field(run, RUN.HEADER);
  }

  /**
   * Adds the row of the payloads of `pieces` packets behind the run's last row; the fields of a first row
   * mean nothing in it.
   */
  #extend(base: number, offset: number, length: number, pieces: number, stride: number): void {
    const { rows, count } = this.#packets;
    const runs = this.#runs;
    const part = count * PACKET_FIELDS;
    rows[part + PACKET.OFFSET] = offset;
    rows[part + PACKET.LENGTH] = length;
    rows[part + PACKET.FLAGS] = PACKET_PART;
    rows[part + PACKET.NEXT] = 0;
    rows[part + PACKET.PIECES] = pieces;
    rows[part + PACKET.STRIDE] = stride;
    rows[at(runs, base + RUN.LAST) * PACKET_FIELDS + PACKET.NEXT] = count;
    this.#packets.count = count + 1;
    runs[base + RUN.LAST] = count;
    runs[base + RUN.TOTAL] = at(runs, base + RUN.TOTAL) + pieces * length;
    runs[base + RUN.PARTS] = at(runs, base + RUN.PARTS) + pieces;
    runs[base + RUN.SEQUENCE] = at(runs, base + RUN.SEQUENCE) + pieces * length;
  }

  #addRow(offset: number, length: number, flags: number): number {
    const { rows, count } = this.#packets;
    const base = count * PACKET_FIELDS;
    rows[base + PACKET.OFFSET] = offset;
    rows[base + PACKET.LENGTH] = length;
    rows[base + PACKET.FLAGS] = flags;
    rows[base + PACKET.GSO_TYPE] = GSO.NONE;
    rows[base + PACKET.GSO_SIZE] = 0;
    rows[base + PACKET.HEADER_LENGTH] = 0;
    rows[base + PACKET.CHECKSUM_START] = 0;
    rows[base + PACKET.CHECKSUM_OFFSET] = 0;
    rows[base + PACKET.STATUS] = 0;
    rows[base + PACKET.NEXT] = 0;
    rows[base + PACKET.PIECES] = 0;
    rows[base + PACKET.STRIDE] = 0;
    this.#packets.count = count + 1;
    return count;
  }

  #field(run: number, field: number): number {
    return at(this.#runs, run * RUN_FIELDS + field);
  }
}
