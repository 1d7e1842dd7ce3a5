/**
 * The two kinds of batch: an arena, rows over it, and how many rows are in use.
 *
 * Made once at start and reused for ever; nothing is allocated per packet. Several batches may share
 * one arena (what was opened in place is delivered from where it lies).
 */
import { MESSAGE_FIELDS, PACKET_FIELDS } from "./rows.ts";

/** UDP messages; rows as in `MESSAGE`. */
export interface MessageBatch {
  readonly arena: Uint8Array;
  readonly rows: Int32Array;
  /** Rows in use. */
  count: number;
  readonly capacity: number;
  /** Set where the batch is filled: it ended because no more fits, so there may be more. */
  isFull: boolean;
}

/** Inner packets; rows as in `PACKET`. */
export interface PacketBatch {
  readonly arena: Uint8Array;
  readonly rows: Int32Array;
  /** Rows in use. */
  count: number;
  readonly capacity: number;
  /** Set where the batch is filled: it ended because no more fits, so there may be more. */
  isFull: boolean;
}

/** A message batch of `capacity` rows over `arena`. */
export function messageBatch(arena: Uint8Array, capacity: number): MessageBatch {
  return {
    arena,
    rows: new Int32Array(capacity * MESSAGE_FIELDS),
    count: 0,
    capacity,
    isFull: false,
  };
}

/** A packet batch of `capacity` rows over `arena`. */
export function packetBatch(arena: Uint8Array, capacity: number): PacketBatch {
  return {
    arena,
    rows: new Int32Array(capacity * PACKET_FIELDS),
    count: 0,
    capacity,
    isFull: false,
  };
}
