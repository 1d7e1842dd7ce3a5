/**
 * Handshake messages of a batch, set aside until its data is done.
 *
 * They wait because they may end sessions that the batch's open rows name. What they do is in respond.ts
 * and initiate.ts; here is only their order, and the news of a stranger.
 */
import { endpointOfRow, remoteBytes } from "../address.ts";
import type { MessageBatch } from "../batch.ts";
import type { DropReason } from "../drop-reason.ts";
import { plainEndpoint } from "../path/endpoints.ts";
import { at } from "../rows.ts";
import type { State } from "../state.ts";
import type { Instant } from "../time.ts";
import { DATA, MESSAGE_TYPE } from "../wire.ts";
import { receiveChallenge, receiveResp } from "./initiate.ts";
import { receiveInit } from "./respond.ts";

/** Offset, length and message row of each. */
const FIELDS = 3;

/** BOUNDED: `capacity` messages. */
export class SetAside {
  readonly #state: State;
  readonly #datagrams: MessageBatch;
  readonly #slots: Int32Array;
  /** Messages that wait. */
  count = 0;

  constructor(state: State, datagrams: MessageBatch, capacity: number) {
    this.#state = state;
    this.#datagrams = datagrams;
    this.#slots = new Int32Array(capacity * FIELDS);
  }

  /** Keeps the place of a handshake message that came in message row `base`. */
  push(offset: number, length: number, base: number): DropReason | undefined {
    const slot = this.count * FIELDS;
    if (slot >= this.#slots.length) return "no_room";
    this.#slots[slot] = offset;
    this.#slots[slot + 1] = length;
    this.#slots[slot + 2] = base;
    this.count += 1;
    return undefined;
  }

  /** The message row that message `index` came in. */
  rowOf(index: number): number {
    return at(this.#slots, index * FIELDS + 2);
  }

  /** Handles message `index`. */
  handle(index: number, now: Instant): DropReason | undefined {
    const offset = at(this.#slots, index * FIELDS);
    const length = at(this.#slots, index * FIELDS + 1);
    const bytes = this.#datagrams.arena.subarray(offset, offset + length);
    const state = this.#state;
    if (bytes[DATA.type] === MESSAGE_TYPE.RESP) return receiveResp(state, bytes, now);
    if (bytes[DATA.type] === MESSAGE_TYPE.CHALLENGE) return receiveChallenge(state, bytes, now);
    const base = this.rowOf(index);
    const { rows } = this.#datagrams;
    const reason = receiveInit(state, { bytes, rows, base }, now);
    if (reason === "bad_mac" || reason === "unknown_hint") this.#reportStranger(reason, base, now);
    return reason;
  }

  #reportStranger(reason: "bad_mac" | "unknown_hint", base: number, now: Instant): void {
    const source = endpointOfRow(this.#datagrams.rows, base);
    if (!this.#state.strangers.isNews(remoteBytes(source), now)) return;
    this.#state.events.push({ kind: "stranger", source: plainEndpoint(source), reason });
  }
}
