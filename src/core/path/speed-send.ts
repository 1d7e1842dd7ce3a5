/**
 * The datagrams of a speed test: sealed a batch at a time and sent in runs, as packets are.
 *
 * They are probes (frame 0x04) like any other, so the other side needs to know nothing of it. They wait for no rate
 * (rule 21 is for packets), and their answers say nothing to the path MTU, link quality or the endpoint's failover.
 */
import type { MessageBatch } from "../batch.ts";
import { SPEED_BATCH, SPEED_LEAST_BYTES } from "../constants.ts";
import { canStart, startAttempt } from "../handshake/initiate.ts";
import type { SpeedOptions, SpeedRefusal } from "../options.ts";
import { MessageRuns } from "../outbound/message-runs.ts";
import { peerNamed } from "../peers/members.ts";
import type { Session } from "../peers/peer.ts";
import { at, SEAL, SEAL_FIELDS } from "../rows.ts";
import { noteSent } from "../session/liveness.ts";
import { drop, type State } from "../state.ts";
import type { Instant } from "../time.ts";
import { DATA_OVERHEAD, FRAME, PROBE_FRAME, viewOf } from "../wire.ts";
import { outerBytes } from "./path.ts";
import { SpeedTest } from "./speed-test.ts";

/** Starts one; why it could not, or undefined. */
export function startSpeedTest(
  state: State,
  { peer: name, seconds, bytes }: SpeedOptions,
  now: Instant,
): SpeedRefusal | undefined {
  const peer = peerNamed(state, name);
  if (peer === undefined) return "no-peer";
  if (peer.kind === "group") return "group";
  if (state.speedTest?.isOver === false) return "busy";
  if (!peer.current?.isUsable(now) || peer.endpoint === undefined) {
    if (!canStart(peer)) return "no-endpoint";
    startAttempt(state, peer, now);
    return "no-session";
  }
  const most = peer.carries + DATA_OVERHEAD;
  const datagramBytes = bytes ?? most;
  if (datagramBytes > most || datagramBytes < SPEED_LEAST_BYTES) return "too-long";
  const sizes = {
    datagramBytes,
    outerBytes: datagramBytes + outerBytes(peer.endpoint),
    innerBytes: datagramBytes - DATA_OVERHEAD,
  };
  state.speedTest = new SpeedTest(peer, sizes, seconds, now);
  return undefined;
}

/** Fills `outgoing` with what the test may send. */
export class SpeedSender {
  readonly #state: State;
  readonly #outgoing: MessageBatch;
  readonly #runs: MessageRuns;
  readonly #seals = new Int32Array(SPEED_BATCH * SEAL_FIELDS);
  /** SPEED_BATCH frames of the test at hand. */
  #frames = new Uint8Array(0);

  constructor(state: State, outgoing: MessageBatch) {
    this.#state = state;
    this.#outgoing = outgoing;
    this.#runs = new MessageRuns(outgoing, state.offloads.runs);
  }

  /** Returns the rows of `outgoing`. */
  fill(now: Instant): number {
    this.#runs.begin();
    const test = this.#state.speedTest;
    if (test === undefined) return 0;
    if (test.isOver) this.#frames = new Uint8Array(0);
    const { peer, sizes } = test;
    const { arena, capacity } = this.#outgoing;
    const size = sizes.datagramBytes;
    const count = Math.min(test.room(now), Math.floor(arena.length / size), capacity);
    if (count === 0) return 0;
    const { current, endpoint } = peer;
    const counter = current?.isUsable(now) ? current.takeCounters(count) : undefined;
    if (current === undefined || counter === undefined || endpoint === undefined) {
      test.block(now);
      return 0;
    }
    const first = peer.probes.reserve(count);
    this.#writeFrames(first, count, size);
    this.#seal(current, counter, count, size);
    for (let row = 0; row < count; row++) {
      if (at(this.#seals, row * SEAL_FIELDS + SEAL.STATUS) !== 0) drop(this.#state, "seal_failed");
      else this.#runs.add(row * size, size, size, endpoint);
    }
    current.probesSent += count;
    noteSent(peer, true, now);
    test.sent(first, count, now);
    return this.#outgoing.count;
  }

  #writeFrames(first: number, count: number, size: number): void {
    const bytes = size - DATA_OVERHEAD;
    if (this.#frames.length !== bytes * SPEED_BATCH) {
      this.#frames = new Uint8Array(bytes * SPEED_BATCH);
    }
    const view = viewOf(this.#frames);
    for (let row = 0; row < count; row++) {
      const frame = row * bytes;
      view.setUint8(frame + PROBE_FRAME.type, FRAME.PROBE);
      view.setUint16(frame + PROBE_FRAME.id, (first + row) & 0xffff, true);
      view.setUint16(frame + PROBE_FRAME.bytes, size, true);
    }
  }

  #seal(session: Session, counter: number, count: number, size: number): void {
    const bytes = size - DATA_OVERHEAD;
    const seals = this.#seals.fill(0);
    for (let row = 0; row < count; row++) {
      const seal = row * SEAL_FIELDS;
      seals[seal + SEAL.IN_OFFSET] = row * bytes;
      seals[seal + SEAL.IN_LENGTH] = bytes;
      seals[seal + SEAL.OUT_OFFSET] = row * size;
      seals[seal + SEAL.KEY_SLOT] = session.sealSlot;
      seals[seal + SEAL.RECEIVER_INDEX] = session.remoteIndex;
      seals[seal + SEAL.COUNTER_LOW] = (counter + row) % 0x1_0000_0000;
      seals[seal + SEAL.COUNTER_HIGH] = Math.floor((counter + row) / 0x1_0000_0000);
      seals[seal + SEAL.SEGMENTS] = 1;
    }
    this.#state.aead.seal(this.#frames, this.#outgoing.arena, seals, count);
  }
}
