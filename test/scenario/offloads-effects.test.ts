/**
 * What a run of datagrams (UDP_GRO) does to a session, its peer's endpoint and timers: as much as its datagrams
 * would do one by one, and each thing once.
 *
 * Each datagram's own fate is in offloads-runs.test.ts.
 */
import { describe, expect, it } from "vitest";
import type { Roaming } from "../../src/core/options.ts";
import { concat } from "../helpers/packet-builder.ts";
import { udpPacket } from "../helpers/packets.ts";
import { DATA_OVERHEAD, flipBit, SIZE, TYPE } from "../helpers/wire-view.ts";
import { EVE } from "../sim/eve.ts";
import { dropsDuring, frame, receiveRun, sealed } from "../sim/forged-runs.ts";
import { endpointOf, eventsOf, isUp, peerOf, sessionIn } from "../sim/observe.ts";
import { INNER, LEFT, RIGHT } from "../sim/pair.ts";
import {
  bare,
  chargedOf,
  connected,
  costOfOneInit,
  keepalivesSince,
  marksOf,
  packets,
  pick,
  unconfirmed,
} from "../sim/run-fixtures.ts";

const NEW_PLACE = { ip: "203.0.113.5", port: 5_555 };
/** Bytes of a plaintext whose datagram is as long as an INIT, and as a RESP. */
const AS_INIT = SIZE.INIT - DATA_OVERHEAD;
const AS_RESP = SIZE.RESP - DATA_OVERHEAD;

describe("the first data of a new session at the start of a run", () => {
  it("confirms it, draws one keepalive, and the rest of the run is delivered", () => {
    const { pair, run } = unconfirmed();
    const mark = pair.world.eve.mark();

    expect(receiveRun(pair.right, LEFT, run)).toEqual({});
    pair.world.advance(200);

    expect(pair.right.delivered).toHaveLength(run.length);
    expect(eventsOf(pair.right, "session")).toHaveLength(1);
    expect(peerOf(pair.right).counters.sessions).toBe(1);
    const answers = pair.world.eve.since(mark, TYPE.DATA).filter(({ by }) => by === "right");
    expect(answers.map(({ bytes }) => bytes.length)).toEqual([SIZE.KEEPALIVE]);
    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
  });

  it("and forged copies before it confirm nothing", () => {
    const { pair, run } = unconfirmed();
    const forged = run.map((datagram) => flipBit(datagram, 8 * 50));

    expect(receiveRun(pair.right, LEFT, forged)).toEqual({ forged: run.length });
    expect(isUp(pair.right)).toBe(false);
    expect(receiveRun(pair.right, LEFT, [...forged.slice(0, 1), ...run])).toEqual({ forged: 1 });
    expect(isUp(pair.right)).toBe(true);
  });

  it("draws a passive keepalive after 10 s for what came behind it, where nothing else is sent", () => {
    const { pair, run } = unconfirmed();
    receiveRun(pair.right, LEFT, run);
    pair.world.settle();
    const mark = pair.world.eve.mark();

    pair.world.advance(10_001);

    expect(keepalivesSince(pair, mark)).toBe(1);
  });
});

describe("the passive keepalive after a run", () => {
  it.each<[string, (size: number) => readonly Uint8Array[]]>([
    ["of packets", () => packets(3)],
    ["that begins with a frame of unknown type", (size) => [frame(9, size), ...packets(2)]],
    ["that begins with a probe", (size) => [frame(4, size), ...packets(2)]],
    ["that ends with an empty keepalive", () => [...packets(2), new Uint8Array(0)]],
    [
      "with an answered probe between its packets",
      (size) => [...packets(1), frame(4, size), ...packets(1)],
    ],
  ])("%s is sent once after 10 s", (_, plaintexts) => {
    const pair = connected();
    const size = packets(1)[0]?.length ?? 0;
    receiveRun(pair.right, LEFT, sealed(pair.leftSite, plaintexts(size)));
    pair.world.settle();
    const mark = pair.world.eve.mark();

    pair.world.advance(10_001);

    expect(keepalivesSince(pair, mark)).toBe(1);
  });

  it.each([[[frame(9, 60), frame(9, 60)]], [[new Uint8Array(0), new Uint8Array(0)]]])(
    "is not sent where no packet was in it",
    (plaintexts) => {
      const pair = connected();
      receiveRun(pair.right, LEFT, sealed(pair.leftSite, plaintexts));
      pair.world.settle();
      const mark = pair.world.eve.mark();

      pair.world.advance(10_001);

      expect(keepalivesSince(pair, mark)).toBe(0);
    },
  );
});

