/**
 * Reading the features of a network device.
 */
import { describe, expect, it } from "vitest";
import { LINKS, parseFeatures } from "../../scripts/benchmark/links.ts";

const ETHTOOL = `Features for eth0:
rx-checksumming: on
tx-checksumming: off
\ttx-checksum-ip-generic: off
tcp-segmentation-offload: on
\ttx-tcp-segmentation: on
generic-segmentation-offload: off [requested on]
generic-receive-offload: off
tx-udp-segmentation: on
tx-udp_tnl-segmentation: off [fixed]
`;

describe("the features of a device", () => {
  it("are read from what ethtool prints", () => {
    expect(parseFeatures(ETHTOOL)).toEqual({
      "tx-udp-segmentation": true,
      tso: true,
      gso: false,
      gro: false,
      tx: false,
      rx: true,
    });
  });

  it("include every one that a kind of link switches", () => {
    const known = Object.keys(parseFeatures(ETHTOOL));

    for (const { on, off } of Object.values(LINKS)) {
      expect(known).toEqual(expect.arrayContaining([...on, ...off]));
    }
  });

  it("are off where ethtool does not name them", () => {
    expect(Object.values(parseFeatures(""))).not.toContain(true);
  });
});
