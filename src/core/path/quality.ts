/**
 * How well the path to a peer carries (rule 20): round-trip times of the last probes, and what each direction lost
 * of the last datagrams. measure.ts finds it out.
 */
import { QUALITY_SAMPLES } from "../constants.ts";
import type { QualitySnapshot, RoundTripSnapshot } from "../options.ts";
import { RoundTrip } from "./probes.ts";

/** Datagrams that were sent and that arrived, over the last periods. BOUNDED: QUALITY_SAMPLES. */
export class LossWindow {
  #periods: { readonly sent: number; readonly received: number }[] = [];
  /** Of all periods; kept, because it is asked for every second. */
  #sent = 0;
  #received = 0;

  /** One period's; what is late counts in a later one than it was missed in. */
  add(sent: number, received: number): void {
    if (sent === 0 && received === 0) return;
    this.#periods.push({ sent, received });
    this.#sent += sent;
    this.#received += received;
    if (this.#periods.length <= QUALITY_SAMPLES) return;
    const oldest = this.#periods.shift();
    this.#sent -= oldest?.sent ?? 0;
    this.#received -= oldest?.received ?? 0;
  }

  clear(): void {
    this.#periods = [];
    this.#sent = 0;
    this.#received = 0;
  }

  /** 0 to 1; undefined: nothing was sent. */
  share(): number | undefined {
    if (this.#sent <= 0) return undefined;
    return Math.min(Math.max(1 - this.#received / this.#sent, 0), 1);
  }
}

/** What is known of one peer's path. */
export class LinkQuality {
  readonly outbound = new LossWindow();
  readonly inbound = new LossWindow();
  /** Packets of both directions at the last look. */
  packets = 0;
  /** Milliseconds, the latest last. BOUNDED: QUALITY_SAMPLES. */
  #roundTrips: number[] = [];
  #smoothed = new RoundTrip();

  addRoundTrip(ms: number): void {
    this.#smoothed.add(ms);
    this.#roundTrips.push(ms);
    if (this.#roundTrips.length > QUALITY_SAMPLES) this.#roundTrips.shift();
  }

  /** The path is another one. */
  clear(): void {
    this.outbound.clear();
    this.inbound.clear();
    this.#roundTrips = [];
    this.#smoothed = new RoundTrip();
  }

  /** Smoothed; undefined: nothing was measured yet. */
  get roundTripMs(): number | undefined {
    return this.#smoothed.smoothed;
  }

  snapshot(): QualitySnapshot {
    return {
      roundTrip: this.#roundTrip(),
      outboundLoss: this.outbound.share(),
      inboundLoss: this.inbound.share(),
    };
  }

  #roundTrip(): RoundTripSnapshot | undefined {
    const { smoothed } = this.#smoothed;
    if (smoothed === undefined) return undefined;
    const ordered = this.#roundTrips.toSorted((a, b) => a - b);
    return {
      smoothed,
      min: ordered[0] ?? smoothed,
      p95: ordered[Math.ceil(ordered.length * 0.95) - 1] ?? smoothed,
      jitter: meanDifference(this.#roundTrips),
    };
  }
}

/** Mean of what neighbours differ by; 0 for less than two. */
function meanDifference(values: readonly number[]): number {
  const differences = values.slice(1).map((value, index) => Math.abs(value - (values[index] ?? 0)));
  const sum = differences.reduce((total, difference) => total + difference, 0);
  return differences.length === 0 ? 0 : sum / differences.length;
}
