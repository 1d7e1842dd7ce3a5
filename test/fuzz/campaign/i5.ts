/**
 * FAULTS I5: generated malformed inner packets, both directions, each judged by the plain reference.
 *
 * Inbound they are sealed by a holder of the session's keys, outbound they come from the device. Nothing throws, and
 * after every batch each drop counter has grown by exactly what the reference says of the batch's packets.
 */
import { readFileSync } from "node:fs";
import type { DropReason } from "../../../src/core/drop-reason.ts";
import { inboundVerdict, outboundVerdict } from "../../helpers/inner-reference.ts";
import { pingPacket } from "../../helpers/packets.ts";
import { Random } from "../../helpers/random.ts";
import { PLAINTEXTS } from "../targets/plaintexts.ts";
import {
  fromDevice,
  MTU,
  NETWORKS,
  offer,
  RealPair,
  type RealSide,
  ROWS,
  sentBy,
  snapshotOf,
} from "./real-pair.ts";

/** Longest packet that is made. */
const MOST_BYTES = 1_500;

/** Sends `count` packets each way; returns how many had each verdict. */
export async function malformedPackets(count: number, seed: number): Promise<Map<string, number>> {
  const random = new Random(seed);
  const verdicts = new Map<string, number>();
  const pair = await RealPair.start();
  pair.settle();
  fromDevice(pair.left, [pingPacket("10.1.0.1", "10.2.0.1")]);
  pair.settle();
  for (let left = count; left > 0; left -= ROWS) {
    const batch = Array.from({ length: Math.min(ROWS, left) }, () => malformed(random));
    receive(pair, batch, verdicts);
    send(pair.left, batch, verdicts);
  }
  return verdicts;
}

/** The batch as plaintexts from the left side to the right. */
export function receive(
  pair: RealPair,
  plaintexts: readonly Uint8Array[],
  verdicts: Map<string, number>,
): void {
  const before = look(pair.right);
  const expected = new Map<string, number>();
  for (const text of plaintexts) count(expected, inboundVerdict(text, NETWORKS.left));
  offer(pair.right, pair.left.holder.forge(plaintexts));
  sentBy(pair.right);
  compare(before, look(pair.right), expected, "delivered");
  for (const [verdict, times] of expected) count(verdicts, `in ${verdict}`, times);
}

/** The batch as packets of the left side's device. */
export function send(
  left: RealSide,
  packets: readonly Uint8Array[],
  verdicts: Map<string, number>,
): void {
  const before = look(left);
  const expected = new Map<string, number>();
  for (const packet of packets) count(expected, outboundVerdict(packet, NETWORKS.right, MTU));
  const sealed = fromDevice(left, packets);
  if (sealed !== (expected.get("sealed") ?? 0)) throw new Error(`${sealed} datagrams were made`);
  compare(before, look(left), expected, "sealed");
  for (const [verdict, times] of expected) count(verdicts, `out ${verdict}`, times);
}

interface Look {
  readonly drops: Readonly<Record<DropReason, number>>;
  readonly delivered: number;
  readonly sealed: number;
}

function look(side: RealSide): Look {
  const { drops, peers } = snapshotOf(side);
  const sum = (what: "inboundPackets" | "outboundPackets"): number =>
    peers.reduce((total, { counters }) => total + counters[what], 0);
  return { drops, delivered: sum("inboundPackets"), sealed: sum("outboundPackets") };
}

/** Every counter has grown as expected, and no other; a frame may be dropped for its form. */
function compare(
  before: Look,
  after: Look,
  expected: ReadonlyMap<string, number>,
  good: "delivered" | "sealed",
): void {
  const check = (name: string, grown: number): void => {
    const wanted = expected.get(name) ?? 0;
    if (grown !== wanted) throw new Error(`${name}: ${grown} counted, ${wanted} by the reference`);
  };
  check(good, after[good] - before[good]);
  for (const reason of Object.keys(after.drops) as DropReason[]) {
    const grown = after.drops[reason] - before.drops[reason];
    if (reason !== "bad_control") check(reason, grown);
    else if (grown > (expected.get("frame") ?? 0)) throw new Error("more bad frames than frames");
  }
}

function count(counts: Map<string, number>, name: string, times = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + times);
}

// --- Generation. ---

/** Packets as a kernel sent them. */
export const CAPTURED: readonly Uint8Array[] = readFileSync(
  new URL("../../vectors/captured-packets.txt", import.meta.url),
  "utf8",
)
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => Uint8Array.from(Buffer.from(line, "hex")));
/** Frames that end or move something, and the keepalive, are left to the wire target. */
const STARTS = [
  ...PLAINTEXTS.filter((text) => text.length >= 20 && (text[0] ?? 0) >= 0x40),
  ...CAPTURED,
];
/** Bytes of headers, where most changes go. */
const HEADER_BYTES = 60;

/** A packet that was right once. */
function malformed(random: Random): Uint8Array {
  const draw = random.uint32();
  // One in 64 is noise of any length.
  if ((draw & 63) === 0) return notFrame(random.bytes(1 + ((draw >>> 6) % MOST_BYTES)));
  const start = STARTS[(draw >>> 6) % STARTS.length] ?? new Uint8Array(20);
  const bytes = resized(start, draw >>> 16, random);
  for (let changes = (draw >>> 28) & 3; changes >= 0; changes -= 1) change(bytes, random.uint32());
  if ((draw & 0x40) !== 0) setLength(bytes);
  return notFrame(bytes);
}

/** Mostly as it is; else cut, or longer. */
function resized(start: Uint8Array, draw: number, random: Random): Uint8Array {
  const choice = draw & 7;
  if (choice === 0) return start.slice(0, 1 + random.below(start.length));
  if (choice > 2) return start.slice();
  const longer = new Uint8Array(start.length + random.below(choice === 1 ? 64 : 1_300));
  longer.set(start);
  return longer;
}

function change(bytes: Uint8Array, draw: number): void {
  const at = (draw >>> 8) % Math.min(bytes.length, HEADER_BYTES);
  const choice = draw & 7;
  const value = draw >>> 24;
  if (choice < 3) bytes[at] = value;
  else if (choice < 5) bytes[at] = (bytes[at] ?? 0) ^ (1 << (value & 7));
  // Version, header length and mark; the lengths; protocol; fragment.
  else if (choice === 5) bytes[0] = value;
  else if (choice === 6) bytes[[2, 3, 4, 5][value & 3] ?? 2] = value >>> 2;
  else bytes[[6, 7, 9, 12][value & 3] ?? 6] = [0, 4, 6, 17, 41, 43, 44, 51, 60][value % 9] ?? 0;
}

function setLength(bytes: Uint8Array): void {
  const version = ((bytes[0] ?? 0) & 0x7f) >> 4;
  const length = version === 6 ? bytes.length - 40 : bytes.length;
  const at = version === 6 ? 4 : 2;
  if (length < 0 || bytes.length < 6) return;
  bytes[at] = length >> 8;
  bytes[at + 1] = length & 0xff;
}

/** Control frames have effects of their own: no packet may become one. */
function notFrame(bytes: Uint8Array): Uint8Array {
  const first = bytes[0] ?? 0;
  if (first >= 1 && first <= 15) bytes[0] = first + 0x10;
  return bytes;
}
