/**
 * What sockets get of packets that were cut and joined on the way: the bytes that were sent, and the datagrams.
 *
 * Once over a wire that does nothing, and once through a relay that loses, doubles and reorders.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { devicePackets } from "../../scripts/netns/counters.ts";
import { makeKey } from "../../scripts/netns/daemon.ts";
import { type Delivery, deliver } from "../../scripts/netns/delivery.ts";
import { type Lab, openLab } from "../../scripts/netns/lab.ts";
import { type Disturbance, relayedHosts } from "../../scripts/netns/relay.ts";
import { delivered } from "../../scripts/netns/status.ts";
import {
  ADDRESSES,
  type Pair,
  sideDaemon,
  startDaemons,
  startPair,
  TUN,
} from "../../scripts/netns/topology.ts";

const { right } = ADDRESSES;
const STREAMS = 3;
const BAD: Disturbance = { loss: 0.005, delayMs: 1, jitterMs: 3, duplicate: 0.02, seed: 11 };

describe.each([
  {
    path: "a clean wire",
    disturbance: undefined,
    streamBytes: 4_000_000,
    least: 0.8,
    mostWrites: 0.7,
  },
  {
    path: "a path that loses and reorders",
    disturbance: BAD,
    streamBytes: 300_000,
    least: 0.4,
    mostWrites: 0.9,
  },
])("over $path", ({ disturbance, streamBytes, least, mostWrites }) => {
  let lab: Lab;
  let delivery: Delivery;
  let packets = 0;
  let writes = 0;

  beforeAll(async () => {
    lab = openLab();
    const pair =
      disturbance === undefined ? await startPair(lab) : await relayedPair(lab, disturbance);
    const hosts = [pair.left.host, pair.right.host] as const;
    const addresses = [right.inner4, right.inner6];
    delivery = await deliver(...hosts, addresses, { streams: STREAMS, streamBytes, bursts: 120 });
    packets = delivered(await pair.right.status());
    writes = devicePackets(pair.right.host, TUN).rx;
  });
  afterAll(() => lab.close());

  it("sockets get the bytes of several TCP connections at once", () => {
    const { sender, receiver } = delivery;

    expect(sender.hashes).toHaveLength(2 * STREAMS);
    expect(receiver.hashes.toSorted()).toEqual(sender.hashes.toSorted());
  });

  it("sockets get whole datagrams of those that were sent, and none twice", () => {
    const { sender, receiver } = delivery;

    expect(receiver.wrong).toBe(0);
    expect(receiver.distinct).toBe(receiver.received);
    expect(receiver.received).toBeLessThanOrEqual(sender.sent);
    expect(receiver.received).toBeGreaterThan(sender.sent * least);
  });

  it("packets were joined, or all this would prove nothing", () => {
    expect(packets).toBeGreaterThan(2000);
    expect(writes).toBeLessThan(packets * mostWrites);
  });
});

/** A tunnel through a relay with a disturbance. */
async function relayedPair(lab: Lab, disturbance: Disturbance): Promise<Pair> {
  const hosts = await relayedHosts(lab);
  const keyFile = await makeKey(lab.dir);
  const pair: Pair = {
    left: sideDaemon(hosts.left, "left", keyFile),
    right: sideDaemon(hosts.right, "right", keyFile),
    keyFile,
  };
  await startDaemons(pair);
  await hosts.relay.order({ kind: "disturb", disturbance });
  return pair;
}
