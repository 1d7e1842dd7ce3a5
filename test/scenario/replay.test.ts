/**
 * Old datagrams sent again, and datagrams sent back: claims C1 and C2, FAULTS.md R2 and M6.
 *
 * A whole session is captured, INITs and all, and played back at once, after a restart of either side
 * or both, and after an hour. Nothing may be delivered, no Diffie-Hellman computed, and the only
 * answers are at most 4 to each INIT, none longer than it.
 */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { figure } from "../helpers/figure.ts";
import { SIZE, TYPE, typeOf } from "../helpers/wire-view.ts";
import { floorsOf } from "../sim/core-state.ts";
import { type Datagram, EVE } from "../sim/eve.ts";
import type { Host } from "../sim/host.ts";
import {
  connect,
  dropsOf,
  endpointOf,
  eventsOf,
  exchange,
  isUp,
  peerOf,
  pingLeft,
  pingRight,
  stateDigest,
} from "../sim/observe.ts";
import { LEFT, newClientPair, newPair, type Pair, RIGHT } from "../sim/pair.ts";

vi.mock("../../src/core/state.ts", async (original) =>
  (await import("../sim/core-state.ts")).withStatesKept(await original()),
);

describe("a captured session", () => {
  let pair: Pair;
  let captured: Datagram[];
  beforeEach(() => {
    pair = newClientPair();
    captured = captureSession(pair);
  });

  it.each<[string, (pair: Pair) => void]>([
    ["at once", () => {}],
    [
      "after a rekey",
      ({ left, world }) => {
        left.act((tunnel, now) => tunnel.rekey("right", now));
        world.advance(1_000);
      },
    ],
    ["after a restart of the initiator", ({ left }) => left.restart()],
    ["after a restart of the responder", ({ right }) => right.restart()],
    [
      "after a restart of both",
      ({ left, right }) => {
        left.restart();
        right.restart();
      },
    ],
    ["after an hour", ({ world }) => world.advance(3_600_000)],
  ])(
    "replayed %s delivers nothing, costs no DH and draws at most 4 short answers an INIT",
    (_, prepare) => {
      prepare(pair);
      // From here only Eve's copies arrive, so that every computation is theirs.
      pair.world.eve.withhold = () => true;
      pair.world.settle();
      const before = computations(pair);
      const [left, right] = [pair.left.delivered.length, pair.right.delivered.length];
      const mark = pair.world.eve.mark();

      for (let round = 0; round < 10; round += 1) {
        for (const datagram of captured) pair.world.eve.replay(datagram);
        pair.world.advance(100);
      }

      expect([pair.left.delivered.length, pair.right.delivered.length]).toEqual([left, right]);
      expect(computations(pair)).toEqual(before);
      expectFewAnswers(pair.world.eve.since(mark), captured);
    },
  );

  it.each([1, 2, 3, 4])(
    "replayed from other addresses (run %i) moves no endpoint and answers no more",
    (run) => {
      const before = [endpointOf(pair.left), endpointOf(pair.right)];
      const digests = [stateDigest(pair.left), stateDigest(pair.right)];
      const mark = pair.world.eve.mark();

      for (const datagram of captured) {
        pair.world.eve.replay(datagram, { ip: `203.0.113.${run}`, port: 1194 });
      }
      pair.world.settle();

      expect([endpointOf(pair.left), endpointOf(pair.right)]).toEqual(before);
      expect([stateDigest(pair.left), stateDigest(pair.right)]).toEqual(digests);
      expectFewAnswers(pair.world.eve.since(mark), captured);
      expect(dropsOf(pair.right).replayed).toBeGreaterThan(50);
    },
  );

  it("replayed after a restart of the responder does not keep the real peer out", () => {
    pair.right.restart();
    const stop = pair.world.every(5, (index) => {
      const datagram = captured[index % captured.length];
      if (datagram !== undefined) pair.world.eve.replay(datagram);
    });
    const traffic = exchange(pair, 50);

    const took = pair.world.until("traffic", () => pair.right.delivered.length > 0, 20_000);
    stop();
    traffic.stop();

    expect(took).toBeLessThanOrEqual(17_000);
  });

  it("has old INITs that cost nothing even after the peer came back with an old clock", () => {
    pair.left.stop();
    pair.left.wallOffsetMicros = -365 * 86_400e6;
    pair.left.start();
    connect(pair, 5_000);
    const before = computations(pair);

    for (const datagram of captured) pair.world.eve.replay(datagram);
    pair.world.advance(100);

    expect(computations(pair)).toEqual(before);
  });
});

