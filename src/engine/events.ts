/**
 * Events of the tunnel, as many as go into one message to the control side.
 */
import type { TunnelEvent } from "../core/options.ts";
import type { Tunnel } from "../core/tunnel.ts";

/** Events in one message. */
export const EVENTS_PER_REPORT = 64;

/** Takes the next events; none where there are none. */
export function takeEvents(tunnel: Pick<Tunnel, "pollEvent">): TunnelEvent[] {
  const events: TunnelEvent[] = [];
  while (events.length < EVENTS_PER_REPORT) {
    const event = tunnel.pollEvent();
    if (event === undefined) break;
    events.push(event);
  }
  return events;
}
