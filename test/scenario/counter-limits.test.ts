/**
 * The limits of a session's counter (PROTOCOL "Limits", FAULTS.md R5), reached by presetting it.
 *
 * `Session.takeCounters` is watched, and the counter of every new session is moved to just below the
 * boundary before its first use. Nothing else is replaced.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SessionOf } from "../../src/core/session.ts";
import { dataCounter, TYPE, typeOf } from "../helpers/wire-view.ts";
import {
  connect,
  dropsOf,
  dropTotal,
  exchange,
  isUp,
  peerOf,
  pingRight,
  sessionIn,
  stateDigest,
} from "../sim/observe.ts";
import { newClientPair, type Pair, RIGHT } from "../sim/pair.ts";

const REKEY_AFTER = 2 ** 40;
const REJECT_AFTER = 2 ** 48 - 2 ** 13 - 1;

describe.each([2 ** 31, 2 ** 32, REKEY_AFTER])("across %d", (boundary) => {
  it("counters go on by 1, every packet arrives, no nonce repeats", () => {
    presetCounters(boundary - 5);
    const pair = newClientPair();
    connect(pair);
    const traffic = exchange(pair, 10);

    pair.world.advance(500);
    traffic.stop();
    pair.world.advance(100);

    const counters = pair.world.eve
      .sentBy("left", TYPE.DATA)
      .map(({ bytes }) => dataCounter(bytes));
    expect(counters[0]).toBe(boundary - 5);
    expect(counters.some((counter) => counter >= boundary)).toBe(true);
    expect(pair.right.delivered).toHaveLength(traffic.sent());
    expect(pair.left.delivered).toHaveLength(traffic.sent());
    expect(pair.world.ledger.repeats).toEqual([]);
  });
});

it("below 2^40 messages nothing is rekeyed early; at 2^40 a new session is started", () => {
  presetCounters(REKEY_AFTER - 20);
  const pair = newClientPair();
  connect(pair);
  expect(peerOf(pair.left).counters.sessions).toBe(1);
  vi.restoreAllMocks();

  for (let index = 0; index < 40; index += 1) pingRight(pair, index);
  pair.world.advance(1_000);

  expect(peerOf(pair.left).counters.sessions).toBe(2);
  expect(pair.right.delivered).toHaveLength(40);
  pingRight(pair);
  pair.world.advance(100);
  expect(dataCounter(pair.world.eve.last("left", TYPE.DATA).bytes)).toBeLessThan(100);
});

describe("at 2^48 - 2^13 - 1", () => {
  let pair: Pair;
  beforeEach(() => {
    presetCounters(REJECT_AFTER - 20);
    pair = newClientPair();
    connect(pair);
    // No new session can come, so that only the limit itself stands.
    pair.world.eve.withhold = ({ bytes }) => typeOf(bytes) === TYPE.RESP;
  });

  it("nothing more is sealed, and what cannot go is counted or waits", () => {
    for (let index = 0; index < 60; index += 1) pingRight(pair, index);
    pair.world.advance(2_000);

    const counters = pair.world.eve
      .sentBy("left", TYPE.DATA)
      .map(({ bytes }) => dataCounter(bytes));
    expect(Math.max(...counters)).toBe(REJECT_AFTER - 1);
    expect(pair.world.ledger.repeats).toEqual([]);
    const lost = dropsOf(pair.left).counter_exhausted ?? 0;
    expect(pair.right.delivered.length + lost + peerOf(pair.left).waitingPackets).toBe(60);
    expect(pair.right.delivered.length).toBeLessThan(20);
  });

  it("a new session takes over when one can come", () => {
    for (let index = 0; index < 60; index += 1) pingRight(pair, index);
    pair.world.advance(2_000);
    vi.restoreAllMocks();
    pair.world.eve.withhold = () => false;

    expect(connect(pair, 10_000)).toBeLessThan(5_000);
    expect(sessionIn(pair.left, "current")?.sent).toBeLessThan(100);
    expect(isUp(pair.right)).toBe(true);
  });
});

it("a received counter with its top 16 bits set is dropped before any opening", () => {
  const pair = newClientPair();
  connect(pair);
  pair.world.eve.withhold = () => true;
  pingRight(pair);
  pair.world.settle();
  const held = pair.world.eve.last("left", TYPE.DATA).bytes;
  const digest = stateDigest(pair.right);
  const dropped = dropTotal(pair.right);
  const { opened } = pair.rightSite.aead().counts;

  for (const at of [14, 15]) {
    for (let bit = 0; bit < 8; bit += 1) {
      const spoilt = held.slice();
      spoilt[at] = 1 << bit;
      pair.world.eve.inject(RIGHT, spoilt, pair.left.address);
    }
  }
  pair.world.settle();

  expect(dropsOf(pair.right).bad_counter).toBe(16);
  expect(dropTotal(pair.right) - dropped).toBe(16);
  expect(pair.rightSite.aead().counts.opened).toBe(opened);
  expect(stateDigest(pair.right)).toBe(digest);
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Every session made from here on counts from `first` on. */
function presetCounters(first: number): void {
  const { takeCounters } = SessionOf.prototype;
  vi.spyOn(SessionOf.prototype, "takeCounters").mockImplementation(function (
    this: SessionOf<unknown>,
    count,
  ) {
    if (this.nextCounter < first) this.nextCounter = first;
    return takeCounters.call(this, count);
  });
}
