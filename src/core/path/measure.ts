/**
 * Link quality (rule 20): while packets flow, each side sends a short probe and a report every second.
 *
 * A probe's answer tells the round-trip time. A report tells what arrived of the session that carries it and how many
 * probes its sender has sealed on it. Probes are in no account, because many of them are meant to be lost: those
 * longer than the path, and those to an endpoint that is dead. What arrives late counts as lost until it arrives.
 */
import { isSameRemote } from "../address.ts";
import { MEASURE_MS, MEASURED_PROBE_BYTES } from "../constants.ts";
import type { DropReason } from "../drop-reason.ts";
import type { Peer, Session } from "../peers/peer.ts";
import { sendMeasuringProbe, sendReport } from "../session/control.ts";
import type { State } from "../state.ts";
import { after, type Instant } from "../time.ts";
import { REPORT_FRAME, readUint64, viewOf } from "../wire.ts";
import type { Probe } from "./probes.ts";

/** A period is over: where packets flowed in it, one more. */
export function measureDue(state: State, peer: Peer, now: Instant): void {
  const { quality, counters, current, previous, endpoint } = peer;
  const packets = counters.inboundPackets + counters.outboundPackets;
  if (quality === undefined || packets === quality.packets) return;
  quality.packets = packets;
  peer.timers.set("measure", after(now, MEASURE_MS));
  if (endpoint === undefined || current === undefined) return;
  for (const session of [previous, current]) {
    if (session === undefined || session.receivedPackets === session.reportedPackets) continue;
    session.reportedPackets = session.receivedPackets;
    sendReport(state, session, endpoint, now);
  }
  sendMeasuringProbe(state, current, endpoint, now);
}

/** The path is another one: what the one before lost, up to the next report, is not this one's. */
export function forgetQuality(peer: Peer): void {
  peer.quality?.clear();
  for (const session of peer.sessions()) {
    session.told = undefined;
    session.seen = undefined;
  }
}

/** What the other side says of a session's datagrams, and by the way how many of its own to expect here. */
export function reportReceived(session: Session, frame: Uint8Array): DropReason | undefined {
  const { quality } = session.peer;
  const view = viewOf(frame);
  // No news by itself: two sides would keep telling each other of their reports on the session before.
  session.reportedPackets += 1;
  const sent = readUint64(view, REPORT_FRAME.highest) + 1 - session.probesSent;
  const received = readUint64(view, REPORT_FRAME.received);
  if (sent > session.nextCounter - session.probesSent || received > session.nextCounter) {
    return "bad_control";
  }
  // An older one that came late, or one whose probes are still on their way, tells nothing new.
  const { told = { sent, received } } = session;
  if (quality === undefined || sent < told.sent || received < told.received) return undefined;
  quality.outbound.add(sent - told.sent, received - told.received);
  session.told = { sent, received };
  addInbound(session, view.getUint32(REPORT_FRAME.probes, true));
  return undefined;
}

/** `probes`: how many the other side has sealed on the session. */
function addInbound(session: Session, probes: number): void {
  const sent = session.window.highest + 1 - probes;
  const received = session.receivedPackets - session.probesReceived;
  const { seen = { sent, received } } = session;
  if (sent < seen.sent) return;
  session.peer.quality?.inbound.add(sent - seen.sent, received - seen.received);
  session.seen = { sent, received };
}

/** An own probe was answered; a long one takes longer, and one to another endpoint another way. */
export function probeMeasured(peer: Peer, probe: Probe, now: Instant): void {
  const { quality, endpoint } = peer;
  if (quality === undefined || endpoint === undefined || probe.bytes > MEASURED_PROBE_BYTES) return;
  if (isSameRemote(probe.to, endpoint)) quality.addRoundTrip(now - probe.sentAt);
}