describe("one INIT", () => {
  it("seen many times from anywhere draws at most 3 answers there, and one is kept for the peer's own endpoint", () => {
    const pair = newPair();
    const { world } = pair;
    world.eve.withhold = ({ by }) => by === "left";
    pingRight(pair);
    world.advance(0);
    const init = world.eve.last("left", TYPE.INIT);

    for (let copy = 0; copy < 20; copy += 1) world.eve.replay(init, EVE);
    world.settle();
    const toEve = world.eve
      .sentBy("right", TYPE.CHALLENGE)
      .filter(({ to }) => to.ip === EVE.ip).length;
    for (let copy = 0; copy < 20; copy += 1) world.eve.replay(init, LEFT);
    world.settle();
    const toLeft = world.eve
      .sentBy("right", TYPE.CHALLENGE)
      .filter(({ to }) => to.ip === LEFT.ip).length;

    expect(toEve).toBe(3);
    expect(toLeft).toBe(1);
    const others = world.eve.sentBy("right").filter(({ bytes }) => typeOf(bytes) !== TYPE.INIT);
    expect(others).toHaveLength(4);
  });

  it("that was answered draws the very same RESP again, so that a lost one is made good", () => {
    const pair = newClientPair();
    connect(pair);
    const init = pair.world.eve.last("left", TYPE.INIT);
    const resp = pair.world.eve.last("right", TYPE.RESP);
    const mark = pair.world.eve.mark();

    pair.world.eve.replay(init);
    pair.world.settle();

    expect(pair.world.eve.since(mark).map(({ bytes }) => bytes)).toEqual([resp.bytes]);
    expect(pair.right.snapshot().handshakeComputations).toBe(1);
  });

  it("recorded long ago is challenged by a restarted receiver, and a stale cookie does not pass", () => {
    const pair = newClientPair();
    connect(pair);
    const withCookie = pair.world.eve.last("left", TYPE.INIT);
    pair.right.restart();
    const mark = pair.world.eve.mark();

    pair.world.eve.replay(withCookie);
    pair.world.settle();

    expect(pair.world.eve.since(mark).map(({ bytes }) => typeOf(bytes))).toEqual([TYPE.CHALLENGE]);
    expect(pair.right.snapshot().handshakeComputations).toBe(0);
  });
});

describe("a fresh INIT that Eve took from the wire", () => {
  it.each([EVE, { ip: LEFT.ip, port: LEFT.port + 1 }])(
    "with a cookie costs no DH when it comes from %o, where the cookie was not sent, and keeps no one out",
    (from) => {
      const pair = newClientPair();
      const { world, right } = pair;
      world.eve.withhold = ({ by, bytes }) =>
        by === "left" && bytes.subarray(88, 104).some((byte) => byte !== 0);
      world.advance(50);
      const init = world.eve.last("left", TYPE.INIT);
      const mark = world.eve.mark();

      world.eve.replay(init, from);
      world.settle();

      expect(world.eve.since(mark).map(({ bytes }) => typeOf(bytes))).toEqual([TYPE.CHALLENGE]);
      expect(right.snapshot().handshakeComputations).toBe(0);
      world.eve.replay(init);
      world.settle();
      expect(right.snapshot().handshakeComputations).toBe(1);
      expect(typeOf(world.eve.last("right", TYPE.RESP).bytes)).toBe(TYPE.RESP);
    },
  );

  it("costs no DH later, below a floor that does not fall with its sender's clock", () => {
    const pair = newClientPair();
    const { world, left, right } = pair;
    connect(pair);
    // Late enough for the cookie of the first handshake to ride no more.
    world.eve.withhold = ({ at }) => at < 130_000;
    world.advance(129_000);
    const taken = world.eve.last("left", TYPE.INIT);
    world.until("a later INIT is confirmed", () => peerOf(right).counters.sessions === 2, 10_000);
    left.stop();
    left.wallOffsetMicros = -365 * 86_400e6;
    left.start();
    world.until("the old clock is let in", () => peerOf(right).counters.sessions === 3, 5_000);
    world.advance(1_000);
    const before = right.snapshot().handshakeComputations;

    world.eve.replay(taken);
    world.settle();

    expect(right.snapshot().handshakeComputations).toBe(before);
    expect(dropsOf(right).challenged).toBeGreaterThan(0);
  });
});

