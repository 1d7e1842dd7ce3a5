/**
 * Captures for other programs to read: the classic format of pcap-savefile(5), little-endian, microseconds, link type RAW
 * (each record is an IP packet).
 */

import type { SocketAddress } from "./address.ts";
import { ipPacket, PROTOCOL, withChecksum } from "./packets.ts";

const MAGIC = 0xa1b2c3d4;
const LINKTYPE_RAW = 101;
const SNAP_BYTES = 262_144;
/** 2026-01-01 in seconds since 1970: instant 0 of a simulated world. */
const START_SECONDS = 1_767_225_600;

/** A packet as a capture has it. */
export interface Captured {
  /** Milliseconds since the capture began. */
  readonly atMs: number;
  readonly packet: Uint8Array;
  /** Bytes that the capture keeps; all unless told. */
  readonly snapBytes?: number;
}

/** The file's bytes. */
export function pcapFile(records: readonly Captured[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(SNAP_BYTES, 16);
  header.writeUInt32LE(LINKTYPE_RAW, 20);
  return Buffer.concat([header, ...records.flatMap(recordOf)]);
}

/** An IP packet with a UDP datagram. */
export function udpBetween(
  from: SocketAddress,
  to: SocketAddress,
  payload: Uint8Array,
): Uint8Array {
  const datagram = new Uint8Array(8 + payload.length);
  const view = new DataView(datagram.buffer);
  view.setUint16(0, from.port);
  view.setUint16(2, to.port);
  view.setUint16(4, datagram.length);
  datagram.set(payload, 8);
  const summed = withChecksum(from.ip, to.ip, PROTOCOL.UDP, datagram, 6);
  return ipPacket(from.ip, to.ip, PROTOCOL.UDP, summed);
}

function recordOf({ atMs, packet, snapBytes = packet.length }: Captured): readonly Uint8Array[] {
  const micros = Math.round(atMs * 1000);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(START_SECONDS + Math.floor(micros / 1e6), 0);
  header.writeUInt32LE(micros % 1e6, 4);
  header.writeUInt32LE(Math.min(snapBytes, packet.length), 8);
  header.writeUInt32LE(packet.length, 12);
  return [header, packet.subarray(0, snapBytes)];
}
