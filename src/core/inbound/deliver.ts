/**
 * Steps 9 to 11 of the inbound path: an authentic packet's header, its source, and its row for the TUN.
 *
 * Not here: anything outside the plaintext. A packet whose header is the next one of a run that passed every
 * check needs no other; so for a run of datagrams whose packets are alike (OPENED_ALIKE) two are looked at, and
 * the rest go with them. The trap: what is kept of the packet before is true for one batch only.
 */
import type { PacketBatch } from "../batch.ts";
import type { DropReason } from "../drop-reason.ts";
import { isMark, takeOuterEcn } from "../ecn.ts";
import {
  emptyUpperLayer,
  findTransport,
  IPV4_SOURCE,
  IPV6_SOURCE,
  innerFamily,
} from "../inner-packet.ts";
import { clampMss, mayBeSyn } from "../outbound/mss.ts";
import { mayBring } from "../peers/claims.ts";
import type { Peer } from "../peers/peer.ts";
import { drop, type State } from "../state.ts";
import { type Instant, NEVER } from "../time.ts";
import { PARTIAL_CHECKSUM_BIT, viewOf } from "../wire.ts";
import { Joiner } from "./join.ts";
import { RefusedAddress } from "./refused-address.ts";

/** Packets of the batch at hand, on their way to the TUN. */
export class Deliverer {
  readonly #state: State;
  readonly #arena: Uint8Array;
  readonly #view: DataView;
  readonly #joiner: Joiner;
  readonly #upper = emptyUpperLayer();
  /** The peer whose packet was delivered last. */
  #lastPeer: Peer | undefined;
  /** The peer whose the source address of the packet at this offset was found to be. */
  #lastOwner: Peer | undefined;
  #lastOwnerOffset = 0;
  #now = NEVER;

  /** The rows of `delivered` name bytes of its arena, which is where the datagrams were opened. */
  constructor(state: State, delivered: PacketBatch) {
    this.#state = state;
    this.#arena = delivered.arena;
    this.#view = viewOf(delivered.arena);
    this.#joiner = new Joiner(delivered, {
      tcp: state.offloads.joinTcp,
      udp: state.offloads.joinUdp,
    });
  }

  /** Starts an empty batch that arrived at `now`. */
  begin(now: Instant): void {
    this.#now = now;
    this.#joiner.begin();
    this.forgetSources();
  }

  /** A control frame was handled, which may have moved an address: what is kept of sources is void. */
  forgetSources(): void {
    this.#lastPeer = undefined;
    this.#lastOwner = undefined;
  }

  /** The rows can be written afterwards. */
  finish(): void {
    this.#joiner.finish();
  }

  /** By its first byte: an IP packet, with or without the mark of a partial checksum. */
  isPacket(offset: number, bytes: number): boolean {
    if (bytes <= 0) return false;
    const version = ((this.#arena[offset] ?? 0) & ~PARTIAL_CHECKSUM_BIT) >> 4;
    return version === 4 || version === 6;
  }

  /**
   * `count` packets of one peer, `stride` apart, each the next of the one before (OPENED_ALIKE); they came with
   * `tos` in their outer headers.
   */
  take(
    peer: Peer,
    offset: number,
    bytes: number,
    stride: number,
    count: number,
    tos: number,
  ): void {
    // Before anything compares headers, the run's and those of runs to be joined.
    if (isMark(tos) && !takeOuterEcn(this.#arena, offset, bytes, stride, count, tos)) {
      drop(this.#state, "inner_not_ect", count);
    } else if (count > 1) {
      this.#addAlike(peer, offset, bytes, stride, count);
    } else {
      this.#add(peer, offset, bytes);
    }
  }

  #addAlike(peer: Peer, offset: number, bytes: number, stride: number, count: number): void {
    for (let done = 0; done < count; ) {
      const start = offset + done * stride;
      const taken = this.#addNext(peer, start, bytes, stride, count - done);
      if (taken === 0) this.#add(peer, start, bytes);
      done += Math.max(taken, 1);
    }
  }

  /** One packet; counts it, or why it is dropped. */
  #add(peer: Peer, offset: number, bytes: number): void {
    const first = this.#arena[offset] ?? 0;
    const isPartial = (first & PARTIAL_CHECKSUM_BIT) !== 0;
    if (isPartial) {
      if (this.#addNext(peer, offset, bytes, 0, 1) === 1) return;
      this.#arena[offset] = first & ~PARTIAL_CHECKSUM_BIT;
    }
    const reason = this.#check(peer, offset, bytes, isPartial);
    if (reason !== undefined) {
      drop(this.#state, reason);
      return;
    }
    if (mayBeSyn(this.#arena, offset)) {
      clampMss(this.#arena, offset, bytes, peer.carries, isPartial, this.#upper);
    }
    this.#joiner.add(offset, bytes, isPartial, this.#upper);
    this.#lastPeer = peer;
    count(peer, bytes, 1);
  }

  /** As many of `left` packets as continue the run of the packet before; see `Joiner.addAlike`. */
  #addNext(peer: Peer, offset: number, bytes: number, stride: number, left: number): number {
    const arena = this.#arena;
    const first = arena[offset] ?? 0;
    if (peer !== this.#lastPeer || (first & PARTIAL_CHECKSUM_BIT) === 0) return 0;
    const next = offset + stride;
    const second = arena[next] ?? 0;
    arena[offset] = first & ~PARTIAL_CHECKSUM_BIT;
    if (left > 1) arena[next] = second & ~PARTIAL_CHECKSUM_BIT;
    const taken = this.#joiner.addAlike(offset, bytes, stride, left);
    if (taken < 1) arena[offset] = first;
    if (taken < 2 && left > 1) arena[next] = second;
    if (taken > 0) count(peer, bytes, taken);
    return taken;
  }

  /** Steps 9 and 10. */
  #check(peer: Peer, offset: number, bytes: number, isPartial: boolean): DropReason | undefined {
    const family = innerFamily(this.#arena, offset, bytes);
    if (family === 0) return "inner_malformed";
    if (isPartial && !findTransport(this.#arena, offset, bytes, this.#upper)) {
      return "inner_checksum";
    }
    if (peer === this.#lastOwner && this.#isLastSource(family, offset)) return undefined;
    const source = offset + (family === 4 ? IPV4_SOURCE : IPV6_SOURCE);
    const reason = mayBring(this.#state, peer, family, this.#arena, source, this.#now);
    if (reason !== undefined) {
      peer.refusedSource ??= new RefusedAddress();
      peer.refusedSource.note(reason, family, this.#arena, source);
      return reason;
    }
    this.#lastOwner = peer;
    this.#lastOwnerOffset = offset;
    return undefined;
  }

  #isLastSource(family: 4 | 6, offset: number): boolean {
    const view = this.#view;
    const last = this.#lastOwnerOffset;
    if (view.getUint8(last) >> 4 !== family) return false;
    const start = family === 4 ? IPV4_SOURCE : IPV6_SOURCE;
    for (let at = start; at < start + (family === 4 ? 4 : 16); at += 4) {
      if (view.getInt32(last + at) !== view.getInt32(offset + at)) return false;
    }
    return true;
  }
}

function count({ counters }: Peer, bytes: number, packets: number): void {
  counters.inboundPackets += packets;
  counters.inboundBytes += packets * bytes;
}
