/**
 * Outbound, TUN to UDP: a batch of packets, each through these steps in this order.
 *
 * 1 inner header and length
 * 2 route by destination; no peer: the local sender gets an ICMP error
 * 3 no datagram of this tunnel that came back, nor one of tunnels that go round in a ring
 * 4 what the path carries: cut smaller, or the local sender is told; session to send on; none: the packet waits
 *   and a handshake starts
 * 5 counters for the row's segments, below the limit
 * 6 cut and seal, one call for the batch
 * 7 timers fed
 * 8 rows for the UDP socket, runs of equal datagrams as one
 *
 * A super-packet is one row as far as step 6, where it becomes a run. The trap: a batch of super-packets
 * may make more than `outgoing` holds, so a part of the batch may be left for the next call.
 */
import type { MessageBatch, PacketBatch } from "../batch.ts";
import { LARGE_INNER_BYTES, REKEY_AFTER_MESSAGES } from "../constants.ts";
import type { DropReason } from "../drop-reason.ts";
import { CLASS_BITS, ECN_BITS } from "../ecn.ts";
import { canStart, startAttempt } from "../handshake/initiate.ts";
import {
  emptyUpperLayer,
  IPV4,
  IPV4_DESTINATION,
  IPV4_DONT_FRAGMENT,
  IPV6_DESTINATION,
  innerFamily,
  type UpperLayer,
  uint16At,
} from "../inner-packet.ts";
import { outerBytes } from "../path/path.ts";
import { holderOf } from "../peers/members.ts";
import type { Peer } from "../peers/peer.ts";
import {
  at,
  GSO,
  PACKET,
  PACKET_FIELDS,
  PACKET_NEEDS_CHECKSUM,
  SEAL,
  SEAL_FIELDS,
} from "../rows.ts";
import { sealAndQueue } from "../session/control.ts";
import { noteSent } from "../session/liveness.ts";
import { drop, type State } from "../state.ts";
import type { Instant } from "../time.ts";
import { DATA_OVERHEAD, PART_FRAME, PARTIAL_CHECKSUM_BIT } from "../wire.ts";
import { tooBigReply, unreachableReply } from "./icmp.ts";
import { MessageRuns } from "./message-runs.ts";
import { clampMss, mayBeSyn } from "./mss.ts";
import { Nesting } from "./nesting.ts";
import { sendParts } from "./parts.ts";
import { splitPacket } from "./split.ts";
import { type Cut, cutSmaller, readCut } from "./super-packet.ts";

/** Bytes of a slot of the ICMP arena: the longest error that is made (RFC 4443 §2.4(c)). */
export const REPLY_BYTES = 1280;

/** The outbound path with the rows it reuses for every batch. */
export class Sender {
  readonly #state: State;
  readonly #packets: PacketBatch;
  readonly #outgoing: MessageBatch;
  readonly #replies: PacketBatch;
  readonly #runs: MessageRuns;
  readonly #nesting: Nesting;
  readonly #seals: Int32Array;
  /** MESSAGE.TOS and MESSAGE.HOPS of each seal row, 8 bits each. */
  readonly #outer: Uint16Array;
  /** What of an inner TOS is copied out. */
  #copiedBits = ECN_BITS;
  /** The peer of each seal row; undefined behind the last. */
  readonly #peers: (Peer | undefined)[] = [];
  readonly #upper = emptyUpperLayer();
  readonly #cut: Cut = { segments: 1, headerLength: 0, largest: 0 };
  #sealCount = 0;
  /** Bytes and messages that the rows so far take of `outgoing`. */
  #outBytes = 0;
  #outMessages = 0;
  /** The first packet row that is not handled yet. */
  #next = 0;
  #isPaced = false;

  constructor(state: State, packets: PacketBatch, outgoing: MessageBatch, replies: PacketBatch) {
    this.#state = state;
    this.#packets = packets;
    this.#outgoing = outgoing;
    this.#replies = replies;
    this.#runs = new MessageRuns(outgoing, state.offloads.runs);
    this.#nesting = new Nesting(state, packets.arena);
    this.#seals = new Int32Array(packets.capacity * SEAL_FIELDS);
    this.#outer = new Uint16Array(packets.capacity);
  }

