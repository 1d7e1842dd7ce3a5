/**
 * The clocks of the data path, and its only timer.
 *
 * `now` reads CLOCK_BOOTTIME, which goes on while the host is suspended: a key's 180 seconds pass in
 * suspend too, so a host that wakes up never seals under an old key. Node's timers run on the monotonic
 * clock, which stands still in suspend; so no sleep is longer than `MAX_SLEEP_MS`, and a deadline that
 * passed in suspend is noticed that soon after waking, if no packet brings it up before. The trap: a
 * Node timer may fire a millisecond early, which must not become a call before the deadline.
 */
import type { Instant } from "../core/time.ts";
import type { Native } from "./native.ts";

/** Longest sleep of the timer, in milliseconds. Also far below setTimeout's limit of 2^31 - 1, past which it fires at once. */
export const MAX_SLEEP_MS = 10_000;

/** Clocks and the timer of one thread. */
export interface Clock {
  /** The boot-time clock; never less than what it returned before. */
  now(): Instant;
  /** Microseconds since 1970 by the wall clock, which may step either way; for handshake stamps only. */
  wallMicros(): number;
  /** Calls `callback` once, at or after `at`, in place of what was armed before; `NEVER` only disarms. */
  armTimer(at: Instant, callback: () => void): void;
  /** Forgets what was armed. */
  disarmTimer(): void;
}

/** The clocks of this thread. */
export function createClock(native: Pick<Native, "clock">): Clock {
  const now = monotonic(native);
  const timer = new Timer(now);
  return {
    now,
    wallMicros: () => Date.now() * 1_000,
    armTimer: (at, callback) => timer.arm(at, callback),
    disarmTimer: () => timer.disarm(),
  };
}

function monotonic(native: Pick<Native, "clock">): () => Instant {
  let latest = Number.NEGATIVE_INFINITY;
  return () => {
    latest = Math.max(latest, native.clock());
    return latest as Instant;
  };
}

/**
 * One deadline over one setTimeout. The deadline moves at every turn of the loop, mostly to later, so a
 * sleep that ends before it is left to run and looks again when it ends.
 */
class Timer {
  readonly #now: () => Instant;
  #deadline = Number.POSITIVE_INFINITY;
  #callback: () => void = () => {};
  #sleep: NodeJS.Timeout | undefined;
  /** The deadline that the running sleep was started for; it ends a little later, or earlier where that is far. */
  #sleepsFor = Number.POSITIVE_INFINITY;

  constructor(now: () => Instant) {
    this.#now = now;
  }

  arm(at: Instant, callback: () => void): void {
    this.#deadline = at;
    this.#callback = callback;
    if (at === Number.POSITIVE_INFINITY) this.disarm();
    else if (this.#sleep === undefined || at < this.#sleepsFor) this.#startSleep();
  }

  disarm(): void {
    clearTimeout(this.#sleep);
    this.#sleep = undefined;
    this.#deadline = Number.POSITIVE_INFINITY;
  }

  #startSleep(): void {
    clearTimeout(this.#sleep);
    const now = this.#now();
    const sleepMs = Math.min(Math.max(Math.ceil(this.#deadline - now), 1), MAX_SLEEP_MS);
    this.#sleepsFor = this.#deadline;
    this.#sleep = setTimeout(() => this.#wake(), sleepMs);
  }

  #wake(): void {
    this.#sleep = undefined;
    if (this.#now() < this.#deadline) {
      this.#startSleep();
      return;
    }
    this.#deadline = Number.POSITIVE_INFINITY;
    this.#callback();
  }
}
