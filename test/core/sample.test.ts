/** The figures of each peer that are looked at every second. */
import { expect, it } from "vitest";
import { SAMPLE, SAMPLE_FIELDS } from "../../src/core/sample.ts";
import { bringUp, newGroup, nodesOf, say } from "../sim/group.ts";
import { connect, exchange, peerOf } from "../sim/observe.ts";
import { newPair } from "../sim/pair.ts";

it("a sample has a peer's bytes, round-trip time and loss as the snapshot has them", () => {
  const pair = newPair({ crypto: "stub" });
  connect(pair);
  const traffic = exchange(pair, 20);
  pair.world.advance(3_000);
  traffic.stop();
  const { counters, quality } = peerOf(pair.left);

  const { names, figures } = pair.left.tunnel.sample();

  expect(names).toEqual(["right"]);
  expect(counters.inboundBytes).toBeGreaterThan(0);
  expect(figures[SAMPLE.inboundBytes]).toBe(counters.inboundBytes);
  expect(figures[SAMPLE.outboundBytes]).toBe(counters.outboundBytes);
  expect(figures[SAMPLE.roundTripMs]).toBe(quality.roundTrip?.smoothed ?? Number.NaN);
  expect(figures[SAMPLE.outboundLoss]).toBe(quality.outboundLoss ?? Number.NaN);
  expect(figures[SAMPLE.inboundLoss]).toBe(quality.inboundLoss ?? Number.NaN);
});

it("a sample has the nodes of a group, and not its own entry", () => {
  const group = newGroup({ sites: 2, crypto: "stub" });
  bringUp(group);
  const [first] = group.sites;
  if (first !== undefined) say(first, "10.77.0.1");
  group.world.advance(100);

  const { names, figures } = group.hub.tunnel.sample();

  expect(names).toEqual(nodesOf(group.hub).map(({ name }) => name));
  expect(figures).toHaveLength(2 * SAMPLE_FIELDS);
});
