/**
 * When to wake: one timer table a peer, and a heap over the peers.
 *
 * Setting a timer later than the peer's wake-up touches one number, so the packet path costs no heap
 * work; a wake-up that comes too early finds nothing due and moves to the true deadline. The cost of
 * a packet and of a wake-up does not grow with the number of peers (a heap's logarithm apart).
 */
import { type Instant, NEVER } from "../time.ts";

/** Every timer a peer has, and what it does when it is due. */
export const TIMERS = {
  /** Sends the next INIT of the attempt. */
  retry: "handshake retry",
  /** Ends an attempt that found no answer. */
  giveUp: "handshake given up",
  /** Starts a new session before the current one ages out. */
  rekey: "rekey",
  /** Wipes the session that reaches its age limit first. */
  expire: "session expiry",
  /** Repeats the confirming keepalive until the responder is heard. */
  confirm: "confirmation",
  /** Starts a handshake because data was sent and nothing heard. */
  unanswered: "unanswered data",
  /** Answers data with a keepalive because nothing else was sent. */
  passiveKeepalive: "passive keepalive",
  /** Sends the configured keepalive. */
  keepalive: "keepalive",
  /** Forgets the learned endpoint of a silent peer. */
  stale: "stale peer",
  /** Asks a node again whether it is there, because another claims an address of it. */
  contest: "probe of an address's holder",
  /** Ends a round of path probes, or confirms the size in use. */
  path: "path probe",
  /** Asks whether the path carries more than before. */
  raise: "search for a larger path",
  /** Asks a silent endpoint, and in the end the others. */
  failover: "silent endpoint",
  /** Asks whether a preferred endpoint lives again. */
  prefer: "preferred endpoint",
  /** Sends a report and a probe while packets flow. */
  measure: "link quality",
  /** Lets the next packets of a peer with a rate leave. */
  pace: "rate",
} as const;

export type Timer = keyof typeof TIMERS;

const NAMES = Object.keys(TIMERS) as Timer[];
const INDEX = Object.fromEntries(NAMES.map((name, index) => [name, index])) as Record<
  Timer,
  number
>;

/** The timers of one peer. `wakeAt` is never later than the earliest of them. */
export class TimerTable {
  readonly #at = new Float64Array(NAMES.length).fill(Number.POSITIVE_INFINITY);
  readonly #onEarlier: () => void;
  wakeAt: Instant = NEVER;

  /** `onEarlier` is called when `wakeAt` moved to an earlier instant. */
  constructor(onEarlier: () => void) {
    this.#onEarlier = onEarlier;
  }

  set(timer: Timer, at: Instant): void {
    this.#at[INDEX[timer]] = at;
    if (at >= this.wakeAt) return;
    this.wakeAt = at;
    this.#onEarlier();
  }

  clear(timer: Timer): void {
    this.#at[INDEX[timer]] = Number.POSITIVE_INFINITY;
  }

  clearAll(): void {
    this.#at.fill(Number.POSITIVE_INFINITY);
    this.wakeAt = NEVER;
  }

  isSet(timer: Timer): boolean {
    return (this.#at[INDEX[timer]] ?? NEVER) !== Number.POSITIVE_INFINITY;
  }

  /** Clears the timer if it is due; returns whether it was. */
  takeDue(timer: Timer, now: Instant): boolean {
    if ((this.#at[INDEX[timer]] ?? NEVER) > now) return false;
    this.clear(timer);
    return true;
  }

  /** The earliest timer that is set. */
  earliest(): { readonly at: Instant; readonly timer: Timer } | undefined {
    let best: Timer | undefined;
    let at = NEVER;
    for (const [index, value] of this.#at.entries()) {
      if (value >= at) continue;
      at = value as Instant;
      best = NAMES[index];
    }
    return best === undefined ? undefined : { at, timer: best };
  }

  /** Sets `wakeAt` to the true earliest deadline; the heap must be told by its owner. */
  settle(): void {
    this.wakeAt = this.earliest()?.at ?? NEVER;
  }
}

/** What the heap keeps: something with timers that remembers its own place. */
export interface Sleeper {
  readonly timers: TimerTable;
  heapIndex: number;
}

/** Not in the heap. */
export const NOT_IN_HEAP = -1;

/** A binary heap of sleepers by `wakeAt`; each knows its place, so moving one costs a logarithm. */
export class DeadlineHeap<T extends Sleeper> {
  readonly #heap: T[] = [];

  /** The sleeper that wakes first. */
  first(): T | undefined {
    return this.#heap[0];
  }

  /** Puts a sleeper in, or moves it after its `wakeAt` changed; one that never wakes is taken out. */
  update(sleeper: T): void {
    if (sleeper.timers.wakeAt === NEVER) {
      this.remove(sleeper);
      return;
    }
    if (sleeper.heapIndex === NOT_IN_HEAP) {
      sleeper.heapIndex = this.#heap.length;
      this.#heap.push(sleeper);
    }
    this.#down(this.#up(sleeper.heapIndex));
  }

  remove(sleeper: T): void {
    const index = sleeper.heapIndex;
    if (index === NOT_IN_HEAP) return;
    sleeper.heapIndex = NOT_IN_HEAP;
    const last = this.#heap.pop();
    if (last === undefined || last === sleeper) return;
    this.#place(last, index);
    this.#down(this.#up(index));
  }

  #up(from: number): number {
    let index = from;
    while (index > 0) {
      const above = (index - 1) >> 1;
      if (!this.#swapIfEarlier(index, above)) break;
      index = above;
    }
    return index;
  }

  #down(from: number): void {
    let index = from;
    for (;;) {
      const left = 2 * index + 1;
      const below = this.#isEarlier(left + 1, left) ? left + 1 : left;
      if (!this.#swapIfEarlier(below, index)) return;
      index = below;
    }
  }

  #isEarlier(a: number, b: number): boolean {
    const first = this.#heap[a];
    const second = this.#heap[b];
    if (first === undefined || second === undefined) return false;
    return first.timers.wakeAt < second.timers.wakeAt;
  }

  #swapIfEarlier(a: number, b: number): boolean {
    if (!this.#isEarlier(a, b)) return false;
    const first = this.#heap[a];
    const second = this.#heap[b];
    if (first === undefined || second === undefined) return false;
    this.#place(first, b);
    this.#place(second, a);
    return true;
  }

  #place(sleeper: T, index: number): void {
    this.#heap[index] = sleeper;
    sleeper.heapIndex = index;
  }
}
