/**
 * The per-source limiter: a token bucket for each address that sends datagrams which fail their checks.
 *
 * A source is an IPv4 address or an IPv6 /64; ::ffff:a.b.c.d is the IPv4 address (PROTOCOL, "Limits").
 * It decides nothing: the receiver charges failures, and asks before work that a stranger can cause.
 *
 *     hash(source) -> #heads -> slot -> #chain -> slot ...      find: O(1), chains are short
 *     #newest -> #older ... <-> ... #newer <- #oldest           evict: O(1), longest idle first
 *
 * BOUNDED: `sources` slots in typed arrays made once; a new source takes the slot of the longest idle.
 * Nothing is allocated per datagram. The hash is keyed (HalfSipHash-1-3), so that nobody without the
 * seed can send from addresses that all fall into one chain.
 *
 * The trap: time that passed while a source was not looked at must not need a sweep. The buckets are
 * single numbers (token-bucket.ts) that refill by arithmetic.
 */
import { halfSipHash } from "../keyed-hash.ts";
import type { LimitOptions, SourceSnapshot } from "../options.ts";
import type { Instant } from "../time.ts";
import { hasToken, inflow, spentAt } from "../token-bucket.ts";

/** Sources that a snapshot lists. */
const SNAPSHOT_SOURCES = 16;
/** Int32 words of a source's key: kind, then two address words. */
const KEY_WORDS = 3;
const KIND_IPV4 = 4;
const KIND_IPV6 = 6;
/** No slot: the end of a chain or list. */
const NONE = -1;
/** The third word of ::ffff:a.b.c.d in memory order, whatever the machine's byte order. */
const MAPPED_WORD = new Int32Array(Uint8Array.of(0, 0, 0xff, 0xff).buffer)[0];

/** Buckets of the sources seen lately; see the top of the file. */
export class SourceLimiter {
  readonly #rate: number;
  readonly #burst: number;
  readonly #sources: number;
  readonly #seed: Int32Array;
  readonly #heads: Int32Array;
  readonly #chain: Int32Array;
  readonly #buckets: Int32Array;
  readonly #newer: Int32Array;
  readonly #older: Int32Array;
  readonly #keys: Int32Array;
  readonly #spent: Float64Array;
  readonly #charged: Float64Array;
  readonly #refused: Float64Array;
  #newest = NONE;
  #oldest = NONE;
  #size = 0;
  /** The key that `#readKey` read last, padded as its hash wants it, and the chain it belongs to. */
  readonly #key = paddedMessage();
  #bucket = 0;

  /** `seed` is 8 or more random bytes that nobody else knows. */
  constructor(
    options: Pick<LimitOptions, "sourceRatePerSecond" | "sourceBurst" | "sources">,
    seed: Uint8Array,
  ) {
    if (seed.length < 8) throw new Error("limiter seed shorter than 8 bytes");
    const { sources } = options;
    this.#rate = options.sourceRatePerSecond;
    this.#burst = options.sourceBurst;
    this.#sources = sources;
    this.#seed = new Int32Array(seed.slice(0, 8).buffer);
    this.#heads = new Int32Array(2 ** Math.ceil(Math.log2(2 * sources))).fill(NONE);
    this.#chain = new Int32Array(sources);
    this.#buckets = new Int32Array(sources);
    this.#newer = new Int32Array(sources);
    this.#older = new Int32Array(sources);
    this.#keys = new Int32Array(sources * KEY_WORDS);
    this.#spent = new Float64Array(sources);
    this.#charged = new Float64Array(sources);
    this.#refused = new Float64Array(sources);
  }

  /** Sources tracked at present. */
  get size(): number {
    return this.#size;
  }

