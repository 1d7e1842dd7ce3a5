/**
 * ECN and DSCP: what the outer header gets of the inner one, and the inner one of the outer.
 *
 * RFC 6040, outbound in its normal mode (§4.1): the outer ECN field is a copy of the inner one, so that a queue
 * on the way marks where it would else drop. Inbound figure 4 (§4.2): a mark that the outer header got goes on
 * in the inner one, whose ends are those that slow down. DSCP is the pipe model of RFC 2983 §3.1: the inner one
 * crosses untouched, and the outer one is the configuration's.
 *
 * §4.2 would also have combinations logged that no sender makes. Only the one that is dropped is counted: to
 * see the others, every packet with ECT(0) outside would have to be looked at.
 *
 * The trap: IPv4's header checksum covers the field, so each packet of a run needs its own correction.
 */
import { correctIpv4Checksum } from "./checksum.ts";
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES } from "./inner-packet.ts";
import { PARTIAL_CHECKSUM_BIT } from "./wire.ts";

/** The ECN field, the low two bits of TOS and traffic class (RFC 3168 §5). */
export const ECN = { NOT_ECT: 0, ECT1: 1, ECT0: 2, CE: 3 } as const;
/** Those bits. */
export const ECN_BITS = 0x03;
/** TOS and traffic class whole: DSCP and ECN. */
export const CLASS_BITS = 0xff;

const { NOT_ECT, ECT1, ECT0, CE } = ECN;
const DROP = -1;

/** Outgoing field: a row an arriving inner one, a column an arriving outer one (RFC 6040, figure 4). */
// biome-ignore format: a table.
const OUTGOING: readonly (readonly number[])[] = [
  //          Not-ECT  ECT(1)   ECT(0)   CE
  /* Not-ECT */ [NOT_ECT, NOT_ECT, NOT_ECT, DROP],
  /* ECT(1)  */ [ECT1,    ECT1,    ECT1,    CE],
  /* ECT(0)  */ [ECT0,    ECT1,    ECT0,    CE],
  /* CE      */ [CE,      CE,      CE,      CE],
];

/** Whether an outer TOS may change or drop a packet: under Not-ECT and ECT(0) figure 4 leaves each as it is. */
export function isMark(outerTos: number): boolean {
  return (outerTos & 1) !== 0;
}

/**
 * Writes into `count` packets of `length` bytes, `stride` apart and of one class, what figure 4 makes of their
 * field and the outer one; false: they are to be dropped. The first byte of each says IPv4 or IPv6, with or
 * without the mark of a partial checksum; one too short for its header is left to the checks that refuse it.
 */
export function takeOuterEcn(
  bytes: Uint8Array,
  offset: number,
  length: number,
  stride: number,
  count: number,
  outerTos: number,
): boolean {
  const isV4 = ((bytes[offset] ?? 0) & ~PARTIAL_CHECKSUM_BIT) >> 4 === 4;
  if (length < (isV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES)) return true;
  const shift = isV4 ? 0 : 4;
  const inner = ((bytes[offset + 1] ?? 0) >> shift) & ECN_BITS;
  const outgoing = OUTGOING[inner]?.[outerTos & ECN_BITS] ?? inner;
  if (outgoing === DROP) return false;
  if (outgoing === inner) return true;
  for (let packet = offset; packet < offset + count * stride; packet += stride) {
    bytes[packet + 1] = ((bytes[packet + 1] ?? 0) & ~(ECN_BITS << shift)) | (outgoing << shift);
    if (isV4) correctIpv4Checksum(bytes, packet, outgoing - inner);
  }
  return true;
}
