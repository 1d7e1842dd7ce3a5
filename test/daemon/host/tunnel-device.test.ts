/** The tunnel's device when another configuration is taken over, beside what control-side and reloader tests see. */
import { expect, it } from "vitest";
import type { DeviceNetwork } from "../../../src/daemon/host/given-network.ts";
import { TunnelDevice } from "../../../src/daemon/host/tunnel-device.ts";
import { config } from "../config.ts";
import { memoryLog } from "../log.ts";
import { ManualTimers } from "../timers.ts";

const START = { hasSuperPackets: false, start: undefined, found: undefined };

it("a change that was made is not refused because the look after it fails", async () => {
  const changed: unknown[] = [];
  const { device, log } = await started({
    change: async ({ mtu }) => {
      changed.push(mtu);
    },
  });

  await device.change(config({ interface: { mtu: 1_300 } }));

  expect(changed).toEqual([1_300]);
  expect(device.mtu.mtu).toBe(1_300);
  expect(log.lines).toContain("debug ip does not answer");
});

it("a change that the kernel refuses is refused, and the device is as before", async () => {
  const { device } = await started({ change: () => Promise.reject(new Error("File exists")) });

  await expect(device.change(config({ interface: { mtu: 1_300 } }))).rejects.toThrow("File exists");

  expect(device.mtu.mtu).toBe(1_420);
});

/** A device whose looks fail. */
async function started({ change }: Pick<DeviceNetwork, "change">) {
  const log = memoryLog();
  const timers = new ManualTimers();
  const network: DeviceNetwork = {
    ...{ before: undefined, change, lack: notAsked, repair: notAsked },
    up: async () => {},
    ...{ adopt: async () => [], setMtu: async () => [], down: async () => [] },
  };
  const device = new TunnelDevice(config(), {
    ...{ log, startTimer: timers.start, nowMs: () => timers.nowMs },
    makeNetwork: () => network,
    look: () => Promise.reject(new Error("ip does not answer")),
  });
  await device.start("iptun0", START);
  return { device, log };
}

function notAsked(): never {
  throw new Error("not asked");
}
