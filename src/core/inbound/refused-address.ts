/**
 * Packets that were refused for an address in them: how many, and the last such address.
 *
 * What the operator asks first when a packet does not pass is which one it was; a drop counter cannot tell. Noted
 * on the way of a drop alone. BOUNDED: one address, whatever arrives.
 */
import type { DropReason } from "../drop-reason.ts";
import type { RefusedSnapshot } from "../options.ts";

/** The packets of one peer, or of nobody, that were refused. */
export class RefusedAddress {
  readonly #bytes = new Uint8Array(16);
  #length = 0;
  #reason: DropReason | undefined;
  #packets = 0;

  /** One more packet, refused for the address at `offset`. */
  note(reason: DropReason, family: 4 | 6, arena: Uint8Array, offset: number): void {
    this.#length = family === 4 ? 4 : 16;
    for (let at = 0; at < this.#length; at += 1) this.#bytes[at] = arena[offset + at] ?? 0;
    this.#reason = reason;
    this.#packets += 1;
  }

  /** undefined: nothing was refused. */
  snapshot(): RefusedSnapshot | undefined {
    if (this.#reason === undefined) return undefined;
    const address = this.#bytes.slice(0, this.#length);
    return { address, reason: this.#reason, packets: this.#packets };
  }
}
