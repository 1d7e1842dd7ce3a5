/**
 * Things to do at later instants, earliest first; equal instants keep the order they were added in.
 *
 * A binary heap. It knows nothing of what it holds.
 */
import type { Instant } from "../../src/core/time.ts";

interface Entry<T> {
  readonly at: Instant;
  readonly sequence: number;
  readonly value: T;
}

/** A queue ordered by instant. */
export class Schedule<T> {
  readonly #heap: Entry<T>[] = [];
  #sequence = 0;

  /** Instant of the earliest value. */
  get next(): Instant | undefined {
    return this.#heap[0]?.at;
  }

  get size(): number {
    return this.#heap.length;
  }

  add(at: Instant, value: T): void {
    const heap = this.#heap;
    heap.push({ at, sequence: this.#sequence, value });
    this.#sequence += 1;
    let child = heap.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.#swapIfEarlier(child, parent)) return;
      child = parent;
    }
  }

  /** Removes and returns the earliest value due at `now`. */
  take(now: Instant): T | undefined {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined || first.at > now) return undefined;
    const last = heap.pop();
    if (last !== undefined && heap.length > 0) {
      heap[0] = last;
      this.#sink();
    }
    return first.value;
  }

  #sink(): void {
    let parent = 0;
    for (;;) {
      const left = 2 * parent + 1;
      const right = left + 1;
      const earlier = this.#isEarlier(right, left) ? right : left;
      if (!this.#swapIfEarlier(earlier, parent)) return;
      parent = earlier;
    }
  }

  #swapIfEarlier(child: number, parent: number): boolean {
    if (!this.#isEarlier(child, parent)) return false;
    const heap = this.#heap;
    const [a, b] = [heap[child], heap[parent]];
    if (a === undefined || b === undefined) return false;
    heap[child] = b;
    heap[parent] = a;
    return true;
  }

  #isEarlier(one: number, other: number): boolean {
    const [a, b] = [this.#heap[one], this.#heap[other]];
    if (a === undefined || b === undefined) return false;
    return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
  }
}