describe("a run from a new address", () => {
  it("moves the endpoint once, where roaming is on", () => {
    const pair = connected({ roaming: "on" });

    receiveRun(pair.right, NEW_PLACE, sealed(pair.leftSite, packets(8)));
    pair.world.settle();

    expect(endpointOf(pair.right)).toBe("203.0.113.5:5555");
    expect(peerOf(pair.right).counters.endpointMoves).toBe(1);
    expect(eventsOf(pair.right, "endpoint").at(-1)?.to.port).toBe(5_555);
    expect(marksOf(pair.right)).toHaveLength(8);
  });

  it("draws one challenge, where roaming is validated", () => {
    const pair = connected();
    const mark = pair.world.eve.mark();

    receiveRun(pair.right, NEW_PLACE, sealed(pair.leftSite, packets(8)));
    pair.world.settle();

    const sent = pair.world.eve.since(mark).filter(({ to }) => to.ip === NEW_PLACE.ip);
    expect(sent.map(({ bytes }) => bytes.length)).toEqual([41]);
    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
  });

  it.each<Roaming>(["on", "validated"])(
    "moves nothing where every counter in it is below the highest (roaming %s)",
    (roaming) => {
      const pair = connected({ roaming });
      const fresh = sealed(pair.leftSite, packets(8));
      receiveRun(pair.right, LEFT, fresh.slice(7));
      const mark = pair.world.eve.mark();

      receiveRun(pair.right, NEW_PLACE, fresh.slice(0, 7));
      pair.world.settle();

      expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
      expect(pair.world.eve.since(mark).filter(({ to }) => to.ip === NEW_PLACE.ip)).toEqual([]);
      expect(marksOf(pair.right)).toHaveLength(8);
    },
  );

  it("moves the endpoint where only its last datagram has the highest counter", () => {
    const pair = connected({ roaming: "on" });
    const fresh = sealed(pair.leftSite, packets(5));
    receiveRun(pair.right, LEFT, fresh.slice(3, 4));

    receiveRun(pair.right, NEW_PLACE, pick(fresh, [0, 1, 2, 4]));

    expect(endpointOf(pair.right)).toBe("203.0.113.5:5555");
    expect(peerOf(pair.right).counters.endpointMoves).toBe(1);
  });

  it("moves nothing by forged and replayed datagrams before or behind old ones", () => {
    const pair = connected({ roaming: "on" });
    const fresh = sealed(pair.leftSite, packets(5));
    receiveRun(pair.right, LEFT, fresh.slice(1, 4));
    const forged = sealed(pair.leftSite, packets(1), 5_000).map((one) => flipBit(one, 8 * 20));

    const run = [...forged, ...pick(fresh, [1, 0, 2]), ...forged];
    expect(receiveRun(pair.right, NEW_PLACE, run)).toEqual({ forged: 2, replayed: 2 });
    expect(endpointOf(pair.right)).toBe("192.0.2.1:1194");
  });

  it("two runs from two addresses in one batch: the endpoint is where the highest counter came from", () => {
    const pair = connected({ roaming: "on" });
    const fresh = sealed(pair.leftSite, packets(6));
    const size = fresh[0]?.length ?? 0;

    pair.right.receiveRun(NEW_PLACE, size, concat(...fresh.slice(3)));
    pair.right.receiveRun(EVE, size, concat(...fresh.slice(0, 3)));
    pair.right.turn();

    expect(endpointOf(pair.right)).toBe("203.0.113.5:5555");
    expect(marksOf(pair.right)).toEqual([3, 4, 5, 0, 1, 2]);
  });

  it("with the answer to a challenge in it moves the endpoint, once", () => {
    const pair = connected();
    const { world, left, right } = pair;
    left.move(["192.0.2.99"]);
    left.send(...Array.from({ length: 3 }, (_, mark) => bare({ mark })));
    world.advance(500);

    expect(endpointOf(right)).toBe("192.0.2.99:1194");
    expect(peerOf(right).counters.endpointMoves).toBe(1);
  });
});

