/**
 * What is looked at every second of each peer: traffic, round-trip time and loss.
 *
 * Not the snapshot: that is all an operator may see, and made when somebody asks. This is one list of names and one
 * array of figures, so that a hub with a thousand peers can give it every second. A group's own entry is not in it.
 */

import type { TunnelSample } from "./options.ts";
import { everyPeer } from "./peers/members.ts";
import type { State } from "./state.ts";

/** Where a figure stands among a peer's: bytes so far, milliseconds, shares from 0 to 1. NaN: not known. */
export const SAMPLE = {
  inboundBytes: 0,
  outboundBytes: 1,
  roundTripMs: 2,
  outboundLoss: 3,
  inboundLoss: 4,
} as const;

/** Figures of one peer. */
export const SAMPLE_FIELDS = Object.keys(SAMPLE).length;

/** The figures of every peer at this moment. */
export function sampleOf(state: State): TunnelSample {
  const peers = Array.from(everyPeer(state)).filter(({ kind }) => kind !== "group");
  const figures = new Float64Array(peers.length * SAMPLE_FIELDS);
  for (const [index, { counters, quality }] of peers.entries()) {
    const at = index * SAMPLE_FIELDS;
    figures[at + SAMPLE.inboundBytes] = counters.inboundBytes;
    figures[at + SAMPLE.outboundBytes] = counters.outboundBytes;
    figures[at + SAMPLE.roundTripMs] = quality?.roundTripMs ?? Number.NaN;
    figures[at + SAMPLE.outboundLoss] = quality?.outbound.share() ?? Number.NaN;
    figures[at + SAMPLE.inboundLoss] = quality?.inbound.share() ?? Number.NaN;
  }
  return { names: peers.map(({ name }) => name), figures };
}
