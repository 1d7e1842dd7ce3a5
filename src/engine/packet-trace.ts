/**
 * Packet lines for the debug log: a ring that the engine fills and the control side fetches.
 *
 * Made only when the log level is debug; otherwise the loop has no trace and pays one comparison a
 * batch. Lines hold sizes, addresses and direction, never content. BOUNDED: 100 lines between two
 * fetches (the control side fetches once a second); the rest is counted.
 */
import type { MessageBatch, PacketBatch } from "../core/batch.ts";
import {
  MESSAGE,
  MESSAGE_FIELDS,
  PACKET,
  PACKET_FIELDS,
  PACKET_PART,
  packetsIn,
} from "../core/rows.ts";
import type { PacketLine } from "./messages.ts";

/** Lines kept between two fetches. */
export const TRACE_LINES = 100;

type Direction = PacketLine["direction"];

/** The bounded ring of packet lines. */
export class PacketTrace {
  #lines: PacketLine[] = [];
  #suppressed = 0;

  /** Records the rows of a message batch, each a datagram or a run of them. */
  datagrams(direction: Direction, batch: MessageBatch): void {
    for (let row = 0; row < batch.count; row += 1) {
      if (this.#isFull()) continue;
      this.#lines.push(datagramLine(direction, batch.rows, row * MESSAGE_FIELDS));
    }
  }

  /** Records the rows of a packet batch. */
  packets(direction: Direction, batch: PacketBatch): void {
    for (let row = 0; row < batch.count; row += 1) {
      // A part lies behind its packet's first row, which counts its bytes.
      const flags = batch.rows[row * PACKET_FIELDS + PACKET.FLAGS] ?? 0;
      if ((flags & PACKET_PART) !== 0 || this.#isFull()) continue;
      this.#lines.push(packetLine(direction, batch, row * PACKET_FIELDS));
    }
  }

  /** Takes the lines and the count of those that did not fit. */
  drain(): { readonly lines: readonly PacketLine[]; readonly suppressed: number } {
    const drained = { lines: this.#lines, suppressed: this.#suppressed };
    this.#lines = [];
    this.#suppressed = 0;
    return drained;
  }

  #isFull(): boolean {
    if (this.#lines.length < TRACE_LINES) return false;
    this.#suppressed += 1;
    return true;
  }
}

function datagramLine(direction: Direction, rows: Int32Array, base: number): PacketLine {
  const remote = new Uint8Array(
    rows.slice(base + MESSAGE.REMOTE, base + MESSAGE.REMOTE + 4).buffer,
  );
  return {
    direction,
    layer: "datagram",
    length: rows[base + MESSAGE.LENGTH] ?? 0,
    source: direction === "inbound" ? remote : undefined,
    destination: direction === "outbound" ? remote : undefined,
    port: rows[base + MESSAGE.PORT] ?? 0,
  };
}

function packetLine(direction: Direction, batch: PacketBatch, base: number): PacketLine {
  const offset = batch.rows[base + PACKET.OFFSET] ?? 0;
  const length = batch.rows[base + PACKET.LENGTH] ?? 0;
  const header = batch.arena.subarray(offset, offset + Math.min(length, 40));
  const total = length + partBytes(batch.rows, base);
  return { direction, layer: "packet", length: total, ...innerAddresses(header), port: 0 };
}

/** Bytes of the rows that a packet goes on in. */
function partBytes(rows: Int32Array, base: number): number {
  let bytes = 0;
  for (let next = rows[base + PACKET.NEXT] ?? 0; next !== 0; ) {
    const part = next * PACKET_FIELDS;
    bytes += (rows[part + PACKET.LENGTH] ?? 0) * packetsIn(rows, part);
    next = rows[next * PACKET_FIELDS + PACKET.NEXT] ?? 0;
  }
  return bytes;
}

/** Source and destination by RFC 791 §3.1 and RFC 8200 §3; undefined where the header is too short. */
function innerAddresses(header: Uint8Array): Pick<PacketLine, "source" | "destination"> {
  const version = (header[0] ?? 0) >> 4;
  if (version === 4 && header.length >= 20) {
    return {
      source: mapped(header.subarray(12, 16)),
      destination: mapped(header.subarray(16, 20)),
    };
  }
  if (version === 6 && header.length >= 40) {
    return {
      source: Uint8Array.from(header.subarray(8, 24)),
      destination: Uint8Array.from(header.subarray(24, 40)),
    };
  }
  return { source: undefined, destination: undefined };
}

function mapped(v4: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.fill(0xff, 10, 12);
  bytes.set(v4, 12);
  return bytes;
}
