/**
 * Datagrams made outside the packet path (handshakes, keepalives, control frames) until
 * `pollTransmit` hands them out.
 */
import type { Endpoint } from "../address.ts";
import type { MessageBatch } from "../batch.ts";
import { TRANSMIT_QUEUE } from "../constants.ts";
import { writeMessage } from "./message-runs.ts";

interface Transmit {
  readonly bytes: Uint8Array;
  readonly to: Endpoint;
  /** MESSAGE.FLAGS. */
  readonly flags: number;
}

/** BOUNDED: 4096 datagrams; what does not fit is dropped. */
export class TransmitQueue {
  #queue: Transmit[] = [];

  get count(): number {
    return this.#queue.length;
  }

  /** Queues a datagram; returns whether there was room. */
  push(bytes: Uint8Array, to: Endpoint, flags = 0): boolean {
    if (this.#queue.length >= TRANSMIT_QUEUE) return false;
    this.#queue.push({ bytes, to, flags });
    return true;
  }

  /** Moves as many datagrams as fit into `batch` (from row 0 on), oldest first; sets its count. */
  drainInto(batch: MessageBatch): void {
    let offset = 0;
    batch.count = 0;
    for (const { bytes, to, flags } of this.#queue) {
      if (batch.count === batch.capacity || offset + bytes.length > batch.arena.length) break;
      batch.arena.set(bytes, offset);
      writeMessage(batch, offset, bytes.length, to, flags);
      offset += bytes.length;
    }
    this.#queue.splice(0, batch.count);
  }
}
