/**
 * Inbound, UDP to TUN: a batch of datagrams, each through these steps in this order.
 *
 *  1 length and version
 *  2 message type; handshake messages are set aside until the batch's data is done
 *  3 session by index, its age
 *  4 counter inside the window (check only); a source that is not the endpoint pays
 *  5 open, one call for the batch
 *  6 counter committed
 *  7 session confirmed, timers fed, endpoint considered
 *  8 keepalive or control frame: done
 *  9 inner header and length honest, partial checksum possible
 * 10 inner source belongs to this peer
 * 11 row for the TUN, joined with those before it of its flow
 *
 * A message may be a run of datagrams (UDP_GRO), and a batch has many of one session: what is the same
 * for all of them (the session, where it came from, its timers, the owner of a source address) is found
 * once and kept for the batch, in the `#last…` fields.
 *
 * Everything before 5 is cheap and stores nothing; everything from 6 on may trust the bytes. A datagram
 * that fails at one step changes no state of a later one (the drop counter and its source's bucket apart).
 */
import type { MessageBatch, PacketBatch } from "./batch.ts";
import { REKEY_AFTER_FAILED_OPENS } from "./constants.ts";
import { handleFrame } from "./control.ts";
import type { DropReason } from "./drop-reason.ts";
import { Hearing } from "./hearing.ts";
import { startAttempt } from "./initiate.ts";
import {
  emptyUpperLayer,
  findTransport,
  IPV4_SOURCE,
  IPV6_SOURCE,
  innerFamily,
} from "./inner-packet.ts";
import { Joiner } from "./join.ts";
import type { Peer, Session } from "./peer.ts";
import { isFromElsewhere } from "./roaming.ts";
import { at, MESSAGE, MESSAGE_FIELDS, MESSAGE_TRUNCATED, OPEN, OPEN_FIELDS } from "./rows.ts";
import { SetAside } from "./set-aside.ts";
import { drop, type State } from "./state.ts";
import type { Instant } from "./time.ts";
import {
  CHALLENGE,
  DATA,
  DATA_OVERHEAD,
  FRAME,
  INIT,
  MESSAGE_TYPE,
  PARTIAL_CHECKSUM_BIT,
  RESP,
  readUint64,
  VERSION,
  viewOf,
} from "./wire.ts";

const HIGHEST_COUNTER = 2 ** 48;
/** The first four bytes of DATA: type, version, zero. */
const DATA_START = (MESSAGE_TYPE.DATA << 24) | (VERSION << 16);
/** No message row. */
const NONE = -1;
/** The inbound path with the rows it reuses for every batch. */
export class Receiver {
  readonly #state: State;
  readonly #datagrams: MessageBatch;
  readonly #view: DataView;
  readonly #opens: Int32Array;
  /** The counter of each open row. */
  readonly #counters: Float64Array;
  /** The session of each open row; undefined behind the last. */
  readonly #sessions: (Session | undefined)[] = [];
  /** Open rows in use. */
  #openCount = 0;
  readonly #handshakes: SetAside;
  readonly #joiner: Joiner;
  readonly #upper = emptyUpperLayer();
  readonly #hearing: Hearing;
  /** The session that was looked up last, by its index. */
  #lastIndex = NONE;
  #lastSession: Session | undefined;
  /** The message row and session that `#isFromElsewhere` was last asked for, and its answer. */
  #lastPathRow = NONE;
  #lastPathSession: Session | undefined;
  #lastPathAnswer = false;
  /** The peer whose packet was delivered last. */
  #lastPeer: Peer | undefined;
  /** The peer that owns the source address of the packet at this offset. */
  #lastOwner: Peer | undefined;
  #lastOwnerOffset = 0;

