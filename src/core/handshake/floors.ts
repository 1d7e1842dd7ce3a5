/**
 * Stamp floors: for each node of a key, the highest stamp of a confirmed session (rule 2).
 *
 * A floor never falls. If it fell when a peer's clock did, INITs recorded before would cost a
 * Diffie-Hellman each again; a peer with an old clock passes the challenge instead.
 */
import { FLOORS_PER_PAIR } from "../constants.ts";

/** BOUNDED: the node that was confirmed longest ago is forgotten, and is challenged when it comes back. */
export class Floors {
  readonly #floors = new Map<string, number>();
  readonly #limit: number;

  constructor(limit = FLOORS_PER_PAIR) {
    this.#limit = limit;
  }

  has(nodeId: Uint8Array): boolean {
    return this.#floors.has(keyOf(nodeId));
  }

  /** Whether a stamp is above the node's floor; false where no floor is known. */
  isAbove(nodeId: Uint8Array, stamp: number): boolean {
    const floor = this.#floors.get(keyOf(nodeId));
    return floor !== undefined && stamp > floor;
  }

  /** Raises the node's floor to the stamp of a session that was confirmed. */
  confirm(nodeId: Uint8Array, stamp: number): void {
    const key = keyOf(nodeId);
    const floor = Math.max(stamp, this.#floors.get(key) ?? 0);
    this.#floors.delete(key);
    const oldest = this.#floors.keys().next();
    if (this.#floors.size >= this.#limit && !oldest.done) this.#floors.delete(oldest.value);
    this.#floors.set(key, floor);
  }
}

function keyOf(nodeId: Uint8Array): string {
  return String.fromCharCode(...nodeId);
}
