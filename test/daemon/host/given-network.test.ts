/**
 * A device that somebody else has made: what is said of it, and that nothing is done to it.
 */
import { expect, it } from "vitest";
import type { DeviceState } from "../../../src/daemon/host/device-state.ts";
import { DeviceWatch } from "../../../src/daemon/host/device-watch.ts";
import { GivenNetwork } from "../../../src/daemon/host/given-network.ts";
import { isLack } from "../../../src/daemon/host/network-plan.ts";
import { address, prefix } from "../config.ts";
import { memoryLog } from "../log.ts";
import { ManualTimers } from "../timers.ts";

const WHOLE: DeviceState = {
  isUp: true,
  mtu: 1420,
  addresses: ["10.0.0.1/24", "fd00::1/64"],
  routes: ["10.9.0.0/16"],
};
const BARE: DeviceState = { isUp: false, mtu: 1500, addresses: ["10.0.0.1/24"], routes: [] };

it("that is as configured needs no word", async () => {
  const { network, log } = given(WHOLE);
  await network.up();
  expect(log.lines).toEqual([]);
  expect(isLack(network.lack(WHOLE))).toBe(false);
});

it("that lacks something is told of in one line, once", async () => {
  const { network, log } = given(BARE);
  await network.up();
  expect(log.lines).toEqual([
    "warn iptun0 is not as configured, and this daemon may not change it (needs CAP_NET_ADMIN): is down, has an MTU of 1500, not 1420, has no address fd00::1/64, has no route 10.9.0.0/16",
  ]);
  expect(isLack(network.lack(BARE))).toBe(false);
});

it("keeps its own MTU where the configuration leaves that to the paths", async () => {
  const { network, log } = given({ ...WHOLE, mtu: 1500 }, false);
  await network.up();
  expect(log.lines).toEqual([]);
  expect(await network.setMtu()).toEqual([]);
  expect(isLack(network.lack({ ...WHOLE, mtu: 1300 }))).toBe(false);
});

it("that loses something while it runs is told of by the watch, once", async () => {
  const { network, log, world } = given(WHOLE);
  await network.up();
  const look = async () => world.state;
  const { start: startTimer } = new ManualTimers();
  const time = { nowMs: () => 0, startTimer };
  const watch = new DeviceWatch({ device: "iptun0", network, look, log, ...time });
  world.state = { ...WHOLE, addresses: ["10.0.0.1/24"], routes: [] };

  await watch.poll();
  await watch.poll();

  expect(log.lines).toEqual([
    "warn cannot put back all addresses and routes of iptun0: needs CAP_NET_ADMIN",
  ]);
});

it("is left as it is at the end", async () => {
  const { network } = given(WHOLE);
  await network.up();
  expect(await network.down()).toEqual([]);
});

function given(state: DeviceState, isMtuWanted = true) {
  const log = memoryLog();
  const world = { state };
  const wanted = {
    device: "iptun0",
    addresses: [address("10.0.0.1/24"), address("fd00::1/64")],
    mtu: 1420,
    routeMtus: new Map<string, number>(),
    routes: [prefix("10.9.0.0/16")],
    hasSuperPackets: true,
  };
  const look = async () => world.state;
  return { log, world, network: new GivenNetwork({ wanted, isMtuWanted, look, log }) };
}
