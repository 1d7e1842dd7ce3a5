/** Device configuration over a fake `ip`. */
import { describe, expect, it } from "vitest";
import type { RunProcess } from "../../../src/daemon/host/ip-command.ts";
import { Network, readDeviceState } from "../../../src/daemon/host/network.ts";
import { address, prefix } from "../config.ts";

const INPUT = {
  device: "iptun0",
  addresses: [address("10.0.0.1/24")],
  mtu: 1420,
  routeMtus: new Map<string, number>(),
  routes: [prefix("10.9.0.0/16")],
  hasSuperPackets: false,
};

describe("a device's state", () => {
  it("is not read further where the device does not exist", async () => {
    const ip = fakeIp((args) => (args[1] === "addr" ? { exitCode: 1 } : {}));

    const state = await readDeviceState("iptun0", ip.run);

    expect(state).toBeUndefined();
    expect(ip.calls).toEqual(["-j addr show dev iptun0"]);
  });

  it("has the routes of both families", async () => {
    const ip = fakeIp((args) => {
      const text = args.join(" ");
      if (text.startsWith("-j addr")) return { stdout: '[{"flags":["UP"],"mtu":1500}]' };
      if (text.startsWith("-j -4")) return { stdout: '[{"dst":"10.9.0.0/16"}]' };
      return { exitCode: 2 };
    });

    const state = await readDeviceState("iptun0", ip.run);

    expect(state).toEqual({ isUp: true, mtu: 1500, addresses: [], routes: ["10.9.0.0/16"] });
  });
});

describe("another configuration of a network", () => {
  const [OLD, NEW] = [address("10.0.0.1/24"), address("10.0.0.2/24")];

  it("is made of what is there in one batch: what is new comes before what goes", async () => {
    const ip = fakeIp();
    const network = new Network(INPUT, undefined, ip.run);
    await network.up();
    const routes = [prefix("10.8.0.0/16")];
    await network.change({ addresses: [NEW, address("fd00::1/64")], routes });
    expect(ip.calls.at(-1)).toBe(
      [
        "-batch - < addr replace 10.0.0.2/24 dev iptun0",
        "addr replace fd00::1/64 dev iptun0 nodad",
        "route del 10.9.0.0/16 dev iptun0",
        "addr del 10.0.0.1/24 dev iptun0",
        "addr replace 10.0.0.2/24 dev iptun0",
        "addr replace fd00::1/64 dev iptun0 nodad",
        "route add 10.8.0.0/16 dev iptun0",
      ].join(", "),
    );
    expect(network.lack({ isUp: true, mtu: 1420, addresses: [], routes: [] }).routes).toEqual(
      routes,
    );
  });

  it("changes the MTU of the device and of routes that stay, and of none that comes", async () => {
    const ip = fakeIp();
    const network = new Network(INPUT, undefined, ip.run);
    await network.up();
    const routeMtus = new Map([
      ["10.9.0.0/16", 1400],
      ["10.8.0.0/16", 1350],
    ]);
    await network.change({
      mtu: 1300,
      routeMtus,
      routes: [...INPUT.routes, prefix("10.8.0.0/16")],
    });
    expect(ip.calls.at(-1)).toBe(
      [
        "-batch - < link set dev iptun0 mtu 1300",
        "route change 10.9.0.0/16 dev iptun0 mtu 1400",
        "route add 10.8.0.0/16 dev iptun0 mtu 1350",
      ].join(", "),
    );
  });

  it("leaves what an attached device had before", async () => {
    const ip = fakeIp();
    const before = { isUp: true, mtu: 1500, addresses: ["10.0.0.1/24"], routes: ["10.9.0.0/16"] };
    const network = new Network(INPUT, before, ip.run);
    await network.up();
    const count = ip.calls.length;
    await network.change({ addresses: [], routes: [] });
    expect(ip.calls).toHaveLength(count);
  });

  it("that is refused puts back what was, and stays what is wanted", async () => {
    let isRefusing = false;
    const stderr = "RTNETLINK answers: File exists\nCommand failed -:1\n";
    const ip = fakeIp((args) =>
      isRefusing && args[0] === "-batch" ? { exitCode: 1, stderr } : {},
    );
    const network = new Network({ ...INPUT, addresses: [OLD] }, undefined, ip.run);
    await network.up();
    isRefusing = true;
    await expect(network.change({ routes: [prefix("10.8.0.0/16")] })).rejects.toThrow(
      "'ip route del 10.9.0.0/16 dev iptun0' failed: File exists",
    );
    expect(ip.calls.at(-1)).toBe(
      "-force -batch - < route del 10.8.0.0/16 dev iptun0, route add 10.9.0.0/16 dev iptun0",
    );
    const { routes } = network.lack({ isUp: true, mtu: 1420, addresses: [], routes: [] });
    expect(routes).toEqual(INPUT.routes);
  });
});

