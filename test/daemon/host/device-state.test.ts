/**
 * Reading a device's state from iproute2's JSON.
 */
import { describe, expect, it } from "vitest";
import { parseDeviceState } from "../../../src/daemon/host/device-state.ts";

describe("a device's state", () => {
  it("has flags, MTU, addresses and routes", () => {
    const addr = JSON.stringify([
      {
        ifname: "iptun0",
        flags: ["POINTOPOINT", "NOARP", "UP", "LOWER_UP"],
        mtu: 1420,
        addr_info: [
          { family: "inet", local: "10.0.0.1", prefixlen: 24 },
          { family: "inet6", local: "fd00::1", prefixlen: 64 },
        ],
      },
    ]);
    const v4 = JSON.stringify([{ dst: "10.9.0.0/16" }, { dst: "10.8.0.1" }, { dst: "default" }]);
    const v6 = JSON.stringify([{ dst: "2001:db8::/32" }, { dst: "2001:db8::1" }]);

    const state = parseDeviceState(addr, [v4, v6]);

    expect(state).toEqual({
      isUp: true,
      mtu: 1420,
      addresses: ["10.0.0.1/24", "fd00::1/64"],
      routes: ["10.9.0.0/16", "10.8.0.1/32", "default", "2001:db8::/32", "2001:db8::1/128"],
    });
  });

  it("is down without the flag", () => {
    const addr = JSON.stringify([{ flags: ["NOARP"], mtu: 1500, addr_info: [] }]);

    expect(parseDeviceState(addr, [])).toEqual({
      isUp: false,
      mtu: 1500,
      addresses: [],
      routes: [],
    });
  });

  it("is empty where ip prints nothing for an empty list", () => {
    expect(parseDeviceState("[]", ["", "\n"])).toEqual({
      isUp: false,
      mtu: 0,
      addresses: [],
      routes: [],
    });
  });

  it("leaves out entries of unknown form", () => {
    const addr = JSON.stringify([{ flags: "UP", mtu: "1500", addr_info: [null, { local: 1 }, 7] }]);

    expect(parseDeviceState(addr, [JSON.stringify([{ dst: 4 }, "x"])])).toEqual({
      isUp: false,
      mtu: 0,
      addresses: [],
      routes: [],
    });
  });
});
