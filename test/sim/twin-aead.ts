/**
 * The batch cipher as libsodium computes it: the plain twin of the addon behind core's `Aead`.
 *
 * A packet's nonce is P || LE64(counter) and goes whole into XChaCha20-Poly1305
 * (draft-irtf-cfrg-xchacha-03), without the cached HChaCha20 step. Every seal is written into a ledger
 * that outlives restarts and is shared by all hosts, so one nonce used twice under one key anywhere in a
 * run is an error. Super-packets are cut by their plain twin (test/helpers/cut-twin.ts); what the addon
 * leaves of them is worthless, so it is overwritten here.
 */
import sodium from "libsodium-wrappers";
import type { Aead, KeySlot } from "../../src/core/crypto.ts";
import {
  OPEN,
  OPEN_FAILED,
  OPEN_FIELDS,
  OPENED_ALIKE,
  PACKET_NEEDS_CHECKSUM,
  SEAL,
  SEAL_FIELDS,
} from "../../src/core/rows.ts";
import { alikeOf } from "../helpers/alike-twin.ts";
import { cutSuperPacket } from "../helpers/cut-twin.ts";

await sodium.ready;

/** One AEAD function pair: the 16-byte tag is appended; a failed open is undefined. */
export interface Cipher {
  seal(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  open(
    key: Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined;
}

/** Every (T, nonce) pair that sealed something in a run. */
export class NonceLedger {
  readonly #countersByKey = new Map<string, Set<number>>();
  /** Pairs recorded. */
  size = 0;
  /** Pairs that came a second time; a test expects none. */
  readonly repeats: string[] = [];

  /** Notes that `material` (T || P) sealed with `counter`. */
  record(keyText: string, counter: number): void {
    const counters = this.#countersByKey.get(keyText) ?? new Set<number>();
    this.#countersByKey.set(keyText, counters);
    if (counters.has(counter)) this.repeats.push(`${keyText.slice(0, 8)}:${counter}`);
    counters.add(counter);
    this.size += 1;
  }

  /** Distinct transport keys that sealed anything. */
  get keys(): number {
    return this.#countersByKey.size;
  }
}

interface Key {
  readonly material: Uint8Array;
  readonly text: string;
}

/** What the last seal row named, so that a test can seal more under a live session. */
interface LastSeal {
  readonly key: Key;
  readonly receiverIndex: number;
  readonly counter: number;
}

/** `Aead` over a plain cipher, with `capacity` key slots. */
export class TwinAead implements Aead {
  readonly #ledger: NonceLedger;
  readonly #cipher: Cipher;
  readonly #capacity: number;
  readonly #keys = new Map<number, Key>();
  #nextSlot = 0;
  #last: LastSeal | undefined;
  /** Datagrams sealed and opened, and opens that failed. */
  readonly counts = { sealed: 0, opened: 0, failed: 0 };

  constructor(ledger: NonceLedger, cipher: Cipher = XCHACHA, capacity = 4096) {
    this.#ledger = ledger;
    this.#cipher = cipher;
    this.#capacity = capacity;
  }

  /** Key slots in use; a leak of slots shows here. */
  get slotsInUse(): number {
    return this.#keys.size;
  }

  load(material: Uint8Array): KeySlot | undefined {
    if (material.length !== 48) throw new Error(`key material of ${material.length} bytes`);
    if (this.#keys.size >= this.#capacity) return undefined;
    const slot = this.#nextSlot;
    this.#nextSlot += 1;
    this.#keys.set(slot, {
      material: material.slice(),
      text: Buffer.from(material).toString("hex"),
    });
    return slot as KeySlot;
  }

  /** Key slots in use. */
  get loadedKeys(): number {
    return this.#keys.size;
  }

  wipe(slot: KeySlot): void {
    const key = this.#keys.get(slot);
    if (key === undefined) throw new Error(`key slot ${slot} wiped twice or never loaded`);
    key.material.fill(0);
    this.#keys.delete(slot);
  }

  seal(packets: Uint8Array, datagrams: Uint8Array, rows: Int32Array, count: number): void {
    for (let row = 0; row < count; row += 1)
      this.#sealRow(packets, datagrams, rows, row * SEAL_FIELDS);
  }

  open(datagrams: Uint8Array, rows: Int32Array, count: number): void {
    for (let row = 0; row < count; row += 1) this.#openRow(datagrams, rows, row * OPEN_FIELDS);
  }

  /**
   * A DATA datagram with any plaintext under the session that sealed last, as a holder of its keys could
   * make it; its counter is `ahead` above the last one, far from those the session will use itself.
   */
  forge(plaintext: Uint8Array, ahead: number): Uint8Array {
    const last = this.#last;
    if (last === undefined) throw new Error("nothing was sealed yet, so no session to forge under");
    const counter = last.counter + ahead;
    return this.#datagram(last.key, last.receiverIndex, counter, plaintext);
  }

  #sealRow(packets: Uint8Array, datagrams: Uint8Array, rows: Int32Array, base: number): void {
    const key = this.#key(field(rows, base + SEAL.KEY_SLOT));
    const isMarked = (field(rows, base + SEAL.FLAGS) & PACKET_NEEDS_CHECKSUM) !== 0;
    const receiverIndex = field(rows, base + SEAL.RECEIVER_INDEX) >>> 0;
    let counter =
      (field(rows, base + SEAL.COUNTER_LOW) >>> 0) +
      (field(rows, base + SEAL.COUNTER_HIGH) >>> 0) * 2 ** 32;
    const start = field(rows, base + SEAL.OUT_OFFSET);
    let end = start;
    for (const plaintext of plaintextsOf(packets, rows, base)) {
      if (isMarked) plaintext[0] = (plaintext[0] ?? 0) | 0x80;
      const datagram = this.#datagram(key, receiverIndex, counter, plaintext);
      this.#last = { key, receiverIndex, counter };
      datagrams.set(datagram, end);
      end += datagram.length;
      counter += 1;
      this.counts.sealed += 1;
    }
    rows[base + SEAL.OUT_LENGTH] = end - start;
    rows[base + SEAL.STATUS] = 0;
  }

