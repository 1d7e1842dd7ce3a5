/** Events for the control side, until `pollEvent` hands them out. */
import { EVENT_QUEUE } from "./constants.ts";
import type { TunnelEvent } from "./options.ts";

/** BOUNDED: 1024 events; what does not fit is counted and reported as one `lost` event. */
export class EventQueue {
  readonly #events: TunnelEvent[] = [];
  #lost = 0;

  push(event: TunnelEvent): void {
    if (this.#events.length >= EVENT_QUEUE) this.#lost += 1;
    else this.#events.push(event);
  }

  shift(): TunnelEvent | undefined {
    const event = this.#events.shift();
    if (event !== undefined || this.#lost === 0) return event;
    const count = this.#lost;
    this.#lost = 0;
    return { kind: "lost", count };
  }
}
