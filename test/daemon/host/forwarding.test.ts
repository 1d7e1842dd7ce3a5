/** Whether a hub is told that its kernel does not forward. */
import { expect, it } from "vitest";
import { forwardingWarnings } from "../../../src/daemon/host/forwarding.ts";
import { config, peerConfig, prefix } from "../config.ts";

const V4 = "/proc/sys/net/ipv4/ip_forward";
const V6 = "/proc/sys/net/ipv6/conf/all/forwarding";
const group = peerConfig({
  kind: "group",
  allowedIps: [prefix("10.9.0.0/16"), prefix("fd09::/32")],
});
const off = (path: string) => (path === V4 || path === V6 ? "0\n" : undefined);

it("names each family that its sites have", () => {
  expect(forwardingWarnings(config({ peers: [group] }), off)).toEqual([
    "peer[b].learn: this host does not forward IPv4, so its sites cannot reach each other; sysctl -w net.ipv4.ip_forward=1",
    "peer[b].learn: this host does not forward IPv6, so its sites cannot reach each other; sysctl -w net.ipv6.conf.all.forwarding=1",
  ]);
});

it("says nothing of a family that no site has", () => {
  const peers = [{ ...group, allowedIps: [prefix("fd09::/32")] }];
  expect(forwardingWarnings(config({ peers }), off)).toHaveLength(1);
});

it.each([
  ["forwarding is on", () => "1\n", [group]],
  ["the kernel has no such switch", () => undefined, [group]],
  ["there is no group", off, [peerConfig()]],
  ["this host is a site", off, [peerConfig({ kind: "hub" })]],
])("says nothing where %s", (_, read, peers) => {
  expect(forwardingWarnings(config({ peers }), read)).toEqual([]);
});
