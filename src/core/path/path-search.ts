/**
 * The search for the largest packet that a path carries: which sizes to ask next, and what the answers mean.
 *
 * In the spirit of RFC 8899 (§5), with one departure: a round asks several sizes at once, because one at a
 * time takes as many round trips as there are steps. A path that carries a size is taken to carry all smaller
 * ones; a size counts as too large when MAX_PROBES of its probes in a row were lost. Sizes are bytes of the outer IP packet.
 * Pure: it knows no clock and sends nothing.
 */
import { BASE_PLPMTU, MAX_PROBES } from "../constants.ts";

/** What paths usually carry: the first round asks these. */
const USUAL_SIZES: readonly number[] = [BASE_PLPMTU, 1400, 1492, 1500, 9000];
/** Sizes of each later round, besides the one in doubt. */
const ROUND_SIZES = 5;

/** One search, from its first round until the size is known to the byte. */
export class PathSearch {
  readonly #most: number;
  /** The largest size that passed; 0: none did. */
  #passed: number;
  /** The smallest size that is known to be too large. */
  #tooLarge: number;
  /** The smallest size that the last rounds lost, and how often in a row. */
  #doubt: { readonly bytes: number; readonly losses: number } | undefined;
  /** What the round under way asks and nobody answered. */
  #open: number[] = [];
  /** Rounds that came to their end. */
  rounds = 0;

  /** `most` is the largest size worth asking, `passed` one that is known to pass. */
  constructor(most: number, passed = 0) {
    this.#most = most;
    this.#passed = passed;
    this.#tooLarge = most + 1;
  }

  /** The largest size that passed, 0 where none did. */
  get passed(): number {
    return this.#passed;
  }

  /** Nothing is left to ask. */
  get isDone(): boolean {
    return this.#passed + 1 >= this.#tooLarge || this.#tooLarge <= BASE_PLPMTU;
  }

  /** Every size of the round was answered. */
  get isRoundDone(): boolean {
    return this.#open.length === 0;
  }

  /** Starts a round; the sizes to ask, ascending. */
  nextRound(): readonly number[] {
    const sizes = new Set(this.#passed === 0 ? this.#usual() : this.#between());
    this.#open = [...sizes].sort((a, b) => a - b);
    return [...this.#open];
  }

  /** A probe of this size arrived, of this round or an earlier one. */
  pass(bytes: number): void {
    this.#passed = Math.max(this.#passed, bytes);
    this.#open = this.#open.filter((size) => size > this.#passed);
    // Late, but it came: larger ones may, too.
    if (this.#passed >= this.#tooLarge) this.#tooLarge = this.#most + 1;
    if (this.#doubt !== undefined && this.#doubt.bytes <= this.#passed) this.#doubt = undefined;
  }

  /** The round's time is over: what is open is lost, and the smallest of it is in doubt. */
  endRound(): void {
    const [bytes] = this.#open;
    this.rounds += 1;
    this.#open = [];
    if (bytes === undefined) return;
    const losses = this.#doubt?.bytes === bytes ? this.#doubt.losses + 1 : 1;
    this.#doubt = { bytes, losses };
    if (losses < MAX_PROBES) return;
    this.#tooLarge = bytes;
    this.#doubt = undefined;
  }

  #usual(): readonly number[] {
    return [...USUAL_SIZES.filter((size) => size < this.#most), this.#most];
  }

  /** Evenly over what is open between the sizes that pass and the one in doubt, and that one. */
  #between(): readonly number[] {
    const upper = this.#doubt?.bytes ?? this.#tooLarge;
    const gap = upper - this.#passed - 1;
    const count = Math.min(gap, ROUND_SIZES);
    const sizes = Array.from(
      { length: count },
      (_, index) => this.#passed + Math.ceil(((index + 1) * gap) / count),
    );
    return this.#doubt === undefined ? sizes : [...sizes, upper];
  }
}
