/**
 * Coverage of one run: which counters of the instrumented sources were hit, and about how often.
 *
 * Hits are put into eight classes (1, 2, 3, 4, 8, 16, 32 and 128 or more), as AFL does: a loop that runs twice as
 * often is news, once more is not.
 */

declare global {
  var fuzzHits: Uint8Array | undefined;
}

/** Counters behind those of the sources, for what a target sees of the outside. */
export const BEHAVIOURS = 256;

/** Counts a behaviour that the sources' counters do not tell, such as a status code; nothing where no coverage is kept. */
export function noteBehaviour(what: string): void {
  const hits = globalThis.fuzzHits;
  if (hits === undefined) return;
  let hash = 7;
  for (const character of what) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) >>> 0;
  const counter = hits.length - 1 - (hash % BEHAVIOURS);
  hits[counter] = (hits[counter] ?? 0) + 1;
}

/** The class of each count, as one bit. */
const CLASS = Uint8Array.from({ length: 256 }, (_, hits) => {
  if (hits < 3) return hits === 0 ? 0 : 1 << (hits - 1);
  return (1 << [4, 8, 16, 32, 128].filter((limit) => hits >= limit).length) << 2;
});

/** What all runs so far reached. */
export class Coverage {
  readonly #hits: Uint8Array;
  readonly #seen: Uint8Array;
  /** Counters hit, and classes of counts. */
  edges = 0;
  features = 0;

  constructor(hits: Uint8Array) {
    this.#hits = hits;
    this.#seen = new Uint8Array(hits.length);
  }

  /** Forgets what was hit since the last call. */
  begin(): void {
    this.#hits.fill(0);
  }

  /** The features that the run since `begin` reached, as numbers. */
  reached(): readonly number[] {
    const features: number[] = [];
    this.#hits.forEach((hits, counter) => {
      if (hits > 0) features.push(counter * 8 + Math.log2(CLASS[hits] ?? 1));
    });
    return features;
  }

  /** Whether the run reached something for the first time; it is remembered. */
  isNew(): boolean {
    const hits = this.#hits;
    const seen = this.#seen;
    let isNew = false;
    for (let counter = 0; counter < hits.length; counter += 1) {
      const bit = CLASS[hits[counter] ?? 0] ?? 0;
      const before = seen[counter] ?? 0;
      if ((before | bit) === before) continue;
      if (before === 0) this.edges += 1;
      this.features += 1;
      seen[counter] = before | bit;
      isNew = true;
    }
    return isNew;
  }

  /** Counters hit so far among `count` from `first` on. */
  hitIn(first: number, count: number): number {
    return this.#seen.subarray(first, first + count).filter((bits) => bits > 0).length;
  }
}
