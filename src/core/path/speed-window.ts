/**
 * How many probes of a speed test may be on their way: found from the rate of their answers.
 *
 * In the manner of BBR (draft-cardwell-iccrg-bbr-congestion-control-02): the window doubles a round until the rate
 * grows no more, then follows the best rate of the last rounds: as much as fills two round trips and a little, so
 * the queue in front of a slow link stays short and a lost probe stops nothing. What is lost beyond a share
 * lowers it, but never below what one round trip at that rate holds: loss that is the path's own costs no rate.
 * Not here: what is on its way (speed-test.ts).
 */
import {
  SPEED_FIRST_WINDOW,
  SPEED_LEAST_QUEUE_MS,
  SPEED_LEAST_WINDOW,
  SPEED_LOSS,
  SPEED_MOST_WINDOW,
  SPEED_QUEUE_MS,
  SPEED_ROUNDS,
} from "../constants.ts";

/** Growth below which a round counts as none, and how many of those end the start. */
const GROWTH = 1.25;
const FLAT_ROUNDS = 3;
/** A round whose least round-trip time is beyond this much of the least of all, and some milliseconds, ends the start too: a queue fills. */
const START_ROUND_TRIPS = 1.25;
const START_QUEUE_MS = 4;
/** What is on its way at least, in round trips at the best rate: one, and what is lost of it. */
const LEAST_ROUND_TRIPS = 1.25;
/** What loss leaves of the window, and what a round without it gives back. */
const DECREASE = 0.85;
const INCREASE = 1.1;

/** What became of the probes of one round. */
export interface Round {
  readonly answered: number;
  readonly lost: number;
  readonly ms: number;
  /** Least round-trip time of its answers, milliseconds. */
  readonly leastMs: number;
}

export class SpeedWindow {
  size = SPEED_FIRST_WINDOW;
  /** Whether it still looks for the rate. */
  isStarting = true;
  /** Least round-trip time so far, milliseconds. */
  leastMs = Number.POSITIVE_INFINITY;
  /** Answers a millisecond of the last rounds. BOUNDED: SPEED_ROUNDS. */
  readonly #rates: number[] = [];
  #best = 0;
  #flatRounds = 0;
  #ceiling: number = SPEED_MOST_WINDOW;

  /** Takes a round into account. */
  endRound(round: Round): void {
    const rate = round.answered / round.ms;
    const isLossy = round.lost > SPEED_LOSS * (round.lost + round.answered);
    this.#rates.push(rate);
    if (this.#rates.length > SPEED_ROUNDS) this.#rates.shift();
    if (this.isStarting) this.#start(rate, isLossy || this.#isQueueing(round.leastMs));
    if (!this.isStarting) this.#follow(isLossy);
  }

  /** Nothing is answered any more. */
  collapse(): void {
    this.size = SPEED_LEAST_WINDOW;
  }

  #start(rate: number, isEnough: boolean): void {
    if (rate > GROWTH * this.#best) this.#flatRounds = 0;
    else this.#flatRounds += 1;
    this.#best = Math.max(rate, this.#best);
    this.isStarting = !isEnough && this.#flatRounds < FLAT_ROUNDS;
    if (this.isStarting) this.size = Math.min(2 * this.size, SPEED_MOST_WINDOW);
  }

  #follow(isLossy: boolean): void {
    const best = Math.max(...this.#rates);
    const floor = best * (LEAST_ROUND_TRIPS * this.leastMs + SPEED_LEAST_QUEUE_MS);
    const target = best * (2 * this.leastMs + SPEED_QUEUE_MS);
    this.#ceiling = isLossy
      ? Math.max(floor, DECREASE * Math.min(this.size, this.#ceiling))
      : Math.min(INCREASE * this.#ceiling + 1, SPEED_MOST_WINDOW);
    const size = Math.ceil(Math.min(target, this.#ceiling));
    this.size = Math.min(Math.max(size, SPEED_LEAST_WINDOW), SPEED_MOST_WINDOW);
  }

  #isQueueing(roundTripMs: number): boolean {
    return roundTripMs > START_ROUND_TRIPS * this.leastMs + START_QUEUE_MS;
  }
}
