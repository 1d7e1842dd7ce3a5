/**
 * Remote addresses whose path takes no runs of datagrams (UDP_SEGMENT), for a while.
 *
 * A run can fail for want of a checksum offload or because of the path's MTU, and either may change with
 * a route, so each address is tried again after a minute. BOUNDED: 256 addresses; one that falls on
 * another's slot takes it, and the other is tried early, which costs one failed call.
 */
import { MESSAGE, MESSAGE_FIELDS } from "../core/rows.ts";
import type { Instant } from "../core/time.ts";

/** How long an address gets single datagrams. */
export const PLAIN_MS = 60_000;
const SLOTS = 256;
const WORDS = 4;

export class PlainRoutes {
  readonly #words = new Int32Array(SLOTS * WORDS);
  readonly #until = new Float64Array(SLOTS);
  /** When the last of them ends. */
  #last = 0;

  /** Whether any address is to get single datagrams. */
  isAny(now: Instant): boolean {
    return now < this.#last;
  }

  /** Notes that the remote address of message row `base` takes no runs. */
  add(rows: Int32Array, base: number, now: Instant): void {
    const slot = slotOf(rows, base);
    for (let word = 0; word < WORDS; word++) {
      this.#words[slot * WORDS + word] = rows[base + MESSAGE.REMOTE + word] ?? 0;
    }
    this.#until[slot] = now + PLAIN_MS;
    this.#last = now + PLAIN_MS;
  }

  /** Whether the remote address of message row `base` takes no runs. */
  has(rows: Int32Array, base: number, now: Instant): boolean {
    const slot = slotOf(rows, base);
    if ((this.#until[slot] ?? 0) <= now) return false;
    for (let word = 0; word < WORDS; word++) {
      if (this.#words[slot * WORDS + word] !== rows[base + MESSAGE.REMOTE + word]) return false;
    }
    return true;
  }

  /** How many addresses get single datagrams. */
  count(now: Instant): number {
    return this.#until.filter((until) => until > now).length;
  }
}

/** Copies datagram `index` of the run in row `from`, or with -1 the whole row, to row `to` of another table over the same arena. */
export function copyDatagram(
  rows: Int32Array,
  from: number,
  index: number,
  target: Int32Array,
  to: number,
): void {
  for (let field = 0; field < MESSAGE_FIELDS; field++) target[to + field] = rows[from + field] ?? 0;
  if (index < 0) return;
  const segment = rows[from + MESSAGE.SEGMENT] || (rows[from + MESSAGE.LENGTH] ?? 0);
  const start = index * segment;
  target[to + MESSAGE.OFFSET] = (rows[from + MESSAGE.OFFSET] ?? 0) + start;
  target[to + MESSAGE.LENGTH] = Math.min(segment, (rows[from + MESSAGE.LENGTH] ?? 0) - start);
  target[to + MESSAGE.SEGMENT] = 0;
}

function slotOf(rows: Int32Array, base: number): number {
  let hash = 0;
  for (let word = 0; word < WORDS; word++) {
    hash = Math.imul(hash ^ (rows[base + MESSAGE.REMOTE + word] ?? 0), 0x9e3779b1);
  }
  return hash >>> 24;
}
