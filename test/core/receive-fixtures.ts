/**
 * The inbound path of a core without a tunnel: datagrams go in as message rows, packets come out.
 *
 * A message is a datagram or a run of them, as the kernel hands them over; what was handed to the cipher is
 * noted row by row. The arena ends where the last datagram does, so that a read behind it fails.
 */
import type { Endpoint } from "../../src/core/address.ts";
import { type MessageBatch, messageBatch, packetBatch } from "../../src/core/batch.ts";
import { Receiver } from "../../src/core/inbound/receive.ts";
import type { Session } from "../../src/core/peers/peer.ts";
import {
  at,
  MESSAGE,
  MESSAGE_FIELDS,
  MESSAGE_TRUNCATED,
  OPEN,
  OPEN_FIELDS,
  SEAL,
  SEAL_FIELDS,
} from "../../src/core/rows.ts";
import type { State } from "../../src/core/state.ts";
import type { Instant } from "../../src/core/time.ts";
import { DATA_OVERHEAD } from "../../src/core/wire.ts";
import { type Delivered, readDelivered } from "../helpers/gso-twin.ts";
import { START } from "./core-fixtures.ts";

/** What arrives at once from one address. */
export interface Message {
  /** Of one size but for the last, which may be shorter. */
  readonly datagrams: readonly Uint8Array[];
  readonly from: Endpoint;
  readonly isTruncated?: boolean;
}

/** A DATA datagram of the other side. */
export function data(
  state: State,
  session: Session,
  counter: number,
  plaintext: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const datagram = new Uint8Array(plaintext.length + DATA_OVERHEAD);
  const row = new Int32Array(SEAL_FIELDS);
  row[SEAL.IN_LENGTH] = plaintext.length;
  row[SEAL.KEY_SLOT] = session.openSlot;
  row[SEAL.RECEIVER_INDEX] = session.localIndex;
  row[SEAL.COUNTER_LOW] = counter % 0x1_0000_0000;
  row[SEAL.COUNTER_HIGH] = Math.floor(counter / 0x1_0000_0000);
  row[SEAL.SEGMENTS] = 1;
  state.aead.seal(plaintext.slice(), datagram, row, 1);
  return datagram;
}

/** The same with a tag that does not verify. */
export function forged(datagram: Uint8Array): Uint8Array {
  return datagram.map((byte, index) => (index === datagram.length - 1 ? byte ^ 1 : byte));
}

/** Receives batches; at most `capacity` packets of each. */
export class Inbound {
  /** Datagrams of each row that was opened, and the size that the row gives for a run: "3 of 32", "1". */
  readonly opens: string[] = [];
  /** Rows of what was delivered last, each one piece of a gathered write. */
  rows = 0;
  readonly #state: State;
  readonly #capacity: number;

  constructor(state: State, capacity = 16) {
    this.#state = state;
    this.#capacity = capacity;
    const open = state.aead.open.bind(state.aead);
    state.aead.open = (arena, rows, count) => {
      if (count === 0) this.opens.push("none");
      for (let row = 0; row < count; row += 1) this.opens.push(textOf(rows, row * OPEN_FIELDS));
      open(arena, rows, count);
    };
  }

  /** One batch; what it delivers. */
  receive(messages: readonly Message[], now: Instant = START): readonly Delivered[] {
    const datagrams = filled(messages);
    const delivered = packetBatch(datagrams.arena, this.#capacity);
    new Receiver(this.#state, datagrams, delivered).handle(now);
    this.rows = delivered.count;
    return readDelivered(delivered.arena, delivered.rows, delivered.count);
  }
}

function filled(messages: readonly Message[]): MessageBatch {
  const all = messages.flatMap(({ datagrams }) => datagrams);
  const arena = new Uint8Array(all.reduce((sum, { length }) => sum + length, 0));
  const batch = messageBatch(arena, Math.max(messages.length, 1));
  let offset = 0;
  for (const { datagrams, from, isTruncated } of messages) {
    const base = batch.count * MESSAGE_FIELDS;
    const [first, ...others] = datagrams;
    batch.rows.set(from.words, base + MESSAGE.REMOTE);
    batch.rows[base + MESSAGE.OFFSET] = offset;
    batch.rows[base + MESSAGE.SEGMENT] = others.length > 0 ? (first?.length ?? 0) : 0;
    batch.rows[base + MESSAGE.STATUS] = isTruncated ? MESSAGE_TRUNCATED : 0;
    for (const datagram of datagrams) {
      arena.set(datagram, offset);
      offset += datagram.length;
    }
    batch.rows[base + MESSAGE.LENGTH] = offset - at(batch.rows, base + MESSAGE.OFFSET);
    batch.count += 1;
  }
  return batch;
}

function textOf(rows: Int32Array, open: number): string {
  const segment = at(rows, open + OPEN.SEGMENT);
  return segment === 0 ? "1" : `${at(rows, open + OPEN.LENGTH) / segment} of ${segment}`;
}
