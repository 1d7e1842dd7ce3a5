/**
 * What scenarios ask of a host and of Eve's records, in one word each.
 */
import type { DropReason } from "../../src/core/drop-reason.ts";
import type { PeerSnapshot, SessionSnapshot, TunnelEvent } from "../../src/core/options.ts";
import { endpointText } from "../helpers/address.ts";
import { pingPacket } from "../helpers/packets.ts";
import { DATA_OVERHEAD, receiverIndex, senderIndex, TYPE } from "../helpers/wire-view.ts";
import type { Host } from "./host.ts";
import { INNER, type Pair } from "./pair.ts";
import type { World } from "./world.ts";

/** The host's view of a peer; of its only one where no name is given. */
export function peerOf(host: Host, name?: string): PeerSnapshot {
  const { peers } = host.snapshot();
  const found = name === undefined ? peers[0] : peers.find((peer) => peer.name === name);
  if (found === undefined) throw new Error(`${host.name} has no peer ${name ?? ""}`);
  return found;
}

export function isUp(host: Host, name?: string): boolean {
  return peerOf(host, name).state === "up";
}

/** The session in a slot, or undefined. */
export function sessionIn(
  host: Host,
  slot: SessionSnapshot["slot"],
  name?: string,
): SessionSnapshot | undefined {
  return peerOf(host, name).sessions.find((session) => session.slot === slot);
}

/** `ip:port` of the peer's endpoint, or "none". */
export function endpointOf(host: Host, name?: string): string {
  return endpointText(peerOf(host, name).endpoint);
}

/** Drop counters that are not zero. */
export function dropsOf(host: Host): Partial<Record<DropReason, number>> {
  const entries = Object.entries(host.snapshot().drops).filter(([, count]) => count > 0);
  return Object.fromEntries(entries);
}

/** All drops together. */
export function dropTotal(host: Host): number {
  return Object.values(host.snapshot().drops).reduce((sum, count) => sum + count, 0);
}

/**
 * Everything about peers that a refused datagram must leave alone, as one comparable text: sessions,
 * endpoints, counters of peers and DH computations; drop counters and the limiter are left out.
 */
export function stateDigest(host: Host): string {
  const { peers, sessions, handshakeComputations } = host.snapshot();
  return JSON.stringify({ peers, sessions, handshakeComputations });
}

/** Events of one kind, with the virtual time at which they were read. */
export function eventsOf<K extends TunnelEvent["kind"]>(
  host: Host,
  kind: K,
): (Extract<TunnelEvent, { kind: K }> & { readonly seenAt: number })[] {
  const isKind = (event: TunnelEvent): event is Extract<TunnelEvent, { kind: K }> =>
    event.kind === kind;
  return host.events.flatMap(({ at, event }) => (isKind(event) ? [{ ...event, seenAt: at }] : []));
}

/** One ping from left to right. */
export function pingRight({ left }: Pick<Pair, "left">, sequence = 1): void {
  left.send(pingPacket(INNER.left, INNER.right, sequence));
}

/** One ping from right to left. */
export function pingLeft({ right }: Pick<Pair, "right">, sequence = 1): void {
  right.send(pingPacket(INNER.right, INNER.left, sequence));
}

/** Brings the pair up by pings from the left side, two a second, and empties both delivery lists; returns the milliseconds to the first delivery. */
export function connect(pair: Pair, limitMs = 2_000): number {
  const { world, left, right } = pair;
  right.delivered.length = 0;
  const stop = world.every(500, () => pingRight(pair));
  const took = world.until("left delivers to right", () => right.delivered.length > 0, limitMs);
  world.until("both sides are up", () => isUp(left) && isUp(right), limitMs);
  stop();
  world.advance(100);
  right.delivered.length = 0;
  left.delivered.length = 0;
  return took;
}

/** Pings both ways every `ms` milliseconds; returns what stops it and how many were sent each way. */
export function exchange(pair: Pair, ms: number): { stop: () => void; sent: () => number } {
  let count = 0;
  const stop = pair.world.every(ms, (index) => {
    pingRight(pair, index);
    pingLeft(pair, index);
    count += 1;
  });
  return { stop, sent: () => count };
}

/**
 * The session that a host sends on, named by both indices as its RESP showed them
 * (`responder index/initiator index`), read from the last DATA with content.
 */
export function sessionOnWire(world: World, host: Host): string {
  const last = world.eve
    .sentBy(host.name, TYPE.DATA)
    .findLast(({ bytes }) => bytes.length > DATA_OVERHEAD);
  if (last === undefined) return "none";
  const index = receiverIndex(last.bytes);
  const response = world.eve.seen.findLast(
    ({ bytes }) =>
      bytes[0] === TYPE.RESP && [senderIndex(bytes), receiverIndex(bytes)].includes(index),
  );
  return response === undefined
    ? "unknown"
    : `${senderIndex(response.bytes)}/${receiverIndex(response.bytes)}`;
}

/** The highest value that `share` of the values do not pass. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
}
