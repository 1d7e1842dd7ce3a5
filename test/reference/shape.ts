/**
 * Who takes part in a schedule: a hub and its sites, each with a tunnel that is configured by chance.
 *
 *     site n at 192.0.2.n, or behind a translator at 203.0.113.n  --->  hub at 198.51.100.1 (and .2)
 *
 * A pair is a hub with one site; "both": each knows the other's address, "client": only the site does. All
 * share one key. Limits of sources and handshakes are sometimes small, so that they are reached.
 */
import type { HandshakeCrypto } from "../../src/core/crypto.ts";
import { DEFAULT_LIMITS, type LimitOptions, type Roaming } from "../../src/core/options.ts";
import { Tunnel } from "../../src/core/tunnel.ts";
import type { Random } from "../helpers/random.ts";
import { STUB_CIPHER, stubCrypto } from "../sim/stub-crypto.ts";
import { NonceLedger, TwinAead, XCHACHA } from "../sim/twin-aead.ts";
import { twinCrypto } from "../sim/twin-crypto.ts";
import { type Address, addressOf, type Ip, ip, ipBytes4 } from "./model/address.ts";
import { type ModelOptions, newModel } from "./model/state.ts";
import type { Tally } from "./model/tally.ts";
import { start } from "./model/turn.ts";
import type { Net } from "./net.ts";
import { emptied, smallBuffers } from "./rows.ts";
import type { Running } from "./running.ts";
import { ownBytes, plainEndpoint, Station } from "./station.ts";

export type Kind = "both" | "client" | "group";

/** A station with what the schedule needs to know of it. */
export interface Member {
  readonly station: Station;
  /** Its own inner address. */
  readonly inner: Ip;
  readonly homeOwn: readonly Ip[];
  readonly homeOutside: Address | undefined;
  readonly roaming: Roaming;
  /** Addresses of the other side that its configuration names. */
  readonly configured: readonly Address[];
  /** A new node id at the next start, as where no state is kept. */
  forgetNodeId(): void;
}

export interface Shape {
  readonly kind: Kind;
  readonly hub: Member;
  readonly sites: readonly Member[];
  readonly ledger: NonceLedger;
}

/** What a test may change of the usual. */
export interface ShapeOptions {
  readonly crypto: "stub" | "real";
  readonly tally: Tally;
  /** Replaces primitives, to show that faults are seen. */
  readonly replaced?: (crypto: HandshakeCrypto) => HandshakeCrypto;
}

const PORT = 1194;
const MTU = 1_280;
const HUB_OWN = [ip("198.51.100.1"), ip("198.51.100.2")];
const HUB_INNER = { pair: ip("10.9.0.2"), group: ip("10.77.0.250") };
/** Small limits are odd numbers, so that no bucket fills to the brim at the instant it is asked. */
const SMALL_LIMITS: LimitOptions = {
  sourceRatePerSecond: 9.731,
  sourceBurst: 12,
  sources: 6,
  handshakesPerSecond: 1.873,
  handshakeBurst: 3,
  handshakesPerSecondTotal: 23.71,
};
const USUAL_LIMITS: LimitOptions = {
  ...DEFAULT_LIMITS,
  sources: 16,
  sourceRatePerSecond: 97.31,
  handshakesPerSecond: 19.73,
};

/** Buffers are used again by the next schedule: making them costs more than running it. */
const buffersOf: ReturnType<typeof smallBuffers>[] = [];

interface Common {
  readonly net: Net;
  readonly options: ShapeOptions;
  readonly ledger: NonceLedger;
  readonly key: Uint8Array;
  readonly limits: LimitOptions;
  readonly keepaliveSeconds: number;
}

/** The members of a schedule; nobody has started yet. */
export function newShape(net: Net, options: ShapeOptions): Shape {
  const { random } = net;
  const kind = pick<Kind>(random, ["both", "both", "client", "group"]);
  const common: Common = {
    net,
    options,
    ledger: new NonceLedger(),
    key: random.bytes(32),
    limits: random.chance(0.25) ? SMALL_LIMITS : USUAL_LIMITS,
    keepaliveSeconds: pick(random, [0, 0, 0, 0, 0, 0, 5, 25, 25, 25]),
  };
  const hubOwn = random.chance(0.25) ? HUB_OWN : HUB_OWN.slice(0, 1);
  const hubDoors = hubOwn.map((own) => addressOf(own, PORT));
  const known = random.chance(0.5) ? hubDoors : hubDoors.slice(0, 1);
  const count = kind === "group" ? 2 + random.below(3) : 1;
  const sites = Array.from({ length: count }, (_, index) =>
    newSite(common, kind, index + 1, known),
  );
  const hub = newHub(common, kind, hubOwn, sites);
  return { kind, hub, sites, ledger: common.ledger };
}

function newSite(common: Common, kind: Kind, number: number, hubDoors: readonly Address[]): Member {
  const { random } = common.net;
  const isGroup = kind === "group";
  const isInside = random.chance(0.3);
  const own = [isInside ? ip(`10.0.${number}.2`) : ip(`192.0.2.${number}`)];
  if (!isInside && random.chance(0.15)) own.push(ip(`192.0.2.${number + 100}`));
  const outside = isInside ? addressOf(ip(`203.0.113.${number}`), 40_000) : undefined;
  return newMember(common, {
    name: isGroup ? `site${number}` : "site",
    own,
    outside,
    inner: ip(isGroup ? `10.77.0.${number}` : "10.9.0.1"),
    tellsInner: isGroup && random.chance(0.5),
    kind: isGroup ? "hub" : "pair",
    inside: isGroup ? groupNetwork : (inner) => inner === HUB_INNER.pair,
    allowed: isGroup ? "10.77.0.0/16" : "10.9.0.2/32",
    configured: hubDoors,
    roaming: pick(random, ["validated", "validated", "on", "off"]),
  });
}

