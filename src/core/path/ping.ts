/**
 * Probes that an operator asks for: each is sent at once, and its answer is told with its round-trip time.
 *
 * They say nothing to the path MTU or to link quality, which have probes of their own. A peer without a session
 * is not probed; a handshake with it starts, so that the next one may find it.
 */
import { PING_BYTES, PINGS_AWAITED } from "../constants.ts";
import { canStart, startAttempt } from "../handshake/initiate.ts";
import type { PingRefusal } from "../options.ts";
import { peerNamed } from "../peers/members.ts";
import { sendTaggedProbe } from "../session/control.ts";
import type { State } from "../state.ts";
import type { Instant } from "../time.ts";
import { plainEndpoint } from "./endpoints.ts";
import type { Probe } from "./probes.ts";

/** Probes the peer or node of this name; why it could not, or undefined. Its answer will bear `tag`. */
export function sendPing(
  state: State,
  name: string,
  tag: number,
  now: Instant,
): PingRefusal | undefined {
  const peer = peerNamed(state, name);
  if (peer === undefined) return "no-peer";
  if (peer.kind === "group") return "group";
  const { current, endpoint } = peer;
  if (current?.isUsable(now) && endpoint !== undefined) {
    sendTaggedProbe(state, current, { bytes: PING_BYTES, to: endpoint, tag }, now);
    return undefined;
  }
  if (!canStart(peer)) return "no-endpoint";
  startAttempt(state, peer, now);
  return "no-session";
}

/** A tagged probe was answered. BOUNDED: PINGS_AWAITED answers wait to be read, the oldest goes. */
export function pingAnswered({ answers }: State, probe: Probe, tag: number, now: Instant): void {
  const { bytes, to, sentAt } = probe;
  answers.push({ tag, bytes, endpoint: plainEndpoint(to), roundTripMs: now - sentAt });
  if (answers.length > PINGS_AWAITED) answers.shift();
}
