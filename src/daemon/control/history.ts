/**
 * The last hour of each peer, a second at a time: traffic, round-trip time and loss.
 *
 * Fed by the engine's sample, which is taken once a second: with 1,000 peers that costs the engine 0.2 ms and the
 * control side 0.2 ms. BOUNDED: an hour takes 72 KB, and HISTORY_PEERS peers have one; those that came first, because
 * a configured peer comes before every learned one. Of the others only the rate is known. A peer that is gone
 * takes its hour along. The trap: samples come a little late, so a second may have none; the next one stands for it.
 */
import type { TunnelSample } from "../../core/options.ts";
import { SAMPLE, SAMPLE_FIELDS } from "../../core/sample.ts";
import { SECOND_MS } from "../../core/time.ts";

/** Milliseconds between two samples. */
export const SAMPLE_MS = SECOND_MS;
/** Seconds that are kept. */
export const HISTORY_SECONDS = 3_600;
/** Peers of which they are kept. */
export const HISTORY_PEERS = 64;

/** Bytes of packets a second, as counted inside the tunnel, over the last sample's second. */
export interface Rates {
  readonly inboundBytesPerSecond: number;
  readonly outboundBytesPerSecond: number;
}

type Values = readonly (number | null)[];

/** A peer's last seconds, the latest last; null: not known. */
export interface PeerHistory {
  readonly peer: string;
  readonly inboundBytesPerSecond: Values;
  readonly outboundBytesPerSecond: Values;
  readonly roundTripMs: Values;
  /** Shares from 0 to 1 of the last 64 s in which packets flowed. */
  readonly outboundLoss: Values;
  readonly inboundLoss: Values;
}

/** The last seconds of the peers that have a history. */
export interface HistoryDocument {
  readonly seconds: number;
  readonly peers: readonly PeerHistory[];
}

interface Track {
  inboundBytes: number;
  outboundBytes: number;
  rates: Rates | undefined;
  /** HISTORY_SECONDS of each figure, one figure after the other; a second has the same place in all peers' hours. */
  readonly hour: Float32Array | undefined;
}

/** The seconds that a sample stands for: the last, and how many. */
interface Slots {
  readonly last: number;
  readonly count: number;
}

/** Remembers the peers of one tunnel. */
export class History {
  readonly #tracks = new Map<string, Track>();
  #hours = 0;
  #sampledAtMs: number | undefined;

  /** Takes a sample; one within the second of the last changes nothing. */
  add({ names, figures }: TunnelSample, nowMs: number): void {
    const since = this.#sampledAtMs ?? Number.NEGATIVE_INFINITY;
    const slots = { last: secondOf(nowMs), count: secondOf(nowMs) - secondOf(since) };
    if (slots.count < 1) return;
    this.#sampledAtMs = nowMs;
    for (const [index, name] of names.entries()) {
      const own = figures.subarray(index * SAMPLE_FIELDS, (index + 1) * SAMPLE_FIELDS);
      const track = this.#tracks.get(name);
      // What later ones are compared with.
      if (track === undefined) this.#begin(name, own);
      else advance(track, own, (nowMs - since) / SECOND_MS, slots);
    }
    if (this.#tracks.size > names.length) this.#forgetAllBut(new Set(names));
  }

  /** undefined: the peer is not known, or since less than a second. */
  rates(peer: string): Rates | undefined {
    return this.#tracks.get(peer)?.rates;
  }

  /** The last seconds, at most HISTORY_SECONDS, of the peer, or of every one that has a history. */
  document(seconds: number, peer?: string): HistoryDocument {
    const names = peer === undefined ? [...this.#tracks.keys()] : [peer];
    return { seconds, peers: names.flatMap((name) => this.#peerHistory(name, seconds)) };
  }

  #peerHistory(peer: string, seconds: number): readonly PeerHistory[] {
    const hour = this.#tracks.get(peer)?.hour;
    if (hour === undefined) return [];
    const read = (figure: number, places: number) =>
      this.#read(hour.subarray(figure * HISTORY_SECONDS), seconds, places);
    return [
      {
        peer,
        inboundBytesPerSecond: read(SAMPLE.inboundBytes, 0),
        outboundBytesPerSecond: read(SAMPLE.outboundBytes, 0),
        roundTripMs: read(SAMPLE.roundTripMs, 2),
        outboundLoss: read(SAMPLE.outboundLoss, 5),
        inboundLoss: read(SAMPLE.inboundLoss, 5),
      },
    ];
  }

  #read(values: Float32Array, seconds: number, places: number): Values {
    const last = secondOf(this.#sampledAtMs ?? 0);
    const scale = 10 ** places;
    return Array.from({ length: seconds }, (_, index) => {
      const second = last - seconds + 1 + index;
      const value = second < 0 ? Number.NaN : figureOf(values, second % HISTORY_SECONDS);
      return Number.isNaN(value) ? null : Math.round(value * scale) / scale;
    });
  }

  #begin(name: string, own: Float64Array): void {
    const hasRoom = this.#hours < HISTORY_PEERS;
    if (hasRoom) this.#hours += 1;
    this.#tracks.set(name, {
      inboundBytes: figureOf(own, SAMPLE.inboundBytes),
      outboundBytes: figureOf(own, SAMPLE.outboundBytes),
      rates: undefined,
      hour: hasRoom
        ? new Float32Array(SAMPLE_FIELDS * HISTORY_SECONDS).fill(Number.NaN)
        : undefined,
    });
  }

  #forgetAllBut(names: ReadonlySet<string>): void {
    for (const [name, { hour }] of this.#tracks) {
      if (names.has(name)) continue;
      this.#tracks.delete(name);
      if (hour !== undefined) this.#hours -= 1;
    }
  }
}

/** `own`: the peer's figures; `seconds`: since those before. */
function advance(track: Track, own: Float64Array, seconds: number, slots: Slots): void {
  const counts = [figureOf(own, SAMPLE.inboundBytes), figureOf(own, SAMPLE.outboundBytes)] as const;
  const rates: Rates = {
    inboundBytesPerSecond: growth(track.inboundBytes, counts[0]) / seconds,
    outboundBytesPerSecond: growth(track.outboundBytes, counts[1]) / seconds,
  };
  track.rates = rates;
  [track.inboundBytes, track.outboundBytes] = counts;
  if (track.hour === undefined) return;
  write(track.hour, SAMPLE.inboundBytes, rates.inboundBytesPerSecond, slots);
  write(track.hour, SAMPLE.outboundBytes, rates.outboundBytesPerSecond, slots);
  for (const figure of [SAMPLE.roundTripMs, SAMPLE.outboundLoss, SAMPLE.inboundLoss]) {
    write(track.hour, figure, figureOf(own, figure), slots);
  }
}

/** A peer that was removed and added again counts anew. */
function growth(before: number, count: number): number {
  return count < before ? count : count - before;
}

/** Writes a figure at a second and at those before it that had no sample. */
function write(hour: Float32Array, figure: number, value: number, { last, count }: Slots): void {
  for (let back = 0; back < Math.min(count, HISTORY_SECONDS, last + 1); back += 1) {
    hour[figure * HISTORY_SECONDS + ((last - back) % HISTORY_SECONDS)] = value;
  }
}

function figureOf(figures: Float32Array | Float64Array, at: number): number {
  return figures[at] ?? Number.NaN;
}

function secondOf(ms: number): number {
  return Math.floor(ms / SECOND_MS);
}
