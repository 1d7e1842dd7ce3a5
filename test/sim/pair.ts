/**
 * The usual worlds: two hosts with one key, or more of them, ready to talk.
 *
 * `newWorld` prints seed and log when its test fails. A `site` is what an operator would configure: name,
 * outer address, inner networks, peers. Defaults are a pair where both know the other's endpoint, real
 * primitives with seeded randomness, and 10 ms paths. Key arrays are copied at each start, because a
 * core that wipes its keys must not empty the configuration.
 */
import { onTestFailed } from "vitest";
import { tunnelBuffers } from "../../src/core/buffers.ts";
import { LARGEST_INNER_MTU } from "../../src/core/constants.ts";
import type { HandshakeCrypto } from "../../src/core/crypto.ts";
import {
  DEFAULT_LIMITS,
  type LimitOptions,
  type PathMtuOptions,
  type PeerKind,
  type PeerOptions,
  type Roaming,
} from "../../src/core/options.ts";
import { Tunnel } from "../../src/core/tunnel.ts";
import { endpoint, innerBytes, ipBytes, prefix, type SocketAddress } from "../helpers/address.ts";
import type { Random } from "../helpers/random.ts";
import type { Host } from "./host.ts";
import type { Nat } from "./nat.ts";
import { STUB_CIPHER, stubCrypto } from "./stub-crypto.ts";
import { TwinAead, XCHACHA } from "./twin-aead.ts";
import { twinCrypto } from "./twin-crypto.ts";
import { World } from "./world.ts";

/** A peer as a test names it. */
export interface PeerSpec {
  readonly name: string;
  /** "pair" unless told. */
  readonly kind?: PeerKind;
  readonly keys: readonly Uint8Array[];
  /** Configured endpoints; none: it is learned. */
  readonly endpoints?: readonly SocketAddress[];
  /** An endpoint is configured though `endpoints` is empty: a name that does not resolve yet. */
  readonly hasConfiguredEndpoint?: boolean;
  readonly allowedIps: readonly string[];
  readonly keepaliveSeconds?: number;
  readonly roaming?: Roaming;
  readonly failoverMs?: number;
  readonly rateBitsPerSecond?: number;
}

/** A host as a test names it. */
export interface SiteSpec {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly peers: readonly PeerSpec[];
  /** Own inner addresses; none unless told. */
  readonly inner?: readonly string[];
  readonly port?: number;
  readonly nat?: Nat;
  readonly nodeId?: Uint8Array;
  readonly mtu?: number;
  readonly copyDscp?: boolean;
  /** The MTU is found out, in place of `mtu`; 1500 and 10 min unless told. */
  readonly pathMtu?: Partial<PathMtuOptions>;
  readonly measuresQuality?: boolean;
  readonly limits?: Partial<LimitOptions>;
  /** "stub" for schedules with very many messages. */
  readonly crypto?: "twin" | "stub";
  /** Rows of each batch. */
  readonly rows?: number;
  /** "all": a TUN and a socket with every offload; absent: none, but runs are sent. */
  readonly offloads?: "all";
  /** Replaces primitives of this host only: the product's own, or those of a dishonest holder of the key. */
  readonly replaced?: (crypto: HandshakeCrypto) => HandshakeCrypto;
}

/** A host with what a test may want to look into. */
export interface Site {
  readonly host: Host;
  readonly spec: SiteSpec;
  /** The cipher of the running tunnel. */
  readonly aead: () => TwinAead;
  /** A new random node id at each later start, as where no state is kept. */
  forgetNodeId(): void;
}

export const INNER = {
  left: "10.9.0.1",
  right: "10.9.0.2",
  left6: "fd00:9::1",
  right6: "fd00:9::2",
} as const;
export const LEFT: SocketAddress = { ip: "192.0.2.1", port: 1194 };
export const RIGHT: SocketAddress = { ip: "198.51.100.1", port: 1194 };
/** The inner networks behind each side. */
export const NETWORKS = {
  left: [`${INNER.left}/32`, `${INNER.left6}/128`, "10.1.0.0/16"],
  right: [`${INNER.right}/32`, `${INNER.right6}/128`, "10.2.0.0/16"],
} as const;

/** What a test may change of the usual pair. */
export interface PairOptions {
  readonly seed?: number;
  /** A world made elsewhere: one that lives longer than a test. */
  readonly world?: World;
  readonly left?: Partial<SiteSpec>;
  readonly right?: Partial<SiteSpec>;
  /** How the left side names its peer, the right one; and the reverse. */
  readonly leftPeer?: Partial<PeerSpec>;
  readonly rightPeer?: Partial<PeerSpec>;
  readonly crypto?: "twin" | "stub";
  readonly roaming?: Roaming;
  /** Sites with every offload; none unless told. */
  readonly offloads?: OffloadSites;
}

/** Which sites of a pair have every offload. */
export type OffloadSites = "neither" | "left" | "right" | "both";

export interface Pair {
  readonly world: World;
  readonly left: Host;
  readonly right: Host;
  readonly leftSite: Site;
  readonly rightSite: Site;
  readonly key: Uint8Array;
}

