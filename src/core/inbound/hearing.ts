/**
 * Step 7 of the inbound path: what authentic data means for its session, its peer's timers and endpoint.
 *
 * A batch holds many datagrams of one session that came the same way at one instant, so an effect that
 * one of them had is not repeated for the next. The trap: a keepalive has less effect than a packet or a
 * frame, and a late datagram less than the highest so far, so what was had is kept for each; and what is sent
 * in between takes effects back.
 */
import { isSameWay } from "../address.ts";
import type { MessageBatch } from "../batch.ts";
import { PATH_CHALLENGE_CAUSE_BYTES } from "../constants.ts";
import { type Arrival, considerEndpoint } from "../path/roaming.ts";
import type { Session } from "../peers/peer.ts";
import { sendKeepalive } from "../session/control.ts";
import { noteHeard } from "../session/liveness.ts";
import { confirmSession } from "../session/sessions.ts";
import type { State } from "../state.ts";
import type { Instant } from "../time.ts";

/** Effects of data on its session. */
const PACKET = 1;
const HIGHEST = 2;
/** It is long enough to cause a path challenge. */
const LONG = 4;

/** What is heard in one batch. */
export class Hearing {
  readonly #state: State;
  readonly #arrival: Arrival;
  /** The message row and session that were heard last, what was sent by then, and their effects so far. */
  #lastRow = 0;
  #lastSession: Session | undefined;
  #lastSends = 0;
  #effects = 0;

  constructor(state: State, datagrams: MessageBatch) {
    this.#state = state;
    this.#arrival = { rows: datagrams.rows, base: 0, plaintextBytes: 0, isConfirming: false };
  }

  /** Ends the batch: its rows get other messages. */
  forget(): void {
    this.#lastSession = undefined;
  }

  /**
   * Data of `bytes` plaintext bytes opened that came in message row `base`. `isHighest`: its counter is the
   * session's highest so far. The first confirms the session and draws one keepalive (rule 6).
   */
  heard(
    session: Session,
    bytes: number,
    isPacket: boolean,
    isHighest: boolean,
    base: number,
    now: Instant,
  ): void {
    const long = bytes >= PATH_CHALLENGE_CAUSE_BYTES ? LONG : 0;
    const effects = (isPacket ? PACKET : 0) | (isHighest ? HIGHEST : 0) | long;
    if (!this.#isSameAsLast(session, base)) {
      this.#lastRow = base;
      this.#lastSession = session;
      this.#lastSends = session.peer.sends;
      this.#effects = 0;
    } else if ((effects & ~this.#effects) === 0) {
      return;
    }
    this.#effects |= effects;
    this.#arrival.base = base;
    this.#arrival.plaintextBytes = bytes;
    this.#act(session, isPacket, isHighest, now);
  }

  /** Same session, same way, and nothing was sent since, which would take an effect back. */
  #isSameAsLast(session: Session, base: number): boolean {
    return (
      session === this.#lastSession &&
      session.peer.sends === this.#lastSends &&
      isSameWay(this.#arrival.rows, base, this.#lastRow)
    );
  }

  #act(session: Session, isPacket: boolean, isHighest: boolean, now: Instant): void {
    const state = this.#state;
    const { peer } = session;
    const isConfirming = !session.isConfirmed;
    if (isConfirming) confirmSession(state, session, now);
    session.heardAt ??= now;
    session.psk.use.heardAt = now;
    if (peer.confirming?.session === session) {
      peer.confirming = undefined;
      peer.timers.clear("confirm");
    }
    const isCurrent = session === peer.current;
    noteHeard(peer, isCurrent, isPacket, now);
    if (isHighest && isCurrent) {
      this.#arrival.isConfirming = isConfirming;
      considerEndpoint(state, session, this.#arrival, now);
    }
    if (isConfirming && peer.endpoint !== undefined) {
      sendKeepalive(state, session, peer.endpoint, now);
    }
  }
}
