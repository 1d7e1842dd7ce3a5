/**
 * A pre-shared key as the core holds it: its sub-keys, whose it is, and what was seen under it.
 *
 * `Owner` is the peer: peer.ts closes the circle with its alias `Psk`, so that no file imports in one.
 */
import { FLOORS_PER_GROUP, FLOORS_PER_PAIR } from "../constants.ts";
import type { HandshakeCrypto } from "../crypto.ts";
import { Floors } from "./floors.ts";
import { KeyUse } from "./key-use.ts";
import { deriveKeyRing, type KeyRing } from "./keys.ts";
import { SeenInits } from "./seen-inits.ts";

export interface PskOf<Owner> {
  readonly ring: KeyRing;
  readonly peer: Owner;
  readonly seen: SeenInits;
  readonly floors: Floors;
  readonly use: KeyUse;
}

/** Derives the sub-keys of `key` (32 bytes), which stays the caller's to wipe. */
export function newPsk<Owner>(
  key: Uint8Array,
  peer: Owner,
  crypto: HandshakeCrypto,
  isGroup = false,
): PskOf<Owner> {
  const floors = new Floors(isGroup ? FLOORS_PER_GROUP : FLOORS_PER_PAIR);
  const ring = deriveKeyRing(crypto, key, isGroup);
  return { ring, peer, seen: new SeenInits(), floors, use: new KeyUse() };
}

/** All keys by the hint that an INIT carries. BOUNDED by the configuration. */
export class PskTable<Owner> {
  readonly #byHint = new Map<number, PskOf<Owner>[]>();

  add(psk: PskOf<Owner>): void {
    this.#byHint.set(psk.ring.hint, [...this.candidates(psk.ring.hint), psk]);
  }

  /** Takes a key out; its sub-keys stay the caller's to wipe. */
  remove(psk: PskOf<Owner>): void {
    const rest = this.candidates(psk.ring.hint).filter((other) => other !== psk);
    if (rest.length > 0) this.#byHint.set(psk.ring.hint, rest);
    else this.#byHint.delete(psk.ring.hint);
  }

  /** The keys with this hint; usually none or one. */
  candidates(hint: number): readonly PskOf<Owner>[] {
    return this.#byHint.get(hint) ?? [];
  }
}
