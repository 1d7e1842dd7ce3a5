/**
 * Packets in two parts, over a path that carries no packet of 1,280 bytes in one piece (rule 18).
 *
 * IPv6 asks that of every link, and where one cannot, of a layer below it (RFC 8200 §5). Outer fragments would
 * not do: a host cannot make the kernel cut IPv6 datagrams smaller than its own link, and firewalls drop them.
 * Each part is a datagram of its own, so replay and forgery are out before anything is put together. The trap:
 * ids come round, so a part that waits too long must not meet the second part of a later packet.
 */
import type { Endpoint } from "../address.ts";
import {
  JOINED_BYTES,
  JOINED_PER_BATCH,
  LEAST_INNER_MTU,
  PART_WAIT_MS,
  PARTS_WAITING,
} from "../constants.ts";
import type { DropReason } from "../drop-reason.ts";
import type { Deliverer } from "../inbound/deliver.ts";
import type { Session } from "../peers/peer.ts";
import { sealAndQueue } from "../session/control.ts";
import type { State } from "../state.ts";
import type { Instant } from "../time.ts";
import { FRAME, PART_FRAME, viewOf } from "../wire.ts";

/** Bytes of a packet in its first part: half of the longest, so that both parts fit every path. */
const FIRST_BYTES = LEAST_INNER_MTU / 2;
/** Outer TOS of what came in parts: they are sent as Not-ECT, so no queue marks them (RFC 6040 §4.1, compatibility mode). */
const NO_MARK = 0;

/** Seals a packet of at most 1,280 bytes as two parts and queues them. */
export function sendParts(
  state: State,
  session: Session,
  packet: Uint8Array,
  to: Endpoint,
  now: Instant,
): void {
  const id = session.nextPart;
  session.nextPart = (id + 1) & 0xffff;
  for (const [place, bytes] of [
    packet.subarray(0, FIRST_BYTES),
    packet.subarray(FIRST_BYTES),
  ].entries()) {
    const frame = new Uint8Array(PART_FRAME.SIZE + bytes.length);
    frame[PART_FRAME.type] = FRAME.PART;
    viewOf(frame).setUint16(PART_FRAME.id, id, true);
    frame[PART_FRAME.place] = place;
    frame.set(bytes, PART_FRAME.SIZE);
    sealAndQueue(state, session, frame, to, now);
  }
}

/** Puts the packets of a batch together, behind its datagrams, and hands them on. */
export class PartJoiner {
  readonly #arena: Uint8Array;
  readonly #deliverer: Deliverer;
  #count = 0;

  /** The last JOINED_BYTES of `arena`, which is the deliverer's too, are its own. */
  constructor(arena: Uint8Array, deliverer: Deliverer) {
    this.#arena = arena;
    this.#deliverer = deliverer;
  }

  /** Starts an empty batch. */
  begin(): void {
    this.#count = 0;
  }

  /** Takes a part; the second of a packet to come makes it go on like any other. */
  add(session: Session, frame: Uint8Array, now: Instant): DropReason | undefined {
    const place = frame[PART_FRAME.place] ?? 0;
    const length = frame.length - PART_FRAME.SIZE;
    if (length <= 0 || length > FIRST_BYTES || place > 1) return "bad_control";
    const id = viewOf(frame).getUint16(PART_FRAME.id, true);
    const bytes = frame.slice(PART_FRAME.SIZE);
    const waiting = session.parts.filter(({ at }) => now - at < PART_WAIT_MS);
    const other = waiting.find((part) => part.id === id && part.place !== place);
    session.parts = waiting.filter((part) => part !== other);
    if (other !== undefined) {
      return place === 0
        ? this.#deliver(session, bytes, other.bytes)
        : this.#deliver(session, other.bytes, bytes);
    }
    session.parts.push({ id, place, bytes, at: now });
    if (session.parts.length > PARTS_WAITING) session.parts.shift();
    return undefined;
  }

  #deliver(session: Session, first: Uint8Array, second: Uint8Array): DropReason | undefined {
    if (this.#count === JOINED_PER_BATCH) return "no_room";
    const offset = this.#arena.length - JOINED_BYTES + this.#count * LEAST_INNER_MTU;
    const bytes = first.length + second.length;
    this.#arena.set(first, offset);
    this.#arena.set(second, offset + first.length);
    if (!this.#deliverer.isPacket(offset, bytes)) return "bad_plaintext";
    this.#count += 1;
    this.#deliverer.take(session.peer, offset, bytes, 0, 1, NO_MARK);
    return undefined;
  }
}
