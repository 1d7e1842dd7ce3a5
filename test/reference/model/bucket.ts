/** A token bucket as textbooks have it: tokens drip in, at most `burst` stay. */
export class Bucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  constructor(perSecond: number, burst: number, now: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = now;
  }

  isEmpty(now: number): boolean {
    const dripped = ((now - this.#at) * this.#perSecond) / 1_000;
    this.#tokens = Math.min(this.#burst, this.#tokens + dripped);
    this.#at = now;
    return this.#tokens < 1;
  }

  /** Takes a token; false: there was none. */
  take(now: number): boolean {
    if (this.isEmpty(now)) return false;
    this.#tokens -= 1;
    return true;
  }

  giveBack(): void {
    this.#tokens += 1;
  }
}
