/**
 * What was seen of the host: plain data that gather.ts fills and the findings are made of.
 *
 * `undefined` is "could not be looked at", everywhere: it must never read as "in order".
 */

/** A device of the tunnel's name. */
export interface DeviceEvidence {
  /** "tun", or what else it is. */
  readonly kind: string;
  /** Whether it outlives the process that made it. */
  readonly isPersistent: boolean;
  /** As "10.0.0.1/24". */
  readonly addresses: readonly string[];
}

/** The way that the kernel would send to an address. */
export interface RouteEvidence {
  readonly device: string;
  /** Address that it would leave from. */
  readonly source: string | undefined;
  /** Bytes of the longest packet of that device. */
  readonly mtu: number | undefined;
}

/** The way to one address; `route` undefined: there is none. */
export interface WayEvidence {
  readonly peer: string;
  /** The address, or for an inner network the network. */
  readonly target: string;
  readonly route: RouteEvidence | undefined;
}

/** One name of one peer, as it was resolved just now. */
export interface NameEvidence {
  readonly peer: string;
  readonly host: string;
  readonly tookMs: number;
  readonly addresses: readonly string[];
  /** Why there are none. */
  readonly fault: string | undefined;
}

export interface Evidence {
  /** As "6.1.0-13-amd64". */
  readonly release: string;
  readonly hasNetAdmin: boolean;
  /** "ok", or the line of what is missing. */
  readonly tun: { readonly kind: "ok" | "missing" | "denied"; readonly text: string };
  /** null: no device has the name. */
  readonly device: DeviceEvidence | null | undefined;
  /** net.core.rmem_max and wmem_max, bytes. */
  readonly receiveMax: number | undefined;
  readonly sendMax: number | undefined;
  readonly clock: {
    readonly wallMs: number;
    /** The youngest file that is known to be older than this moment. */
    readonly file: string;
    readonly fileMs: number;
    readonly isSynchronized: boolean | undefined;
  };
  readonly names: readonly NameEvidence[];
  /** To the endpoints, and to an address of each inner network; those only where the tunnel runs. */
  readonly outerWays: readonly WayEvidence[];
  readonly innerWays: readonly WayEvidence[];
  /** Devices whose reverse path filter is strict; and packets that it has dropped since the boot. */
  readonly strictFilters: readonly string[];
  readonly filterDrops: number | undefined;
  readonly forwards: { readonly 4: boolean | undefined; readonly 6: boolean | undefined };
  /** `nft -j list ruleset`; else why it could not be looked at. */
  readonly ruleset: { readonly json: string } | { readonly unseen: string };
  /** Whether rules of iptables-legacy are there, which are not looked at. */
  readonly hasLegacyRules: boolean | undefined;
}
