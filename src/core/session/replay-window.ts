/**
 * The replay window of one session's inbound direction (RFC 6479).
 *
 *     counter:  ... | highest-8128 ............................. highest | ...
 *                   too old here <-|-> one bit each: seen or not     |-> new, moves the window
 *
 * The bits live in a ring: counter c is bit c mod 8192, so the window moves without shifting anything;
 * only the 32-bit words that it enters are cleared. Entering a word forgets all 32 counters that it
 * held a ring ago, though only one of them is 8192 back. So the window must be at least a word shorter
 * than the ring, or a bit cleared too early would let a replay pass. It is 64 bits shorter, which gives
 * the same 8128 as implementations with 64-bit words.
 *
 * The trap: counters reach 2^48, and JavaScript's bit operators see only the low 32 bits. They are
 * used here for ring positions alone, which are the low bits.
 */

/** Bits of the ring. */
const RING_BITS = 8192;
const WORD_BITS = 32;
const RING_WORDS = RING_BITS / WORD_BITS;
/** How far behind the highest counter a packet may come (PROTOCOL, C3). */
export const REPLAY_WINDOW = RING_BITS - 64;
/** Counters are below this: the top 16 bits of the field are zero (PROTOCOL, "Limits"). */
const COUNTER_END = 2 ** 48;

/** Which counters of a session were seen; 1 KiB, fixed. */
export class ReplayWindow {
  readonly #ring = new Uint32Array(RING_WORDS);
  #highest = -1;

  /** The highest counter committed, or -1 before the first. */
  get highest(): number {
    return this.#highest;
  }

  /** Whether the counter is new and not too old; changes nothing. */
  check(counter: number): boolean {
    if (!(counter >= 0 && counter < COUNTER_END)) return false;
    if (counter > this.#highest) return true;
    if (this.#highest - counter > REPLAY_WINDOW) return false;
    const position = ringPosition(counter);
    return ((this.#ring[position >>> 5] ?? 0) & (1 << (position & 31))) === 0;
  }

  /** Marks the counter as seen; false, and nothing changed, where `check` refuses it. */
  commit(counter: number): boolean {
    if (!this.check(counter)) return false;
    const position = ringPosition(counter);
    const word = position >>> 5;
    // The next counter enters a word only with its first bit.
    if (counter === this.#highest + 1 && (position & 31) !== 0) this.#highest = counter;
    else if (counter > this.#highest) this.#moveTo(counter);
    this.#ring[word] = (this.#ring[word] ?? 0) | (1 << (position & 31));
    return true;
  }

  /** Marks `count` counters from `first` on; false, and nothing changed, unless all are above the highest. */
  commitRun(first: number, count: number): boolean {
    if (!(first > this.#highest && first + count <= COUNTER_END)) return false;
    this.#moveTo(first + count - 1);
    for (let done = 0; done < count; ) {
      const position = ringPosition(first + done);
      const bit = position & 31;
      const bits = Math.min(WORD_BITS - bit, count - done);
      const mask = (bits === WORD_BITS ? -1 : (1 << bits) - 1) << bit;
      const word = position >>> 5;
      this.#ring[word] = (this.#ring[word] ?? 0) | mask;
      done += bits;
    }
    return true;
  }

  /** Clears the words between the one that holds `highest` and the one that holds `counter`, that one included. */
  #moveTo(counter: number): void {
    const from = Math.floor(this.#highest / WORD_BITS);
    const entered = Math.min(Math.floor(counter / WORD_BITS) - from, RING_WORDS);
    const first = ringPosition((from + 1) * WORD_BITS) >>> 5;
    for (let step = 0; step < entered; step++) this.#ring[(first + step) % RING_WORDS] = 0;
    this.#highest = counter;
  }
}

/** counter mod 8192: the low 13 bits, which `&` takes exactly from any whole number below 2^53. */
function ringPosition(counter: number): number {
  return counter & (RING_BITS - 1);
}
