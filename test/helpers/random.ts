/**
 * A seeded generator for the simulations: the same seed gives the same run on every machine.
 *
 * The algorithm is xoshiro128** (Blackman and Vigna, 2018), its state filled by the splitmix32 mixer.
 * It is not a CSPRNG and must never leave the tests. The trap: a run is only repeatable while every
 * draw happens in the same order, so a component that may draw a varying number of times gets a
 * generator of its own (`fork`).
 */

/** A deterministic stream of pseudo-random values. */
export class Random {
  readonly seed: number;
  readonly #state: Uint32Array;

  /** Starts the stream of a 32-bit `seed`. */
  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.#state = new Uint32Array(4);
    let mixer = this.seed;
    for (let index = 0; index < 4; index += 1) {
      mixer = (mixer + 0x9e3779b9) >>> 0;
      this.#state[index] = avalanche(mixer);
    }
  }

  /** A generator of its own, derived from the next draw of this one. */
  fork(): Random {
    return new Random(this.uint32());
  }

  /** An integer in [0, 2^32). */
  uint32(): number {
    const state = this.#state;
    const [a = 0, b = 0, c = 0, d = 0] = state;
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    state[2] = c ^ a;
    state[3] = d ^ b;
    state[1] = b ^ (state[2] ?? 0);
    state[0] = a ^ (state[3] ?? 0);
    state[2] = (state[2] ?? 0) ^ (b << 9);
    state[3] = rotate(state[3] ?? 0, 11);
    return result;
  }

  /** A number in [0, 1). */
  fraction(): number {
    return this.uint32() / 2 ** 32;
  }

  /** An integer in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.fraction() * bound);
  }

  /** A number in [low, high). */
  between(low: number, high: number): number {
    return low + this.fraction() * (high - low);
  }

  /** True with the given probability, 0 to 1; draws nothing at 0, so that unused faults shift no draws. */
  chance(probability: number): boolean {
    return probability > 0 && this.fraction() < probability;
  }

  /** `length` bytes. */
  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let index = 0; index < length; index += 4) {
      let word = this.uint32();
      for (let at = index; at < Math.min(index + 4, length); at += 1) {
        bytes[at] = word & 0xff;
        word >>>= 8;
      }
    }
    return bytes;
  }
}

/** `count` seeds; the first is IPTUN_SEED where that is set, so that a failing seed can be run alone. */
export function seeds(count: number, first = 1): number[] {
  const { IPTUN_SEED } = process.env;
  const base = Number(IPTUN_SEED ?? first);
  return Array.from({ length: count }, (_, index) => base + index);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function avalanche(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
