/**
 * The firewall's table as nft is given it. That nft takes it, and what it does, is shown with real packets.
 */
import { describe, expect, it } from "vitest";
import {
  type FirewallPlan,
  firewallText,
  hasFirewall,
  removeFirewall,
  setFirewall,
  tableName,
} from "../../../src/daemon/host/firewall.ts";
import { FakeHost } from "../fake-host.ts";

const PLAN: FirewallPlan = {
  device: "iptun0",
  addresses: { 4: ["10.0.0.1", "10.1.0.1"], 6: ["fd00::1"] },
  socket: { port: 1194, mark: 0x3005 },
};
const NEW = "add table inet iptun_iptun0\ndelete table inet iptun_iptun0\n";

describe("the table", () => {
  it("drops what comes from elsewhere for an inner address, and marks the tunnel's datagrams", () => {
    expect(firewallText(PLAN)).toBe(`${NEW}table inet iptun_iptun0 {
  chain prerouting {
    type filter hook prerouting priority -300; policy accept;
    iifname != "iptun0" ip daddr { 10.0.0.1, 10.1.0.1 } fib saddr type != local counter drop
    iifname != "iptun0" ip6 daddr { fd00::1 } fib saddr type != local counter drop
    iifname != "iptun0" fib daddr type local udp dport 1194 meta mark set 12293
  }
}
`);
  });

  it("has only what is wanted", () => {
    const text = firewallText({ ...PLAN, addresses: { 4: [], 6: ["fd00::1"] }, socket: undefined });
    expect(text).toContain("ip6 daddr");
    expect(text).not.toMatch(/ip daddr|mark/);
  });

  it("has a name of its own for each device that can be configured", () => {
    const names = ["wg@0", "wg_0", "wg-0", "wg.0", "0", "table", "wg@@0"].map(tableName);
    expect(new Set(names).size).toBe(names.length);
    // What nft(8) takes for an identifier.
    for (const name of names) expect(name).toMatch(/^[A-Za-z][A-Za-z0-9/\\_.-]*$/);
  });
});

describe("nft", () => {
  it("puts the table in place of one of its name, and takes it away, there or not", async () => {
    const host = new FakeHost();
    expect(await removeFirewall("iptun0", host.run)).toBeUndefined();
    expect(await setFirewall(PLAN, host.run)).toBeUndefined();
    expect(await setFirewall(PLAN, host.run)).toBeUndefined();
    expect(await hasFirewall("iptun0", host.run)).toBe(true);
    expect(await removeFirewall("iptun0", host.run)).toBeUndefined();
    expect([await hasFirewall("iptun0", host.run), host.tables.size]).toEqual([false, 0]);
  });

  it("that finds the table empty does not find it", async () => {
    const host = new FakeHost();
    host.tables.set("iptun_iptun0", "table inet iptun_iptun0 {\n}\n");
    expect(await hasFirewall("iptun0", host.run)).toBe(false);
  });

  it.each([
    ["is missing", undefined, "", "spawn nft ENOENT", "nft is not installed"],
    ["was killed", undefined, "", "timed out", "nft: timed out"],
    [
      "refuses",
      1,
      "/dev/stdin:1:5-9: Error: Could not process rule: Operation not supported\nadd table\n",
      undefined,
      "nft: Could not process rule: Operation not supported",
    ],
    ["says nothing", 1, "", undefined, "nft: exit code 1"],
  ])("that %s gives the reason", async (_, exitCode, stderr, startError, expected) => {
    const run = async () => ({ exitCode, stdout: "", stderr, startError });
    expect(await setFirewall(PLAN, run)).toBe(expected);
  });
});
