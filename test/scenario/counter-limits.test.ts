/**
 * The limits of a session's counter (PROTOCOL "Limits", FAULTS.md R5), reached by presetting it.
 *
 * `Session.takeCounters` is watched, and the counter of the live session is moved to just below the
 * boundary, in both directions. Nothing else is replaced.
 */
import { afterEach, describe, expect, it, vi } from "vitest";
import { SessionOf } from "../../src/core/session/session.ts";
import { figure } from "../helpers/figure.ts";
import { dataCounter, receiverIndex, TYPE, typeOf } from "../helpers/wire-view.ts";
import { bulk, sendBulk } from "../sim/bulk.ts";
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
import { newClientPair, type Pair, type PairOptions, RIGHT } from "../sim/pair.ts";

const REKEY_AFTER = 2 ** 40;
const REJECT_AFTER = 2 ** 48 - 2 ** 13 - 1;

describe("counters preset just below a boundary", () => {
  it.each([
    ["2^31 - 2", 2 ** 31 - 2],
    ["2^32 - 2", 2 ** 32 - 2],
  ])(
    "R5 %s: go on by 1 in both directions, every packet arrives, no nonce repeats",
    (name, first) => {
      const pair = presetPair(first);
      const traffic = exchange(pair, 10);

      pair.world.advance(500);
      traffic.stop();
      pair.world.advance(100);

      const counters = countersOf(pair, "left");
      expect(counters).toEqual(counters.map((_, index) => first + index));
      expect(counters.length).toBeGreaterThan(45);
      expect(pair.right.delivered).toHaveLength(traffic.sent());
      expect(pair.left.delivered).toHaveLength(traffic.sent());
      expect(peerOf(pair.left).counters.sessions).toBe(1);
      expectNoNonceTwice(name, pair, "1 session");
    },
  );

  it("R5 2^40 - 2: the message after 2^40 starts a new session, nothing is lost and no nonce repeats", () => {
    const pair = presetPair(REKEY_AFTER - 2);

    for (let index = 0; index < 2; index += 1) pingRight(pair, index);
    pair.world.advance(100);
    expect(peerOf(pair.left).counters.sessions).toBe(1);
    for (let index = 2; index < 40; index += 1) pingRight(pair, index);
    pair.world.advance(1_000);

    const [old, next] = [countersOf(pair, "left"), sessionIn(pair.left, "current")?.sent ?? -1];
    expect(old.slice(0, 3)).toEqual([REKEY_AFTER - 2, REKEY_AFTER - 1, REKEY_AFTER]);
    expect(peerOf(pair.left).counters.sessions).toBe(2);
    expect(next).toBeLessThan(10);
    expect(pair.right.delivered).toHaveLength(40);
    pingRight(pair);
    pair.world.advance(100);
    expect(dataCounter(pair.world.eve.last("left", TYPE.DATA).bytes)).toBeLessThan(100);
    expectNoNonceTwice("2^40 - 2", pair, "rekeyed at 2^40");
  });

  it("R5 2^48 - 2^13 - 3: two more are sealed, then nothing, and what cannot go is counted or waits", () => {
    const pair = presetPair(REJECT_AFTER - 2);
    // No new session can come, so that only the limit itself stands.
    pair.world.eve.withhold = ({ bytes }) => typeOf(bytes) === TYPE.RESP;

    for (let index = 0; index < 60; index += 1) pingRight(pair, index);
    pair.world.advance(2_000);

    expect(countersOf(pair, "left")).toEqual([REJECT_AFTER - 2, REJECT_AFTER - 1]);
    expect(pair.right.delivered).toHaveLength(2);
    const lost = dropsOf(pair.left).counter_exhausted ?? 0;
    expect(2 + lost + peerOf(pair.left).waitingPackets).toBe(60);
    expectNoNonceTwice("2^48 - 2^13 - 3", pair, "2 sealed, then none");
  });

  it("R5 at the limit a new session takes over when one can come", () => {
    const pair = presetPair(REJECT_AFTER - 2);
    pair.world.eve.withhold = ({ bytes }) => typeOf(bytes) === TYPE.RESP;
    for (let index = 0; index < 60; index += 1) pingRight(pair, index);
    pair.world.advance(2_000);
    pair.world.eve.withhold = () => false;

    expect(connect(pair, 10_000)).toBeLessThan(5_000);
    expect(sessionIn(pair.left, "current")?.sent).toBeLessThan(100);
    expect(isUp(pair.right)).toBe(true);
    expect(pair.world.ledger.repeats).toEqual([]);
  });

  it("R5 runs of datagrams stop at the limit as well: a super-packet that would pass it is not cut", () => {
    const pair = presetPair(REJECT_AFTER - 2, { offloads: "both" });
    pair.world.eve.withhold = ({ bytes }) => typeOf(bytes) === TYPE.RESP;

    sendBulk(pair.left, bulk(1, 3_000));
    pair.world.advance(100);
    sendBulk(pair.left, bulk(2, 2_000));
    pair.world.advance(100);

    expect(countersOf(pair, "left")).toEqual([REJECT_AFTER - 2, REJECT_AFTER - 1]);
    expect(dropsOf(pair.left).counter_exhausted).toBe(1);
    expectNoNonceTwice("2^48 - 2^13 - 3, runs", pair, "2 sealed, then none");
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

/** A pair with a session, of which both directions count from `first` on; later sessions are as always. */
function presetPair(first: number, options: PairOptions = {}): Pair {
  const pair = newClientPair(options);
  connect(pair);
  pair.world.eve.seen.length = 0;
  const { takeCounters } = SessionOf.prototype;
  const preset = new Set<boolean>();
  vi.spyOn(SessionOf.prototype, "takeCounters").mockImplementation(function (
    this: SessionOf<unknown>,
    count,
  ) {
    // The first of either role to ask are the two ends of the session that is there.
    if (!preset.has(this.isInitiator)) this.nextCounter = first;
    preset.add(this.isInitiator);
    return takeCounters.call(this, count);
  });
  return pair;
}

/** Counters of the datagrams that a host sent on its first session since the preset. */
function countersOf({ world }: Pair, host: string): number[] {
  const data = world.eve.sentBy(host, TYPE.DATA);
  const [first] = data;
  if (first === undefined) return [];
  const index = receiverIndex(first.bytes);
  return data
    .filter(({ bytes }) => receiverIndex(bytes) === index)
    .map(({ bytes }) => dataCounter(bytes));
}

/** The ledger has every nonce that sealed anything on either side; the wire agrees. */
function expectNoNonceTwice(name: string, { world }: Pair, what: string): void {
  const { size, keys, repeats } = world.ledger;
  const measured = `${repeats.length} of ${size} nonces under ${keys} keys twice, ${what}`;
  figure("R5", `preset to ${name}`, measured, "0 twice, rekey at 2^40, hard stop at the limit");
  expect(repeats).toEqual([]);
  const onWire = world.eve
    .since(0, TYPE.DATA)
    .map(({ by, bytes }) => `${by} ${receiverIndex(bytes)} ${dataCounter(bytes)}`);
  expect(new Set(onWire).size).toBe(onWire.length);
}