describe("control frames in a run", () => {
  it("a probe among packets of its size is answered once", () => {
    const pair = connected();
    const [first, last] = packets(2);
    const size = first?.length ?? 0;
    const mark = pair.world.eve.mark();

    const run = [first, frame(4, size), last].flatMap((one) => one ?? []);
    expect(receiveRun(pair.right, LEFT, sealed(pair.leftSite, run))).toEqual({});
    pair.world.settle();

    expect(marksOf(pair.right)).toEqual([0, 1]);
    const sent = pair.world.eve.since(mark).filter(({ by }) => by === "right");
    expect(sent.map(({ bytes }) => bytes.length)).toEqual([37]);
  });

  it("a close at the end of a run ends the session; what the batch holds behind it is dropped", () => {
    const pair = connected();
    const fresh = sealed(pair.leftSite, [...packets(2), frame(3, 2)]);
    const late = sealed(pair.leftSite, packets(3), 2_000);

    const drops = dropsDuring(pair.right, () => {
      for (const run of [fresh, late]) {
        pair.right.receiveRun(LEFT, run[0]?.length ?? 0, concat(...run));
      }
      pair.right.turn();
    });

    expect(drops).toEqual({ expired_session: 3 });
    expect(marksOf(pair.right)).toEqual([0, 1]);
    expect(sessionIn(pair.right, "current")).toBeUndefined();
    expect(isUp(pair.right)).toBe(false);
  });

  it("a close in the middle of a run of its size ends the session before the frames behind it", () => {
    const pair = connected();
    const run = sealed(pair.leftSite, [frame(9, 2), frame(3, 2), frame(9, 2), frame(9, 2)]);

    expect(receiveRun(pair.right, LEFT, run)).toEqual({ expired_session: 2 });
    expect(isUp(pair.right)).toBe(false);
  });

  it("a close of the new session in a run ends the old one too; its data behind it in the run is dropped", () => {
    const pair = connected();
    const old = sealed(pair.leftSite, [frame(9, 2)]);
    pair.left.act((tunnel, now) => tunnel.rekey("right", now));
    pair.world.advance(1_000);
    const close = sealed(pair.leftSite, [frame(3, 2)]);

    expect(receiveRun(pair.right, LEFT, [...close, ...old])).toEqual({ expired_session: 1 });

    expect(isUp(pair.right)).toBe(false);
    expect(peerOf(pair.right).sessions).toEqual([]);
  });
});

describe("a handshake message in a run", () => {
  it("an INIT between data of its size is answered, and the data delivered", () => {
    const pair = connected();
    const { world, left, right } = pair;
    world.eve.withhold = ({ by, bytes }) => by === "left" && bytes[0] === TYPE.INIT;
    left.act((tunnel, now) => tunnel.rekey("right", now));
    world.settle();
    const init = world.eve.last("left", TYPE.INIT).bytes;
    world.eve.withhold = () => false;
    const data = sealed(pair.leftSite, packets(2, { size: AS_INIT }));

    expect(receiveRun(right, LEFT, [...data.slice(0, 1), init, ...data.slice(1)])).toEqual({});
    world.advance(1_000);

    expect(marksOf(right)).toEqual([0, 1]);
    expect([peerOf(left).counters.sessions, peerOf(right).counters.sessions]).toEqual([2, 2]);
  });

  it("an INIT that came twice in a run is looked at once", () => {
    const pair = connected();
    const { world, left, right } = pair;
    world.eve.withhold = () => true;
    left.act((tunnel, now) => tunnel.rekey("right", now));
    world.settle();
    const init = world.eve.last("left", TYPE.INIT).bytes;
    const { handshakeComputations } = right.snapshot();

    expect(receiveRun(right, LEFT, [init, init, init])).toEqual({ replayed_init: 2 });
    expect(right.snapshot().handshakeComputations - handshakeComputations).toBe(costOfOneInit());
  });

  it("a RESP between data of its size starts the session, after that data was opened", () => {
    const pair = connected();
    const { world, left, right } = pair;
    world.eve.withhold = ({ by, bytes }) => by === "right" && bytes[0] === TYPE.RESP;
    right.send(udpPacket(INNER.right, INNER.left, Uint8Array.of(1)));
    left.act((tunnel, now) => tunnel.rekey("right", now));
    world.advance(20);
    const resp = world.eve.last("right", TYPE.RESP).bytes;
    world.eve.withhold = () => false;
    left.delivered.length = 0;
    const data = sealed(
      pair.rightSite,
      packets(2, { source: INNER.right, destination: INNER.left, size: AS_RESP }),
    );

    expect(receiveRun(left, RIGHT, [...data.slice(0, 1), resp, ...data.slice(1)])).toEqual({});

    expect(marksOf(left)).toEqual([0, 1]);
    expect(peerOf(left).counters.sessions).toBe(2);
  });

  it("forged INITs in a run are each dropped and charged", () => {
    const pair = connected();
    const charged = chargedOf(pair.right);
    const init = flipBit(pair.world.eve.last("left", TYPE.INIT).bytes, 8 * 90);

    expect(receiveRun(pair.right, EVE, [init, init, init])).toEqual({ bad_mac: 3 });
    expect(chargedOf(pair.right) - charged).toBe(3);
    expect(eventsOf(pair.right, "stranger")).toHaveLength(1);
  });
});
