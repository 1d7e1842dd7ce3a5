/**
 * Super-packets as traffic: numbered, so that what arrives can be told apart, and cut as a kernel would.
 *
 * The twin cutter says what the other end's kernel must be given in the end, with finished checksums,
 * whatever was joined and cut on the way.
 */
import { cutSuperPacket } from "../helpers/cut-twin.ts";
import { internetChecksum } from "../helpers/packets.ts";
import { Random } from "../helpers/random.ts";
import { type SuperPacket, type SuperPacketParts, superPacket } from "../helpers/super-packets.ts";
import type { Host } from "./host.ts";
import type { TunPacket } from "./kernel.ts";
import { INNER } from "./pair.ts";

/** A super-packet from left to right with `bytes` of payload of its own for each `mark`, cut at 1,000 bytes unless told. */
export function bulk(
  mark: number,
  bytes: number,
  changes: Partial<SuperPacketParts> = {},
): SuperPacket {
  const payload = new Random(mark).bytes(bytes);
  return superPacket({
    source: INNER.left,
    destination: INNER.right,
    isTcp: true,
    gsoSize: 1_000,
    sequence: mark * 70_000,
    id: mark * 100,
    payload,
    ...changes,
  });
}

/** As the TUN hands it out. */
export function asRow(packet: SuperPacket): TunPacket {
  const { bytes, checksumStart, checksumOffset, gsoType, gsoSize } = packet;
  return {
    bytes: bytes.slice(),
    checksum: { start: checksumStart, offset: checksumOffset },
    gso: { type: gsoType, size: gsoSize },
  };
}

/** Hands super-packets to the host's TUN. */
export function sendBulk(host: Host, ...packets: readonly SuperPacket[]): void {
  for (const packet of packets) host.sendRow(asRow(packet));
}

/** What the other end's kernel gets of super-packets, as hexadecimal texts. */
export function expectedOf(...packets: readonly SuperPacket[]): string[] {
  return packets.flatMap((packet) =>
    cutSuperPacket(packet.bytes, packet).map((bytes) => hex(finished(bytes, packet))),
  );
}

/** What a host was given, as hexadecimal texts. */
export function deliveredTo({ delivered }: Host): string[] {
  return delivered.map(({ bytes }) => hex(bytes));
}

function finished(bytes: Uint8Array, { checksumStart, checksumOffset }: SuperPacket): Uint8Array {
  const sum = internetChecksum(bytes.subarray(checksumStart));
  const isUdp = checksumOffset === 6;
  const at = checksumStart + checksumOffset;
  new DataView(bytes.buffer).setUint16(at, isUdp && sum === 0 ? 0xffff : sum);
  return bytes;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
