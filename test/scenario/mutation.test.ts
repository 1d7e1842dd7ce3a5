/**
 * Every single-bit flip, every wrong length and every value of the first bytes of each message:
 * refused, unanswered, and without any trace in the state (FAULTS.md M1 to M4).
 *
 * Each test holds back a genuine message, offers all spoilt forms of it, compares the state with that
 * before, and in the end shows that the genuine one would have been accepted.
 */
import { describe, expect, it } from "vitest";
import { pingPacket } from "../helpers/packets.ts";
import { flipBit, resized, SIZE, TYPE, typeOf } from "../helpers/wire-view.ts";
import { type Datagram, EVE } from "../sim/eve.ts";
import type { Host } from "../sim/host.ts";
import {
  connect,
  dropTotal,
  isUp,
  peerOf,
  pingLeft,
  pingRight,
  stateDigest,
} from "../sim/observe.ts";
import { INNER, LEFT, newClientPair, type Pair } from "../sim/pair.ts";

/** A genuine message on its way, kept back. */
interface Held {
  readonly pair: Pair;
  /** Who would receive it. */
  readonly host: Host;
  readonly datagram: Datagram;
  /** Whether the genuine message was accepted, asked after it was let through. */
  readonly isAccepted: () => boolean;
}

const MESSAGES: [string, number, () => Held][] = [
  ["INIT that draws a CHALLENGE", SIZE.INIT, () => holdInit(newClientPair(), false)],
  ["INIT that draws a RESP", SIZE.INIT, () => holdInit(newClientPair(), true)],
  ["RESP", SIZE.RESP, holdResponse],
  ["CHALLENGE", SIZE.CHALLENGE, holdChallenge],
  ["keepalive", SIZE.KEEPALIVE, () => holdData(0)],
  ["DATA of an 84-byte packet", 116, () => holdData(84)],
];

describe.each(MESSAGES)("%s, %i bytes", (_, length, hold) => {
  it.each(["its own source", "another source"])(
    "every single-bit flip from %s is refused",
    (from) => {
      const held = hold();
      expect(held.datagram.bytes).toHaveLength(length);
      const spoilt = Array.from({ length: length * 8 }, (_, bit) =>
        flipBit(held.datagram.bytes, bit),
      );

      expectAllRefused(held, spoilt, from);
    },
  );

  it("every shorter and longer form is refused", () => {
    const held = hold();
    const lengths = [
      ...Array.from({ length }, (_, index) => index),
      ...Array.from({ length: 64 }, (_, index) => length + 1 + index),
      1_500,
      9_000,
      65_507,
    ];

    expectAllRefused(
      held,
      lengths.map((bytes) => resized(held.datagram.bytes, bytes)),
      "its own source",
    );
  });

  it("every other value of the first four bytes is refused", () => {
    const held = hold();
    const spoilt = [0, 1, 2, 3].flatMap((at) =>
      Array.from({ length: 256 }, (_, value) => {
        const copy = held.datagram.bytes.slice();
        copy[at] = value;
        return copy;
      }).filter((copy) => copy[at] !== held.datagram.bytes[at]),
    );

    expectAllRefused(held, spoilt, "its own source");
  });

  it("is accepted as it is, from where it comes", () => {
    const held = hold();

    letThrough(held);

    expect(held.isAccepted()).toBe(true);
  });
});

it("halves of two messages of one type put together are refused", () => {
  const pair = newClientPair();
  connect(pair);
  const { eve } = pair.world;
  eve.withhold = () => true;
  const before = eve.mark();
  pingRight(pair);
  pingRight(pair, 2);
  pair.left.act((tunnel, now) => tunnel.rekey("right", now));
  pair.world.advance(700);
  const groups = [TYPE.INIT, TYPE.DATA].map((type) =>
    eve.since(before, type).map(({ bytes }) => bytes),
  );
  const digest = stateDigest(pair.right);
  const mark = eve.mark();

  for (const [first, second] of groups) {
    if (first === undefined || second === undefined) throw new Error("too few messages");
    for (let cut = 1; cut < first.length; cut += 1) {
      const spliced = Uint8Array.of(...first.subarray(0, cut), ...second.subarray(cut));
      const isGenuine = [first, second].some((whole) => Buffer.compare(whole, spliced) === 0);
      if (!isGenuine) eve.inject(pair.right.address, spliced, LEFT);
    }
  }
  pair.world.settle();

  expect(stateDigest(pair.right)).toBe(digest);
  expect(eve.since(mark).filter(({ by }) => by === "right")).toEqual([]);
});

