/**
 * Runs: sealed datagrams of equal size and outer header for one endpoint become one message to the socket.
 *
 * The kernel cuts such a message (UDP_SEGMENT, Linux 4.18), so it is routed once for up to 64 datagrams.
 * They must follow one another in the arena; the last of a run may be shorter. Where the path takes no
 * runs, io/udp.ts takes them apart again. The trap: a run is one message, and what the message may not
 * exceed is the largest IPv4 datagram.
 */
import { type Endpoint, writeEndpoint } from "../address.ts";
import type { MessageBatch } from "../batch.ts";
import { at, MESSAGE, MESSAGE_FIELDS } from "../rows.ts";

/** Datagrams of a run that every kernel with UDP_SEGMENT takes (UDP_MAX_SEGMENTS before Linux 6.8). */
const MAX_DATAGRAMS = 64;
/** Bytes of a run: 65,535 - 20 (IPv4) - 8 (UDP). */
const MAX_BYTES = 65_507;

/** Fills a message batch with datagrams that lie one behind another in its arena. */
export class MessageRuns {
  readonly #batch: MessageBatch;
  readonly #isJoining: boolean;
  /** Endpoint, TOS and hops of the last message. */
  #to: Endpoint | undefined;
  #outer = 0;

  /** `isJoining`: false makes every datagram a message of its own. */
  constructor(batch: MessageBatch, isJoining: boolean) {
    this.#batch = batch;
    this.#isJoining = isJoining;
  }

  /** Messages that `datagrams` of `size` bytes take at most. */
  messagesFor(datagrams: number, size: number): number {
    return Math.ceil(datagrams / this.#most(size));
  }

  /** Starts an empty batch. */
  begin(): void {
    this.#batch.count = 0;
    this.#to = undefined;
  }

  /**
   * Adds `length` bytes of datagrams of `size` bytes, the last of which may be shorter. `outer`: MESSAGE.TOS in the
   * upper, MESSAGE.HOPS in the lower 8 bits, so that one comparison tells whether both are those of the last.
   */
  add(offset: number, length: number, size: number, to: Endpoint, outer = 0): void {
    const end = offset + length;
    for (let from = offset; from < end; ) {
      const room = this.#roomInLast(from, Math.min(size, end - from), to, outer);
      const bytes = Math.min(room > 0 ? room : this.#most(size) * size, end - from);
      if (room > 0) this.#extend(bytes);
      else this.#start(from, bytes, Math.min(size, bytes), to, outer);
      from += bytes;
    }
  }

  /** Datagrams of `size` bytes that one message takes. */
  #most(size: number): number {
    if (!this.#isJoining) return 1;
    return Math.max(1, Math.min(MAX_DATAGRAMS, Math.floor(MAX_BYTES / size)));
  }

  /** Bytes that the last message takes of datagrams of `size` bytes that lie at `offset`; 0: none. */
  #roomInLast(offset: number, size: number, to: Endpoint, outer: number): number {
    const { rows, count } = this.#batch;
    if (count === 0 || this.#to !== to || this.#outer !== outer) return 0;
    const base = (count - 1) * MESSAGE_FIELDS;
    const length = at(rows, base + MESSAGE.LENGTH);
    const segment = at(rows, base + MESSAGE.SEGMENT) || length;
    const isClosed = length % segment !== 0 || size > segment;
    if (isClosed || at(rows, base + MESSAGE.OFFSET) + length !== offset) return 0;
    const left = this.#most(segment) - length / segment;
    return size < segment ? Math.min(left, 1) * size : left * size;
  }

  #extend(bytes: number): void {
    const { rows, count } = this.#batch;
    const base = (count - 1) * MESSAGE_FIELDS;
    const length = at(rows, base + MESSAGE.LENGTH);
    if (rows[base + MESSAGE.SEGMENT] === 0) rows[base + MESSAGE.SEGMENT] = length;
    rows[base + MESSAGE.LENGTH] = length + bytes;
  }

  #start(offset: number, length: number, size: number, to: Endpoint, outer: number): void {
    writeMessage(this.#batch, offset, length, to);
    const base = (this.#batch.count - 1) * MESSAGE_FIELDS;
    this.#batch.rows[base + MESSAGE.TOS] = outer >> 8;
    this.#batch.rows[base + MESSAGE.HOPS] = outer & 0xff;
    if (length > size) this.#batch.rows[base + MESSAGE.SEGMENT] = size;
    this.#to = to;
    this.#outer = outer;
  }
}

/** Adds the row of one datagram that lies at `offset` of the batch's arena; its TOS is 0, as nothing inside asks for another. */
export function writeMessage(
  batch: MessageBatch,
  offset: number,
  length: number,
  to: Endpoint,
  flags = 0,
): void {
  const base = batch.count * MESSAGE_FIELDS;
  const { rows } = batch;
  rows[base + MESSAGE.OFFSET] = offset;
  rows[base + MESSAGE.LENGTH] = length;
  rows[base + MESSAGE.SEGMENT] = 0;
  rows[base + MESSAGE.STATUS] = 0;
  rows[base + MESSAGE.TOS] = 0;
  rows[base + MESSAGE.FLAGS] = flags;
  rows[base + MESSAGE.HOPS] = 0;
  writeEndpoint(rows, base, to);
  batch.count += 1;
}

/** Datagrams of a message row. */
export function datagramsIn(rows: Int32Array, base: number): number {
  const segment = at(rows, base + MESSAGE.SEGMENT);
  return segment === 0 ? 1 : Math.ceil(at(rows, base + MESSAGE.LENGTH) / segment);
}