describe("reflection", () => {
  const restart = ({ left, right }: Pair) => {
    left.restart();
    right.restart();
  };
  const forget = ({ leftSite, rightSite, left, right }: Pair) => {
    leftSite.forgetNodeId();
    rightSite.forgetNodeId();
    left.restart();
    right.restart();
  };
  it.each<[string, (pair: Pair) => void]>([
    ["while both run", () => {}],
    ["right after a restart of its sender", restart],
    [
      "after its sender restarted and came up",
      (pair) => {
        restart(pair);
        connect(pair, 5_000);
      },
    ],
    ["after a restart that lost the node id", forget],
    [
      "after its sender lost its node id and came up",
      (pair) => {
        forget(pair);
        connect(pair, 5_000);
      },
    ],
  ])(
    "M6 of every message to its sender %s confirms no session and moves nothing",
    (when, prepare) => {
      const pair = newPair();
      const captured = captureSession(pair);
      const inits = captured.filter(({ bytes }) => typeOf(bytes) === TYPE.INIT).length;
      prepare(pair);
      pair.world.eve.withhold = () => true;
      pair.world.settle();
      const before = standOf(pair);
      const mark = pair.world.eve.mark();

      for (const datagram of captured) pair.world.eve.reflect(datagram);
      pair.world.settle();

      const replies = pair.world.eve.since(mark);
      const confirmed = sum(standOf(pair).sessions) - sum(before.sessions);
      const measured = `${confirmed} sessions confirmed, endpoints and floors ${isSame(standOf(pair), before) ? "unchanged" : "changed"}, ${replies.length} replies`;
      figure("M6", `${captured.length} messages reflected ${when}`, measured, "0, unchanged");
      expect(standOf(pair)).toEqual(before);
      // A host that forgot who it was asks a stranger to prove its address, and no more.
      const isForgotten = when.includes("node id");
      expect(replies.every(({ bytes }) => isForgotten && typeOf(bytes) === TYPE.CHALLENGE)).toBe(
        true,
      );
      expect(replies.length).toBeLessThanOrEqual(isForgotten ? inits : 0);
      const own = [pair.left, pair.right].map((host) => dropsOf(host).own_node ?? 0);
      if (!isForgotten) expect(sum(own)).toBeGreaterThanOrEqual(inits);
    },
  );

  it("M6 of a live handshake, both ways, never brings a host up with itself", () => {
    const pair = newPair();
    const { world } = pair;
    world.eve.withhold = (datagram) => {
      world.in(1, () => world.eve.reflect(datagram));
      return true;
    };
    exchange(pair, 500);

    world.advance(20_000);

    expect([isUp(pair.left), isUp(pair.right)]).toEqual([false, false]);
    expect([pair.left.delivered, pair.right.delivered]).toEqual([[], []]);
    expect([...eventsOf(pair.left, "session"), ...eventsOf(pair.right, "session")]).toEqual([]);
    expect([floorsOf(pair.left), floorsOf(pair.right)]).toEqual([[], []]);
  });
});

it("two copies of one packet in the same batch deliver one", () => {
  const pair = newClientPair();
  connect(pair);
  pair.world.eve.withhold = ({ bytes }) => bytes.length > SIZE.KEEPALIVE && bytes[0] === TYPE.DATA;
  pingRight(pair);
  pair.world.advance(0);
  const ping = pair.world.eve.last("left", TYPE.DATA);

  for (let copy = 0; copy < 5; copy += 1) pair.world.eve.replay(ping);
  pair.world.settle();

  expect(pair.right.delivered).toHaveLength(1);
  expect(dropsOf(pair.right).replayed).toBe(4);
});

it("a message of one pair means nothing to another pair, nor one direction's data to the other", () => {
  const pair = newClientPair();
  const captured = captureSession(pair);
  const other = newClientPair({ seed: 2 });
  connect(other);
  const digests = [stateDigest(other.left), stateDigest(other.right)];
  const mark = other.world.eve.mark();

  for (const { bytes } of captured) {
    other.world.eve.inject(LEFT, bytes, RIGHT);
    other.world.eve.inject(RIGHT, bytes, LEFT);
  }
  other.world.settle();

  expect([stateDigest(other.left), stateDigest(other.right)]).toEqual(digests);
  expect(other.world.eve.since(mark)).toEqual([]);
});

/** Handshake, 100 packets each way and a rekey, on the wire; both delivery lists are emptied. */
function captureSession(pair: Pair): Datagram[] {
  connect(pair);
  const traffic = exchange(pair, 10);
  pair.world.advance(500);
  pair.left.act((tunnel, now) => tunnel.rekey("right", now));
  pair.world.advance(500);
  traffic.stop();
  pingLeft(pair);
  pair.world.advance(100);
  return pair.world.eve.seen.slice();
}

/** What reflected messages must leave alone on both sides. */
function standOf({ left, right }: Pair) {
  const hosts = [left, right];
  return {
    sessions: hosts.map((host) => peerOf(host).counters.sessions),
    endpoints: hosts.map((host) => endpointOf(host)),
    floors: hosts.map(floorsOf),
    digests: hosts.map(stateDigest),
    delivered: hosts.map((host) => host.delivered.length),
  };
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function computations({ left, right }: Pair): number[] {
  return [left, right].map((host: Host) => host.snapshot().handshakeComputations);
}

/** Only answers to INITs, at most 4 each, none longer; a restarted host may start handshakes of its own. */
function expectFewAnswers(sent: readonly Datagram[], captured: readonly Datagram[]): void {
  const inits = captured.filter(({ bytes }) => typeOf(bytes) === TYPE.INIT);
  const answers = sent.filter(({ bytes }) => typeOf(bytes) !== TYPE.INIT);
  expect(answers.filter(({ bytes }) => typeOf(bytes) === TYPE.DATA)).toEqual([]);
  expect(answers.length).toBeLessThanOrEqual(4 * inits.length);
  expect(answers.every(({ bytes }) => bytes.length <= SIZE.INIT)).toBe(true);
  const old = inits.map(({ bytes }) => Buffer.from(bytes).toString("hex"));
  expect(sent.filter(({ bytes }) => old.includes(Buffer.from(bytes).toString("hex")))).toEqual([]);
}