  #datagram(key: Key, receiverIndex: number, counter: number, plaintext: Uint8Array): Uint8Array {
    const datagram = new Uint8Array(32 + plaintext.length);
    const view = new DataView(datagram.buffer);
    datagram[0] = 4;
    datagram[1] = 1;
    view.setUint32(4, receiverIndex, true);
    view.setUint32(8, counter % 2 ** 32, true);
    view.setUint32(12, Math.floor(counter / 2 ** 32), true);
    const header = datagram.subarray(0, 16);
    const sealed = this.#cipher.seal(
      key.material.subarray(0, 32),
      nonceOf(key, header),
      header,
      plaintext,
    );
    datagram.set(sealed, 16);
    this.#ledger.record(key.text, counter);
    return datagram;
  }

  #openRow(datagrams: Uint8Array, rows: Int32Array, base: number): void {
    const key = this.#key(field(rows, base + OPEN.KEY_SLOT));
    const start = field(rows, base + OPEN.OFFSET);
    const length = field(rows, base + OPEN.LENGTH);
    const size = field(rows, base + OPEN.SEGMENT) || length;
    const plaintexts: Uint8Array[] = [];
    rows[base + OPEN.STATUS] = size - 32;
    for (let at = start; at < start + length; at += size) {
      const plaintext = this.#openDatagram(key, datagrams.subarray(at, at + size));
      if (plaintext === undefined) {
        rows[base + OPEN.STATUS] = OPEN_FAILED;
        break;
      }
      plaintexts.push(plaintext);
    }
    rows[base + OPEN.OPENED] = plaintexts.length;
    if (plaintexts.length > 1) noteAlike(datagrams.subarray(start), size, plaintexts);
  }

  #openDatagram(key: Key, datagram: Uint8Array): Uint8Array | undefined {
    const header = datagram.subarray(0, 16);
    const plaintext = this.#cipher.open(
      key.material.subarray(0, 32),
      nonceOf(key, header),
      header,
      datagram.subarray(16),
    );
    this.counts.opened += 1;
    if (plaintext === undefined) {
      // As the addon may: whatever lies there after a failed open is worthless.
      datagram.subarray(16).fill(0xee);
      this.counts.failed += 1;
      return undefined;
    }
    datagram.set(plaintext, 16);
    return plaintext;
  }

  #key(slot: number): Key {
    const key = this.#keys.get(slot);
    if (key === undefined) throw new Error(`key slot ${slot} is not loaded`);
    return key;
  }
}

/** XChaCha20-Poly1305 with the full 24-byte nonce. */
export const XCHACHA: Cipher = {
  seal: (key, nonce, ad, plaintext) =>
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, ad, null, nonce, key),
  open: (key, nonce, ad, sealed) => {
    try {
      return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, sealed, ad, nonce, key);
    } catch {
      // The wrapper's only way to say that the tag does not verify.
      return undefined;
    }
  },
};

/** Copies of the packets that a seal row stands for. */
function plaintextsOf(packets: Uint8Array, rows: Int32Array, base: number): Uint8Array[] {
  const start = field(rows, base + SEAL.IN_OFFSET);
  const plaintext = packets.subarray(start, start + field(rows, base + SEAL.IN_LENGTH));
  const segments = field(rows, base + SEAL.SEGMENTS);
  if (segments === 1) return [plaintext.slice()];
  const cut = cutSuperPacket(plaintext, {
    gsoType: field(rows, base + SEAL.GSO_TYPE),
    gsoSize: field(rows, base + SEAL.GSO_SIZE),
    headerLength: field(rows, base + SEAL.HEADER_LENGTH),
    checksumStart: field(rows, base + SEAL.CHECKSUM_START),
  });
  if (cut.length !== segments)
    throw new Error(`${cut.length} segments where a row says ${segments}`);
  plaintext.fill(0xee);
  return cut;
}

function nonceOf(key: Key, header: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(24);
  nonce.set(key.material.subarray(32, 48));
  nonce.set(header.subarray(8, 16), 16);
  return nonce;
}

function field(rows: Int32Array, index: number): number {
  return rows[index] ?? 0;
}

/** Writes OPENED_ALIKE into the headers of a run whose first datagram is at `run`'s start. */
function noteAlike(run: Uint8Array, size: number, plaintexts: readonly Uint8Array[]): void {
  const view = new DataView(run.buffer, run.byteOffset);
  for (let done = 0; done < plaintexts.length; ) {
    const alike = alikeOf(plaintexts.slice(done));
    view.setUint16(done * size + OPENED_ALIKE, alike, true);
    done += alike;
  }
}