/** A world whose seed and log are printed if the running test fails. */
export function newWorld(seed = 1): World {
  const world = new World(seed);
  onTestFailed(() => console.error(world.report()));
  return world;
}

/** Adds a host to a world; it starts at once. */
export function addSite(world: World, spec: SiteSpec): Site {
  const random = world.random.fork();
  let nodeId = spec.nodeId ?? random.bytes(16);
  let aead: TwinAead | undefined;
  const boot = (host: Host): Tunnel => {
    const cipher = spec.crypto === "stub" ? STUB_CIPHER : XCHACHA;
    aead = new TwinAead(world.ledger, cipher);
    return bootTunnel(host, spec, nodeId, aead, random);
  };
  const host = world.host({
    name: spec.name,
    addresses: spec.addresses,
    port: spec.port ?? 1194,
    boot,
    hasRuns: spec.offloads === "all",
    ...(spec.nat && { nat: spec.nat }),
  });
  return {
    host,
    spec,
    aead: () => aead ?? new TwinAead(world.ledger),
    forgetNodeId: () => {
      nodeId = random.bytes(16);
    },
  };
}

/** Two hosts that know each other's key and endpoint, started at the same instant. */
export function newPair(options: PairOptions = {}): Pair {
  const world = options.world ?? newWorld(options.seed);
  const key = world.random.bytes(32);
  const common = {
    ...(options.crypto && { crypto: options.crypto }),
  };
  const roaming = options.roaming ?? "validated";
  const { offloads = "neither" } = options;
  const all = { offloads: "all" } as const;
  const leftSite = addSite(world, {
    name: "left",
    addresses: [LEFT.ip],
    peers: [
      {
        name: "right",
        keys: [key],
        endpoints: [RIGHT],
        allowedIps: NETWORKS.right,
        roaming,
        ...options.leftPeer,
      },
    ],
    ...common,
    ...(["left", "both"].includes(offloads) && all),
    ...options.left,
  });
  const rightSite = addSite(world, {
    name: "right",
    addresses: [RIGHT.ip],
    peers: [
      {
        name: "left",
        keys: [key],
        endpoints: [LEFT],
        allowedIps: NETWORKS.left,
        roaming,
        ...options.rightPeer,
      },
    ],
    ...common,
    ...(["right", "both"].includes(offloads) && all),
    ...options.right,
  });
  return { world, left: leftSite.host, right: rightSite.host, leftSite, rightSite, key };
}

/** A pair where only the left side knows an endpoint, so that it always starts. */
export function newClientPair(options: PairOptions = {}): Pair {
  return newPair({ ...options, rightPeer: { endpoints: [], ...options.rightPeer } });
}

export function bootTunnel(
  host: Host,
  spec: SiteSpec,
  nodeId: Uint8Array,
  aead: TwinAead,
  random: Random,
): Tunnel {
  const primitives = spec.crypto === "stub" ? stubCrypto(random) : twinCrypto(random);
  const mtu = spec.pathMtu === undefined ? (spec.mtu ?? 1420) : LARGEST_INNER_MTU;
  const hasAll = spec.offloads === "all";
  const tunnel = new Tunnel(
    {
      nodeId: nodeId.slice(),
      mtu,
      pathMtu: spec.pathMtu && { linkMtu: 1500, raiseMs: 600_000, ...spec.pathMtu },
      listenPort: host.port,
      ownAddresses: host.addresses.map((ip) => ipBytes(ip).slice()),
      innerAddresses: (spec.inner ?? []).map((ip) => innerBytes(ip)),
      copyDscp: spec.copyDscp ?? false,
      measuresQuality: spec.measuresQuality ?? false,
      limits: { ...DEFAULT_LIMITS, ...spec.limits },
      offloads: { joinTcp: hasAll, joinUdp: hasAll, runs: true },
    },
    { crypto: spec.replaced?.(primitives) ?? primitives, aead },
    tunnelBuffers({
      mtu,
      superPackets: hasAll,
      gro: hasAll,
      ...(spec.rows === undefined ? {} : { rows: spec.rows }),
    }),
    host.now,
  );
  // The stamp of a handshake that adding a peer starts.
  tunnel.setWallClock(host.wallMicros);
  for (const peer of spec.peers) tunnel.addPeer(peerOptions(peer), host.now);
  return tunnel;
}

/** The core's options of a peer, with keys of its own to wipe. */
export function peerOptions(spec: PeerSpec): PeerOptions {
  const endpoints = (spec.endpoints ?? []).map(({ ip, port }) => endpoint(ip, port));
  return {
    name: spec.name,
    kind: spec.kind ?? "pair",
    keys: spec.keys.map((key) => key.slice()),
    endpoints,
    hasConfiguredEndpoint: spec.hasConfiguredEndpoint ?? endpoints.length > 0,
    allowedIps: spec.allowedIps.map(prefix),
    keepaliveSeconds: spec.keepaliveSeconds ?? 0,
    roaming: spec.roaming ?? "validated",
    ...(spec.failoverMs !== undefined && { failoverMs: spec.failoverMs }),
    rateBitsPerSecond: spec.rateBitsPerSecond,
  };
}
