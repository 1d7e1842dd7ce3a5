/**
 * Pairs, hubs and packets for the tests of runs, and what is asked of a host that received one.
 *
 * Packets of one size, so that their datagrams can be one run; the last byte of each is its place.
 */
import { expect } from "vitest";
import { udpPacket, viewPacket } from "../helpers/packets.ts";
import { dataCounter, SIZE, TYPE } from "../helpers/wire-view.ts";
import { dropsDuring } from "./forged-runs.ts";
import type { Host } from "./host.ts";
import { connect, isUp } from "./observe.ts";
import {
  addSite,
  INNER,
  LEFT,
  NETWORKS,
  newClientPair,
  newWorld,
  type Pair,
  type PairOptions,
  RIGHT,
  type Site,
} from "./pair.ts";

/** A pair whose sites have every offload and whose session is up, long after anything was sent. */
export function connected(options: PairOptions = {}): Pair {
  const pair = newClientPair({ offloads: "both", ...options });
  connect(pair);
  pair.world.advance(20_000);
  return pair;
}

/** A session that the right side has answered and not heard yet, and the run of data that waits for it. */
export function unconfirmed(): { pair: Pair; run: readonly Uint8Array[] } {
  const pair = newClientPair({ offloads: "both" });
  const { world, left } = pair;
  world.eve.withhold = ({ by, bytes }) => by === "left" && bytes[0] === TYPE.DATA;
  left.send(...Array.from({ length: 4 }, (_, mark) => bare({ mark })));
  world.advance(45);
  const held = world.eve.sentBy("left", TYPE.DATA).map(({ bytes }) => bytes);
  const run = held.filter(({ length }) => length > SIZE.KEEPALIVE);
  expect(run).toHaveLength(4);
  expect(run.map(dataCounter)).toEqual([0, 1, 2, 3].map((at) => at + held.length - run.length));
  return { pair, run };
}

/** A peer whose prefix takes 10.1.5.0/24 out of the one of the hub's peer a; its keys are to be added. */
export const NARROW = {
  name: "narrow",
  endpoints: [],
  hasConfiguredEndpoint: false,
  allowedIps: [{ family: 4 as const, bytes: Uint8Array.of(10, 1, 5, 0), length: 24 }],
  keepaliveSeconds: 0,
  roaming: "on" as const,
};

/** A hub with the peers a (10.1/16, fd00:1::/32) and b (10.3/16, fd00:3::/32), sessions up. */
export function hubWithTwo(): { hub: Host; hubSite: Site; a: Site; b: Site } {
  const world = newWorld();
  const [keyA, keyB] = [world.random.bytes(32), world.random.bytes(32)];
  const hubSite = addSite(world, {
    name: "hub",
    addresses: [RIGHT.ip],
    offloads: "all",
    peers: [
      { name: "a", keys: [keyA], allowedIps: ["10.1.0.0/16", "fd00:1::/32"], roaming: "off" },
      { name: "b", keys: [keyB], allowedIps: ["10.3.0.0/16", "fd00:3::/32"], roaming: "off" },
    ],
  });
  const spoke = (name: string, ip: string, key: Uint8Array): Site =>
    addSite(world, {
      name,
      addresses: [ip],
      peers: [{ name: "hub", keys: [key], endpoints: [RIGHT], allowedIps: NETWORKS.right }],
    });
  const [a, b] = [spoke("a", LEFT.ip, keyA), spoke("b", "192.0.2.2", keyB)];
  world.advance(2_000);
  expect([isUp(hubSite.host, "a"), isUp(hubSite.host, "b")]).toEqual([true, true]);
  return { hub: hubSite.host, hubSite, a, b };
}

interface Marked {
  readonly source?: string;
  readonly destination?: string;
  /** Bytes of the whole packet. */
  readonly size?: number;
}

/** UDP packets of one size, the last byte of each its place. */
export function packets(count: number, options: Marked = {}): Uint8Array[] {
  return Array.from({ length: count }, (_, mark) => bare({ ...options, mark }));
}

/** One UDP packet; its last byte is `mark`. */
export function bare({
  source = INNER.left,
  destination = INNER.right,
  size = 76,
  mark = 0,
}: Marked & { mark?: number }): Uint8Array {
  const isV6 = source.includes(":");
  const payload = new Uint8Array(size - (isV6 ? 48 : 28));
  payload[payload.length - 1] = mark;
  return udpPacket(source, isV6 ? INNER.right6 : destination, payload);
}

/** Each datagram as a message of its own, in one batch; returns what the host dropped for them. */
export function receiveBatch(host: Host, datagrams: readonly Uint8Array[]) {
  return dropsDuring(host, () => {
    for (const datagram of datagrams) host.receiveRun(LEFT, datagram.length, datagram);
    host.turn();
  });
}

/** The elements at these places. */
export function pick<T>(from: readonly T[], order: readonly number[]): T[] {
  return order.flatMap((index) => from.slice(index, index + 1));
}

/** The places of the packets that the host was given. */
export function marksOf(host: Host): number[] {
  return host.delivered.map(({ bytes }) => bytes.at(-1) ?? -1);
}

/** Their source addresses. */
export function sourcesOf(host: Host): string[] {
  return host.delivered.map(({ bytes }) => viewPacket(bytes).source);
}

/** What is behind their 40 bytes of header. */
export function payloadsOf(host: Host): Uint8Array[] {
  return host.delivered.map(({ bytes }) => bytes.slice(40));
}

/** Failing datagrams charged to all sources together. */
export function chargedOf(host: Host): number {
  return host.snapshot().sources.reduce((sum, { charged }) => sum + charged, 0);
}

/** Empty keepalives that the right site sent since a mark of Eve. */
export function keepalivesSince(pair: Pair, mark: number): number {
  const sent = pair.world.eve.since(mark, TYPE.DATA).filter(({ by }) => by === "right");
  return sent.filter(({ bytes }) => bytes.length === SIZE.KEEPALIVE).length;
}

/** Diffie-Hellman computations of one INIT that is answered. */
export function costOfOneInit(): number {
  const { left, right, world } = connected();
  const before = right.snapshot().handshakeComputations;
  left.act((tunnel, now) => tunnel.rekey("right", now));
  world.advance(1_000);
  return right.snapshot().handshakeComputations - before;
}
