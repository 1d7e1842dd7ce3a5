/**
 * Inner IPv4 and IPv6 over outer IPv4 and IPv6, with the distribution's ping and iperf3.
 *
 * IPTUN_FULL=1 runs every iperf3 for 10 s; otherwise one runs for 4 s, and the others for one.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Lab, openLab } from "../../scripts/netns/lab.ts";
import { ADDRESSES, hostPort, type Pair, startPair } from "../../scripts/netns/topology.ts";
import { ping, tcpThroughput } from "../../scripts/netns/traffic.ts";
import { IS_FULL } from "../helpers/figure.ts";

const [LONG_SECONDS, SHORT_SECONDS] = IS_FULL ? [10, 10] : [4, 1];
const { left, right } = ADDRESSES;

describe.each([
  { outer: "IPv4", endpoint: hostPort(right.outer4), source: left.outer4 },
  { outer: "IPv6", endpoint: hostPort(right.outer6), source: left.outer6 },
])("over outer $outer", ({ outer, endpoint, source }) => {
  let lab: Lab;
  let pair: Pair;

  beforeAll(async () => {
    lab = openLab();
    pair = await startPair(lab, { left: { endpoint } });
  });
  afterAll(() => lab.close());

  it("learns the endpoint of the site that has none configured", async () => {
    const { peers } = await pair.right.status();

    expect(peers[0]?.endpoint).toBe(hostPort(source));
  });

  describe.each([
    { inner: "IPv4", target: right.inner4, back: left.inner4 },
    { inner: "IPv6", target: right.inner6, back: left.inner6 },
  ])("carries inner $inner", ({ inner, target, back }) => {
    it("without losing a ping, both ways", async () => {
      const results = await Promise.all([
        ping(pair.left.host, target, 30),
        ping(pair.right.host, back, 30),
      ]);

      expect(results.map(({ sent, received }) => [sent, received])).toEqual([
        [30, 30],
        [30, 30],
      ]);
    });

    it.each([false, true])("as TCP without an error (reverse: %s)", async (isReverse) => {
      const isLong = inner !== outer && !isReverse && outer === "IPv4";
      const seconds = isLong ? LONG_SECONDS : SHORT_SECONDS;

      const result = await tcpThroughput(pair.left.host, pair.right.host, target, {
        seconds,
        isReverse,
      });

      expect(result.bytes).toBeGreaterThan(seconds * 1e6);
    });
  });

  it("counts nothing as forged, replayed or malformed meanwhile", async () => {
    for (const daemon of [pair.left, pair.right]) {
      const { drops } = await daemon.status();

      expect(drops).toMatchObject({ forged: 0, inner_malformed: 0, inner_source: 0, bad_mac: 0 });
    }
  });
});