  constructor(state: State, datagrams: MessageBatch, delivered: PacketBatch) {
    this.#state = state;
    this.#datagrams = datagrams;
    this.#view = viewOf(datagrams.arena);
    this.#opens = new Int32Array(delivered.capacity * OPEN_FIELDS);
    this.#counters = new Float64Array(delivered.capacity);
    this.#handshakes = new SetAside(state, datagrams, delivered.capacity);
    this.#joiner = new Joiner(delivered, {
      tcp: state.offloads.joinTcp,
      udp: state.offloads.joinUdp,
    });
    this.#hearing = new Hearing(state, datagrams);
  }

  /** Handles every row of the datagram batch; leaves the packets for the TUN in `delivered`. */
  handle(now: Instant): void {
    const { rows, count } = this.#datagrams;
    this.#joiner.begin();
    this.#openCount = 0;
    this.#handshakes.count = 0;
    for (let row = 0; row < count; row++) this.#sortMessage(rows, row * MESSAGE_FIELDS, now);
    if (this.#openCount > 0) this.#openBatch(now);
    this.#joiner.finish();
    for (let index = 0; index < this.#handshakes.count; index++) {
      const reason = this.#handshakes.handle(index, now);
      if (reason !== undefined) this.#refuse(reason, this.#handshakes.rowOf(index), now);
    }
    this.#forget();
  }

  /** Nothing that was found for this batch may be taken for true in the next. */
  #forget(): void {
    this.#sessions.fill(undefined, 0, this.#openCount);
    this.#lastIndex = NONE;
    this.#lastSession = undefined;
    this.#lastPathRow = NONE;
    this.#lastPathSession = undefined;
    this.#lastPeer = undefined;
    this.#lastOwner = undefined;
    this.#hearing.forget();
  }

  /** One UDP message: a datagram, or a run of them. */
  #sortMessage(rows: Int32Array, base: number, now: Instant): void {
    if (rows[base + MESSAGE.STATUS] === MESSAGE_TRUNCATED) {
      this.#refuse("oversize", base, now);
      return;
    }
    const start = at(rows, base + MESSAGE.OFFSET);
    const end = start + at(rows, base + MESSAGE.LENGTH);
    const segment = at(rows, base + MESSAGE.SEGMENT) || end - start;
    let offset = start;
    do {
      const reason = this.#sort(offset, Math.min(segment, end - offset), base, now);
      if (reason !== undefined) this.#refuse(reason, base, now);
      offset += segment;
    } while (offset < end);
  }

  /** Steps 1 and 2. */
  #sort(offset: number, length: number, base: number, now: Instant): DropReason | undefined {
    const view = this.#view;
    if (length < DATA_OVERHEAD) return "bad_length";
    if (view.getInt32(offset) === DATA_START) return this.#sortData(offset, length, base, now);
    if (view.getUint8(offset + DATA.version) !== VERSION) return "bad_version";
    const type = view.getUint8(offset + DATA.type);
    if (type === MESSAGE_TYPE.DATA) return "bad_reserved";
    const size = HANDSHAKE_BYTES[type];
    if (size === undefined) return "bad_type";
    if (length !== size) return "bad_length";
    if (type !== MESSAGE_TYPE.INIT && view.getUint16(offset + DATA.zero) !== 0) {
      return "bad_reserved";
    }
    return this.#handshakes.push(offset, length, base);
  }

  /** Steps 3 and 4. */
  #sortData(offset: number, length: number, base: number, now: Instant): DropReason | undefined {
    const view = this.#view;
    const session = this.#sessionOf(view.getUint32(offset + DATA.receiverIndex, true));
    if (session === undefined) return "unknown_index";
    const counter = readUint64(view, offset + DATA.counter);
    if (counter >= HIGHEST_COUNTER) return "bad_counter";
    if (!session.isUsable(now)) return "expired_session";
    if (!session.window.check(counter)) return "replayed";
    if (this.#openCount * OPEN_FIELDS >= this.#opens.length) return "no_room";
    const isPrepaid = this.#isFromElsewhere(session, base);
    const limit = isPrepaid ? this.#prepay(base, now) : undefined;
    if (limit !== undefined) return limit;
    const open = this.#openCount * OPEN_FIELDS;
    this.#opens[open + OPEN.OFFSET] = offset;
    this.#opens[open + OPEN.LENGTH] = length;
    this.#opens[open + OPEN.KEY_SLOT] = session.openSlot;
    this.#opens[open + OPEN.MESSAGE] = base;
    this.#opens[open + OPEN.IS_PREPAID] = isPrepaid ? 1 : 0;
    this.#sessions[this.#openCount] = session;
    this.#counters[this.#openCount] = counter;
    this.#openCount += 1;
    return undefined;
  }

  #sessionOf(index: number): Session | undefined {
    if (index !== this.#lastIndex) {
      this.#lastIndex = index;
      this.#lastSession = this.#state.sessions.get(index);
    }
    return this.#lastSession;
  }

  /** Whether a message row came from elsewhere than the session's endpoint, whose data is never refused. */
  #isFromElsewhere(session: Session, base: number): boolean {
    if (base !== this.#lastPathRow || session !== this.#lastPathSession) {
      this.#lastPathRow = base;
      this.#lastPathSession = session;
      this.#lastPathAnswer = isFromElsewhere(session, this.#datagrams.rows, base);
    }
    return this.#lastPathAnswer;
  }

  /**
   * Data from elsewhere: its source pays before the open and gets it back when it opened, because a
   * whole batch is opened at once and one token must not let it all in. All sources share a limit too.
   */
  #prepay(base: number, now: Instant): DropReason | undefined {
    const { rows } = this.#datagrams;
    const { sources, strangeOpens } = this.#state;
    if (sources.isEmpty(rows, base + MESSAGE.REMOTE, now)) return "source_limited";
    if (!strangeOpens.take(now)) return "open_limited";
    sources.charge(rows, base + MESSAGE.REMOTE, now);
    return undefined;
  }

  /** Step 5, then the rest for each row in the order of arrival. */
  #openBatch(now: Instant): void {
    this.#state.aead.open(this.#datagrams.arena, this.#opens, this.#openCount);
    for (let index = 0; index < this.#openCount; index++) {
      const session = this.#sessions[index];
      if (session === undefined) continue;
      const open = index * OPEN_FIELDS;
      const base = at(this.#opens, open + OPEN.MESSAGE);
      const offset = at(this.#opens, open + OPEN.OFFSET);
      const bytes = at(this.#opens, open + OPEN.STATUS);
      const isPacket = this.#isPacket(offset + DATA.SIZE, bytes);
      this.#refund(open, bytes >= 0, base);
      const fault = this.#commit(session, index, isPacket, base, now);
      if (fault !== undefined) this.#refuse(fault, base, now);
      else this.#accept(session, offset + DATA.SIZE, bytes, isPacket, base, now);
    }
  }

  /** What was paid before the open is given back; a datagram that fails is charged like any other. */
  #refund(open: number, isGenuine: boolean, base: number): void {
    if (this.#opens[open + OPEN.IS_PREPAID] !== 1) return;
    this.#state.sources.refund(this.#datagrams.rows, base + MESSAGE.REMOTE);
    if (isGenuine) this.#state.strangeOpens.refund();
  }

  /** Steps 6 and 7. What fails here was forged or replayed. */
  #commit(
    session: Session,
    index: number,
    isPacket: boolean,
    base: number,
    now: Instant,
  ): DropReason | undefined {
    const bytes = at(this.#opens, index * OPEN_FIELDS + OPEN.STATUS);
    if (bytes < 0) {
      session.failedOpens += 1;
      if (session.failedOpens === REKEY_AFTER_FAILED_OPENS) {
        startAttempt(this.#state, session.peer, now);
      }
      return "forged";
    }
    if (session.isEnded) return "expired_session";
    const counter = this.#counters[index] ?? 0;
    const isHighest = counter > session.window.highest;
    if (!session.window.commit(counter)) return "replayed";
    session.receivedPackets += 1;
    this.#hearing.heard(session, bytes, isPacket, isHighest, base, now);
    return undefined;
  }

  /** Step 8, then 9 to 11 for a packet. */
  #accept(
    session: Session,
    offset: number,
    bytes: number,
    isPacket: boolean,
    base: number,
    now: Instant,
  ): void {
    const { arena, rows } = this.#datagrams;
    if (bytes === 0 || arena[offset] === FRAME.PROBE) session.peer.counters.keepalivesReceived += 1;
    if (bytes === 0) return;
    const reason = isPacket
      ? this.#acceptPacket(session, offset, bytes)
      : handleFrame(this.#state, session, arena.subarray(offset, offset + bytes), rows, base, now);
    if (reason !== undefined) drop(this.#state, reason);
  }

  /** By its first byte: an IP packet, with or without the mark of a partial checksum. */
  #isPacket(offset: number, bytes: number): boolean {
    if (bytes <= 0) return false;
    const version = ((this.#datagrams.arena[offset] ?? 0) & ~PARTIAL_CHECKSUM_BIT) >> 4;
    return version === 4 || version === 6;
  }

  /** Steps 9 to 11. */
  #acceptPacket(session: Session, offset: number, bytes: number): DropReason | undefined {
    const { arena } = this.#datagrams;
    const { peer } = session;
    const first = arena[offset] ?? 0;
    const isPartial = (first & PARTIAL_CHECKSUM_BIT) !== 0;
    arena[offset] = first & ~PARTIAL_CHECKSUM_BIT;
    // The next packet of a run has the header of one that passed every check.
    const isNext = isPartial && peer === this.#lastPeer && this.#joiner.addNext(offset, bytes);
    if (!isNext) {
      const family = innerFamily(arena, offset, bytes);
      if (family === 0) return "inner_malformed";
      if (isPartial && !findTransport(arena, offset, bytes, this.#upper)) return "inner_checksum";
      if (this.#ownerOf(family, offset) !== peer) return "inner_source";
      this.#joiner.add(offset, bytes, isPartial, this.#upper);
      this.#lastPeer = peer;
    }
    peer.counters.inboundPackets += 1;
    peer.counters.inboundBytes += bytes;
    return undefined;
  }

  /** The peer that owns the packet's source address. */
  #ownerOf(family: 4 | 6, offset: number): Peer | undefined {
    const { arena } = this.#datagrams;
    const { routes } = this.#state;
    if (this.#lastOwner !== undefined && this.#isLastSource(family, offset)) return this.#lastOwner;
    this.#lastOwnerOffset = offset;
    this.#lastOwner =
      family === 4
        ? routes.lookup4(arena, offset + IPV4_SOURCE)
        : routes.lookup6(arena, offset + IPV6_SOURCE);
    return this.#lastOwner;
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

  /** Counts a datagram that failed before it was trusted, and charges its source. */
  #refuse(reason: DropReason, base: number, now: Instant): void {
    const { sources } = this.#state;
    const { rows } = this.#datagrams;
    drop(this.#state, reason);
    if (REFUSED.has(reason)) sources.noteRefused(rows, base + MESSAGE.REMOTE);
    else if (!OWN_LIMITS.has(reason)) sources.charge(rows, base + MESSAGE.REMOTE, now);
  }
}

const HANDSHAKE_BYTES: Readonly<Record<number, number>> = {
  [MESSAGE_TYPE.INIT]: INIT.SIZE,
  [MESSAGE_TYPE.RESP]: RESP.SIZE,
  [MESSAGE_TYPE.CHALLENGE]: CHALLENGE.SIZE,
};

/** Refused because the source's bucket is empty already. */
const REFUSED: ReadonlySet<DropReason> = new Set(["source_limited", "open_limited"]);
/** Refused for want of something of ours, through no fault of the source. */
const OWN_LIMITS: ReadonlySet<DropReason> = new Set([
  "handshake_budget",
  "key_table_full",
  "no_room",
]);
