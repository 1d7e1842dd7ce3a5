/**
 * What the status page is told every second, and what it asks for once: the types that daemon and page share.
 *
 * It imports nothing, because the page is compiled for a browser and the daemon is not. No keys and no fingerprints.
 */

export interface PageView {
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly residentBytes: number;
  readonly device: {
    readonly name: string;
    readonly addresses: readonly string[];
    readonly mtu: number;
    readonly listenPort: number;
    readonly isLinkUp: boolean;
  };
  /** At most MAX_PAGE_PEERS; `hiddenPeers` counts the rest. */
  readonly peers: readonly PeerView[];
  readonly hiddenPeers: number;
  /** Of all peers but groups, those that are not shown too. */
  readonly totals: {
    readonly peers: number;
    readonly up: number;
    readonly inboundBytesPerSecond: number;
    readonly outboundBytesPerSecond: number;
  };
  /** Only those that have happened. */
  readonly drops: readonly {
    readonly reason: string;
    readonly text: string;
    readonly count: number;
  }[];
  readonly errors: readonly { readonly errno: string; readonly count: number }[];
}

/** null: not known. */
export interface PeerView {
  readonly name: string;
  readonly kind: "pair" | "hub" | "group" | "node";
  readonly state: "up" | "connecting" | "idle";
  readonly endpoint: string | null;
  /** Inner prefixes or addresses, the first few. */
  readonly inside: readonly string[];
  readonly handshakeAgeSeconds: number | null;
  readonly silentSeconds: number | null;
  readonly inboundBytes: number;
  readonly outboundBytes: number;
  readonly inboundBytesPerSecond: number | null;
  readonly outboundBytesPerSecond: number | null;
  readonly roundTripMs: number | null;
  readonly p95RoundTripMs: number | null;
  readonly jitterMs: number | null;
  readonly inboundLoss: number | null;
  readonly outboundLoss: number | null;
  readonly mtu: number;
  readonly pathMtu: number | null;
}

/** A figure a second, the latest last; null: not known. */
export type Series = readonly (number | null)[];

/** The history of one peer, as /history answers it. */
export interface HistoryView {
  readonly peers: readonly {
    readonly inboundBytesPerSecond: Series;
    readonly outboundBytesPerSecond: Series;
    readonly roundTripMs: Series;
    readonly inboundLoss: Series;
    readonly outboundLoss: Series;
  }[];
}
