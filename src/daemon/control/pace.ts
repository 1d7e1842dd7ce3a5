/**
 * Does costly work one piece at a time, with a rest after each that is as many times as long: whoever asks, and however
 * often, it takes a share of the thread and no more.
 *
 * BOUNDED: MOST_WAITING pieces, one for each connection that there can be; a client that goes away and comes again leaves
 * its piece behind, so more are refused.
 */

import type { StartTimer } from "../repeats.ts";
import { RequestError } from "./control-answer.ts";

/** Lengths of a piece that the thread has for other things after it: the share is a quarter. */
const REST = 3;
/** Those of control socket and web listener together. */
export const MOST_WAITING = 32;

/** What it needs. */
export interface PaceSetting {
  readonly startTimer: StartTimer;
  /** Milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
}

/** One row of such work. */
export class Pace {
  readonly #setting: PaceSetting;
  readonly #waiting: (() => void)[] = [];
  #isBusy = false;

  constructor(setting: PaceSetting) {
    this.#setting = setting;
  }

  /** Does `work` in its turn; rejects with a RequestError (429) where too many wait. */
  run<Result>(work: () => Result): Promise<Result> {
    if (this.#waiting.length >= MOST_WAITING) {
      return Promise.reject(new RequestError("too many ask for this at the moment", 429));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(work());
        } catch (error) {
          reject(error);
        }
      });
      if (!this.#isBusy) this.#next();
    });
  }

  #next(): void {
    const work = this.#waiting.shift();
    this.#isBusy = work !== undefined;
    if (work === undefined) return;
    const { startTimer, nowMs } = this.#setting;
    const startedMs = nowMs();
    work();
    const restMs = (nowMs() - startedMs) * REST;
    if (restMs > 0) startTimer(restMs, () => this.#next());
    else this.#next();
  }
}