it("empty datagrams are dropped and counted", () => {
  const pair = newClientPair();
  connect(pair);
  const before = dropTotal(pair.right);

  for (let copy = 0; copy < 10; copy += 1)
    pair.world.eve.inject(pair.right.address, new Uint8Array(0));
  pair.world.settle();

  expect(dropTotal(pair.right) - before).toBe(10);
});

function expectAllRefused(held: Held, spoilt: readonly Uint8Array[], from: string): void {
  const { pair, host, datagram } = held;
  const digest = stateDigest(host);
  const drops = dropTotal(host);
  const delivered = host.delivered.length;
  const mark = pair.world.eve.mark();
  for (const bytes of spoilt) {
    pair.world.eve.inject(datagram.to, bytes, from === "another source" ? EVE : datagram.from);
  }

  pair.world.settle();

  expect(host.delivered.length).toBe(delivered);
  expect(stateDigest(host)).toBe(digest);
  expect(pair.world.eve.since(mark).map(({ by, bytes }) => `${by} ${typeOf(bytes)}`)).toEqual([]);
  expect(dropTotal(host) - drops).toBe(spoilt.length);
}

function letThrough({ pair, datagram }: Held): void {
  pair.world.eve.withhold = () => false;
  pair.world.eve.replay(datagram);
  pair.world.advance(200);
}

function holdInit(pair: Pair, isFloorKnown: boolean): Held {
  if (isFloorKnown) connect(pair);
  pair.world.eve.withhold = ({ by }) => by === "left";
  pair.left.act((tunnel, now) => tunnel.rekey("right", now));
  pair.world.settle();
  const computations = pair.right.snapshot().handshakeComputations;
  return {
    pair,
    host: pair.right,
    datagram: pair.world.eve.last("left", TYPE.INIT),
    isAccepted: () =>
      isFloorKnown
        ? pair.right.snapshot().handshakeComputations === computations + 1
        : pair.world.eve.sentBy("right", TYPE.CHALLENGE).length > 0,
  };
}

function holdResponse(): Held {
  const pair = newClientPair();
  pair.world.eve.withhold = ({ bytes }) => typeOf(bytes) === TYPE.RESP;
  pair.left.act((tunnel, now) => tunnel.rekey("right", now));
  pair.world.until("RESP", () => pair.world.eve.sentBy("right", TYPE.RESP).length > 0, 1_000);
  return {
    pair,
    host: pair.left,
    datagram: pair.world.eve.last("right", TYPE.RESP),
    isAccepted: () => isUp(pair.left),
  };
}

function holdChallenge(): Held {
  const pair = newClientPair();
  pair.world.eve.withhold = ({ by }) => by === "right";
  pair.left.act((tunnel, now) => tunnel.rekey("right", now));
  pair.world.until("CHALLENGE", () => pair.world.eve.sentBy("right").length > 0, 1_000);
  const inits = pair.world.eve.sentBy("left").length;
  return {
    pair,
    host: pair.left,
    datagram: pair.world.eve.last("right", TYPE.CHALLENGE),
    isAccepted: () => pair.world.eve.sentBy("left").length > inits,
  };
}

/** A packet of `innerBytes` from left to right, or a keepalive for 0. */
function holdData(innerBytes: number): Held {
  const pair = newClientPair();
  connect(pair);
  pair.world.eve.withhold = ({ by }) => by === "left";
  const mark = pair.world.eve.mark();
  if (innerBytes === 0) {
    pingLeft(pair);
    pair.world.until(
      "keepalive",
      () => pair.world.eve.since(mark, TYPE.DATA).some(({ by }) => by === "left"),
      20_000,
    );
  } else {
    pair.left.send(pingPacket(INNER.left, INNER.right, 1, innerBytes - 28));
    pair.world.settle();
  }
  const received = peerOf(pair.right).sessions.map((session) => session.received);
  return {
    pair,
    host: pair.right,
    datagram: pair.world.eve.last("left", TYPE.DATA),
    isAccepted: () =>
      peerOf(pair.right).sessions.some(
        (session, index) => session.received > (received[index] ?? 0),
      ),
  };
}
