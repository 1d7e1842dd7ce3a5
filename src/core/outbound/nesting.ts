/**
 * Tunnel datagrams among the packets from the device: our own, and those of tunnels inside this one.
 *
 *     a route leads a peer's endpoint into its own tunnel:   packet -> DATA -> the device again -> DATA -> ...
 *     the routes of two tunnels lead into each other:        packet -> DATA of one -> DATA of the other -> ...
 *
 * The first is known by its indices and dropped. The second is not: each tunnel sees datagrams of the other, as
 * it does where one is meant to run inside the other. So what carries another tunnel's datagram leaves with a
 * lower hop limit than that one had, and a ring ends after a few rounds as one of routers does (RFC 2473 §4.1.1
 * bounds nested tunnels to the same end). The trap: a datagram that outgrew the device's MTU comes in fragments,
 * and only the first shows what it is; the others are ordinary packets, for one round.
 */
import { NESTED_HOPS } from "../constants.ts";
import type { DropReason } from "../drop-reason.ts";
import {
  emptyUpperLayer,
  findUpperLayer,
  IPV4,
  IPV6,
  IPV6_FRAGMENT,
  IPV6_FRAGMENT_BYTES,
  IPV6_HEADER_BYTES,
  UDP,
  UDP_HEADER_BYTES,
} from "../inner-packet.ts";
import type { Peer } from "../peers/peer.ts";
import type { State } from "../state.ts";
import {
  CHALLENGE,
  DATA,
  DATA_OVERHEAD,
  DATA_START,
  INIT,
  MESSAGE_TYPE,
  RESP,
  VERSION,
  viewOf,
} from "../wire.ts";

/** Looks at the packets of one arena. */
export class Nesting {
  readonly #state: State;
  readonly #arena: Uint8Array;
  readonly #view: DataView;
  readonly #upper = emptyUpperLayer();

  constructor(state: State, arena: Uint8Array) {
    this.#state = state;
    this.#arena = arena;
    this.#view = viewOf(arena);
  }

  /**
   * The hop limit with which the packet at `offset`, whose IP header is honest, leaves for `peer` (0: the
   * kernel's default); or why it does not. One look where it is no UDP.
   */
  hopsFor(peer: Peer, family: 4 | 6, offset: number, length: number): number | DropReason {
    const start = this.#findDatagram(family, offset, length);
    if (start === undefined) return 0;
    if (this.#isOwn(peer, start)) return "loop";
    if (this.#view.getInt32(start) !== DATA_START) return 0;
    const hops = this.#view.getUint8(offset + (family === 4 ? IPV4.TTL : IPV6.HOP_LIMIT));
    return hops > NESTED_HOPS ? hops - NESTED_HOPS : "ring";
  }

  /** Where the tunnel datagram starts that a packet holds, whole or its first fragment. Most packets cost two looks. */
  #findDatagram(family: 4 | 6, offset: number, length: number): number | undefined {
    const arena = this.#arena;
    const protocol = arena[offset + (family === 4 ? IPV4.PROTOCOL : IPV6.NEXT_HEADER)];
    if (protocol !== UDP && (protocol !== IPV6_FRAGMENT || family === 4)) return undefined;
    const headers = headerBytes(family, arena[offset] ?? 0, protocol === UDP);
    const start = offset + headers + UDP_HEADER_BYTES;
    if (start + DATA_OVERHEAD > offset + length || arena[start + DATA.version] !== VERSION) {
      return undefined;
    }
    const upper = this.#upper;
    const isUdp = findUpperLayer(arena, offset, length, upper) && upper.protocol === UDP;
    return isUdp && upper.start === headers && upper.fragment !== "later" ? start : undefined;
  }

  /** Whether this tunnel made the datagram at `start` for the very peer that it would carry it to. */
  #isOwn(peer: Peer, start: number): boolean {
    const { pendings, sessions, cookies } = this.#state;
    const index = (field: number): number => this.#view.getUint32(start + field, true);
    switch (this.#arena[start]) {
      case MESSAGE_TYPE.INIT:
        return pendings.get(index(INIT.senderIndex))?.peer === peer;
      case MESSAGE_TYPE.RESP:
        return sessions.get(index(RESP.senderIndex))?.peer === peer;
      case MESSAGE_TYPE.CHALLENGE:
        return cookies.isLast(peer, this.#arena.subarray(start, start + CHALLENGE.SIZE));
      case MESSAGE_TYPE.DATA:
        return sendsTo(peer, index(DATA.receiverIndex));
      default:
        return false;
    }
  }
}

/** Bytes before the UDP header of what a kernel sends for a socket, or of its first fragment. */
function headerBytes(family: 4 | 6, firstByte: number, isWhole: boolean): number {
  if (family === 4) return (firstByte & 0x0f) * 4;
  return IPV6_HEADER_BYTES + (isWhole ? 0 : IPV6_FRAGMENT_BYTES);
}

/** Whether a session that was used with the peer sends to this index. */
function sendsTo({ current, previous }: Peer, index: number): boolean {
  return current?.remoteIndex === index || previous?.remoteIndex === index;
}
