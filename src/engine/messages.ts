/**
 * The messages between the control side (main thread) and the engine (worker thread).
 *
 * All of it is plain data that survives structured cloning; the two sides share nothing else. Key
 * bytes travel one way, control side to engine, and never come back. The trap: a control side that is
 * busy must not let messages pile up, so the engine sends events only after the last ones were
 * acknowledged, and everything else only when asked.
 */
import { LARGEST_INNER_MTU } from "../core/constants.ts";
import type {
  KeySource,
  LimitOptions,
  PathMtuOptions,
  PeerKind,
  PeerOptions,
  PeerUpdate,
  PingAnswer,
  PingRefusal,
  PlainEndpoint,
  SpeedOptions,
  SpeedRefusal,
  SpeedSnapshot,
  TunnelEvent,
  TunnelSample,
  TunnelSnapshot,
} from "../core/options.ts";

/** What the engine needs to start; handed over as the worker's data. */
export interface EngineStart {
  readonly tun: {
    readonly name: string;
    /** Largest inner packet, bytes. */
    readonly mtu: number;
    /** Absent: the MTU of every peer is `mtu`. */
    readonly pathMtu: PathMtuOptions | undefined;
  };
  readonly udp: {
    /** 16 bytes (IPv4 mapped); all zero: every address of both families. */
    readonly address: Uint8Array;
    readonly port: number;
    /** SO_MARK; 0: none. */
    readonly mark: number;
    /** SO_BINDTODEVICE; empty: none. */
    readonly device: string;
  };
  readonly nodeId: Uint8Array;
  readonly ownAddresses: readonly Uint8Array[];
  /** Own inner addresses, 4 or 16 bytes each. */
  readonly innerAddresses: readonly Uint8Array[];
  /** Whether the DSCP of a packet is copied to its datagram. */
  readonly copyDscp: boolean;
  readonly limits: LimitOptions;
  readonly peers: readonly PeerOptions[];
  /** Whether packet lines are recorded (log level debug). */
  readonly isTracing: boolean;
  readonly offloads: OffloadWish;
  readonly inherited: Inherited;
  /** Whether to report `loaded` and wait for `begin`, which then says what is inherited. */
  readonly isStandby: boolean;
}

/** Descriptors that another process has opened; undefined: opened here. */
export interface Inherited {
  readonly tun: number | undefined;
  readonly udp: number | undefined;
  /** Whether the socket is used as it is bound, because the service manager has chosen that; else as configured. */
  readonly isUdpGiven: boolean;
}

/** Where a peer was when an earlier run ended. */
export interface LastEndpoint {
  readonly peer: string;
  readonly endpoint: PlainEndpoint;
}

/** Which offloads of the kernel may be used; what it does not have is left out without a word of failure. */
export interface OffloadWish {
  /** TCP super-packets from and towards the TUN. */
  readonly tso: boolean;
  /** UDP super-packets from and towards the TUN (Linux 6.2). */
  readonly uso: boolean;
  /** Runs of datagrams in one message to the socket (UDP_SEGMENT). */
  readonly gso: boolean;
  /** Runs of datagrams in one message from the socket (UDP_GRO). */
  readonly gro: boolean;
}

/** Keys whose names are asked for, and what they are keys of. */
export type KeyedPeer = Pick<PeerOptions, "keys"> & { readonly kind: PeerKind };

/** One difference to apply. */
export type Change =
  | { readonly kind: "add-peer"; readonly peer: PeerOptions }
  | { readonly kind: "remove-peer"; readonly name: string }
  | { readonly kind: "update-peer"; readonly peer: PeerUpdate }
  | { readonly kind: "set-limits"; readonly limits: LimitOptions }
  /** Own inner addresses, 4 or 16 bytes each. */
  | { readonly kind: "set-inner-addresses"; readonly addresses: readonly Uint8Array[] }
  /** At most what the buffers hold: `bufferMtu` of what the engine was started with. */
  | {
      readonly kind: "set-mtu";
      readonly mtu: number;
      readonly pathMtu: PathMtuOptions | undefined;
    }
  | { readonly kind: "set-copy-dscp"; readonly isCopied: boolean }
  /** Whether packet lines are recorded. */
  | { readonly kind: "set-tracing"; readonly isTracing: boolean }
  | {
      readonly kind: "set-endpoints";
      readonly name: string;
      readonly endpoints: readonly PlainEndpoint[];
    }
  /** This host's addresses and the largest MTU of its links; something of its network changed, if not these. */
  | {
      readonly kind: "own-links";
      readonly addresses: readonly Uint8Array[];
      readonly linkMtu: number;
    };

