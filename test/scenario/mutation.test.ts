/**
 * Every single-bit flip, every wrong length and every value of the first bytes of each message:
 * refused, unanswered, and without any trace in the state (FAULTS.md M1 to M3).
 *
 * Each test holds back a genuine message, offers all spoilt forms of it, compares the state with that
 * before, and in the end shows that the genuine one would have been accepted.
 */
import { describe, expect, it, vi } from "vitest";
import type { DropReason } from "../../src/core/drop-reason.ts";
import { figure } from "../helpers/figure.ts";
import { pingPacket } from "../helpers/packets.ts";
import { flipBit, resized, SIZE, TYPE, typeOf } from "../helpers/wire-view.ts";
import { coreDigest } from "../sim/core-state.ts";
import { type Datagram, EVE } from "../sim/eve.ts";
import type { Host } from "../sim/host.ts";
import { connect, dropsOf, dropTotal, isUp, peerOf, pingLeft } from "../sim/observe.ts";
import { INNER, newClientPair, type Pair } from "../sim/pair.ts";

vi.mock("../../src/core/state.ts", async (original) =>
  (await import("../sim/core-state.ts")).withStatesKept(await original()),
);

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
  ["DATA, a keepalive", SIZE.KEEPALIVE, () => holdData(0)],
  ["DATA of an 84-byte packet", 116, () => holdData(84)],
  ["DATA of a 1,420-byte packet", 1_452, () => holdData(1_420)],
];

describe.each(MESSAGES)("%s, %i bytes", (name, length, hold) => {
  it.each(["its own source", "another source"])(
    "M1 every single-bit flip from %s is refused",
    (from) => {
      const held = hold();
      expect(held.datagram.bytes).toHaveLength(length);
      const spoilt = Array.from({ length: length * 8 }, (_, bit) =>
        flipBit(held.datagram.bytes, bit),
      );

      expectAllRefused("M1", `${name}, every bit, from ${from}`, held, spoilt, from);
    },
  );

  it("M2 every shorter and longer form is refused", () => {
    const held = hold();
    const lengths = [
      ...Array.from({ length }, (_, index) => index),
      ...Array.from({ length: 64 }, (_, index) => length + 1 + index),
      1_500,
      9_000,
      65_507,
    ];
    const spoilt = [
      ...lengths.map((bytes) => resized(held.datagram.bytes, bytes)),
      ...Array.from({ length: 10 }, () => new Uint8Array(0)),
    ];

    expectAllRefused("M2", `${name}, every length`, held, spoilt, "its own source");
  });

  it("M3 every value of the first four bytes is taken as specified", () => {
    const held = hold();
    const genuine = held.datagram.bytes;
    const spoilt = [0, 1, 2, 3].flatMap((at) =>
      Array.from({ length: 256 }, (_, value) => {
        const copy = genuine.slice();
        copy[at] = value;
        return copy;
      }).filter((copy) => copy[at] !== genuine[at]),
    );
    const before = dropsOf(held.host);

    expectAllRefused("M3", `${name}, 4 x 256 values`, held, spoilt, "its own source");

    const after = dropsOf(held.host);
    const reasons = [...new Set(spoilt.map(refusalOf))].sort();
    const counted = reasons.map((reason) => (after[reason] ?? 0) - (before[reason] ?? 0));
    const specified = reasons.map(
      (reason) => spoilt.filter((bytes) => refusalOf(bytes) === reason).length,
    );
    expect(Object.fromEntries(reasons.map((reason, at) => [reason, counted[at]]))).toEqual(
      Object.fromEntries(reasons.map((reason, at) => [reason, specified[at]])),
    );
    // The four values that were left out are the genuine ones.
    letThrough(held);
    expect(held.isAccepted()).toBe(true);
  });
});

/** Why a genuine message with one of its first four bytes changed is refused: docs/protocol.md, section 3. */
function refusalOf(bytes: Uint8Array): DropReason {
  const [type = -1, version, ...rest] = bytes;
  const isZero = rest[0] === 0 && rest[1] === 0;
  if (version !== 1) return "bad_version";
  if (type === TYPE.DATA) return isZero ? "unknown_index" : "bad_reserved";
  const size = { [TYPE.INIT]: SIZE.INIT, [TYPE.RESP]: SIZE.RESP, [TYPE.CHALLENGE]: SIZE.CHALLENGE }[
    type
  ];
  if (size === undefined) return "bad_type";
  if (bytes.length !== size) return "bad_length";
  return type === TYPE.INIT ? "unknown_hint" : "bad_reserved";
}

function expectAllRefused(
  row: string,
  what: string,
  held: Held,
  spoilt: readonly Uint8Array[],
  from: string,
): void {
  const { pair, host, datagram } = held;
  const digest = coreDigest(host);
  const drops = dropTotal(host);
  const delivered = host.delivered.length;
  const mark = pair.world.eve.mark();
  for (const bytes of spoilt) {
    pair.world.eve.inject(datagram.to, bytes, from === "another source" ? EVE : datagram.from);
  }

  pair.world.settle();

  const refused = dropTotal(host) - drops;
  const replies = pair.world.eve.since(mark).map(({ by, bytes }) => `${by} ${typeOf(bytes)}`);
  const accepted = spoilt.length - refused + host.delivered.length - delivered;
  const state = coreDigest(host) === digest ? "the same" : "changed";
  const measured = `${accepted} of ${spoilt.length} accepted, ${replies.length} replies, state ${state}`;
  figure(row, what, measured, "0 accepted, 0 replies, state the same, 0 throws");
  expect(host.delivered.length).toBe(delivered);
  expect(coreDigest(host)).toBe(digest);
  expect(replies).toEqual([]);
  expect(refused).toBe(spoilt.length);
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
