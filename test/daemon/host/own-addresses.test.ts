/**
 * The host's addresses in the core's form.
 */
import type { NetworkInterfaceInfo } from "node:os";
import { describe, expect, it } from "vitest";
import { formatAddress } from "../../../src/core/prefix.ts";
import {
  isSameAddressList,
  largestLinkMtu,
  ownAddresses,
  zoneIndex,
} from "../../../src/daemon/host/own-addresses.ts";

describe("the largest MTU of the links", () => {
  const mtus: Readonly<Record<string, number>> = {
    lo: 65_536,
    eth0: 1500,
    eth1: 9000,
    iptun0: 9156,
  };
  const mtuOf = (name: string) => mtus[name] ?? -19;

  it("is of all but loopback and the tunnel's own device", () => {
    const lo = [{ ...info("127.0.0.1"), internal: true }];
    const up = { lo, eth0: [info("192.0.2.1")], iptun0: [info("10.0.0.1")] };

    expect(largestLinkMtu(up, "iptun0", mtuOf)).toBe(1500);
    expect(largestLinkMtu({ ...up, eth1: [info("198.51.100.1")] }, "iptun0", mtuOf)).toBe(9000);
  });

  it("is Ethernet's where no link is known, and never above what is looked for", () => {
    expect(largestLinkMtu({}, "iptun0", mtuOf)).toBe(1500);
    expect(largestLinkMtu({ gone: [info("192.0.2.1")] }, "iptun0", mtuOf)).toBe(1500);
    expect(largestLinkMtu({ ib0: [info("192.0.2.1")] }, "iptun0", () => 65_520)).toBe(9216);
  });
});

describe("own addresses", () => {
  it("are 16 bytes each, IPv4 mapped, of all interfaces", () => {
    const addresses = ownAddresses({
      lo: [info("127.0.0.1"), info("::1")],
      eth0: [info("192.0.2.1"), info("fe80::1")],
      none: undefined,
    });

    expect(addresses.map((one) => one.length)).toEqual([16, 16, 16, 16]);
    expect(addresses.map(formatAddress)).toEqual(["127.0.0.1", "192.0.2.1", "::1", "fe80::1"]);
  });

  it("are the same whatever the order of the interfaces, each once", () => {
    const one = ownAddresses({ a: [info("192.0.2.1")], b: [info("192.0.2.2"), info("192.0.2.1")] });
    const other = ownAddresses({ b: [info("192.0.2.2")], a: [info("192.0.2.1")] });

    expect(isSameAddressList(one, other)).toBe(true);
  });

  it("lose their zone and leave out what is no address", () => {
    const addresses = ownAddresses({ eth0: [info("fe80::2%eth0"), info("junk")] });

    expect(addresses.map(formatAddress)).toEqual(["fe80::2"]);
  });
});

describe("two lists", () => {
  it("differ in length or in an address", () => {
    const [a, b] = [
      ownAddresses({ x: [info("192.0.2.1")] }),
      ownAddresses({ x: [info("192.0.2.2")] }),
    ];

    expect([isSameAddressList(a, b), isSameAddressList(a, []), isSameAddressList([], [])]).toEqual([
      false,
      false,
      true,
    ]);
  });
});

describe("a zone", () => {
  const interfaces = { eth0: [info("192.0.2.1"), info("fe80::1", 3)], tun0: [info("10.0.0.1")] };

  it.each([
    ["eth0", 3],
    ["7", 7],
    ["tun0", 0],
    ["wlan9", 0],
  ])("%s has the index %i", (zone, index) => {
    expect(zoneIndex(interfaces, zone)).toBe(index);
  });
});

function info(address: string, scopeid = 0): NetworkInterfaceInfo {
  const common = { address, netmask: "", mac: "", internal: false, cidr: null };
  return address.includes(":")
    ? { ...common, family: "IPv6", scopeid }
    : { ...common, family: "IPv4" };
}
