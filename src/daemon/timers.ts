/**
 * The control side's timers: Node's, in the form that the rest of the daemon takes them.
 *
 * Not the engine's (io/clock.ts): those count suspend and serve deadlines; these only pace polls and
 * retries. Nothing else in the daemon calls setTimeout, so tests can drive all of it.
 */

/** Calls `action` once after `delayMs` milliseconds; the returned function cancels it. */
export function startTimer(delayMs: number, action: () => void): () => void {
  const timer = setTimeout(action, delayMs);
  return () => clearTimeout(timer);
}