  /** Charges one failing datagram to the source in the 4 REMOTE words at `remoteIndex`; returns whether a token was there. */
  charge(rows: Int32Array, remoteIndex: number, now: Instant): boolean {
    this.#readKey(rows, remoteIndex);
    const found = this.#find();
    const slot = found === NONE ? this.#add(now) : found;
    if (found !== NONE) this.#touch(slot);
    const spent = spentAt(this.#spent[slot] ?? 0, this.#rate, this.#burst, now);
    const isAllowed = hasToken(spent, this.#rate, now);
    this.#spent[slot] = isAllowed ? spent + 1 : spent;
    this.#charged[slot] = (this.#charged[slot] ?? 0) + 1;
    return isAllowed;
  }

  /** Takes back one `charge` that was made before it was known whether the datagram fails. */
  refund(rows: Int32Array, remoteIndex: number): void {
    this.#readKey(rows, remoteIndex);
    const slot = this.#find();
    if (slot === NONE) return;
    this.#spent[slot] = (this.#spent[slot] ?? 0) - 1;
    this.#charged[slot] = (this.#charged[slot] ?? 0) - 1;
  }

  /** Whether the source's bucket is empty; an unknown source's is full. Changes nothing. */
  isEmpty(rows: Int32Array, remoteIndex: number, now: Instant): boolean {
    this.#readKey(rows, remoteIndex);
    const slot = this.#find();
    if (slot === NONE) return false;
    const spent = spentAt(this.#spent[slot] ?? 0, this.#rate, this.#burst, now);
    return !hasToken(spent, this.#rate, now);
  }

  /** Counts a datagram refused because `isEmpty`; it also keeps the source from looking idle. */
  noteRefused(rows: Int32Array, remoteIndex: number): void {
    this.#readKey(rows, remoteIndex);
    const slot = this.#find();
    if (slot === NONE) return;
    this.#touch(slot);
    this.#refused[slot] = (this.#refused[slot] ?? 0) + 1;
  }

  /** The 16 tracked sources that were charged most, busiest first; an IPv6 source as the first address of its /64. */
  snapshot(): SourceSnapshot[] {
    return Array.from({ length: this.#size }, (_, slot) => ({
      address: this.#addressOf(slot),
      charged: this.#charged[slot] ?? 0,
      refused: this.#refused[slot] ?? 0,
    }))
      .sort((a, b) => b.charged - a.charged)
      .slice(0, SNAPSHOT_SOURCES);
  }

  #readKey(rows: Int32Array, remoteIndex: number): void {
    const word0 = rows[remoteIndex] ?? 0;
    const word1 = rows[remoteIndex + 1] ?? 0;
    const isMapped = word0 === 0 && word1 === 0 && rows[remoteIndex + 2] === MAPPED_WORD;
    this.#key[0] = isMapped ? KIND_IPV4 : KIND_IPV6;
    this.#key[1] = isMapped ? (rows[remoteIndex + 3] ?? 0) : word0;
    this.#key[2] = isMapped ? 0 : word1;
    const hash = halfSipHash(this.#key, this.#seed[0] ?? 0, this.#seed[1] ?? 0);
    this.#bucket = hash & (this.#heads.length - 1);
  }

  /** The slot of the key that was read, or NONE. */
  #find(): number {
    let slot = this.#heads[this.#bucket] ?? NONE;
    while (slot !== NONE && !this.#isKeyAt(slot)) slot = this.#chain[slot] ?? NONE;
    return slot;
  }

  #isKeyAt(slot: number): boolean {
    const at = slot * KEY_WORDS;
    return (
      this.#keys[at] === this.#key[0] &&
      this.#keys[at + 1] === this.#key[1] &&
      this.#keys[at + 2] === this.#key[2]
    );
  }

  /** Gives the key that was read a free slot, or that of the longest idle source, with a full bucket. */
  #add(now: Instant): number {
    const slot = this.#size < this.#sources ? this.#size++ : this.#evict();
    for (let word = 0; word < KEY_WORDS; word++) {
      this.#keys[slot * KEY_WORDS + word] = this.#key[word] ?? 0;
    }
    this.#spent[slot] = inflow(this.#rate, now) - this.#burst;
    this.#charged[slot] = 0;
    this.#refused[slot] = 0;
    this.#chain[slot] = this.#heads[this.#bucket] ?? NONE;
    this.#heads[this.#bucket] = slot;
    this.#buckets[slot] = this.#bucket;
    this.#linkNewest(slot);
    return slot;
  }

  #evict(): number {
    const slot = this.#oldest;
    this.#unlink(slot);
    this.#unchain(slot, this.#buckets[slot] ?? 0);
    return slot;
  }

  #unchain(slot: number, bucket: number): void {
    const next = this.#chain[slot] ?? NONE;
    if (this.#heads[bucket] === slot) {
      this.#heads[bucket] = next;
      return;
    }
    let before = this.#heads[bucket] ?? NONE;
    while (this.#chain[before] !== slot) before = this.#chain[before] ?? NONE;
    this.#chain[before] = next;
  }

  #touch(slot: number): void {
    if (slot === this.#newest) return;
    this.#unlink(slot);
    this.#linkNewest(slot);
  }

  #unlink(slot: number): void {
    const newer = this.#newer[slot] ?? NONE;
    const older = this.#older[slot] ?? NONE;
    if (newer === NONE) this.#newest = older;
    else this.#older[newer] = older;
    if (older === NONE) this.#oldest = newer;
    else this.#newer[older] = newer;
  }

  #linkNewest(slot: number): void {
    this.#newer[slot] = NONE;
    this.#older[slot] = this.#newest;
    if (this.#newest === NONE) this.#oldest = slot;
    else this.#newer[this.#newest] = slot;
    this.#newest = slot;
  }

  #addressOf(slot: number): Uint8Array {
    const words = new Int32Array(4);
    const [kind, word0 = 0, word1 = 0] = this.#keys.subarray(slot * KEY_WORDS);
    if (kind === KIND_IPV4) words.set([0, 0, MAPPED_WORD ?? 0, word0]);
    else words.set([word0, word1]);
    return new Uint8Array(words.buffer);
  }
}

/** Room for a 12-byte message, its length block, and the zeros of the three closing rounds. */
function paddedMessage(): Int32Array {
  return Int32Array.of(0, 0, 0, 12 << 24, 0, 0, 0);
}
