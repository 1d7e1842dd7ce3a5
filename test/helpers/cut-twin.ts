/**
 * Cuts a super-packet as software segmentation does, the plain way: each packet is a copy of its own.
 *
 * The twin of src/native/cut.c, for IPv4 (RFC 791) and IPv6 (RFC 8200) with TCP (RFC 9293) or UDP (RFC
 * 768); what the kernel makes of the same packets is compared in test/native/cut-kernel.test.ts. The
 * checksum field keeps what it is in a packet with VIRTIO_NET_HDR_F_NEEDS_CSUM, the folded sum of the
 * pseudo-header, of each packet's own length. The trap: zero has two forms in ones' complement, and
 * a folded sum of something other than zeros is 0xffff, never 0.
 */
import { GSO } from "../../src/core/rows.ts";
import { internetChecksum } from "./packets.ts";

/** What a row says about a super-packet. */
export interface CutMeta {
  /** One of `GSO`, but NONE. */
  readonly gsoType: number;
  /** Payload bytes of each packet but the last. */
  readonly gsoSize: number;
  /** Bytes of IP and transport header. */
  readonly headerLength: number;
  /** Offset of the transport header. */
  readonly checksumStart: number;
}

const FIN_AND_PSH = 0x09;
const CWR = 0x80;

/** The packets that `bytes` is cut into, partial checksums in each, without the mark of DATA's first byte. */
export function cutSuperPacket(bytes: Uint8Array, meta: CutMeta): Uint8Array[] {
  const { gsoSize, headerLength } = meta;
  const packets: Uint8Array[] = [];
  for (let at = headerLength; at < bytes.length; at += gsoSize) {
    const payload = bytes.subarray(at, at + gsoSize);
    const packet = new Uint8Array(headerLength + payload.length);
    packet.set(bytes.subarray(0, headerLength));
    packet.set(payload, headerLength);
    packets.push(packet);
  }
  packets.forEach((packet, index) => {
    patchIp(packet, index, meta);
    patchTransport(packet, index, packets.length, bytes.length, meta);
  });
  return packets;
}

function patchIp(packet: Uint8Array, index: number, meta: CutMeta): void {
  const view = viewOf(packet);
  if (view.getUint8(0) >> 4 === 6) {
    view.setUint16(4, packet.length - 40);
    return;
  }
  view.setUint16(2, packet.length);
  view.setUint16(4, (view.getUint16(4) + index) % 0x10000);
  view.setUint16(10, 0);
  view.setUint16(10, internetChecksum(packet.subarray(0, meta.checksumStart)));
}

function patchTransport(
  packet: Uint8Array,
  index: number,
  count: number,
  superLength: number,
  meta: CutMeta,
): void {
  const view = viewOf(packet.subarray(meta.checksumStart));
  const [before, after] = [superLength - meta.checksumStart, packet.length - meta.checksumStart];
  if (meta.gsoType === GSO.UDP) {
    view.setUint16(4, after);
    view.setUint16(6, withOtherLength(view.getUint16(6), before, after));
    return;
  }
  view.setUint32(4, (view.getUint32(4) + index * meta.gsoSize) % 2 ** 32);
  if (index < count - 1) view.setUint8(13, view.getUint8(13) & ~FIN_AND_PSH);
  if (index > 0) view.setUint8(13, view.getUint8(13) & ~CWR);
  view.setUint16(16, withOtherLength(view.getUint16(16), before, after));
}

/** A folded sum in which one length has taken another's place: arithmetic modulo 0xffff. */
function withOtherLength(sum: number, before: number, after: number): number {
  const other = (((sum - before + after) % 0xffff) + 0xffff) % 0xffff;
  return other === 0 ? 0xffff : other;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
