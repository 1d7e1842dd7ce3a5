/**
 * Raises the socket's shield under a flood of datagrams that are no message of the protocol at all.
 *
 * Each such datagram costs two microseconds to read and count, and takes room in the socket's buffer from genuine ones;
 * the kernel drops it in a hundredth of that. While the shield is up they are neither counted by their reason nor
 * charged to a source; the kernel's own count is all there is. So it is lowered every second, and what comes until it
 * is raised again stands for the rest. The trap: whoever takes the trouble to begin like a message passes it, so it is
 * for junk alone.
 */
import { after, type Instant, NEVER } from "../core/time.ts";
import type { UdpPort } from "./ports.ts";

/**
 * So many malformed datagrams within so many milliseconds raise it: 60,000 a second. Fewer take less of a processor than a
 * stream of bulk loses without joined datagrams.
 */
export const SHIELD_DATAGRAMS = 3_000;
export const SHIELD_WINDOW_MS = 50;
/** How long it stays up, milliseconds. */
export const SHIELD_MS = 1_000;

export class Shield {
  readonly #udp: Pick<UdpPort, "setShield">;
  #isRefused = false;
  #raised = 0;
  /** When it is to be lowered; NEVER: it is not up. */
  #lowersAt: Instant = NEVER;
  /** Beginning of the window, and malformed datagrams until then. */
  #since = Number.NEGATIVE_INFINITY;
  #before = 0;

  constructor(udp: Pick<UdpPort, "setShield">) {
    this.#udp = udp;
  }

  /** Times that it was raised. */
  get raised(): number {
    return this.#raised;
  }

  get lowersAt(): Instant {
    return this.#lowersAt;
  }

  /** To be called in every turn. `malformed`: such datagrams until now. */
  look(malformed: number, now: Instant): void {
    if (this.#isRefused) return;
    if (this.#lowersAt !== NEVER) {
      if (now >= this.#lowersAt) this.#lower(malformed, now);
      return;
    }
    if (now - this.#since > SHIELD_WINDOW_MS) this.#begin(malformed, now);
    else if (malformed - this.#before >= SHIELD_DATAGRAMS) this.#raise(now);
  }

  #begin(malformed: number, now: Instant): void {
    this.#since = now;
    this.#before = malformed;
  }

  #raise(now: Instant): void {
    this.#isRefused = !this.#udp.setShield(true);
    if (this.#isRefused) return;
    this.#raised += 1;
    this.#lowersAt = after(now, SHIELD_MS);
  }

  #lower(malformed: number, now: Instant): void {
    this.#udp.setShield(false);
    this.#lowersAt = NEVER;
    this.#begin(malformed, now);
  }
}
