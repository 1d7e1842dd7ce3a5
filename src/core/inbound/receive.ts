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
 *  9 congestion mark of the outer header taken over; inner header and length honest, partial checksum possible
 * 10 inner source belongs to this peer
 * 11 row for the TUN, joined with those before it of its flow
 *
 * A message may be a run of datagrams (UDP_GRO), and a batch has many of one session: what is the same
 * for all of them (the session, where it came from, its timers) is found once and kept for the batch, in
 * the `#last…` fields; and datagrams of a run that count on take steps 1 to 7 together. Steps 9 to 11 are
 * in deliver.ts.
 *
 * Everything before 5 is cheap and stores nothing; everything from 6 on may trust the bytes. A datagram
 * that fails at one step changes no state of a later one (the drop counter and its source's bucket apart).
 */
import type { MessageBatch, PacketBatch } from "../batch.ts";
import { PATH_CHALLENGE_CAUSE_BYTES, REKEY_AFTER_FAILED_OPENS } from "../constants.ts";
import type { DropReason } from "../drop-reason.ts";
import { startAttempt } from "../handshake/initiate.ts";
import { SetAside } from "../handshake/set-aside.ts";
import { PartJoiner } from "../outbound/parts.ts";
import { isFromElsewhere } from "../path/roaming.ts";
import type { Session } from "../peers/peer.ts";
import {
  at,
  MESSAGE,
  MESSAGE_FIELDS,
  MESSAGE_TRUNCATED,
  OPEN,
  OPEN_FIELDS,
  OPENED_ALIKE,
} from "../rows.ts";
import { handleFrame } from "../session/frames.ts";
import { drop, type State } from "../state.ts";
import type { Instant } from "../time.ts";
import {
  countingOn,
  DATA,
  DATA_OVERHEAD,
  DATA_START,
  FRAME,
  HANDSHAKE_BYTES,
  MESSAGE_TYPE,
  readUint64,
  VERSION,
  viewOf,
} from "../wire.ts";
import { Deliverer } from "./deliver.ts";
import { Hearing } from "./hearing.ts";
import { refuse } from "./refuse.ts";

const HIGHEST_COUNTER = 2 ** 48;
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
  /** Open rows in use, and the datagrams in them, for each of which a packet must find room. */
  #openCount = 0;
  #openDatagrams = 0;
  readonly #handshakes: SetAside;
  readonly #deliverer: Deliverer;
  readonly #hearing: Hearing;
  readonly #parts: PartJoiner;
  /** The session that was looked up last, by its index. */
  #lastIndex = NONE;
  #lastSession: Session | undefined;
  /** The message row and session that `#isFromElsewhere` was last asked for, and its answer. */
  #lastPathRow = NONE;
  #lastPathSession: Session | undefined;
  #lastPathAnswer = false;

  constructor(state: State, datagrams: MessageBatch, delivered: PacketBatch) {
    this.#state = state;
    this.#datagrams = datagrams;
    this.#view = viewOf(datagrams.arena);
    this.#opens = new Int32Array(delivered.capacity * OPEN_FIELDS);
    this.#counters = new Float64Array(delivered.capacity);
    this.#handshakes = new SetAside(state, datagrams, delivered.capacity);
    this.#deliverer = new Deliverer(state, delivered);
    this.#hearing = new Hearing(state, datagrams);
    this.#parts = new PartJoiner(datagrams.arena, this.#deliverer);
  }

  /** Handles every row of the datagram batch; leaves the packets for the TUN in `delivered`. */
  handle(now: Instant): void {
    const { rows, count } = this.#datagrams;
    this.#deliverer.begin(now);
    this.#parts.begin();
    this.#openCount = 0;
    this.#openDatagrams = 0;
    this.#handshakes.count = 0;
    for (let row = 0; row < count; row++) this.#sortMessage(rows, row * MESSAGE_FIELDS, now);
    if (this.#openCount > 0) this.#openBatch(now);
    this.#deliverer.finish();
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
      const run = this.#sortRun(offset, segment, end, base, now);
      const length = Math.min(segment, end - offset);
      const reason = run === 0 ? this.#sort(offset, length, base, now) : undefined;
      if (reason !== undefined) this.#refuse(reason, base, now);
      offset += Math.max(run, 1) * segment;
    } while (offset < end);
  }

  /**
   * Steps 1 to 4 for the datagrams from `offset` on that have one size and session and count on, with new
   * counters and from the session's endpoint. Returns how many; 0: fewer than two, which go one by one.
   */
  #sortRun(offset: number, size: number, end: number, base: number, now: Instant): number {
    const view = this.#view;
    if (offset + 2 * size > end || size < DATA_OVERHEAD || this.#room() < 2) return 0;
    if (view.getInt32(offset) !== DATA_START) return 0;
    const session = this.#sessionOf(view.getUint32(offset + DATA.receiverIndex, true));
    const counter = readUint64(view, offset + DATA.counter);
    if (!session?.isUsable(now) || counter <= session.window.highest) return 0;
    if (this.#isFromElsewhere(session, base)) return 0;
    const count = Math.min(countingOn(view, offset, size, end), this.#room());
    if (count < 2 || counter + count > HIGHEST_COUNTER) return 0;
    this.#addOpen(session, offset, count * size, base, false);
    this.#opens[(this.#openCount - 1) * OPEN_FIELDS + OPEN.SEGMENT] = size;
    this.#openDatagrams += count - 1;
    return count;
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
    if (this.#room() === 0) return "no_room";
    const isPrepaid = this.#isFromElsewhere(session, base);
    const limit = isPrepaid ? this.#prepay(base, now) : undefined;
    if (limit !== undefined) return limit;
    this.#addOpen(session, offset, length, base, isPrepaid);
    return undefined;
  }

  /** Datagrams that may still be opened in this batch. */
  #room(): number {
    return this.#counters.length - this.#openDatagrams;
  }

  #addOpen(
    session: Session,
    offset: number,
    length: number,
    base: number,
    isPrepaid: boolean,
  ): void {
    const open = this.#openCount * OPEN_FIELDS;
    this.#opens[open + OPEN.OFFSET] = offset;
    this.#opens[open + OPEN.LENGTH] = length;
    this.#opens[open + OPEN.KEY_SLOT] = session.openSlot;
    this.#opens[open + OPEN.MESSAGE] = base;
    this.#opens[open + OPEN.IS_PREPAID] = isPrepaid ? 1 : 0;
    this.#opens[open + OPEN.SEGMENT] = 0;
    this.#sessions[this.#openCount] = session;
    this.#counters[this.#openCount] = readUint64(this.#view, offset + DATA.counter);
    this.#openCount += 1;
    this.#openDatagrams += 1;
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

  /** Step 5, then the rest for each datagram in the order of arrival. */
  #openBatch(now: Instant): void {
    this.#state.aead.open(this.#datagrams.arena, this.#opens, this.#openCount);
    for (let index = 0; index < this.#openCount; index++) {
      const session = this.#sessions[index];
      if (session !== undefined) this.#acceptRow(session, index, now);
    }
  }

  /** What opened of a row; and where a datagram of its run did not, those behind it in the same way. */
  #acceptRow(session: Session, index: number, now: Instant): void {
    const opens = this.#opens;
    const open = index * OPEN_FIELDS;
    const base = at(opens, open + OPEN.MESSAGE);
    this.#refund(open, at(opens, open + OPEN.OPENED) > 0, base);
    for (;;) {
      const opened = at(opens, open + OPEN.OPENED);
      if (opened > 0) this.#acceptOpened(session, index, now);
      if (opened * this.#sizeOf(open) === at(opens, open + OPEN.LENGTH)) return;
      this.#refuseForged(session, base, now);
      if (!this.#openRest(session, index, opened + 1, now)) return;
    }
  }

  /** Bytes of each datagram of an open row. */
  #sizeOf(open: number): number {
    return at(this.#opens, open + OPEN.SEGMENT) || at(this.#opens, open + OPEN.LENGTH);
  }

  /** Opens what is left of a row's run behind its first `done` datagrams; false: nothing is. */
  #openRest(session: Session, index: number, done: number, now: Instant): boolean {
    const open = index * OPEN_FIELDS;
    const size = this.#sizeOf(open);
    const row = this.#opens.subarray(open, open + OPEN_FIELDS);
    const left = at(row, OPEN.LENGTH) - done * size;
    if (left <= 0) return false;
    if (session.isEnded) {
      const base = at(row, OPEN.MESSAGE);
      for (let rest = left; rest > 0; rest -= size) this.#refuse("expired_session", base, now);
      return false;
    }
    row[OPEN.OFFSET] = at(row, OPEN.OFFSET) + done * size;
    row[OPEN.LENGTH] = left;
    this.#counters[index] = (this.#counters[index] ?? 0) + done;
    this.#state.aead.open(this.#datagrams.arena, row, 1);
    return true;
  }

  /** What was paid before the open is given back; a datagram that fails is charged like any other. */
  #refund(open: number, isGenuine: boolean, base: number): void {
    if (this.#opens[open + OPEN.IS_PREPAID] !== 1) return;
    this.#state.sources.refund(this.#datagrams.rows, base + MESSAGE.REMOTE);
    if (isGenuine) this.#state.strangeOpens.refund();
  }

  #refuseForged(session: Session, base: number, now: Instant): void {
    session.failedOpens += 1;
    if (session.failedOpens === REKEY_AFTER_FAILED_OPENS) {
      startAttempt(this.#state, session.peer, now);
    }
    this.#refuse("forged", base, now);
  }

  /** Steps 6 and 7 for the datagrams of a row that opened, alike ones together, and then step 8, or 9 to 11. */
  #acceptOpened(session: Session, index: number, now: Instant): void {
    const open = index * OPEN_FIELDS;
    const base = at(this.#opens, open + OPEN.MESSAGE);
    const opened = at(this.#opens, open + OPEN.OPENED);
    const size = this.#sizeOf(open);
    const first = this.#counters[index] ?? 0;
    const isNew = session.window.commitRun(first, opened);
    for (let done = 0; done < opened; ) {
      const counter = first + done;
      const isHighest = isNew || counter > session.window.highest;
      // A close frame may have come before it, or its twin in another row of this batch.
      if (session.isEnded || !(isNew || session.window.commit(counter))) {
        this.#refuse(session.isEnded ? "expired_session" : "replayed", base, now);
        done += 1;
        continue;
      }
      const datagram = at(this.#opens, open + OPEN.OFFSET) + done * size;
      const alike = isNew && opened > 1 ? this.#view.getUint16(datagram + OPENED_ALIKE, true) : 1;
      this.#accept(session, datagram + DATA.SIZE, size, alike, isHighest, base, now);
      done += alike;
    }
  }

  /** Step 7 for `alike` datagrams of `size` bytes, the first plaintext at `offset`; then step 8, or 9 to 11. */
  #accept(
    session: Session,
    offset: number,
    size: number,
    alike: number,
    isHighest: boolean,
    base: number,
    now: Instant,
  ): void {
    const bytes = size - DATA_OVERHEAD;
    session.receivedPackets += alike;
    if (!isHighest) session.peer.counters.reorderedDatagrams += alike;
    if (!this.#deliverer.isPacket(offset, bytes)) {
      this.#acceptOther(session, offset, bytes, isHighest, base, now);
      return;
    }
    this.#hearing.heard(session, bytes, true, isHighest, base, now);
    // The first may have been answered, which takes back what was heard until then; the second comes after.
    if (alike > 1) this.#hearing.heard(session, bytes, true, isHighest, base, now);
    const tos = at(this.#datagrams.rows, base + MESSAGE.TOS);
    this.#deliverer.take(session.peer, offset, bytes, size, alike, tos);
  }

  /** Steps 7 and 8 for what is no packet; a part that completes one makes it go on like any other. */
  #acceptOther(
    session: Session,
    offset: number,
    bytes: number,
    isHighest: boolean,
    base: number,
    now: Instant,
  ): void {
    const { arena, rows } = this.#datagrams;
    const isPart = bytes > 0 && arena[offset] === FRAME.PART;
    this.#hearing.heard(session, bytes, isPart, isHighest, base, now);
    const isProbe = arena[offset] === FRAME.PROBE && bytes === PATH_CHALLENGE_CAUSE_BYTES;
    if (bytes === 0 || isProbe) session.peer.counters.keepalivesReceived += 1;
    if (bytes === 0) return;
    const frame = arena.subarray(offset, offset + bytes);
    const reason = isPart
      ? this.#parts.add(session, frame, now)
      : handleFrame(this.#state, session, frame, rows, base, now);
    this.#deliverer.forgetSources();
    if (reason !== undefined) drop(this.#state, reason);
  }

  /** Counts a datagram that failed before it was trusted, and charges its source. */
  #refuse(reason: DropReason, base: number, now: Instant): void {
    refuse(this.#state, reason, this.#datagrams.rows, base, now);
  }
}