function newHub(common: Common, kind: Kind, own: readonly Ip[], sites: readonly Member[]): Member {
  const { random } = common.net;
  const isGroup = kind === "group";
  return newMember(common, {
    name: "hub",
    own,
    outside: undefined,
    inner: isGroup ? HUB_INNER.group : HUB_INNER.pair,
    tellsInner: isGroup,
    kind: isGroup ? "group" : "pair",
    inside: isGroup ? groupNetwork : (inner) => inner === sites[0]?.inner,
    allowed: isGroup ? "10.77.0.0/16" : "10.9.0.1/32",
    configured: kind === "both" ? sites.map(({ station }) => station.door) : [],
    roaming: pick(random, ["validated", "validated", "on", "off"]),
  });
}

function groupNetwork(inner: Ip): boolean {
  return (inner & 0xffff) === 10 + 77 * 256;
}

interface MemberSpec {
  readonly name: string;
  readonly own: readonly Ip[];
  readonly outside: Address | undefined;
  readonly inner: Ip;
  /** Its own inner address is part of its configuration. */
  readonly tellsInner: boolean;
  readonly kind: "pair" | "hub" | "group";
  readonly inside: (inner: Ip) => boolean;
  readonly allowed: string;
  readonly configured: readonly Address[];
  readonly roaming: Roaming;
}

function newMember(common: Common, spec: MemberSpec): Member {
  const { net } = common;
  const random = net.random.fork();
  let nodeId = random.bytes(16);
  const station: Station = new Station(net, {
    name: spec.name,
    port: PORT,
    own: spec.own,
    ...(spec.outside === undefined ? {} : { outside: spec.outside }),
    bootMs: 1_000_000 + random.below(1_000_000),
    boot: (self) => boot(self, net.stations.indexOf(self), common, spec, nodeId, random),
  });
  net.stations.push(station);
  return {
    station,
    inner: spec.inner,
    homeOwn: spec.own,
    homeOutside: spec.outside,
    roaming: spec.roaming,
    configured: spec.configured,
    forgetNodeId: () => {
      nodeId = random.bytes(16);
    },
  };
}

/** Starts the tunnel and the model of it. */
function boot(
  station: Station,
  slot: number,
  common: Common,
  spec: MemberSpec,
  nodeId: Uint8Array,
  random: Random,
): Running {
  const { options, ledger, key, keepaliveSeconds, limits } = common;
  const isStub = options.crypto === "stub";
  const primitives = isStub ? stubCrypto(random) : twinCrypto(random);
  const jitters: number[] = [];
  const crypto = withJitters(options.replaced?.(primitives) ?? primitives, jitters);
  const aead = new TwinAead(ledger, isStub ? STUB_CIPHER : XCHACHA);
  buffersOf[slot] ??= smallBuffers();
  const inner = spec.tellsInner ? [spec.inner] : [];
  const { now } = station;
  const tunnel = new Tunnel(
    {
      nodeId: nodeId.slice(),
      mtu: MTU,
      listenPort: PORT,
      ownAddresses: station.own.map(ownBytes),
      innerAddresses: inner.map(ipBytes4),
      limits,
      offloads: { joinTcp: false, joinUdp: false, runs: true },
    },
    { crypto, aead },
    emptied(buffersOf[slot]),
    now,
  );
  tunnel.setWallClock(station.wallMicros);
  const model = newModel(modelOptions(station, common, spec, nodeId, inner, jitters), now);
  model.wallMicros = station.wallMicros;
  tunnel.addPeer(
    {
      name: spec.kind,
      kind: spec.kind,
      keys: [key.slice()],
      endpoints: spec.configured.map(plainEndpoint),
      hasConfiguredEndpoint: spec.configured.length > 0,
      allowedIps: [prefixOf(spec.allowed)],
      keepaliveSeconds,
      roaming: spec.roaming,
      // The model knows no rule 19 (which endpoints live), of which test/scenario has its own tests.
      failoverMs: Number.POSITIVE_INFINITY,
    },
    now,
  );
  start(model);
  return { tunnel, model, aead };
}

function modelOptions(
  station: Station,
  { limits, keepaliveSeconds, options }: Common,
  spec: MemberSpec,
  nodeId: Uint8Array,
  inner: readonly Ip[],
  jitters: number[],
): ModelOptions {
  return {
    name: spec.name,
    nodeId: String.fromCharCode(...nodeId),
    listenPort: PORT,
    own: station.own,
    inner,
    limits,
    peer: {
      kind: spec.kind,
      roaming: spec.roaming,
      configured: spec.configured,
      keepaliveSeconds,
      isInside: spec.inside,
    },
    tally: options.tally,
    jitters,
  };
}

/** The core asks for a single byte only to lengthen a retry; the model is told what it drew. */
function withJitters(crypto: HandshakeCrypto, jitters: number[]): HandshakeCrypto {
  return {
    ...crypto,
    random: (length) => {
      const bytes = crypto.random(length);
      if (length === 1) jitters.push(bytes[0] ?? 0);
      return bytes;
    },
  };
}

function prefixOf(text: string) {
  const [address = "", length = "32"] = text.split("/");
  return { family: 4, bytes: ipBytes4(ip(address)), length: Number(length) } as const;
}

export function pick<T>(random: Random, values: readonly [T, ...T[]]): T {
  return values[random.below(values.length)] ?? values[0];
}
