/**
 * Addresses from which handshakes arrive that no key here opens: reported, but not often.
 */
import { STRANGER_EVENT_MS, STRANGERS } from "../constants.ts";
import { after, type Instant } from "../time.ts";
import { TokenBucket } from "../token-bucket.ts";

/** Events a second of all strangers together, so that spoofed sources cannot fill the log. */
const EVENTS_PER_SECOND = 0.2;
const EVENT_BURST = 10;

/** BOUNDED: 256 addresses; the one reported longest ago is forgotten. */
export class Strangers {
  readonly #quietUntil = new Map<string, Instant>();
  readonly #all: TokenBucket;

  constructor(now: Instant) {
    this.#all = new TokenBucket(EVENTS_PER_SECOND, EVENT_BURST, now);
  }

  /** Whether a datagram from this address (16 bytes) is to be reported; at most once a minute each. */
  isNews(address: Uint8Array, now: Instant): boolean {
    const key = String.fromCharCode(...address);
    if ((this.#quietUntil.get(key) ?? now) > now || !this.#all.take(now)) return false;
    this.#quietUntil.delete(key);
    const oldest = this.#quietUntil.keys().next();
    if (this.#quietUntil.size >= STRANGERS && !oldest.done) this.#quietUntil.delete(oldest.value);
    this.#quietUntil.set(key, after(now, STRANGER_EVENT_MS));
    return true;
  }
}
