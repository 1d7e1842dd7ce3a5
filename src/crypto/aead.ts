/**
 * The batch cipher of the data path: core's `Aead` over the addon's key table.
 *
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with the HChaCha20 step done once a key, in the addon;
 * keys are not kept on this side. Not here: counters and the choice of keys. The trap: a slot that is
 * wiped twice would be handed out twice, and two sessions would share a key slot; so that throws.
 */
import type { Aead, KeySlot } from "../core/crypto.ts";

/** What the cipher needs of the addon; its whole contract, which satisfies this, is in io/native.ts. */
export interface NativeCipher {
  keyLoad(slot: number, material: Uint8Array): number;
  keyWipe(slot: number): number;
  keySlots(): number;
  seal(packets: Uint8Array, datagrams: Uint8Array, rows: Int32Array, count: number): number;
  open(datagrams: Uint8Array, rows: Int32Array, count: number): number;
  errnoName(errno: number): string;
}

/** The batch cipher over the addon's key slots. BOUNDED: `load` is undefined when all are taken. */
export function nativeAead(native: NativeCipher): Aead {
  const slots = new SlotList(native.keySlots());
  return {
    load: (material) => load(native, slots, material),
    wipe: (slot) => {
      slots.release(slot);
      check(native, "keyWipe", native.keyWipe(slot));
    },
    seal: (packets, datagrams, rows, count) =>
      check(native, "seal", native.seal(packets, datagrams, rows, count)),
    open: (datagrams, rows, count) => check(native, "open", native.open(datagrams, rows, count)),
  };
}

function load(native: NativeCipher, slots: SlotList, material: Uint8Array): KeySlot | undefined {
  const slot = slots.take();
  if (slot === undefined) return undefined;
  const result = native.keyLoad(slot, material);
  if (result < 0) slots.release(slot);
  check(native, "keyLoad", result);
  return slot;
}

/** A failure of a whole call is a bug, or no memory; what a packet can cause is in its row's STATUS. */
function check(native: NativeCipher, call: string, result: number): void {
  if (result < 0) throw new Error(`${call} failed: ${native.errnoName(result)}`);
}

/** Which key slots are free. */
class SlotList {
  readonly #isTaken: Uint8Array;
  /** Released slots; those from `#fresh` on were never taken. */
  readonly #released: number[] = [];
  #fresh = 0;

  constructor(count: number) {
    this.#isTaken = new Uint8Array(count);
  }

  take(): KeySlot | undefined {
    const slot = this.#released.pop() ?? this.#fresh++;
    if (slot >= this.#isTaken.length) {
      this.#fresh = this.#isTaken.length;
      return undefined;
    }
    this.#isTaken[slot] = 1;
    return slot as KeySlot;
  }

  release(slot: KeySlot): void {
    if (this.#isTaken[slot] !== 1) throw new Error(`key slot ${slot} is not in use`);
    this.#isTaken[slot] = 0;
    this.#released.push(slot);
  }
}
