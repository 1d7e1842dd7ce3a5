/**
 * A configuration that was checked: the only form in which the rest of the program sees one.
 */
import type { LimitOptions, PeerKind, Roaming } from "../core/options.ts";
import type { Prefix } from "../core/prefix.ts";

/** An address with its prefix length, host bits kept. */
export interface InterfaceAddress {
  readonly family: 4 | 6;
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array;
  readonly prefixLength: number;
}

export interface HostPort {
  /** Host name, IPv4 or IPv6 address (without brackets). */
  readonly host: string;
  readonly port: number;
}

export interface PeerConfig {
  readonly name: string;
  readonly kind: PeerKind;
  /** 32-byte keys; the first is used to start, all are accepted. */
  readonly keys: readonly Uint8Array[];
  /** In order of preference; none: learned. */
  readonly endpoints: readonly HostPort[];
  /** Silence after which the next endpoint is tried, milliseconds. */
  readonly failoverMs: number;
  /** Inner prefixes; the single peer without allowed_ips has 0.0.0.0/0 and ::/0 here and `isCatchAll`. */
  readonly allowedIps: readonly Prefix[];
  readonly isCatchAll: boolean;
  readonly keepaliveSeconds: number;
  readonly roaming: Roaming;
  /** What is sent to the peer, or to each site of a group, bits a second; undefined: as it comes. */
  readonly rateBitsPerSecond: number | undefined;
}

/** Which offloads of the kernel may be used where it has them. */
export interface OffloadConfig {
  /** TCP super-packets from and towards the device. */
  readonly tso: boolean;
  /** UDP super-packets from and towards the device. */
  readonly uso: boolean;
  /** Runs of datagrams in one send. */
  readonly gso: boolean;
  /** Runs of datagrams in one receive. */
  readonly gro: boolean;
}

/** Where metrics and the status page are served over TCP. */
export interface MetricsConfig {
  /** Address without brackets. */
  readonly listen: HostPort;
  /** Whether the status page is there too. */
  readonly hasPage: boolean;
}

/** What an operator's program can be run for. */
export const HOOK_KINDS = [
  "up",
  "down",
  "peer_up",
  "peer_down",
  "endpoint_changed",
  "quality",
] as const;
export type HookKind = (typeof HOOK_KINDS)[number];

export interface HooksConfig {
  /** An absolute path and arguments; empty: none. */
  readonly commands: Readonly<Record<HookKind, readonly string[]>>;
  /** Share of lost packets, 0 to 1, above which a path is bad. */
  readonly qualityLoss: number;
  /** Smoothed round-trip time above which a path is bad, milliseconds. */
  readonly qualityRttMs: number;
  /** After which a program is ended, milliseconds. */
  readonly timeoutMs: number;
}

export type LogLevel = "error" | "warn" | "info" | "debug";

export interface Config {
  /** The file it was read from. */
  readonly file: string;
  readonly interface: {
    readonly name: string;
    readonly addresses: readonly InterfaceAddress[];
    /** Largest inner packet, bytes; "auto": what each peer's path carries. */
    readonly mtu: number | "auto";
    /** Seconds before a path is asked again whether it carries more. */
    readonly mtuProbeSeconds: number;
    /** 16 bytes (IPv4 mapped; all zero: every address of both families) and port. */
    readonly listen: { readonly address: Uint8Array; readonly port: number };
    /** Network device the UDP socket is bound to; empty: none. */
    readonly device: string;
    /** Whether a route is installed for each allowed prefix. */
    readonly routes: boolean;
    /** SO_MARK of the outer datagrams; 0: none, or one that is chosen where a default route needs it. */
    readonly fwmark: number;
    /** Whether the DSCP of a packet is copied to its datagram. */
    readonly copyDscp: boolean;
    /** Whether packets to inner addresses from elsewhere are dropped; "auto": where a default route is installed. */
    readonly firewall: "auto" | boolean;
    readonly stateDir: string;
  };
  readonly peers: readonly PeerConfig[];
  readonly limits: LimitOptions;
  readonly offload: OffloadConfig;
  /** undefined: metrics are on the control socket alone. */
  readonly metrics: MetricsConfig | undefined;
  readonly hooks: HooksConfig;
  readonly log: { readonly level: LogLevel; readonly format: "auto" | "text" | "json" };
}
