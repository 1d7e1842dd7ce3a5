/**
 * Runs of datagrams made by hand under a live session, as a socket with UDP_GRO gives them.
 *
 * A run has datagrams of one size, the last may be shorter, so plaintexts are padded to one size by the caller.
 * The trap: a run that arrives is not seen by Eve and crosses no link.
 */
import type { SocketAddress } from "../helpers/address.ts";
import { buildPacket, concat, type PacketSpec } from "../helpers/packet-builder.ts";
import type { Host } from "./host.ts";
import { dropsOf } from "./observe.ts";
import { INNER, type Site } from "./pair.ts";

/** How far above the last counter in use forged ones begin. */
const AHEAD = 1_000;

/** Datagrams of `plaintexts` under the session that `site` sealed with last, with counters that go on from `ahead`. */
export function sealed(
  site: Site,
  plaintexts: readonly Uint8Array[],
  ahead = AHEAD,
): readonly Uint8Array[] {
  return plaintexts.map((plaintext, index) => site.aead().forge(plaintext, ahead + index));
}

/** Hands datagrams to the host as one message and lets it take its turn; returns what it dropped for them. */
export function receiveRun(
  host: Host,
  from: SocketAddress,
  datagrams: readonly Uint8Array[],
  tos = 0,
): Partial<Record<string, number>> {
  return dropsDuring(host, () => {
    host.receiveRun(from, datagrams[0]?.length ?? 0, concat(...datagrams), tos);
    host.turn();
  });
}

/** What the host dropped while something was done. */
export function dropsDuring(host: Host, action: () => void): Partial<Record<string, number>> {
  const before: Partial<Record<string, number>> = dropsOf(host);
  action();
  const after = Object.entries(dropsOf(host)).map(
    ([reason, count]) => [reason, count - (before[reason] ?? 0)] as const,
  );
  return Object.fromEntries(after.filter(([, count]) => count > 0));
}

/** A control frame of `length` bytes; a probe says its own length. */
export function frame(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[0] = type;
  if (type === 4) new DataView(bytes.buffer).setUint16(3, length + 32, true);
  return bytes;
}

/** TCP segments from left to right, one after another, marked as having partial checksums. */
export function segments(
  count: number,
  payload: number,
  changes: Partial<PacketSpec> = {},
): readonly Uint8Array[] {
  return Array.from({ length: count }, (_, index) => {
    const { bytes } = buildPacket({
      source: INNER.left,
      destination: INNER.right,
      payload: new Uint8Array(payload).fill(index),
      sequence: 1 + index * payload,
      id: 1 + index,
      ...changes,
    });
    return marked(bytes);
  });
}

/** With bit 7 of the first byte set: its checksum is partial. */
export function marked(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  copy[0] = (copy[0] ?? 0) | 0x80;
  return copy;
}
