/** Several endpoints of one peer: the next when the one in use dies, the preferred one when it lives (rule 19). */
import { describe, expect, it } from "vitest";
import { endpoint } from "../helpers/address.ts";
import { connect, endpointOf, eventsOf, exchange, peerOf, pingRight } from "../sim/observe.ts";
import { newPair, type Pair, type PairOptions, RIGHT } from "../sim/pair.ts";

const SECOND = { ip: "203.0.113.1", port: 1194 };
const THIRD = { ip: "203.0.113.2", port: 1194 };

/** The right host has two addresses, both of which the left one knows; the right one learns. */
function newTwoHomed(options: PairOptions = {}): Pair {
  const pair = newPair({
    right: { addresses: [RIGHT.ip, SECOND.ip] },
    leftPeer: { endpoints: [RIGHT, SECOND] },
    rightPeer: { endpoints: [] },
    ...options,
  });
  connect(pair);
  return pair;
}

/** What goes to or comes from an address is lost, without a word. */
function kill({ world }: Pair, ip: string): void {
  world.eve.withhold = ({ from, to }) => from.ip === ip || to.ip === ip;
}

function revive({ world }: Pair): void {
  world.eve.withhold = () => false;
}

/** Milliseconds until a packet arrives at the left again. */
function untilBack({ world, left }: Pair, limitMs: number): number {
  const before = left.delivered.length;
  return world.until("a packet from the right", () => left.delivered.length > before, limitMs);
}

describe("an endpoint that dies silently", () => {
  it.each([2_000, 500])("is left within failover_ms (%i) and a round trip", (failoverMs) => {
    const pair = newTwoHomed({ leftPeer: { endpoints: [RIGHT, SECOND], failoverMs } });
    const { stop } = exchange(pair, 20);
    pair.world.advance(1_000);
    pair.left.delivered.length = 0;

    kill(pair, RIGHT.ip);
    // What is under way still arrives.
    pair.world.advance(21);
    const took = untilBack(pair, 10_000) + 21;
    stop();

    expect(took).toBeLessThanOrEqual(failoverMs + 20 + 45);
    expect(endpointOf(pair.left)).toBe(`${SECOND.ip}:1194`);
    expect(eventsOf(pair.left, "dead")).toHaveLength(1);
  });

  it("is left too where the other endpoint is another host that knows no session", () => {
    const pair = newTwoHomed({ right: {}, leftPeer: { endpoints: [RIGHT, SECOND] } });
    const { stop } = exchange(pair, 20);
    pair.world.advance(500);

    kill(pair, RIGHT.ip);
    pair.right.move([SECOND.ip]);
    pair.right.restart();
    pair.world.advance(30);
    const took = untilBack(pair, 10_000);
    stop();

    expect(took).toBeLessThanOrEqual(2_000 + 100);
    expect(endpointOf(pair.left)).toBe(`${SECOND.ip}:1194`);
  });

  it("that is one of three is left for the one that lives", () => {
    const pair = newTwoHomed({ leftPeer: { endpoints: [RIGHT, THIRD, SECOND] } });
    const { stop } = exchange(pair, 20);
    pair.world.advance(500);

    kill(pair, RIGHT.ip);
    pair.world.advance(30);
    const took = untilBack(pair, 10_000);
    stop();

    expect(took).toBeLessThanOrEqual(2_100);
    expect(endpointOf(pair.left)).toBe(`${SECOND.ip}:1194`);
  });

  it("is left where only one side sends, and the other answers nothing by itself", () => {
    const pair = newTwoHomed();
    pair.world.advance(30_000);
    kill(pair, RIGHT.ip);
    const stop = pair.world.every(50, () => pingRight(pair));
    const took = pair.world.until(
      "the other endpoint",
      () => endpointOf(pair.left) === `${SECOND.ip}:1194`,
      10_000,
    );
    stop();

    expect(took).toBeLessThanOrEqual(2_100);
  });

  it("is used again when it lives, after three answers, and nothing is lost by that", () => {
    const pair = newTwoHomed();
    const { stop, sent } = exchange(pair, 50);
    pair.world.advance(500);
    kill(pair, RIGHT.ip);
    pair.world.advance(5_000);
    expect(endpointOf(pair.left)).toBe(`${SECOND.ip}:1194`);
    const [before, delivered] = [sent(), pair.left.delivered.length];

    revive(pair);
    const took = pair.world.until(
      "the preferred endpoint",
      () => endpointOf(pair.left) === `${RIGHT.ip}:1194`,
      20_000,
    );
    pair.world.advance(2_000);
    stop();
    pair.world.advance(100);

    expect(took).toBeGreaterThan(2_000);
    expect(took).toBeLessThanOrEqual(13_000);
    expect(pair.left.delivered.length - delivered).toBeGreaterThanOrEqual(sent() - before - 1);
  });
});

describe("an endpoint is kept", () => {
  it("while it answers, however little it sends", () => {
    const pair = newTwoHomed();
    const stop = pair.world.every(700, () => pingRight(pair));
    pair.world.advance(60_000);
    stop();

    expect(eventsOf(pair.left, "dead")).toEqual([]);
    expect(peerOf(pair.left).counters.endpointMoves).toBe(0);
  });

  it("where nothing is sent, and where there is no other", () => {
    const quiet = newTwoHomed();
    kill(quiet, RIGHT.ip);
    quiet.world.advance(30_000);
    expect(eventsOf(quiet.left, "dead")).toEqual([]);

    const single = newTwoHomed({ leftPeer: { endpoints: [RIGHT] } });
    exchange(single, 50);
    kill(single, RIGHT.ip);
    single.world.advance(30_000);
    expect(eventsOf(single.left, "dead")).toEqual([]);
  });

  it("where all are dead: it is tried on and on, and comes back", () => {
    const pair = newTwoHomed();
    const { stop } = exchange(pair, 100);
    pair.world.advance(500);
    pair.world.eve.withhold = () => true;
    pair.world.advance(60_000);
    const mark = pair.world.eve.mark();
    pair.world.advance(5_000);
    expect(pair.world.eve.seen.slice(mark).filter(({ by }) => by === "left").length).toBeLessThan(
      150,
    );
    expect(eventsOf(pair.left, "dead")).toHaveLength(1);

    revive(pair);
    const took = untilBack(pair, 20_000);
    stop();

    expect(took).toBeLessThanOrEqual(6_500);
  });

  it("by the answer of one that is not configured, or that comes from elsewhere", () => {
    const pair = newTwoHomed();
    const { stop } = exchange(pair, 20);
    pair.world.advance(500);
    kill(pair, RIGHT.ip);
    pair.world.advance(2_100);
    stop();

    expect(eventsOf(pair.left, "endpoint").map(({ to }) => to.port)).toEqual([1194, 1194]);
  });
});

describe("names that resolve anew", () => {
  it("replace the endpoint in use when one of theirs answers, and not before", () => {
    const pair = newTwoHomed({ leftPeer: { endpoints: [RIGHT] } });
    const { stop } = exchange(pair, 50);
    pair.world.advance(500);
    const set = (ip: string) =>
      pair.left.act((tunnel, now) => tunnel.setEndpoints("right", [endpoint(ip, 1194)], now));

    set(THIRD.ip);
    pair.world.advance(30_000);
    expect(endpointOf(pair.left)).toBe(`${RIGHT.ip}:1194`);
    set(SECOND.ip);
    pair.world.advance(15_000);
    stop();

    expect(endpointOf(pair.left)).toBe(`${SECOND.ip}:1194`);
    expect(peerOf(pair.left).counters.sessions).toBe(1);
  });
});