  /**
   * Handles the rows of the packet batch until all are done, which empties it, or `outgoing` is full;
   * leaves datagrams in `outgoing` and ICMP errors in `replies`. `isPaced`: they have waited for their peer's rate.
   */
  handle(now: Instant, isPaced = false): void {
    this.#isPaced = isPaced;
    this.#copiedBits = this.#state.copyDscp ? CLASS_BITS : ECN_BITS;
    const packets = this.#packets;
    this.#runs.begin();
    this.#replies.count = 0;
    this.#sealCount = 0;
    this.#outBytes = 0;
    this.#outMessages = 0;
    for (; this.#next < packets.count; this.#next++) {
      const reason = this.#prepare(this.#next * PACKET_FIELDS, now);
      if (reason === "full") break;
      if (reason !== undefined) drop(this.#state, reason);
    }
    if (this.#next === packets.count) {
      packets.count = 0;
      this.#next = 0;
    }
    if (this.#sealCount === 0) return;
    this.#seal(now);
    this.#peers.fill(undefined, 0, this.#sealCount);
  }

  /** Steps 1 to 4. A packet over the MTU may have been cut to its room. */
  #prepare(base: number, now: Instant): DropReason | "full" | undefined {
    const { arena, rows } = this.#packets;
    const { routes } = this.#state;
    const offset = at(rows, base + PACKET.OFFSET);
    const length = at(rows, base + PACKET.LENGTH);
    if (at(rows, base + PACKET.STATUS) !== 0) return "too_big";
    const family = innerFamily(arena, offset, length);
    if (family === 0 || !readCut(arena, rows, base, this.#upper, this.#cut)) {
      return "outbound_malformed";
    }
    const destination = offset + (family === 4 ? IPV4_DESTINATION : IPV6_DESTINATION);
    const owner =
      family === 4 ? routes.lookup4(arena, destination) : routes.lookup6(arena, destination);
    const peer =
      owner?.group === undefined ? owner : holderOf(owner.group, family, arena, destination);
    if (peer === undefined) return this.#refuseDestination(family, destination, base, now);
    const hops = this.#nesting.hopsFor(peer, family, offset, length);
    if (typeof hops === "string") return hops;
    // Written out: V8 inlines only so much into one function, and a call more costs 10 ns here.
    const second = arena[offset + 1] ?? 0;
    const tos = family === 4 ? second : ((arena[offset] ?? 0) << 4) | (second >> 4);
    this.#outer[this.#sealCount] = ((tos & this.#copiedBits) << 8) | hops;
    const isWhole = this.#cut.largest <= peer.carries || this.#cutSmaller(peer, base);
    if (!isWhole && this.#isTooBig(peer, family, offset)) {
      return this.#reject("too_big", base, now, peer.mtu);
    }
    if (rows[base + PACKET.GSO_TYPE] === GSO.NONE && mayBeSyn(arena, offset)) {
      const isPartial = (at(rows, base + PACKET.FLAGS) & PACKET_NEEDS_CHECKSUM) !== 0;
      clampMss(arena, offset, length, peer.carries, isPartial, this.#upper);
    }
    if (!peer.current?.isUsable(now)) return this.#wait(peer, base, now);
    if (peer.endpoint === undefined) return this.#reject("no_endpoint", base, now);
    const isInParts = !isWhole && this.#cut.largest <= peer.mtu;
    if (peer.pacer !== undefined && !this.#isPaced) return this.#pace(peer, isInParts, base, now);
    if (isInParts) return this.#sendParts(peer, base, now);
    return this.#addSealRow(peer, base, now);
  }

  /** Step 2 without a peer. */
  #refuseDestination(family: 4 | 6, destination: number, base: number, now: Instant): DropReason {
    const { arena } = this.#packets;
    if (isMulticastAddress(arena[destination] ?? 0, family)) return "multicast";
    this.#state.refusedDestination.note("no_peer", family, arena, destination);
    return this.#reject("no_peer", base, now);
  }

  #cutSmaller(peer: Peer, base: number): boolean {
    const { arena, rows } = this.#packets;
    return cutSmaller(arena, rows, base, peer.carries, this.#upper, this.#cut);
  }

  /** Not what may be fragmented: that goes as it is, and routers outside do it. */
  #isTooBig(peer: Peer, family: 4 | 6, offset: number): boolean {
    const fragment = uint16At(this.#packets.arena, offset + IPV4.FRAGMENT);
    const mayFragment = family === 4 && (fragment & IPV4_DONT_FRAGMENT) === 0;
    return this.#cut.largest > (mayFragment ? this.#state.mtu : peer.mtu);
  }

  /** It waits for its peer's rate. */
  #pace(peer: Peer, isInParts: boolean, base: number, now: Instant): undefined {
    const { arena, rows } = this.#packets;
    const { pacer, endpoint } = peer;
    const outer = endpoint === undefined ? 0 : outerBytes(endpoint);
    const around = isInParts ? 2 * (outer + PART_FRAME.SIZE) + DATA_OVERHEAD : outer;
    pacer?.push(arena, rows, base, this.#cut, this.#upper, around, now);
    drop(this.#state, "rate_queue", pacer?.takeDropped());
    if (!peer.timers.isSet("pace")) this.#state.paceable.add(peer);
  }

  /** A packet of at most 1,280 bytes, or a run of UDP datagrams of such, over a path that carries less. */
  #sendParts(peer: Peer, base: number, now: Instant): DropReason | undefined {
    const { arena, rows } = this.#packets;
    const { current, endpoint } = peer;
    const offset = at(rows, base + PACKET.OFFSET);
    const whole = arena.slice(offset, offset + at(rows, base + PACKET.LENGTH));
    const row = rows.subarray(base, base + PACKET_FIELDS);
    const { segments, headerLength } = this.#cut;
    const packets = segments === 1 ? [whole] : singlePackets(whole, row, headerLength, this.#upper);
    if (current === undefined || endpoint === undefined) return "no_endpoint";
    for (const packet of packets) {
      if ((at(row, PACKET.FLAGS) & PACKET_NEEDS_CHECKSUM) !== 0) {
        packet[0] = (packet[0] ?? 0) | PARTIAL_CHECKSUM_BIT;
      }
      // The last of a run may be short.
      if (packet.length > peer.carries) sendParts(this.#state, current, packet, endpoint, now);
      else sealAndQueue(this.#state, current, packet, endpoint, now);
      peer.counters.outboundPackets += 1;
      peer.counters.outboundBytes += packet.length;
    }
    return undefined;
  }

  /** Step 5 and the row for step 6. */
  #addSealRow(peer: Peer, base: number, now: Instant): DropReason | "full" | undefined {
    const session = peer.current;
    const { rows } = this.#packets;
    const { segments, headerLength, largest } = this.#cut;
    const length = at(rows, base + PACKET.LENGTH);
    const bytes = length + (segments - 1) * headerLength + segments * DATA_OVERHEAD;
    const messages = this.#runs.messagesFor(segments, largest + DATA_OVERHEAD);
    if (!this.#hasRoom(bytes, messages)) return this.#sealCount > 0 ? "full" : "no_room";
    const counter = session?.takeCounters(segments);
    if (session === undefined || counter === undefined) return "counter_exhausted";
    if (session.nextCounter > REKEY_AFTER_MESSAGES) startAttempt(this.#state, peer, now);
    if (largest > LARGE_INNER_BYTES && peer.path !== undefined) peer.path.hasLarge = true;
    const seals = this.#seals;
    const seal = this.#sealCount * SEAL_FIELDS;
    seals[seal + SEAL.IN_OFFSET] = at(rows, base + PACKET.OFFSET);
    seals[seal + SEAL.IN_LENGTH] = length;
    seals[seal + SEAL.OUT_OFFSET] = this.#outBytes;
    seals[seal + SEAL.KEY_SLOT] = session.sealSlot;
    seals[seal + SEAL.RECEIVER_INDEX] = session.remoteIndex;
    seals[seal + SEAL.COUNTER_LOW] = counter % 0x1_0000_0000;
    seals[seal + SEAL.COUNTER_HIGH] = Math.floor(counter / 0x1_0000_0000);
    seals[seal + SEAL.SEGMENTS] = segments;
    for (let field = 0; field < PACKET_META_FIELDS; field++) {
      seals[seal + SEAL.FLAGS + field] = at(rows, base + PACKET.FLAGS + field);
    }
    seals[seal + SEAL.HEADER_LENGTH] = headerLength;
    this.#peers[this.#sealCount] = peer;
    this.#sealCount += 1;
    this.#outBytes += bytes;
    this.#outMessages += messages;
    return undefined;
  }

  #hasRoom(bytes: number, messages: number): boolean {
    const { arena, capacity } = this.#outgoing;
    return this.#outBytes + bytes <= arena.length && this.#outMessages + messages <= capacity;
  }

  /** Steps 6 to 8. */
  #seal(now: Instant): void {
    const { arena } = this.#packets;
    this.#state.aead.seal(arena, this.#outgoing.arena, this.#seals, this.#sealCount);
    let noted: Peer | undefined;
    for (let index = 0; index < this.#sealCount; index++) {
      const peer = this.#peers[index];
      const seal = index * SEAL_FIELDS;
      const segments = at(this.#seals, seal + SEAL.SEGMENTS);
      if (peer?.endpoint === undefined || this.#seals[seal + SEAL.STATUS] !== 0) {
        drop(this.#state, "seal_failed", segments);
        continue;
      }
      // At one instant the second says nothing that the first did not.
      if (peer !== noted) noteSent(peer, true, now);
      noted = peer;
      const length = at(this.#seals, seal + SEAL.OUT_LENGTH);
      peer.counters.outboundPackets += segments;
      peer.counters.outboundBytes += length - segments * DATA_OVERHEAD;
      const size = segments === 1 ? length : this.#datagramSize(seal);
      const start = at(this.#seals, seal + SEAL.OUT_OFFSET);
      this.#runs.add(start, length, size, peer.endpoint, this.#outer[index]);
    }
  }

  /** Bytes of each datagram of a cut row but the last. */
  #datagramSize(seal: number): number {
    const header = at(this.#seals, seal + SEAL.HEADER_LENGTH);
    return header + at(this.#seals, seal + SEAL.GSO_SIZE) + DATA_OVERHEAD;
  }

  /** Step 4 without a session. */
  #wait(peer: Peer, base: number, now: Instant): DropReason | undefined {
    if (!canStart(peer)) return this.#reject("no_endpoint", base, now);
    const { arena, rows } = this.#packets;
    drop(this.#state, "queue_full", peer.waiting.push(arena, rows, base));
    startAttempt(this.#state, peer, now);
    return undefined;
  }

  /** Tells the local sender, as often as the bucket allows; `mtu`: the packet is too big, and this would not be. */
  #reject(reason: DropReason, base: number, now: Instant, mtu = 0): DropReason {
    const { arena, rows } = this.#packets;
    const { count, capacity } = this.#replies;
    if (count === capacity || !this.#state.icmp.take(now)) return reason;
    const offset = at(rows, base + PACKET.OFFSET);
    const length = at(rows, base + PACKET.LENGTH);
    const at0 = count * REPLY_BYTES;
    const out = this.#replies.arena;
    const bytes =
      mtu === 0
        ? unreachableReply(arena, offset, length, out, at0)
        : tooBigReply(arena, offset, length, mtu, out, at0);
    if (bytes === 0) return reason;
    const row = count * PACKET_FIELDS;
    this.#replies.rows.fill(0, row, row + PACKET_FIELDS);
    this.#replies.rows[row + PACKET.OFFSET] = at0;
    this.#replies.rows[row + PACKET.LENGTH] = bytes;
    this.#replies.count = count + 1;
    return reason;
  }
}

/** The packets that a super-packet stands for. */
function singlePackets(
  whole: Uint8Array,
  row: Int32Array,
  headerLength: number,
  upper: UpperLayer,
): readonly Uint8Array[] {
  return splitPacket(whole, row, headerLength, upper, 1).map(({ bytes }) => bytes);
}

/** By the address's first byte: 224/4 (RFC 5771) or ff00::/8 (RFC 4291 §2.7). */
function isMulticastAddress(firstByte: number, family: 4 | 6): boolean {
  return family === 4 ? firstByte >> 4 === 0xe : firstByte === 0xff;
}

/** FLAGS to CHECKSUM_OFFSET stand in the same order in packet and seal rows; a test holds that. */
export const PACKET_META_FIELDS = PACKET.CHECKSUM_OFFSET - PACKET.FLAGS + 1;