describe("the network of a device", () => {
  it("is set in one batch", async () => {
    const ip = fakeIp();

    await new Network(INPUT, undefined, ip.run).up();

    expect(ip.calls).toEqual([
      "-batch - < addr add 10.0.0.1/24 dev iptun0, link set dev iptun0 mtu 1420 txqueuelen 2000 up, route add 10.9.0.0/16 dev iptun0",
    ]);
  });

  it("of our own needs nothing taken off", async () => {
    const ip = fakeIp();
    const network = new Network(INPUT, undefined, ip.run);
    await network.up();

    await network.down();

    expect(ip.calls).toHaveLength(1);
  });

  it("of an attached device is taken off, also after it was set in part only", async () => {
    const before = { isUp: true, mtu: 1500, addresses: [], routes: [] };
    const ip = fakeIp((args) => (args[0] === "-batch" ? { exitCode: 1 } : {}));
    const network = new Network(INPUT, before, ip.run);
    await network.up().catch(() => undefined);

    await network.down();

    expect(ip.calls[1]).toBe(
      "-force -batch - < route del 10.9.0.0/16 dev iptun0, addr del 10.0.0.1/24 dev iptun0, link set dev iptun0 mtu 1500",
    );
  });

  it("that was never set is left alone", async () => {
    const ip = fakeIp();
    const before = { isUp: true, mtu: 1500, addresses: [], routes: [] };

    await new Network(INPUT, before, ip.run).down();

    expect(ip.calls).toEqual([]);
  });

  it("gets another MTU in one batch, and none before it is set", async () => {
    const ip = fakeIp();
    const network = new Network(INPUT, undefined, ip.run);
    await network.setMtu({ mtu: 1400, routeMtus: new Map() });
    expect(ip.calls).toEqual([]);
    await network.up();

    await network.setMtu({ mtu: 1300, routeMtus: new Map([["10.9.0.0/16", 1440]]) });

    expect(ip.calls).toEqual([
      expect.stringContaining("mtu 1400 "),
      "-force -batch - < link set dev iptun0 mtu 1300, route change 10.9.0.0/16 dev iptun0 mtu 1440",
    ]);
  });

  it("is repaired in one batch that goes on after a failure", async () => {
    const stderr = "RTNETLINK answers: Busy\nCommand failed -:2\n";
    const ip = fakeIp(() => ({ exitCode: 1, stderr }));
    const network = new Network(INPUT, undefined, ip.run);
    const lack = network.lack({ isUp: true, mtu: 1420, addresses: [], routes: [] });

    const complaints = await network.repair(lack);

    expect(ip.calls).toEqual([
      "-force -batch - < addr replace 10.0.0.1/24 dev iptun0, route add 10.9.0.0/16 dev iptun0",
    ]);
    expect(complaints).toEqual(["Busy"]);
  });
});

type Answer = { readonly exitCode?: number; readonly stdout?: string; readonly stderr?: string };

function fakeIp(answer: (args: readonly string[]) => Answer = () => ({})) {
  const calls: string[] = [];
  const run: RunProcess = async (_file, args, input) => {
    const lines = input.trim().split("\n").join(", ");
    calls.push(lines === "" ? args.join(" ") : `${args.join(" ")} < ${lines}`);
    return { exitCode: 0, stdout: "", stderr: "", startError: undefined, ...answer(args) };
  };
  return { calls, run };
}
