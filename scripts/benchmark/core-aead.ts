/**
 * The batch cipher with a switch: the addon's, or none at all, so that JavaScript is seen alone.
 *
 * Without a cipher `seal` writes no byte, so nothing sealed that way may be delivered; `open` takes the
 * datagrams for open already, as `openInPlace` leaves them, and the packets of a run for alike, as they are
 * in every batch here.
 */
import type { MessageBatch } from "../../src/core/batch.ts";
import type { Aead, KeySlot } from "../../src/core/crypto.ts";
import {
  at,
  MESSAGE,
  MESSAGE_FIELDS,
  OPEN,
  OPEN_FIELDS,
  OPENED_ALIKE,
  SEAL,
  SEAL_FIELDS,
} from "../../src/core/rows.ts";
import { DATA_OVERHEAD } from "../../src/core/wire.ts";

/** The product's cipher, or none. */
export class SwitchedAead implements Aead {
  /** Whether the cipher is used. */
  isReal = true;
  /** Key slot of the datagram that was sealed last. */
  lastSealSlot = 0;
  readonly #real: Aead;

  constructor(real: Aead) {
    this.#real = real;
  }

  load(material: Uint8Array): KeySlot | undefined {
    return this.#real.load(material);
  }

  wipe(slot: KeySlot): void {
    this.#real.wipe(slot);
  }

  seal(packets: Uint8Array, datagrams: Uint8Array, rows: Int32Array, count: number): void {
    this.lastSealSlot = at(rows, SEAL.KEY_SLOT);
    if (this.isReal) {
      this.#real.seal(packets, datagrams, rows, count);
      return;
    }
    for (let base = 0; base < count * SEAL_FIELDS; base += SEAL_FIELDS) {
      const segments = at(rows, base + SEAL.SEGMENTS);
      const headers = (segments - 1) * at(rows, base + SEAL.HEADER_LENGTH);
      const length = at(rows, base + SEAL.IN_LENGTH) + headers + segments * DATA_OVERHEAD;
      rows[base + SEAL.OUT_LENGTH] = length;
      rows[base + SEAL.STATUS] = 0;
    }
  }

  open(datagrams: Uint8Array, rows: Int32Array, count: number): void {
    if (this.isReal) {
      this.#real.open(datagrams, rows, count);
      return;
    }
    for (let base = 0; base < count * OPEN_FIELDS; base += OPEN_FIELDS) {
      const length = at(rows, base + OPEN.LENGTH);
      const size = at(rows, base + OPEN.SEGMENT) || length;
      rows[base + OPEN.STATUS] = size - DATA_OVERHEAD;
      rows[base + OPEN.OPENED] = length / size;
      const start = at(rows, base + OPEN.OFFSET) + OPENED_ALIKE;
      if (length > size) datagrams.set([length / size, 0], start);
    }
  }

  /** Opens the datagrams of one message row where they lie, under the key that sealed them. */
  openInPlace(
    { arena, rows }: MessageBatch,
    message: number,
    slot: number,
    work: Int32Array,
  ): void {
    const base = message * MESSAGE_FIELDS;
    const start = at(rows, base + MESSAGE.OFFSET);
    const end = start + at(rows, base + MESSAGE.LENGTH);
    const segment = at(rows, base + MESSAGE.SEGMENT) || end - start;
    let count = 0;
    for (let offset = start; offset < end; offset += segment) {
      const row = count * OPEN_FIELDS;
      work[row + OPEN.OFFSET] = offset;
      work[row + OPEN.LENGTH] = Math.min(segment, end - offset);
      work[row + OPEN.KEY_SLOT] = slot;
      count += 1;
    }
    this.#real.open(arena, work, count);
  }
}
