/**
 * Packets that wait for a session, a peer (rule 14).
 *
 * The only place where a packet is copied: rare, bounded, and only while no session is up.
 */
import type { PacketBatch } from "../batch.ts";
import { WAITING_BYTES, WAITING_BYTES_TOTAL, WAITING_PACKETS } from "../constants.ts";
import { PACKET, PACKET_FIELDS } from "../rows.ts";

interface WaitingPacket {
  readonly bytes: Uint8Array;
  /** The packet's row as it was read; its OFFSET is meaningless. */
  readonly row: Int32Array;
}

/** Bytes that wait for all peers together. */
export interface WaitingTotal {
  bytes: number;
}

/** BOUNDED: 128 packets or 256 KiB a peer, 16 MiB in all; the peer's oldest is dropped. */
export class WaitingPackets {
  #packets: WaitingPacket[] = [];
  #bytes = 0;
  readonly #total: WaitingTotal;

  constructor(total: WaitingTotal) {
    this.#total = total;
  }

  get count(): number {
    return this.#packets.length;
  }

  /** Copies the packet of row `base`; returns how many packets were dropped for it, itself included. */
  push(arena: Uint8Array, rows: Int32Array, base: number): number {
    const offset = rows[base + PACKET.OFFSET] ?? 0;
    const length = rows[base + PACKET.LENGTH] ?? 0;
    if (length > WAITING_BYTES) return 1;
    const before = this.#packets.length;
    while (this.#isFull(length) && this.#packets.length > 0) this.#dropOldest();
    if (this.#isFull(length)) return before + 1;
    const dropped = before - this.#packets.length;
    const row = rows.slice(base, base + PACKET_FIELDS);
    this.#packets.push({ bytes: arena.slice(offset, offset + length), row });
    this.#account(length);
    return dropped;
  }

  /** Moves as many waiting packets as fit into `batch` (from row 0 on), oldest first; sets its count. */
  drainInto(batch: PacketBatch): void {
    let offset = 0;
    batch.count = 0;
    for (const { bytes, row } of this.#packets) {
      if (batch.count === batch.capacity || offset + bytes.length > batch.arena.length) break;
      const base = batch.count * PACKET_FIELDS;
      batch.arena.set(bytes, offset);
      batch.rows.set(row, base);
      batch.rows[base + PACKET.OFFSET] = offset;
      offset += bytes.length;
      batch.count += 1;
    }
    this.#packets.splice(0, batch.count);
    this.#account(-offset);
  }

  /** Drops everything; returns how many packets that were. */
  clear(): number {
    const dropped = this.#packets.length;
    this.#packets = [];
    this.#account(-this.#bytes);
    return dropped;
  }

  #isFull(length: number): boolean {
    return (
      this.#packets.length >= WAITING_PACKETS ||
      this.#bytes + length > WAITING_BYTES ||
      this.#total.bytes + length > WAITING_BYTES_TOTAL
    );
  }

  #dropOldest(): void {
    const oldest = this.#packets.shift();
    this.#account(-(oldest?.bytes.length ?? 0));
  }

  #account(bytes: number): void {
    this.#bytes += bytes;
    this.#total.bytes += bytes;
  }
}
