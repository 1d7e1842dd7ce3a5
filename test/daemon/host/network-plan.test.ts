/**
 * The `ip` commands of a configuration, on a new device, an attached one, and after a link was down.
 */
import { describe, expect, it } from "vitest";
import type { DeviceState } from "../../../src/daemon/host/device-state.ts";
import {
  addressText,
  isLack,
  lackOf,
  type NetworkPlanInput,
  planMtu,
  planNetwork,
  planRepair,
} from "../../../src/daemon/host/network-plan.ts";
import { address, prefix } from "../config.ts";

describe("a device of our own", () => {
  it("gets addresses, link and routes in this order, and nothing to take off", () => {
    const plan = planNetwork(input(), undefined);

    expect(texts(plan.up)).toEqual([
      "addr add 10.0.0.1/24 dev iptun0",
      "addr add fd00::1/64 dev iptun0 nodad",
      "link set dev iptun0 mtu 1420 txqueuelen 2000 up",
      "route add 10.9.0.0/16 dev iptun0",
      "route add 2001:db8::/32 dev iptun0",
    ]);
    expect(plan.down).toEqual([]);
  });

  it("gets no default route, whatever the peer may send", () => {
    const plan = planNetwork(input({ routes: [prefix("0.0.0.0/0"), prefix("::/0")] }), undefined);

    expect(texts(plan.up).filter((text) => text.startsWith("route"))).toEqual([]);
  });

  it.each([
    ["equal to its own network", "10.0.0.0/24", []],
    ["inside its own network", "10.0.0.128/25", []],
    ["a host of its own network", "fd00::2/128", []],
    ["wider than its own network", "10.0.0.0/16", ["route add 10.0.0.0/16 dev iptun0"]],
    ["beside its own network", "10.0.1.0/24", ["route add 10.0.1.0/24 dev iptun0"]],
    ["of the other family", "fd00::/48", ["route add fd00::/48 dev iptun0"]],
  ])("routes a prefix %s", (_name, text, expected) => {
    const plan = planNetwork(input({ routes: [prefix(text)] }), undefined);

    expect(texts(plan.up).filter((one) => one.startsWith("route"))).toEqual(expected);
  });

  it("without addresses and routes is only set up", () => {
    const plan = planNetwork(input({ addresses: [], routes: [] }), undefined);

    expect(texts(plan.up)).toEqual(["link set dev iptun0 mtu 1420 txqueuelen 2000 up"]);
  });
});

describe("a device of our own that gives super-packets", () => {
  it("queues fewer of them", () => {
    const plan = planNetwork(input({ hasSuperPackets: true }), undefined);

    expect(texts(plan.up)).toContain("link set dev iptun0 mtu 1420 txqueuelen 500 up");
  });
});

describe("an attached device", () => {
  it("keeps its queue, whatever a packet may be", () => {
    const before: DeviceState = { isUp: true, mtu: 1500, addresses: [], routes: [] };

    const plan = planNetwork(input({ hasSuperPackets: true }), before);

    expect(texts(plan.up).join()).not.toContain("txqueuelen");
  });

  it("keeps what it had and loses what was added", () => {
    const before: DeviceState = {
      isUp: true,
      mtu: 1500,
      addresses: ["10.0.0.1/24", "172.16.0.1/12"],
      routes: ["10.9.0.0/16"],
    };

    const plan = planNetwork(input(), before);

    expect(texts(plan.up)).toEqual([
      "addr add fd00::1/64 dev iptun0 nodad",
      "link set dev iptun0 mtu 1420 up",
      "route add 2001:db8::/32 dev iptun0",
    ]);
    expect(texts(plan.down)).toEqual([
      "route del 2001:db8::/32 dev iptun0",
      "addr del fd00::1/64 dev iptun0",
      "link set dev iptun0 mtu 1500",
    ]);
  });

  it("that was down is set down again", () => {
    const before: DeviceState = { isUp: false, mtu: 1500, addresses: [], routes: [] };

    const plan = planNetwork(input(), before);

    expect(texts(plan.down).at(-1)).toBe("link set dev iptun0 mtu 1500 down");
  });
});

