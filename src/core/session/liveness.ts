/**
 * What being sent to and heard from means for a peer's timers (rule 11).
 *
 * Called for every packet, so each is a few number writes; the timers themselves act in timers.ts.
 */
import {
  CONFIRMATION_MS,
  FAILOVER_STAGES,
  MEASURE_MS,
  PASSIVE_KEEPALIVE_MS,
  STALE_AFTER_MS,
  UNANSWERED_DATA_MS,
} from "../constants.ts";
import type { Peer } from "../peers/peer.ts";
import { after, type Instant } from "../time.ts";

/**
 * Something was sealed for the peer; `expectsAnswer`: an IP packet, a probe or a path challenge, which the
 * other side answers within 10 s if it is alive.
 */
export function noteSent(peer: Peer, expectsAnswer: boolean, now: Instant): void {
  const { timers } = peer;
  peer.sends = (peer.sends + 1) | 0;
  timers.clear("passiveKeepalive");
  armKeepalive(peer, now);
  if (expectsAnswer && !timers.isSet("unanswered")) {
    timers.set("unanswered", after(now, UNANSWERED_DATA_MS));
    if (peer.configured.length > 1 && !timers.isSet("failover")) {
      peer.failover.stage = 0;
      timers.set("failover", after(now, (FAILOVER_STAGES[0] ?? 1) * peer.failoverMs));
    }
    armMeasure(peer, now);
    // Not for each packet: often enough while anything is answered, and the timer looks for itself.
    if (peer.path !== undefined && !timers.isSet("path")) {
      timers.set("path", after(now, CONFIRMATION_MS));
    }
  }
}

/**
 * Something authentic was heard from the peer; `isCurrent`: on the session we send on, `isPacket`: an IP
 * packet. Only the session we send on can show that what we send arrives: a peer that is heard on another
 * one may have lost this one.
 */
export function noteHeard(peer: Peer, isCurrent: boolean, isPacket: boolean, now: Instant): void {
  const { timers } = peer;
  peer.lastHeardAt = now;
  if (isCurrent) timers.clear("unanswered");
  timers.set("stale", after(now, STALE_AFTER_MS));
  if (isPacket) armMeasure(peer, now);
  if (isPacket && !timers.isSet("passiveKeepalive")) {
    timers.set("passiveKeepalive", after(now, PASSIVE_KEEPALIVE_MS));
  }
}

/** Link quality is looked at while packets flow; the timer looks for itself. */
function armMeasure({ quality, timers }: Peer, now: Instant): void {
  if (quality !== undefined && !timers.isSet("measure")) {
    timers.set("measure", after(now, MEASURE_MS));
  }
}

/** The configured keepalive counts from the last thing sent. */
export function armKeepalive(peer: Peer, now: Instant): void {
  if (peer.keepaliveSeconds > 0) peer.timers.set("keepalive", after(now, peer.keepaliveMs));
}
