/**
 * When a path counts as bad, and when as good again: thresholds of loss and round-trip time with a gap between.
 *
 * What is not known says nothing: a path that is idle keeps the word that was last said of it.
 */
import type { HooksConfig } from "../../config/config.ts";
import type { PeerSnapshot } from "../../core/options.ts";

/** A path is good again at these shares of the thresholds, so that one at the edge is not told of at each look. */
const GOOD_LOSS_SHARE = 0.5;
const GOOD_RTT_SHARE = 0.8;

/** What of a peer is looked at. */
export type JudgedPeer = Pick<PeerSnapshot, "name" | "quality">;

/** Remembers which paths are bad. */
export class QualityThresholds {
  readonly #loss: number;
  readonly #rttMs: number;
  /** BOUNDED: by the peers of the last look. */
  #bad: ReadonlySet<string> = new Set();

  constructor({ qualityLoss, qualityRttMs }: Pick<HooksConfig, "qualityLoss" | "qualityRttMs">) {
    this.#loss = qualityLoss;
    this.#rttMs = qualityRttMs;
  }

  /** The variables of each path that became bad or good since the last call. */
  crossings(peers: readonly JudgedPeer[]): readonly Readonly<Record<string, string>>[] {
    const before = this.#bad;
    this.#bad = new Set(peers.filter((peer) => this.#isBad(peer)).map(({ name }) => name));
    return peers
      .filter(({ name }) => before.has(name) !== this.#bad.has(name))
      .map(({ name, quality }) => ({
        IPTUN_PEER: name,
        IPTUN_QUALITY: this.#bad.has(name) ? "bad" : "good",
        IPTUN_LOSS: lossOf(quality)?.toFixed(4) ?? "",
        IPTUN_RTT_MS: quality.roundTrip?.smoothed.toFixed(1) ?? "",
      }));
  }

  #isBad({ name, quality }: JudgedPeer): boolean {
    const loss = lossOf(quality);
    const rttMs = quality.roundTrip?.smoothed;
    const wasBad = this.#bad.has(name);
    if (loss === undefined && rttMs === undefined) return wasBad;
    const most = wasBad ? this.#loss * GOOD_LOSS_SHARE : this.#loss;
    const longest = wasBad ? this.#rttMs * GOOD_RTT_SHARE : this.#rttMs;
    return (loss ?? 0) > most || (rttMs ?? 0) > longest;
  }
}

/** The worse direction's. */
function lossOf({ outboundLoss, inboundLoss }: PeerSnapshot["quality"]): number | undefined {
  if (outboundLoss === undefined) return inboundLoss;
  return Math.max(outboundLoss, inboundLoss ?? 0);
}
