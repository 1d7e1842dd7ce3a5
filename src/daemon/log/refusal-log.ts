/**
 * Log lines about runs of datagrams (UDP_SEGMENT) that the kernel did not take as one message.
 *
 * That is no fault of the tunnel, which goes on datagram by datagram, but it explains a lower speed. The
 * engine tries runs again after a while, so the same refusal comes back as long as the path stays as it
 * is: news is only the first of each remote address and error. BOUNDED: both the lines a minute and what
 * is remembered, because a peer that roams has ever new addresses.
 */
import { formatAddress } from "../../core/prefix.ts";
import type { LogLine } from "./event-log.ts";
import { RateLimit } from "./rate-limit.ts";

/** Log lines a minute about refused runs, all addresses together. */
export const REFUSAL_LINES_PER_MINUTE = 10;
/** BOUNDED: refusals that were told; the oldest makes room, and would be news again. */
export const REMEMBERED_REFUSALS = 1_024;

/** Turns refusals into lines; remembers which it told. */
export class RefusalLog {
  readonly #limit = new RateLimit(REFUSAL_LINES_PER_MINUTE);
  readonly #told = new Set<string>();

  /** The lines for one refusal of a run to `remote` (16 bytes). */
  lines(remote: Uint8Array, errno: string, nowMs: number): readonly LogLine[] {
    const address = formatAddress(remote);
    const message = `datagrams to ${address} go one by one for now: the path takes no runs (${errno})`;
    const line = { message, fields: { remote: address, errno } };
    const key = `${address} ${errno}`;
    if (this.#told.has(key)) return [{ ...line, level: "debug" }];
    const { isAllowed, suppressed } = this.#limit.take(nowMs);
    const rest = suppressed === 0 ? [] : [restLine(suppressed)];
    // What the limit held back stays news.
    if (!isAllowed) return rest;
    this.#remember(key);
    return [...rest, { ...line, level: "info" }];
  }

  #remember(key: string): void {
    const [oldest] = this.#told;
    if (this.#told.size === REMEMBERED_REFUSALS && oldest !== undefined) this.#told.delete(oldest);
    this.#told.add(key);
  }
}

function restLine(count: number): LogLine {
  return { level: "info", message: `${count} more such addresses that take no runs`, fields: {} };
}
