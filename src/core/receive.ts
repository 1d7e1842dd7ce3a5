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
 * 11 row for the TUN
 *
 * Everything before 5 is cheap and stores nothing; everything from 6 on may trust the bytes. A datagram
 * that fails at one step changes no state of a later one (the drop counter and its source's bucket apart).
 */
import { endpointOfRow, isRowFrom, remoteBytes } from "./address.ts";
import type { MessageBatch, PacketBatch } from "./batch.ts";
import { REKEY_AFTER_FAILED_OPENS } from "./constants.ts";
import { handleFrame, sendKeepalive } from "./control.ts";
import type { DropReason } from "./drop-reason.ts";
import { plainEndpoint } from "./endpoints.ts";
import { receiveChallenge, receiveResp, startAttempt } from "./initiate.ts";
import {
  emptyUpperLayer,
  findTransport,
  IPV4_SOURCE,
  IPV6_SOURCE,
  innerFamily,
} from "./inner-packet.ts";
import { noteHeard } from "./liveness.ts";
import type { Session } from "./peer.ts";
import { receiveInit } from "./respond.ts";
import { considerEndpoint } from "./roaming.ts";
import {
  at,
  MESSAGE,
  MESSAGE_FIELDS,
  MESSAGE_TRUNCATED,
  OPEN,
  OPEN_FIELDS,
  PACKET,
  PACKET_FIELDS,
  PACKET_NEEDS_CHECKSUM,
} from "./rows.ts";
import { confirmSession } from "./sessions.ts";
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

/** Most datagrams a batch may hold; a run of UDP_GRO counts each of its segments. */
const MAX_DATAGRAMS = 4096;
const HIGHEST_COUNTER = 2 ** 48;

/** The inbound path with the rows it reuses for every batch. */
export class Receiver {
  readonly #state: State;
  readonly #datagrams: MessageBatch;
  readonly #delivered: PacketBatch;
  readonly #view: DataView;
  readonly #opens: Int32Array;
  /** The session of each open row. */
  readonly #sessions: Session[] = [];
  /** Open rows in use. */
  #openCount = 0;
  /** Offset, length and message row of each handshake message set aside. */
  readonly #handshakes: Int32Array;
  #handshakeCount = 0;
  readonly #upper = emptyUpperLayer();

  constructor(state: State, datagrams: MessageBatch, delivered: PacketBatch) {
    this.#state = state;
    this.#datagrams = datagrams;
    this.#delivered = delivered;
    this.#view = viewOf(datagrams.arena);
    const capacity = Math.min(MAX_DATAGRAMS, delivered.capacity);
    this.#opens = new Int32Array(capacity * OPEN_FIELDS);
    this.#handshakes = new Int32Array(capacity * 3);
  }

  /** Handles every row of the datagram batch; leaves the packets for the TUN in `delivered`. */
  handle(now: Instant): void {
    const { rows, count } = this.#datagrams;
    this.#delivered.count = 0;
    this.#openCount = 0;
    this.#handshakeCount = 0;
    for (let row = 0; row < count; row++) this.#sortMessage(rows, row * MESSAGE_FIELDS, now);
    if (this.#openCount > 0) this.#openBatch(now);
    for (let index = 0; index < this.#handshakeCount; index++) this.#handshake(index, now);
    this.#sessions.length = 0;
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
    if (view.getUint8(offset + DATA.version) !== VERSION) return "bad_version";
    const type = view.getUint8(offset + DATA.type);
    if (type === MESSAGE_TYPE.DATA) return this.#sortData(offset, length, base, now);
    const size = HANDSHAKE_BYTES[type];
    if (size === undefined) return "bad_type";
    if (length !== size) return "bad_length";
    if (type !== MESSAGE_TYPE.INIT && view.getUint16(offset + DATA.zero) !== 0) {
      return "bad_reserved";
    }
    return this.#setAside(offset, length, base);
  }

  /** Steps 3 and 4. */
  #sortData(offset: number, length: number, base: number, now: Instant): DropReason | undefined {
    const view = this.#view;
    if (view.getUint16(offset + DATA.zero) !== 0) return "bad_reserved";
    const session = this.#state.sessions.get(view.getUint32(offset + DATA.receiverIndex, true));
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
    this.#openCount += 1;
    return undefined;
  }

  /** Data from the session's endpoint is never refused. */
  #isFromElsewhere(session: Session, base: number): boolean {
    const { rows } = this.#datagrams;
    const { endpoint } = session.peer;
    if (endpoint !== undefined && isRowFrom(rows, base, endpoint)) return false;
    return (session.isConfirmed && endpoint !== undefined) || !session.isOnPath(rows, base);
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
      this.#refund(open, bytes >= 0, base);
      const fault = this.#commit(session, offset, bytes, base, now);
      if (fault !== undefined) this.#refuse(fault, base, now);
      else this.#accept(session, offset + DATA.SIZE, bytes, base, now);
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
    offset: number,
    bytes: number,
    base: number,
    now: Instant,
  ): DropReason | undefined {
    if (bytes < 0) {
      session.failedOpens += 1;
      if (session.failedOpens === REKEY_AFTER_FAILED_OPENS) {
        startAttempt(this.#state, session.peer, now);
      }
      return "forged";
    }
    if (session.isEnded) return "expired_session";
    const counter = readUint64(this.#view, offset + DATA.counter);
    const isHighest = counter > session.window.highest;
    if (!session.window.commit(counter)) return "replayed";
    session.receivedPackets += 1;
    this.#heard(session, offset + DATA.SIZE, bytes, isHighest, base, now);
    return undefined;
  }

  /** Step 7: the session is confirmed by its first data, which draws one keepalive (rule 6). */
  #heard(
    session: Session,
    textOffset: number,
    bytes: number,
    isHighest: boolean,
    base: number,
    now: Instant,
  ): void {
    const state = this.#state;
    const { peer } = session;
    const isConfirming = !session.isConfirmed;
    if (isConfirming) confirmSession(state, session, now);
    session.heardAt ??= now;
    if (peer.confirming?.session === session) {
      peer.confirming = undefined;
      peer.timers.clear("confirm");
    }
    const isCurrent = session === peer.current;
    noteHeard(peer, { isCurrent, isPacket: this.#isPacket(textOffset, bytes) }, now);
    if (isHighest && isCurrent) {
      const { rows } = this.#datagrams;
      considerEndpoint(state, { session, rows, base, plaintextBytes: bytes, isConfirming }, now);
    }
    if (isConfirming && peer.endpoint !== undefined) {
      sendKeepalive(state, session, peer.endpoint, now);
    }
  }

  /** Step 8, then 9 to 11 for a packet. */
  #accept(session: Session, offset: number, bytes: number, base: number, now: Instant): void {
    const { arena, rows } = this.#datagrams;
    if (bytes === 0 || arena[offset] === FRAME.PROBE) session.peer.counters.keepalivesReceived += 1;
    if (bytes === 0) return;
    const reason = this.#isPacket(offset, bytes)
      ? this.#acceptPacket(session, offset, bytes)
      : handleFrame(this.#state, session, arena.subarray(offset, offset + bytes), rows, base, now);
    if (reason !== undefined) drop(this.#state, reason);
  }

  /** By its first byte: an IP packet, with or without the mark of a partial checksum. */
  #isPacket(offset: number, bytes: number): boolean {
    if (bytes === 0) return false;
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
    const family = innerFamily(arena, offset, bytes);
    if (family === 0) return "inner_malformed";
    if (isPartial && !findTransport(arena, offset, bytes, this.#upper)) return "inner_checksum";
    const { routes } = this.#state;
    const owner =
      family === 4
        ? routes.lookup4(arena, offset + IPV4_SOURCE)
        : routes.lookup6(arena, offset + IPV6_SOURCE);
    if (owner !== peer) return "inner_source";
    this.#writeRow(offset, bytes, isPartial);
    peer.counters.inboundPackets += 1;
    peer.counters.inboundBytes += bytes;
    return undefined;
  }

  #writeRow(offset: number, bytes: number, isPartial: boolean): void {
    const { rows, count } = this.#delivered;
    const base = count * PACKET_FIELDS;
    rows.fill(0, base, base + PACKET_FIELDS);
    rows[base + PACKET.OFFSET] = offset;
    rows[base + PACKET.LENGTH] = bytes;
    if (isPartial) {
      rows[base + PACKET.FLAGS] = PACKET_NEEDS_CHECKSUM;
      rows[base + PACKET.CHECKSUM_START] = this.#upper.start;
      rows[base + PACKET.CHECKSUM_OFFSET] = this.#upper.checksumOffset;
    }
    this.#delivered.count = count + 1;
  }

  /** Handshakes wait until the batch's data is opened: they may end sessions that its rows name. */
  #setAside(offset: number, length: number, base: number): DropReason | undefined {
    const slot = this.#handshakeCount * 3;
    if (slot >= this.#handshakes.length) return "no_room";
    this.#handshakes[slot] = offset;
    this.#handshakes[slot + 1] = length;
    this.#handshakes[slot + 2] = base;
    this.#handshakeCount += 1;
    return undefined;
  }

  #handshake(index: number, now: Instant): void {
    const offset = at(this.#handshakes, index * 3);
    const length = at(this.#handshakes, index * 3 + 1);
    const base = at(this.#handshakes, index * 3 + 2);
    const bytes = this.#datagrams.arena.subarray(offset, offset + length);
    const reason = this.#dispatch(bytes, base, now);
    if (reason !== undefined) this.#refuse(reason, base, now);
  }

  #dispatch(bytes: Uint8Array, base: number, now: Instant): DropReason | undefined {
    const state = this.#state;
    const { rows } = this.#datagrams;
    if (bytes[DATA.type] === MESSAGE_TYPE.RESP) return receiveResp(state, bytes, now);
    if (bytes[DATA.type] === MESSAGE_TYPE.CHALLENGE) return receiveChallenge(state, bytes, now);
    const reason = receiveInit(state, { bytes, rows, base }, now);
    if (reason === "bad_mac" || reason === "unknown_hint") this.#reportStranger(reason, base, now);
    return reason;
  }

  #reportStranger(reason: "bad_mac" | "unknown_hint", base: number, now: Instant): void {
    const source = endpointOfRow(this.#datagrams.rows, base);
    if (!this.#state.strangers.isNews(remoteBytes(source), now)) return;
    this.#state.events.push({ kind: "stranger", source: plainEndpoint(source), reason });
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
