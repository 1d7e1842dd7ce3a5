/**
 * The part of `iptun status --json` that labs read.
 *
 * It is written down here apart from the program's own types on purpose: what operators' tools read must
 * not change unnoticed, and a test that reads a renamed field fails.
 */

export interface StatusPeer {
  readonly name: string;
  readonly kind: "pair" | "hub" | "group" | "node";
  /** Inner addresses of a node of a group, and its packets that came from another's. */
  readonly addresses: readonly string[];
  readonly refusedClaims: number;
  /** The one in use first. */
  readonly sessions: readonly {
    readonly slot: "current" | "previous" | "next";
    readonly fingerprint: string;
    readonly ageSeconds: number;
  }[];
  /** In the order of the configuration, and what each is needed for. */
  readonly keys: readonly { readonly fingerprint: string; readonly use: string }[];
  readonly state: "up" | "connecting" | "idle";
  /** Handshakes under way, and since the last datagram from there. */
  readonly attempt: { readonly tries: number } | null;
  readonly silentSeconds: number | null;
  /** "address:port" of the other end. */
  readonly endpoint: string | null;
  readonly mtu: number;
  readonly pathMtu: number | null;
  readonly quality: {
    readonly roundTripMs: number | null;
    readonly minRoundTripMs: number | null;
    readonly outboundLoss: number | null;
    readonly inboundLoss: number | null;
  };
  readonly pacing: { readonly dropped: number; readonly marked: number } | null;
  readonly counters: {
    readonly inboundPackets: number;
    readonly outboundPackets: number;
    readonly outboundBytes: number;
    readonly sessions: number;
    readonly endpointMoves: number;
  };
}

export interface StatusSource {
  readonly address: string;
  /** Datagrams that failed a check, and those refused unseen. */
  readonly charged: number;
  readonly refused: number;
}

export interface Status {
  readonly interface: {
    /** Families whose default route leads into the tunnel. */
    readonly defaultRoute: { readonly families: readonly string[]; readonly mark: number } | null;
    readonly firewall: "on" | "off" | "failed";
  };
  readonly confirmSecondsLeft: number | null;
  /** Errors of the UDP socket, by errno. */
  readonly engine: { readonly udpErrors: Readonly<Record<string, number>> };
  readonly peers: readonly StatusPeer[];
  /** A counter for each drop reason. */
  readonly drops: Readonly<Record<string, number>>;
  /** Diffie-Hellman computations made for received messages. */
  readonly handshakeComputations: number;
  readonly sources: readonly StatusSource[];
}

/** A drop counter; throws when the status does not have it, so that a renamed one is noticed. */
export function drops(status: Status, reason: string): number {
  const count = status.drops[reason];
  if (count === undefined) throw new Error(`status has no drop counter "${reason}"`);
  return count;
}

/** Packets from the peers that reached the TUN. */
export function delivered(status: Status): number {
  return status.peers.reduce((sum, peer) => sum + peer.counters.inboundPackets, 0);
}
