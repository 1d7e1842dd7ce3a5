/**
 * A batch cipher whose keys an attacker holds: it keeps every key and every session that ever sealed.
 *
 * Sealing and opening are the simulation's twin with the fake cipher, which is fast. `forge` makes a DATA datagram
 * of any plaintext under any of those sessions, ended ones too.
 */
import type { Aead, KeySlot } from "../../../src/core/crypto.ts";
import { SEAL, SEAL_FIELDS } from "../../../src/core/rows.ts";
import { NonceLedger, TwinAead } from "../../sim/twin-aead.ts";
import { FAST_CIPHER } from "./fast-crypto.ts";

/** One direction of a session, as its sender sealed last. */
export interface Sealing {
  readonly material: Uint8Array;
  readonly receiverIndex: number;
  counter: number;
  /** Counters of forged packets that were delivered. */
  readonly accepted: Set<number>;
  /** Of an insider's own handshake: under a group's key. */
  readonly isGroup?: boolean;
}

export class KeyHolder implements Aead {
  readonly #twin = new TwinAead(new NonceLedger(), FAST_CIPHER);
  readonly #materials = new Map<number, Uint8Array>();
  readonly #bySlot = new Map<number, Sealing>();
  /** Oldest first. */
  readonly sealings: Sealing[] = [];

  /** Keys that are loaded. */
  get loadedKeys(): number {
    return this.#twin.loadedKeys;
  }

  load(material: Uint8Array): KeySlot | undefined {
    const slot = this.#twin.load(material);
    if (slot !== undefined) this.#materials.set(slot, material.slice());
    return slot;
  }

  wipe(slot: KeySlot): void {
    this.#twin.wipe(slot);
  }

  seal(packets: Uint8Array, datagrams: Uint8Array, rows: Int32Array, count: number): void {
    this.#twin.seal(packets, datagrams, rows, count);
    for (let base = 0; base < count * SEAL_FIELDS; base += SEAL_FIELDS) this.#note(rows, base);
  }

  open(datagrams: Uint8Array, rows: Int32Array, count: number): void {
    this.#twin.open(datagrams, rows, count);
  }

  #note(rows: Int32Array, base: number): void {
    const slot = rows[base + SEAL.KEY_SLOT] ?? 0;
    const low = (rows[base + SEAL.COUNTER_LOW] ?? 0) >>> 0;
    const high = (rows[base + SEAL.COUNTER_HIGH] ?? 0) >>> 0;
    const counter = low + high * 2 ** 32 + (rows[base + SEAL.SEGMENTS] ?? 1) - 1;
    const known = this.#bySlot.get(slot);
    if (known !== undefined) {
      known.counter = counter;
      return;
    }
    const material = this.#materials.get(slot);
    if (material === undefined) throw new Error(`sealed with key slot ${slot}, never loaded`);
    const receiverIndex = (rows[base + SEAL.RECEIVER_INDEX] ?? 0) >>> 0;
    const sealing = { material, receiverIndex, counter, accepted: new Set<number>() };
    this.#bySlot.set(slot, sealing);
    this.sealings.push(sealing);
  }
}

/** A DATA datagram that opens in the session, with this counter. */
export function forge(sealing: Sealing, counter: number, plaintext: Uint8Array): Uint8Array {
  const datagram = new Uint8Array(32 + plaintext.length);
  const view = new DataView(datagram.buffer);
  datagram.set([4, 1]);
  view.setUint32(4, sealing.receiverIndex, true);
  view.setUint32(8, counter % 2 ** 32, true);
  view.setUint32(12, Math.floor(counter / 2 ** 32), true);
  const header = datagram.subarray(0, 16);
  const nonce = new Uint8Array(24);
  nonce.set(sealing.material.subarray(32, 48));
  nonce.set(header.subarray(8), 16);
  const key = sealing.material.subarray(0, 32);
  datagram.set(FAST_CIPHER.seal(key, nonce, header, plaintext), 16);
  return datagram;
}
