/**
 * Step 7 of the inbound path: what authentic data means for its session, its peer's timers and endpoint.
 *
 * A message row may hold a run of datagrams that came at one instant from one address, so an effect that
 * one of them had is not repeated for the next. The trap: a keepalive has less effect than a packet, and
 * a late datagram less than the highest so far, so what was had is kept for each; and an answer that is
 * sent in between takes the effect of a packet back.
 */
import type { MessageBatch } from "./batch.ts";
import { sendKeepalive } from "./control.ts";
import { noteHeard } from "./liveness.ts";
import type { Session } from "./peer.ts";
import { type Arrival, considerEndpoint } from "./roaming.ts";
import { confirmSession } from "./sessions.ts";
import type { State } from "./state.ts";
import type { Instant } from "./time.ts";

/** No message row. */
const NONE = -1;
/** Effects that a message row had on a session. */
const PACKET = 1;
const HIGHEST = 2;

/** What is heard in one batch. */
export class Hearing {
  readonly #state: State;
  readonly #arrival: Arrival;
  /** The message row and session that were heard last, and their effects so far. */
  #lastRow = NONE;
  #lastSession: Session | undefined;
  #effects = 0;

  constructor(state: State, datagrams: MessageBatch) {
    this.#state = state;
    this.#arrival = { rows: datagrams.rows, base: 0, plaintextBytes: 0, isConfirming: false };
  }

  /** Ends the batch: its rows get other messages. */
  forget(): void {
    this.#lastRow = NONE;
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
    const effects = (isPacket ? PACKET : 0) | (isHighest ? HIGHEST : 0);
    if (base !== this.#lastRow || session !== this.#lastSession) {
      this.#lastRow = base;
      this.#lastSession = session;
      this.#effects = effects;
    } else if ((effects & ~this.#effects) === 0 && !isUnnoted(session, isPacket)) {
      return;
    }
    this.#effects |= effects;
    this.#arrival.base = base;
    this.#arrival.plaintextBytes = bytes;
    this.#act(session, isPacket, isHighest, now);
  }

  #act(session: Session, isPacket: boolean, isHighest: boolean, now: Instant): void {
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

/** Whether data would move a timer once more, because something was sent since the datagram before it. */
function isUnnoted(session: Session, isPacket: boolean): boolean {
  const { peer } = session;
  const { timers } = peer;
  return (
    (isPacket && !timers.isSet("passiveKeepalive")) ||
    (timers.isSet("unanswered") && session === peer.current)
  );
}
