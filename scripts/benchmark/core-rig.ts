/**
 * What can be timed in the core, and how: rigs in turns, many short rounds, best and median of each.
 *
 * The best is what the code costs; the median is what this machine made of it. Each figure is taken with
 * the product's cipher and with none, which leaves the JavaScript alone.
 */
import { type Summary, summarize } from "./statistics.ts";

/** A batch of packets that can be sent and received again and again. */
export interface Rig {
  readonly title: string;
  /** Packets of a batch as the wire carries them. */
  readonly packets: number;
  /** Super-packets of a batch; 0: packets are sent as they are. */
  readonly superPackets: number;
  /** Seals so many batches, one after another; returns milliseconds. */
  outbound(isReal: boolean, batches: number): number;
  /** Opens so many batches; returns milliseconds. */
  inbound(isReal: boolean, batches: number): number;
}

/** Nanoseconds a packet. */
export interface Costs {
  readonly title: string;
  readonly packets: number;
  readonly superPackets: number;
  readonly outbound: Summary;
  readonly outboundWithoutCipher: Summary;
  readonly inbound: Summary;
  readonly inboundWithoutCipher: Summary;
}

const BATCHES = 24;

/** Times every rig in every round, in turns. */
export function timeRigs(rigs: readonly Rig[], rounds: number): readonly Costs[] {
  const kinds = rigs.map((rig) => ({
    rig,
    outbound: [] as number[],
    outboundWithoutCipher: [] as number[],
    inbound: [] as number[],
    inboundWithoutCipher: [] as number[],
  }));
  // The first round compiles and is not kept.
  for (let round = 0; round <= rounds; round++) {
    for (const { rig, ...samples } of kinds) {
      const one = {
        outbound: nanoseconds(rig, rig.outbound(true, BATCHES)),
        outboundWithoutCipher: nanoseconds(rig, rig.outbound(false, BATCHES)),
        inbound: nanoseconds(rig, rig.inbound(true, BATCHES)),
        inboundWithoutCipher: nanoseconds(rig, rig.inbound(false, BATCHES)),
      };
      if (round === 0) continue;
      samples.outbound.push(one.outbound);
      samples.outboundWithoutCipher.push(one.outboundWithoutCipher);
      samples.inbound.push(one.inbound);
      samples.inboundWithoutCipher.push(one.inboundWithoutCipher);
    }
  }
  return kinds.map(({ rig, ...samples }) => ({
    title: rig.title,
    packets: rig.packets,
    superPackets: rig.superPackets,
    outbound: summarize(samples.outbound),
    outboundWithoutCipher: summarize(samples.outboundWithoutCipher),
    inbound: summarize(samples.inbound),
    inboundWithoutCipher: summarize(samples.inboundWithoutCipher),
  }));
}

function nanoseconds(rig: Rig, milliseconds: number): number {
  return (milliseconds * 1e6) / (BATCHES * rig.packets);
}
