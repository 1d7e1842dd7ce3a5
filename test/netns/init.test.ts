/**
 * Two hosts that are set up by `iptun init`, with networks behind both; README's own commands are in docs.test.ts.
 */
import { describe, expect, it } from "vitest";
import { InstalledHost } from "../../scripts/netns/installed.ts";
import { type Lab, withLab } from "../../scripts/netns/lab.ts";
import { until } from "../../scripts/netns/process.ts";
import { ADDRESSES, hostPort, twoHosts } from "../../scripts/netns/topology.ts";
import { figure } from "../helpers/figure.ts";

const { left } = ADDRESSES;
/** A daemon's start on a machine that does much else. */
const START_MS = 45_000;

describe("iptun init", () => {
  it("joins two hosts and the networks behind them, both ways, in both families", async () => {
    await withLab(async (lab) => {
      const { hub, laptop } = installedPair(lab);
      giveNetwork(hub, "172.21.1.1/24", "2001:db8:a::1/64");
      giveNetwork(laptop, "172.21.2.1/24", "2001:db8:b::1/64");
      const started = performance.now();

      const init = [
        `iptun init --name hub --peer laptop --endpoint ${hostPort(left.outer6)}`,
        "--networks 172.21.1.0/24,2001:db8:a::/64 --peer-networks 172.21.2.0/24,2001:db8:b::/64",
      ];
      await hub.run(init.join(" "));
      await laptop.run("mkdir -p /etc/iptun");
      await laptop.run("scp -p root@hub.example.org:/etc/iptun/laptop.toml /etc/iptun/iptun0.toml");
      for (const host of [hub, laptop]) host.start("iptun --config /etc/iptun/iptun0.toml");
      await answered(laptop, "ping -c 1 -W 1 -I 172.21.2.1 172.21.1.1");
      const seconds = (performance.now() - started) / 1000;

      await laptop.run("ping -c 2 -W 5 -I 2001:db8:b::1 2001:db8:a::1");
      await hub.run("ping -c 2 -W 5 -I 172.21.1.1 172.21.2.1");
      await hub.run("ping -c 2 -W 5 -I 2001:db8:a::1 2001:db8:b::1");
      for (const host of [hub, laptop]) {
        const plan = JSON.parse(await host.run("iptun check --json -c /etc/iptun/iptun0.toml"));
        expect(plan.warnings).toEqual([]);
        expect(plan.interface.addresses).toHaveLength(2);
      }
      figure("set-up", "`iptun init` to the first reply", `${seconds.toFixed(1)} s`, "60");
      expect(seconds).toBeLessThan(60);
    });
  });

  it("leaves a host as it was where something is in its way", async () => {
    await withLab(async (lab) => {
      const { hub } = installedPair(lab);
      await hub.run("mkdir /etc/iptun && echo precious > /etc/iptun/peer.toml");

      await expect(hub.run("iptun init --endpoint hub.example.org:1194")).rejects.toThrow(
        "/etc/iptun/peer.toml exists already; a configuration is never overwritten",
      );

      expect(await hub.run("ls /etc/iptun; cat /etc/iptun/peer.toml")).toBe(
        "peer.toml\nprecious\n",
      );
    });
  });
});

/** A hub that the laptop knows by its name and can copy files from. */
function installedPair(lab: Lab): { readonly hub: InstalledHost; readonly laptop: InstalledHost } {
  const hosts = twoHosts(lab);
  const names = { "hub.example.org": left.outer4 };
  const hub = new InstalledHost(hosts.left, names);
  const laptop = new InstalledHost(hosts.right, names);
  laptop.canCopyFrom("hub.example.org", hub);
  return { hub, laptop };
}

/** A device that stands for the network behind a host. */
function giveNetwork({ host }: InstalledHost, ...addresses: readonly string[]): void {
  host.ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan1");
  for (const name of ["lan0", "lan1"]) host.ip("link", "set", name, "up");
  for (const one of addresses) {
    host.ip("address", "add", one, "dev", "lan0", ...(one.includes(":") ? ["nodad"] : []));
  }
}

/** Repeats a ping until it is answered. */
async function answered(host: InstalledHost, line: string): Promise<void> {
  await until(`answer to ${line}`, START_MS, async () => {
    const isRight = await host.run(line).then(
      () => true,
      () => false,
    );
    return isRight ? true : undefined;
  });
}