describe("a repair", () => {
  it("puts back all that is missing, MTU first, and never sets the link up", () => {
    const lack = lackOf(input(), { isUp: true, mtu: 1000, addresses: [], routes: [] });

    expect(texts(planRepair(input(), lack))).toEqual([
      "link set dev iptun0 mtu 1420",
      "addr replace 10.0.0.1/24 dev iptun0",
      "addr replace fd00::1/64 dev iptun0 nodad",
      "route add 10.9.0.0/16 dev iptun0",
      "route add 2001:db8::/32 dev iptun0",
    ]);
  });

  it("puts back only what is missing", () => {
    const lack = lackOf(input(), {
      isUp: true,
      mtu: 1420,
      addresses: ["10.0.0.1/24", "fd00::1/64"],
      routes: ["2001:db8::/32"],
    });

    expect(texts(planRepair(input(), lack))).toEqual(["route add 10.9.0.0/16 dev iptun0"]);
  });

  it("of routes needs no address", () => {
    const lack = lackOf(input({ addresses: [] }), {
      isUp: true,
      mtu: 1420,
      addresses: [],
      routes: [],
    });

    expect(lack.routes).toHaveLength(2);
  });

  it("is not needed for default routes, connected ones, and what others have put there", () => {
    const wanted = input({ routes: [prefix("0.0.0.0/0"), prefix("10.0.0.0/25")] });
    const addresses = ["10.0.0.1/24", "fd00::1/64", "172.16.0.1/12"];

    const routes = ["10.0.0.0/24", "10.1.0.0/16"];

    const lack = lackOf(wanted, { isUp: true, mtu: 1420, addresses, routes });

    expect(isLack(lack)).toBe(false);
  });

  it("puts back the network of an address that is there, where a route relies on it", () => {
    const wanted = input({ routes: [prefix("10.0.0.2/32")] });
    const state = { isUp: true, mtu: 1420, routes: [] };

    const flushed = lackOf(wanted, { ...state, addresses: ["10.0.0.1/24", "fd00::1/64"] });
    const bare = lackOf(wanted, { ...state, addresses: ["fd00::1/64"] });

    expect(texts(planRepair(wanted, flushed))).toEqual(["route add 10.0.0.0/24 dev iptun0"]);
    expect(texts(planRepair(wanted, bare))).toEqual(["addr replace 10.0.0.1/24 dev iptun0"]);
  });
});

describe("another MTU", () => {
  const own = new Map([["10.9.0.0/16", 1440]]);

  it("is set on the device, and on routes with one of their own, but on no route that is not ours", () => {
    const routeMtus = new Map([...own, ["10.0.0.0/25", 1400]]);

    const commands = planMtu(input(), input({ mtu: 1340, routeMtus }));

    expect(texts(commands)).toEqual([
      "link set dev iptun0 mtu 1340",
      "route change 10.9.0.0/16 dev iptun0 mtu 1440",
    ]);
  });

  it("of the device alone sets the routes' own again, which the kernel may have changed with it", () => {
    const commands = planMtu(input({ routeMtus: own }), input({ mtu: 1300, routeMtus: own }));

    expect(texts(commands)).toEqual([
      "link set dev iptun0 mtu 1300",
      "route change 10.9.0.0/16 dev iptun0 mtu 1440",
    ]);
  });

  it("is taken off a route again", () => {
    const commands = planMtu(input({ routeMtus: own }), input());

    expect(texts(commands)).toEqual(["route change 10.9.0.0/16 dev iptun0"]);
  });

  it("that is what there was needs no command", () => {
    expect(planMtu(input({ routeMtus: own }), input({ routeMtus: own }))).toEqual([]);
  });

  it("of a route is put back with it", () => {
    const wanted = input({ routeMtus: own });
    const lack = lackOf(wanted, { isUp: true, mtu: 1420, addresses: [], routes: [] });

    expect(texts(planRepair(wanted, lack))).toContain("route add 10.9.0.0/16 dev iptun0 mtu 1440");
  });
});

it("an address keeps its host bits in text", () => {
  expect(addressText(address("10.1.2.3/8"))).toBe("10.1.2.3/8");
});

function input(changes: Partial<NetworkPlanInput> = {}): NetworkPlanInput {
  return {
    device: "iptun0",
    addresses: [address("10.0.0.1/24"), address("fd00::1/64")],
    mtu: 1420,
    routeMtus: new Map<string, number>(),
    routes: [prefix("10.9.0.0/16"), prefix("2001:db8::/32")],
    hasSuperPackets: false,
    ...changes,
  };
}

function texts(commands: readonly (readonly string[])[]): string[] {
  return commands.map((command) => command.join(" "));
}