/** Control side to engine. */
export type Command =
  | { readonly kind: "apply"; readonly changes: readonly Change[] }
  /**
   * The same for a configuration that is read anew: answered by `reconfigured`. Peers go before others take over
   * what they had, and come last. `keys`: those that peers lose are kept, so that the next change may give them back
   * by name, or all that are kept are wiped afterwards.
   */
  | {
      readonly kind: "reconfigure";
      readonly id: number;
      /** SO_MARK of the outer datagrams; 0: none. Where the kernel refuses it nothing is changed. */
      readonly mark: number;
      readonly changes: readonly Change[];
      readonly keys: "keep" | "wipe";
    }
  /** Which names these keys have: answered by `key-names`. */
  | { readonly kind: "name-keys"; readonly id: number; readonly peers: readonly KeyedPeer[] }
  | { readonly kind: "snapshot"; readonly id: number }
  | { readonly kind: "sample"; readonly id: number }
  | { readonly kind: "trace"; readonly id: number }
  | { readonly kind: "rekey"; readonly peer: string }
  /** In standby: go on with these. */
  | {
      readonly kind: "begin";
      readonly inherited: Inherited;
      /** In place of `udp.mark`. */
      readonly mark: number;
      readonly endpoints: readonly LastEndpoint[];
    }
  /** Read and send nothing until `resume`, and answer `paused`. */
  | { readonly kind: "pause"; readonly id: number }
  /** Another process has had both descriptors: set again what they had, and go on. */
  | { readonly kind: "resume" }
  /** Another process has both descriptors: wipe, close ours, answer `stopped`; sessions of nodes are closed. */
  | { readonly kind: "let-go" }
  /** Asks whether the loop still turns. */
  | { readonly kind: "ping"; readonly id: number }
  /** Probes a peer through its session. */
  | { readonly kind: "probe"; readonly id: number; readonly peer: string }
  /** Starts a speed test, ends it, or only asks for it. */
  | { readonly kind: "speed"; readonly id: number; readonly order: SpeedOptions | "stop" | "look" }
  /** The control side has read the last `events` message and can take another. */
  | { readonly kind: "acknowledge" }
  /** Send close frames, wipe, close both descriptors, answer `stopped`. */
  | { readonly kind: "stop" };

/** The keys in changes. */
export function keysOf(changes: readonly Change[]): readonly KeySource[] {
  return changes.flatMap((change) =>
    change.kind === "add-peer" || change.kind === "update-peer" ? (change.peer.keys ?? []) : [],
  );
}

/** Largest inner packet that the buffers hold, of an engine that is started with this MTU. */
export function bufferMtu(mtu: number): number {
  return Math.max(mtu, LARGEST_INNER_MTU);
}

/** What the kernel granted when the device and the socket were opened. */
export interface EngineFeatures {
  /** Descriptors of device and socket, which belong to the whole process. */
  readonly descriptors: { readonly tun: number; readonly udp: number };
  /** The device's name as the kernel knows it. */
  readonly tunName: string;
  readonly udpPort: number;
  /** 4: the host has no IPv6 and the socket is AF_INET. */
  readonly udpFamily: 4 | 6;
  /** Bytes of socket buffer that the kernel granted. */
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  /** Whether the TUN carries a virtio header with each packet. */
  readonly vnetHeader: boolean;
  /** "primitives": OpenSSL's ChaCha20 and Poly1305 called directly; "evp": by its EVP layer, which is slower. */
  readonly cipher: "primitives" | "evp";
  /** Offloads in use: some of "tso", "uso", "gso", "gro", in this order. */
  readonly offloads: readonly (keyof OffloadWish)[];
}

