/** Something that is costly to read: read once a second at most, whoever asks. */
import { SECOND_MS } from "../../core/time.ts";

/** Milliseconds for which a reading is good. */
export const FRESH_MS = SECOND_MS;

/** Gives the last reading while it is good, else a new one. */
export class Fresh<Reading> {
  readonly #read: () => Promise<Reading>;
  readonly #nowMs: () => number;
  #reading: Promise<Reading> | undefined;
  #madeAtMs = 0;

  constructor(read: () => Promise<Reading>, nowMs: () => number) {
    this.#read = read;
    this.#nowMs = nowMs;
  }

  /** The reading; rejects with the reason where nothing can be read. */
  get(): Promise<Reading> {
    // One that is under way is everybody's, however long it takes.
    if (this.#reading === undefined || this.#nowMs() - this.#madeAtMs >= FRESH_MS) {
      this.#madeAtMs = Number.POSITIVE_INFINITY;
      this.#reading = this.#read().finally(() => {
        this.#madeAtMs = this.#nowMs();
      });
    }
    return this.#reading;
  }
}
