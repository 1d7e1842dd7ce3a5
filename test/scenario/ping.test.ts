/** Probes that an operator asks for: what they tell, and what they leave alone. */
import { describe, expect, it } from "vitest";
import { PROBES_AWAITED } from "../../src/core/constants.ts";
import type { PingAnswer } from "../../src/core/options.ts";
import { endpointText } from "../helpers/address.ts";
import { bringUp, newGroup, nodesOf } from "../sim/group.ts";
import type { Host } from "../sim/host.ts";
import { connect, exchange, peerOf } from "../sim/observe.ts";
import { newClientPair, newPair } from "../sim/pair.ts";

/** What the tunnel says at once. */
function ping(host: Host, name: string, tag = 1): string | undefined {
  let refusal: string | undefined;
  host.act((tunnel, now) => {
    refusal = tunnel.ping(name, tag, now);
  });
  return refusal;
}

function answersOf({ tunnel }: Host): PingAnswer[] {
  const answers: PingAnswer[] = [];
  for (let next = tunnel.pollAnswer(); next !== undefined; next = tunnel.pollAnswer()) {
    answers.push(next);
  }
  return answers;
}

describe("a ping", () => {
  it("is answered with its tag, the endpoint and the round-trip time, from either side", () => {
    const pair = newClientPair();
    connect(pair);
    pair.world.link(pair.left, pair.right, { delayMs: 35 });

    expect(ping(pair.left, "right", 7)).toBeUndefined();
    expect(ping(pair.right, "left", 8)).toBeUndefined();
    pair.world.advance(100);

    const [answer] = answersOf(pair.left);
    expect(answer).toMatchObject({ tag: 7, bytes: 64, roundTripMs: 45 });
    expect(answer && endpointText(answer.endpoint)).toBe("198.51.100.1:1194");
    expect(answersOf(pair.right)).toMatchObject([{ tag: 8, roundTripMs: 45 }]);
    expect(answersOf(pair.left)).toEqual([]);
  });

  it("that is lost is never answered, and one copied on the way once", () => {
    const pair = newClientPair();
    connect(pair);
    pair.world.link(pair.left, pair.right, { loss: 1 });
    ping(pair.left, "right", 1);
    pair.world.advance(100);
    pair.world.link(pair.left, pair.right, { loss: 0, duplicate: 1 });
    ping(pair.left, "right", 2);
    pair.world.advance(3_000);

    expect(answersOf(pair.left).map(({ tag }) => tag)).toEqual([2]);
  });

  it("says why there is none, and starts a handshake where it can", () => {
    const pair = newClientPair();
    pair.world.link(pair.left, pair.right, { loss: 1 });
    pair.world.advance(200_000);

    expect(ping(pair.left, "nobody")).toBe("no-peer");
    expect(ping(pair.right, "left")).toBe("no-endpoint");
    expect(peerOf(pair.left).state).toBe("idle");
    expect(ping(pair.left, "right")).toBe("no-session");
    pair.world.link(pair.left, pair.right, { loss: 0 });
    pair.world.advance(1_000);
    expect(ping(pair.left, "right")).toBeUndefined();
  });

  it("finds a node of a group by its name, and not the group", () => {
    const group = newGroup();
    bringUp(group);
    const [node] = nodesOf(group.hub);

    expect(ping(group.hub, "branch")).toBe("group");
    expect(ping(group.hub, node?.name ?? "")).toBeUndefined();
    group.world.advance(100);
    expect(answersOf(group.hub)).toHaveLength(1);
  });

  it("tells neither link quality nor the path MTU anything", () => {
    const site = { measuresQuality: true, pathMtu: {} };
    const pair = newPair({ left: site, right: site });
    connect(pair);
    const { stop } = exchange(pair, 200);
    pair.world.advance(5_000);
    const before = [peerOf(pair.left).quality.roundTrip?.p95, peerOf(pair.left).pathMtu];
    pair.world.link(pair.left, pair.right, { delayMs: 400 });
    ping(pair.left, "right");
    pair.world.advance(1);
    pair.world.link(pair.left, pair.right, { delayMs: 10 });
    pair.world.advance(5_000);
    stop();

    expect(answersOf(pair.left)[0]?.roundTripMs).toBe(410);
    expect([peerOf(pair.left).quality.roundTrip?.p95, peerOf(pair.left).pathMtu]).toEqual(before);
    expect(peerOf(pair.left).quality.outboundLoss).toBe(0);
  });

  it("that nobody reads the answer of is forgotten for later ones", () => {
    const pair = newClientPair();
    connect(pair);
    for (let tag = 0; tag < 2 * PROBES_AWAITED; tag += 1) {
      ping(pair.left, "right", tag);
      pair.world.advance(50);
    }

    const tags = answersOf(pair.left).map(({ tag }) => tag);
    expect(tags).toHaveLength(PROBES_AWAITED);
    expect(tags.at(-1)).toBe(2 * PROBES_AWAITED - 1);
  });
});