/** What the engine counts itself; the core's counters are in the snapshot. */
export interface EngineCounters {
  /** Turns of the loop, and of those the ones a timer started. */
  readonly turns: number;
  readonly timerTurns: number;
  /** Milliseconds that those began after they were due, all together. */
  readonly timerLatenessMs: number;
  readonly datagramsReceived: number;
  readonly datagramsSent: number;
  readonly packetsRead: number;
  readonly packetsWritten: number;
  /** Datagrams that the kernel dropped unread: no room, a wrong checksum, or junk while the shield was up. */
  readonly datagramsUnread: number;
  /** Times that a flood of junk raised the shield. */
  readonly shieldsRaised: number;
  /** Runs that the kernel did not take as one message, sent again datagram by datagram. */
  readonly gsoFallbacks: number;
  /** Remote addresses that get no runs for a while, because one was not taken. */
  readonly plainRoutes: number;
  /** Errors of the socket, send and receive together, by errno name. */
  readonly udpErrors: Readonly<Record<string, number>>;
  /** False while writes to the device say that its link is down. */
  readonly isLinkUp: boolean;
}

/** A packet or datagram as debug lines show it: never its content. */
export interface PacketLine {
  readonly direction: "inbound" | "outbound";
  /** "datagram": outer UDP; "packet": inner IP. */
  readonly layer: "datagram" | "packet";
  /** Bytes. */
  readonly length: number;
  /** 16 bytes each (IPv4 mapped): the UDP remote, or the packet's source and destination. */
  readonly source: Uint8Array | undefined;
  readonly destination: Uint8Array | undefined;
  /** The UDP remote's port; 0 for a packet. */
  readonly port: number;
}

/** What became of a ping: "lost" is for its asker to say, when it has waited long enough. */
export type PingOutcome = Omit<PingAnswer, "tag"> | PingRefusal | "lost";

/** Engine to control side. */
export type Report =
  | { readonly kind: "ready"; readonly features: EngineFeatures }
  | { readonly kind: "events"; readonly events: readonly TunnelEvent[] }
  | { readonly kind: "link"; readonly isUp: boolean }
  /** A run was not taken: for a while this remote address (16 bytes) gets single datagrams. */
  | { readonly kind: "gso-refused"; readonly remote: Uint8Array; readonly errno: string }
  | {
      readonly kind: "snapshot";
      readonly id: number;
      readonly snapshot: TunnelSnapshot;
      readonly counters: EngineCounters;
    }
  | { readonly kind: "sample"; readonly id: number; readonly sample: TunnelSample }
  | {
      readonly kind: "trace";
      readonly id: number;
      readonly lines: readonly PacketLine[];
      /** Lines that did not fit since the last answer. */
      readonly suppressed: number;
    }
  /** `fault`: why nothing was changed, as the end of a sentence. */
  | { readonly kind: "reconfigured"; readonly id: number; readonly fault: string | undefined }
  /** In standby: everything is loaded. */
  | { readonly kind: "loaded" }
  | { readonly kind: "paused"; readonly id: number }
  | { readonly kind: "pong"; readonly id: number }
  /** What became of a probe; nothing is reported of one that gets no answer. */
  | { readonly kind: "probed"; readonly id: number; readonly outcome: PingOutcome }
  /** The speed test after an order, or why it was not started; undefined: there was none yet. */
  | {
      readonly kind: "speed";
      readonly id: number;
      readonly speed: SpeedSnapshot | SpeedRefusal | undefined;
    }
  /** Fingerprints of each peer's keys, in the order of the question. */
  | {
      readonly kind: "key-names";
      readonly id: number;
      readonly names: readonly (readonly string[])[];
    }
  | { readonly kind: "stopped" }
  /** The engine cannot go on; keys are wiped. One line, no secrets. `detail` is for debug level. */
  | {
      readonly kind: "fatal";
      readonly message: string;
      readonly exitCode: number;
      readonly detail: string | undefined;
    };
