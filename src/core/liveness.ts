/**
 * What being sent to and heard from means for a peer's timers (rule 11).
 *
 * Called for every packet, so each is a few number writes; the timers themselves act in timers.ts.
 */
import { PASSIVE_KEEPALIVE_MS, STALE_AFTER_MS, UNANSWERED_DATA_MS } from "./constants.ts";
import type { Peer } from "./peer.ts";
import { after, type Instant } from "./time.ts";

/** Something was sealed for the peer; `isData`: a packet with content other than a report. */
export function noteSent(peer: Peer, isData: boolean, now: Instant): void {
  const { timers } = peer;
  timers.clear("passiveKeepalive");
  armKeepalive(peer, now);
  if (isData && !timers.isSet("unanswered"))
    timers.set("unanswered", after(now, UNANSWERED_DATA_MS));
}

/** Something authentic was heard from the peer; `isData`: a packet with content. */
export function noteHeard(peer: Peer, isData: boolean, now: Instant): void {
  const { timers } = peer;
  peer.lastHeardAt = now;
  timers.clear("unanswered");
  timers.set("stale", after(now, STALE_AFTER_MS));
  if (isData && !timers.isSet("passiveKeepalive")) {
    timers.set("passiveKeepalive", after(now, PASSIVE_KEEPALIVE_MS));
  }
}

/** The configured keepalive counts from the last thing sent. */
export function armKeepalive(peer: Peer, now: Instant): void {
  if (peer.keepaliveSeconds > 0) peer.timers.set("keepalive", after(now, peer.keepaliveMs));
}
